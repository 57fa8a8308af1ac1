"""Restore: only a sound backup, only while no other process has the file open, and the former file is kept."""

import asyncio
import hashlib
import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from acode_tui.config import Settings
from acode_tui.domain.errors import DatabaseConnectionError, IntegrityError, SchemaMismatchError, TransactionError
from acode_tui.ops.backup.create import create_backup
from acode_tui.ops.backup.restore import Restored, restore_backup
from acode_tui.storage.ports import Backup
from acode_tui.storage.sqlite.connection import PAGE_BYTES
from acode_tui.storage.sqlite.files.backup_catalog import read_backup, read_backups
from acode_tui.storage.sqlite.files.database_files import SqliteDatabaseFiles
from acode_tui.workspace import open_workspace
from acode_tui.workspace.maintenance import backup_store, database_files
from tests.clocks import NOON, TurnedClock
from tests.storage.sqlite.parts import assert_sound, foreign, rows
from tests.storage.sqlite.test_opening import with_path

FILES, BACKUPS = database_files(), backup_store()


class Scene:
    """A closed workspace with one session in its backup and one more since."""

    def __init__(self, root: Path, settings: Settings, backup: Backup) -> None:
        self.root = root
        self.settings = settings
        self.backup = backup
        self.database = root / ".agent" / "workspace.db"
        self.folder = root / ".agent" / "backups"

    async def restore(self, **more: Any) -> Restored:
        options: dict[str, Any] = {"now": NOON, "keep": 7, "wait_seconds": 0, **more}
        return await restore_backup(FILES, BACKUPS, self.database, self.backup, self.folder, **options)

    def sessions(self, path: Path | None = None) -> list[str]:
        found = rows(path or self.database, "SELECT task_description FROM sessions ORDER BY 1")
        return [str(row[0]) for row in found]

    def state(self) -> dict[str, str]:
        """Every file below the workspace, by content."""
        return {
            str(each.relative_to(self.root)): hashlib.sha256(each.read_bytes()).hexdigest()
            for each in sorted(self.root.rglob("*"))
            if each.is_file() and each.suffix != ".lock"
        }


@pytest.fixture
async def scene(tmp_path: Path, plain_settings: Settings, clock: TurnedClock) -> Scene:
    root = tmp_path / "shop"
    async with open_workspace(root, settings=plain_settings, wall=clock) as workspace:
        await workspace.store.create_session("before")
        backup = await workspace.backup()
        clock.turn(minutes=1)
        await workspace.store.create_session("since")
    return Scene(root, plain_settings, backup)


async def test_a_backup_is_restored_and_the_present_file_becomes_a_backup(scene: Scene) -> None:
    seen: list[str] = []
    done = await scene.restore(on_step=seen.append)
    assert done.name == scene.backup.name
    assert done.safety_backup == "acode_backup_20260105_120000_pre_restore"
    assert done.kept_as is None
    assert scene.sessions() == ["before"]
    assert_sound(scene.database)
    safety = read_backup(scene.folder / f"{done.safety_backup}.db")
    assert isinstance(safety, Backup)
    assert scene.sessions(safety.database) == ["before", "since"]
    assert stat.S_IMODE(scene.database.stat().st_mode) == 0o600
    assert {"copying", "checking the copy", "safety backup"} <= set(seen)
    beside = {each.name for each in scene.database.parent.iterdir()}
    assert not any("restoring" in name or name.endswith(("-wal", "-shm")) for name in beside)
    async with open_workspace(scene.root, settings=scene.settings) as workspace:
        assert (await workspace.store.list()).total == 1
        await workspace.store.create_session("after")
    assert scene.sessions() == ["after", "before"]


