"""A copy of a live database: whole, private, described by its manifest, or not there at all."""

import asyncio
import hashlib
import json
import shutil
import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from acode_tui.domain.errors import IntegrityError, TransactionError
from acode_tui.domain.progress import Progress
from acode_tui.domain.schema import TABLES
from acode_tui.storage.ports import Backup
from acode_tui.storage.sqlite.connection import PAGE_BYTES
from acode_tui.storage.sqlite.files import backup_copy
from acode_tui.storage.sqlite.files.backup_copy import take_snapshot
from tests.clocks import GUARD_SECONDS, NOON
from tests.storage.sqlite.parts import Parts, assert_sound, foreign, rows
from tests.storage.sqlite.runs.runs import make_run


async def _take(parts: Parts, folder: Path, **more: Any) -> Backup:
    return await parts.readers.run(lambda raw: take_snapshot(raw, folder, now=NOON, schema_version="1.2.0", **more))


def _files(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def test_a_backup_is_a_whole_database_with_a_manifest(parts: Parts, tmp_path: Path) -> None:
    for n in range(3):
        await parts.store.save(make_run(n))
    folder = tmp_path / "backups"
    manifest = await _take(parts, folder, suffix="_pre_restore")
    assert _files(folder) == [
        "acode_backup_20260105_120000_pre_restore.db",
        "acode_backup_20260105_120000_pre_restore.json",
    ]
    copy = folder / f"{manifest.name}.db"
    assert_sound(copy)
    assert rows(copy, "PRAGMA journal_mode") == [("delete",)]
    for table in TABLES.values():
        names = ", ".join(f'"{name}"' for name in table.column_names)
        sql = f"SELECT {names} FROM {table.name} ORDER BY id"
        assert rows(copy, sql) == rows(parts.path, sql)
    written = json.loads(copy.with_suffix(".json").read_text())
    assert written == {
        "name": manifest.name,
        "formatVersion": 1,
        "createdAt": "2026-01-05T12:00:00.000000Z",
        "schemaVersion": "1.2.0",
        "sizeBytes": copy.stat().st_size,
        "sha256": hashlib.sha256(copy.read_bytes()).hexdigest(),
        "counts": {
            "sessions": 3,
            "session_events": 6,
            "session_tasks": 3,
            "steps": 3,
            "tool_calls": 6,
            "artifacts": 6,
        },
        "workspaceId": None,
    }


@pytest.mark.ac("AC-057")
async def test_backups_are_private(parts: Parts, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    await _take(parts, folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}


async def test_two_backups_in_one_second_have_two_names(parts: Parts, tmp_path: Path) -> None:
    names = [(await _take(parts, tmp_path / "backups")).name for _ in range(3)]
    assert len(set(names)) == 3
    assert len(_files(tmp_path / "backups")) == 6


async def test_a_backup_during_writes_is_one_snapshot_and_its_counts_match(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_copy, "PAGES_A_STEP", 5)
    for n in range(20):
        await parts.store.save(make_run(n))
    steps = 0
    go_on, stepped = threading.Semaphore(0), threading.Event()

    def wait(_: Progress) -> None:
        nonlocal steps
        steps += 1
        stepped.set()
        if steps <= 10:
            assert go_on.acquire(timeout=GUARD_SECONDS)

    backing_up = asyncio.create_task(_take(parts, tmp_path / "backups", on_progress=wait))
    written = 0
    for n in range(100, 110):
        await asyncio.to_thread(stepped.wait, GUARD_SECONDS)
        stepped.clear()
        await parts.store.save(make_run(n))
        written += 1
        go_on.release()
    manifest = await backing_up
    assert written == 10
    copy = tmp_path / "backups" / f"{manifest.name}.db"
    assert_sound(copy)
    assert manifest.counts["sessions"] == 20
    for table, number in manifest.counts.items():
        assert rows(copy, f"SELECT count(*) FROM {table}") == [(number,)]
    assert rows(parts.path, "SELECT count(*) FROM sessions") == [(30,)]


async def test_a_backup_by_a_bare_connection_is_one_snapshot_too(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before a migration: no transaction was begun for it."""
    monkeypatch.setattr(backup_copy, "PAGES_A_STEP", 5)
    await parts.store.save(make_run(1))
    commits = 0

    def commit(_: Progress) -> None:
        nonlocal commits
        commits += 1
        with foreign(parts.path) as other:
            other.execute(
                "INSERT INTO sessions (id, task_description, state, created_at, updated_at, workspace_id) "
                "VALUES (?, 'x', 'Created', '2026', '2026', 'w')",
                (f"meanwhile {commits}",),
            )

    with foreign(parts.path) as source:
        manifest = take_snapshot(source, tmp_path / "backups", now=NOON, on_progress=commit)
    assert commits > 1
    copy = tmp_path / "backups" / f"{manifest.name}.db"
    assert manifest.counts["sessions"] == 1
    assert rows(copy, "SELECT count(*) FROM sessions") == [(1,)]


async def test_progress_counts_up_to_the_whole(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_copy, "PAGES_A_STEP", 10)
    seen: list[Progress] = []
    await _take(parts, tmp_path / "backups", on_progress=seen.append)
    assert len(seen) > 1
    done = [each.done for each in seen]
    assert done == sorted(done)
    assert done[-1] == seen[-1].total


class Stop(Exception):
    """The exception with which tests interrupt a backup."""


async def test_a_cancelled_backup_leaves_nothing(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_copy, "PAGES_A_STEP", 10)

    def stop(_: Progress) -> None:
        raise Stop

    with pytest.raises(Stop):
        await _take(parts, tmp_path / "backups", on_progress=stop)
    assert _files(tmp_path / "backups") == []
    await _take(parts, tmp_path / "backups")


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), Stop()])
async def test_a_backup_without_a_manifest_is_removed(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> str:
        raise error

    monkeypatch.setattr(backup_copy, "file_sha256", fail)
    with pytest.raises(TransactionError if isinstance(error, OSError) else Stop):
        await _take(parts, tmp_path / "backups")
    assert _files(tmp_path / "backups") == []


async def test_vacuum_is_refused_without_enough_free_space(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(TransactionError, match="not enough free space") as refused:
        await _take(parts, tmp_path / "backups")
    assert "1.0 kB are free" in refused.value.hint
    assert _files(tmp_path / "backups") == []


def test_a_damaged_source_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bad.db"
    with foreign(path) as connection:
        connection.execute("CREATE TABLE sessions (id TEXT, filler TEXT)")
        connection.executemany("INSERT INTO sessions VALUES (?, ?)", [(str(n), "x" * 500) for n in range(200)])
        connection.execute("CREATE INDEX by_id ON sessions (id)")
    data = bytearray(path.read_bytes())
    data[PAGE_BYTES:] = bytes(len(data) - PAGE_BYTES)
    path.write_bytes(data)
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(IntegrityError, match="could not be copied"):
        take_snapshot(connection, tmp_path / "backups", now=NOON)
    assert not connection.in_transaction
    connection.close()
    assert _files(tmp_path / "backups") == []


def test_a_given_connection_has_no_open_transaction_afterwards(tmp_path: Path) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE sessions (id TEXT)")
    manifest = take_snapshot(connection, tmp_path / "backups", now=NOON)
    assert manifest.counts == {"sessions": 0}
    assert not connection.in_transaction
    connection.close()
