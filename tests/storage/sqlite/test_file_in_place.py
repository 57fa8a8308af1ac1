"""The file stays the file: no commit into one that is gone, and no WAL where two kernels may share it."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from acode_tui import recorder
from acode_tui.domain.errors import DatabaseConnectionError
from acode_tui.storage.sqlite import file_systems
from acode_tui.storage.sqlite.connection import SqliteConnectionFactory
from acode_tui.storage.sqlite.file_in_place import identify, require_in_place
from acode_tui.storage.sqlite.file_systems import file_system_of, shared_file_system
from acode_tui.workspace import open_workspace
from tests.storage.sqlite.parts import count, foreign, open_parts, rows

LINE = "36 25 0:32 / {point} rw,relatime shared:1 - {kind} source rw\n"
ROOT = LINE.format(point="/", kind="ext4")


def put(key: str) -> Callable[[sqlite3.Connection], None]:
    def unit(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO workspace_meta (key, value) VALUES (?, '1')", (key,))

    return unit


def remove(database: Path) -> None:
    for each in database.parent.glob(f"{database.name}*"):
        each.unlink()


def replace(database: Path) -> None:
    remove(database)
    with foreign(database) as other:
        other.execute("CREATE TABLE of_another (x)")


def mounted_as(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = folder / "mountinfo"
    mounts.write_text(ROOT + LINE.format(point=os.path.realpath(folder), kind=kind))
    monkeypatch.setattr(file_systems, "MOUNTS", mounts)


@pytest.mark.parametrize(("take_away", "word"), [(remove, "was removed"), (replace, "was replaced")])
async def test_no_write_is_acknowledged_into_a_file_that_is_gone(
    database: Path, take_away: Callable[[Path], None], word: str
) -> None:
    async with open_parts(database) as parts:
        await parts.writer.run(put("k1"))
        take_away(database)
        for key in ("k2", "k3"):
            with pytest.raises(DatabaseConnectionError, match=word) as refused:
                await parts.writer.run(put(key))
            assert refused.value.code == "ACODE-DB-001"
        assert isinstance(parts.writer.last_error, DatabaseConnectionError)
    # Closing the old file leaves the new one alone.
    if take_away is replace:
        assert rows(database, "SELECT count(*) FROM of_another") == [(0,)]


async def test_a_group_over_a_removed_file_refuses_each_of_its_units(database: Path) -> None:
    async with open_parts(database) as parts:
        remove(database)
        answers = await asyncio.gather(*(parts.writer.run(put(f"k{n}")) for n in range(5)), return_exceptions=True)
        assert [type(each) for each in answers] == [DatabaseConnectionError] * 5


async def test_a_file_that_is_put_back_is_written_again(database: Path) -> None:
    async with open_parts(database) as parts:
        away = database.with_name("away.db")
        database.rename(away)
        with pytest.raises(DatabaseConnectionError):
            await parts.writer.run(put("k1"))
        away.rename(database)
        await parts.writer.run(put("k2"))
        assert parts.writer.last_error is None
    assert count(database, "workspace_meta", "key IN ('k1', 'k2')") == 1


async def test_a_file_of_a_rollback_journal_that_is_gone_is_refused_too(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.parent.mkdir(exist_ok=True)
    mounted_as("virtiofs", tmp_path, monkeypatch)
    async with open_parts(database) as parts:
        remove(database)
        with pytest.raises(DatabaseConnectionError) as refused:
            await parts.writer.run(put("k1"))
        assert "removed" in refused.value.message


def test_where_inodes_are_not_stable_only_presence_counts(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"1")
    known, loose = identify(file), identify(file, stable_inodes=False)
    (tmp_path / "b").write_bytes(b"2")
    (tmp_path / "b").replace(file)
    require_in_place(loose)
    with pytest.raises(DatabaseConnectionError, match="was replaced"):
        require_in_place(known)
    file.unlink()
    with pytest.raises(DatabaseConnectionError, match="was removed"):
        require_in_place(loose)


def test_the_recorder_counts_what_is_written_after_a_clean_of_the_folder(tmp_path: Path) -> None:
    with recorder.session("run", tmp_path) as run:
        with run.task("before"):
            pass
        assert run.lost == 0
        remove(tmp_path / ".agent" / "workspace.db")
        with run.task("after"):
            pass
    assert run.lost > 0


@pytest.mark.parametrize("kind", ["virtiofs", "9p", "nfs4", "cifs", "fuse.sshfs", "fuse"])
async def test_a_shared_file_system_gets_a_rollback_journal(
    kind: str, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted_as(kind, tmp_path, monkeypatch)
    async with open_parts(database) as parts:
        await parts.writer.run(put("k1"))
        assert await parts.connection.run(lambda raw: raw.execute("PRAGMA synchronous").fetchone()) == (2,)
    assert rows(database, "PRAGMA journal_mode") == [("delete",)]


@pytest.mark.parametrize("kind", ["ext4", "fuseblk", "overlay", "tmpfs", "btrfs"])
async def test_a_file_system_of_one_kernel_keeps_the_wal(
    kind: str, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted_as(kind, tmp_path, monkeypatch)
    async with open_parts(database):
        pass
    assert rows(database, "PRAGMA journal_mode") == [("wal",)]


async def test_a_wal_file_on_a_shared_file_system_is_turned_back_with_what_its_wal_holds(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_parts(database) as parts:
        await parts.writer.run(put("k1"))
        # While another connection uses the WAL the file keeps it, and is usable.
        mounted_as("9p", tmp_path, monkeypatch)
        second = await SqliteConnectionFactory(database).open_writer(check=lambda raw: None)
        assert await second.run(lambda raw: raw.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
        await second.close()
    async with open_parts(database):
        pass
    assert rows(database, "PRAGMA journal_mode") == [("delete",)]
    assert count(database, "workspace_meta", "key = 'k1'") == 1


async def test_a_workspace_on_a_shared_file_system_records_searches_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted_as("virtiofs", tmp_path, monkeypatch)
    async with open_workspace(tmp_path) as workspace, open_workspace(tmp_path) as second:
        await workspace.store.create_session("one")
        second_id = (await second.store.create_session("two")).id
        assert [hit.session_id for hit in (await workspace.search("two")).hits] == [second_id]
        facts = await workspace.database_facts()
        assert (facts.journal_mode, facts.shared_file_system, facts.sessions) == ("delete", "virtiofs", 2)


def test_the_innermost_and_last_mount_counts() -> None:
    mounts = ROOT + LINE.format(point="/a", kind="nfs4") + LINE.format(point="/a/b\\040c", kind="xfs")
    assert file_system_of("/x", mounts) == "ext4"
    assert file_system_of("/a", mounts) == "nfs4"
    assert file_system_of("/ab", mounts) == "ext4"
    assert file_system_of("/a/b c/d", mounts) == "xfs"
    assert file_system_of("/a/x", mounts + LINE.format(point="/a", kind="tmpfs")) == "tmpfs"
    assert file_system_of("/a", "") == ""


def test_without_a_list_of_mounts_every_file_system_is_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_systems, "MOUNTS", tmp_path / "none")
    assert shared_file_system(tmp_path) is None