@pytest.mark.parametrize("bytes_lost", [1, PAGE_BYTES // 2, PAGE_BYTES])
async def test_a_cut_off_file_is_replaced_however_little_is_lost(scene: Scene, bytes_lost: int) -> None:
    os.truncate(scene.database, scene.database.stat().st_size - bytes_lost)
    old = scene.database.read_bytes()
    done = await scene.restore()
    assert done.safety_backup is None
    assert done.kept_as is not None
    assert Path(done.kept_as).read_bytes() == old
    assert scene.sessions() == ["before"]


async def test_the_safety_backup_can_be_restored_too(scene: Scene) -> None:
    done = await scene.restore()
    safety = read_backup(scene.folder / f"{done.safety_backup}.db")
    assert isinstance(safety, Backup)
    scene.backup = safety
    await scene.restore()
    assert scene.sessions() == ["before", "since"]


async def test_commits_that_only_the_wal_has_are_in_the_safety_backup_and_not_in_the_restored_file(
    scene: Scene,
) -> None:
    """As a killed process leaves it. The WAL of the old file must never be played into the new one."""
    wal = scene.database.with_name("workspace.db-wal")
    writing = sqlite3.connect(scene.database, isolation_level=None)
    writing.execute("PRAGMA wal_autocheckpoint = 0")
    writing.execute("UPDATE sessions SET task_description = 'in the WAL' WHERE task_description = 'since'")
    left = scene.database.read_bytes(), wal.read_bytes()
    writing.close()
    scene.database.write_bytes(left[0])
    wal.write_bytes(left[1])
    done = await scene.restore()
    assert scene.sessions() == ["before"]
    assert scene.sessions(scene.folder / f"{done.safety_backup}.db") == ["before", "in the WAL"]


async def test_a_dry_run_touches_nothing(scene: Scene) -> None:
    before = scene.state()
    done = await scene.restore(dry_run=True)
    assert done.dry_run
    assert done.safety_backup is None
    assert scene.state() == before


async def test_nothing_is_restored_while_others_have_it_open(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_workspace(scene.root, settings=scene.settings) as workspace:
        with pytest.raises(TransactionError, match=r"has .* open"):
            await scene.restore()
        assert (await workspace.store.list()).total == 2
    with monkeypatch.context() as patched:
        patched.setattr("acode_tui.storage.sqlite.files.locks.holders", lambda database: [4711])
        with pytest.raises(TransactionError, match="pid 4711"):
            await scene.restore(dry_run=True)
    await scene.restore()


def _flip(path: Path, at: int = 5000) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - PAGE_BYTES)


def _forge(path: Path) -> None:
    """A manifest that fits a file which is no sound database."""
    with foreign(path) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sessions_by_state'").fetchone()[0]
    data = bytearray(path.read_bytes())
    data[(page - 1) * PAGE_BYTES + 8 : page * PAGE_BYTES] = bytes(PAGE_BYTES - 8)
    path.write_bytes(data)
    manifest = json.loads(path.with_suffix(".json").read_text())
    manifest["sha256"] = hashlib.sha256(data).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("damage", [_flip, _cut, _forge])
async def test_a_backup_that_is_not_sound_is_refused_and_nothing_changes(
    scene: Scene, damage: Callable[[Path], None], dry_run: bool
) -> None:
    damage(scene.backup.database)
    again = read_backup(scene.backup.database)
    assert isinstance(again, Backup)
    scene.backup = again
    before = scene.state()
    with pytest.raises(IntegrityError, match=r"cannot be restored.*nothing was changed"):
        await scene.restore(dry_run=dry_run)
    assert scene.state() == before


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("INSERT INTO schema_migrations VALUES ('99.0.0', 'later', 'x', '2026', 1)", r"99\.0\.0"),
        ("UPDATE schema_migrations SET checksum = 'x' WHERE version = '1.1.0'", "another build.*db import /"),
    ],
)
async def test_a_backup_of_a_newer_program_or_another_build_is_refused(
    scene: Scene, statement: str, words: str
) -> None:
    with foreign(scene.backup.database) as connection:
        connection.execute(statement)
    data = scene.backup.database.read_bytes()
    scene.backup = msgspec.structs.replace(scene.backup, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
    before = scene.state()
    with pytest.raises(SchemaMismatchError, match=words):
        await scene.restore()
    assert scene.state() == before


@pytest.mark.parametrize("damage", [_cut, lambda path: path.write_bytes(b"no database\n" * 1000)])
async def test_a_damaged_file_is_kept_as_it_is(scene: Scene, damage: Callable[[Path], None]) -> None:
    damage(scene.database)
    wal = scene.database.with_name("workspace.db-wal")
    wal.write_bytes(b"what a killed process had in it")
    old = scene.database.read_bytes()
    done = await scene.restore()
    assert done.safety_backup is None
    assert done.kept_as == str(scene.database) + ".corrupted-20260105_120000"
    assert Path(done.kept_as).read_bytes() == old
    assert Path(done.kept_as + "-wal").read_bytes() == b"what a killed process had in it"
    assert scene.sessions() == ["before"]


@pytest.mark.parametrize("wal", [b"", b"what is left of it"])
async def test_a_missing_file_is_restored_and_a_wal_without_a_database_is_kept(scene: Scene, wal: bytes) -> None:
    scene.database.unlink()
    if wal:
        scene.database.with_name("workspace.db-wal").write_bytes(wal)
    done = await scene.restore()
    assert done.safety_backup is None
    assert scene.sessions() == ["before"]
    kept = scene.database.with_name("workspace.db.corrupted-20260105_120000-wal")
    assert (kept.read_bytes() if kept.exists() else b"") == wal


async def test_a_link_outside_the_workspace_stays_and_other_files_are_beside_its_target(
    scene: Scene, plain_settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "large disk").mkdir()
    real = scene.database.rename(tmp_path / "large disk" / "shop.db")
    scene.database = tmp_path / "shop.link"
    scene.database.symlink_to(real)
    plain_settings = with_path(scene.database, plain_settings)
    async with open_workspace(scene.root, settings=plain_settings) as workspace:
        await workspace.store.create_session("by the link")
        assert workspace.database_path == real
        assert {each.name for each in real.parent.iterdir()} == {
            "shop.db",
            "shop.db-shm",
            "shop.db-wal",
            "shop.db.lock",
        }
    link, scene.database = scene.database, plain_settings.persistence.sqlite.resolve(scene.root)
    await scene.restore()
    assert link.is_symlink()
    assert scene.sessions(real) == ["before"]


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["a pipe", "a folder"])
async def test_a_path_that_is_no_file_is_not_replaced(scene: Scene, make: Callable[[Path], None]) -> None:
    scene.database = scene.root / "elsewhere"
    make(scene.database)
    for dry_run in (True, False):
        with pytest.raises(DatabaseConnectionError, match="elsewhere is no file"):
            await scene.restore(dry_run=dry_run)
    assert {each.name for each in scene.root.iterdir()} == {".agent", "elsewhere"}
    assert not scene.database.is_file()


async def test_rotation_after_a_restore_spares_the_backup_that_was_restored(scene: Scene) -> None:
    done = await scene.restore(keep=1)
    assert {each.name for each in read_backups(scene.folder)[0]} == {scene.backup.name, done.safety_backup}


async def test_vacuum_is_refused_without_enough_free_space(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(scene.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=100_000))
    before = scene.state()
    with pytest.raises(TransactionError, match="not enough free space"):
        await scene.restore()
    assert scene.state() == before


async def test_a_cancelled_restore_changes_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    before = scene.state()
    copying = asyncio.Event()

    async def restore() -> None:
        await scene.restore(on_step=lambda step: copying.set())

    monkeypatch.setattr("acode_tui.ops.backup.restore._BLOCK_BYTES", 16)
    running = asyncio.create_task(restore())
    await copying.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert scene.state() == before


async def test_a_failed_replacement_leaves_no_copy_behind(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SqliteDatabaseFiles, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        await scene.restore()
    assert scene.sessions() == ["before", "since"]
    assert not scene.database.with_name(".workspace.db.restoring").exists()


async def test_the_remains_of_a_killed_restore_are_removed_by_the_next_one(scene: Scene) -> None:
    left = scene.database.with_name(".workspace.db.restoring")
    left.write_bytes(b"half a copy")
    await scene.restore()
    assert not left.exists()
    assert scene.sessions() == ["before"]


async def test_a_backup_of_an_older_schema_is_brought_up_to_date_when_it_is_opened(
    scene: Scene, tmp_path: Path
) -> None:
    from acode_tui.storage.migrations.runner import packaged
    from acode_tui.storage.sqlite.migrate import migrate

    older = tmp_path / "older.db"
    with foreign(older) as connection:
        migrate(connection, packaged("sqlite")[:1], lock_path=tmp_path / "lock")
    scene.backup = await create_backup(FILES, BACKUPS, older, scene.folder, now=NOON, keep=7)
    await scene.restore()
    async with open_workspace(scene.root, settings=scene.settings) as workspace:
        assert (await workspace.schema()).pending == ()
