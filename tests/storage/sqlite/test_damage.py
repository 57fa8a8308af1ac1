"""A file that cannot be opened: each kind of damage has an error with the file and the remedies; no byte changes."""

import hashlib
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from acode_tui.config import BackupSettings, PersistenceSettings, Settings, SqliteSettings
from acode_tui.domain.errors import (
    AcodeError,
    DatabaseConnectionError,
    DiskFullError,
    IntegrityError,
    SchemaMismatchError,
)
from acode_tui.ops.backup.vacuum import vacuum_file
from acode_tui.storage.sqlite import errors
from acode_tui.storage.sqlite.connection import PAGE_BYTES
from acode_tui.storage.sqlite.errors import opening_error, require_content
from acode_tui.storage.sqlite.files.backup_copy import back_up_file
from acode_tui.storage.sqlite.files.check import run_checks
from acode_tui.storage.sqlite.files.inspect import probe
from acode_tui.storage.sqlite.files.open_unchanged import open_rolled_back, read_unchanged
from acode_tui.workspace import migration_plan, open_workspace
from acode_tui.workspace.maintenance import database_files
from tests.clocks import NOON
from tests.storage.sqlite.parts import foreign

Change = Callable[[Path], None]


@pytest.fixture
async def database(tmp_path: Path, plain_settings: Settings) -> Path:
    """A closed workspace with twenty sessions."""
    async with open_workspace(tmp_path, settings=plain_settings) as workspace:
        for number in range(20):
            await workspace.store.create_session(f"session {number}")
        return workspace.database_path


def fingerprints(database: Path) -> dict[str, str]:
    """The file and its WAL."""
    files = (database, database.with_name(database.name + "-wal"))
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in files if each.exists()}


async def refusal(database: Path, settings: Settings) -> AcodeError:
    """The error of opening the workspace and listing its sessions."""
    with pytest.raises(AcodeError) as refused:
        async with open_workspace(database.parent.parent, settings=settings) as workspace:
            await workspace.store.list()
    return refused.value


def wal_of(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def leave_wal(database: Path) -> None:
    """As a killed process leaves it: the last commits are in the WAL alone."""
    with closing(sqlite3.connect(database, isolation_level=None)) as keeper:
        keeper.execute("PRAGMA wal_autocheckpoint = 0")
        keeper.execute("UPDATE sessions SET task_description = 'in the WAL'")
        left = database.read_bytes(), wal_of(database).read_bytes()
    database.write_bytes(left[0])
    wal_of(database).write_bytes(left[1])


def _cut(database: Path) -> None:
    os.truncate(database, database.stat().st_size // 2)


def _cut_within_a_page(database: Path) -> None:
    os.truncate(database, 1000)


def _cut_within_the_last_page(database: Path) -> None:
    os.truncate(database, database.stat().st_size - 1)


def _empty(database: Path) -> None:
    os.truncate(database, 0)


def _empty_with_wal(database: Path) -> None:
    leave_wal(database)
    _empty(database)


def _lost_with_wal(database: Path) -> None:
    leave_wal(database)
    database.unlink()


def _text(database: Path) -> None:
    database.write_bytes(b"this was never a database, whatever its name says\n" * 100)


def _zeros(database: Path) -> None:
    database.write_bytes(bytes(100) + database.read_bytes()[100:])


def _scrambled(database: Path) -> None:
    data = bytearray(database.read_bytes())
    data[100:PAGE_BYTES] = b"\xa5" * (PAGE_BYTES - 100)
    database.write_bytes(data)


def _table_gone(database: Path) -> None:
    """The first page of a table is overwritten: SQLite detects it when it reads that table."""
    with foreign(database) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'tool_calls'").fetchone()
    data = bytearray(database.read_bytes())
    data[(page - 1) * PAGE_BYTES : page * PAGE_BYTES] = b"\xa5" * PAGE_BYTES
    database.write_bytes(data)


KINDS: dict[str, tuple[Change, str]] = {
    "truncated": (_cut, r"it is cut off: [\d,]+ of [\d,]+ bytes are there"),
    "truncated within its first page": (_cut_within_a_page, r"it is cut off: 1,000 of [\d,]+ bytes are there"),
    "truncated within its last page": (_cut_within_the_last_page, r"it is cut off: [\d,]+ of [\d,]+ bytes are there"),
    "emptied": (_empty, "the file is empty, and it was not"),
    "emptied beside its WAL": (_empty_with_wal, "the file is empty, and it was not"),
    "lost beside its WAL": (_lost_with_wal, "the file is missing, and its WAL is still there"),
    "no database": (_text, "it is no SQLite database: it begins like something else"),
    "without a header": (_zeros, "its header is gone: it begins with zeros"),
    "scrambled": (_scrambled, "it is damaged: its pages do not fit together"),
    "with a table overwritten": (_table_gone, "it is damaged: its pages do not fit together"),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_damage_is_named_and_nothing_is_changed(kind: str, database: Path, plain_settings: Settings) -> None:
    change, words = KINDS[kind]
    change(database)
    before, there = fingerprints(database), database.exists()
    raised = await refusal(database, plain_settings)
    assert isinstance(raised, IntegrityError)
    text = str(raised)
    assert text.startswith(f"ACODE-DB-007: cannot open {database}: ")
    assert re.search(words, text), text
    assert "`acode-tui db restore`" in text
    assert "`acode-tui db recover --from postgres`" in text
    assert fingerprints(database) == before
    assert database.exists() == there


async def test_damage_beside_a_wal_leaves_the_wal_too(database: Path, plain_settings: Settings) -> None:
    leave_wal(database)
    _text(database)
    before = fingerprints(database)
    assert len(before) == 2
    assert "it is no SQLite database" in str(await refusal(database, plain_settings))
    assert fingerprints(database) == before


async def test_a_damaged_page_that_opening_does_not_see_is_named_when_it_is_read(
    database: Path, plain_settings: Settings
) -> None:
    with foreign(database) as connection:
        connection.executemany(
            "INSERT INTO sessions (id, task_description, state, created_at, updated_at, workspace_id) "
            "VALUES (?, ?, 'Created', '2026', '2026', 'w')",
            [(f"filler {number}", "x" * 900) for number in range(50)],
        )
        (last,) = connection.execute("SELECT max(pageno) FROM dbstat WHERE name = 'sessions'").fetchone()
    data = bytearray(database.read_bytes())
    data[(last - 1) * PAGE_BYTES : last * PAGE_BYTES] = b"\xa5" * PAGE_BYTES
    database.write_bytes(data)
    before = fingerprints(database)
    with pytest.raises(IntegrityError, match="ACODE-DB-007") as refused:
        async with open_workspace(database.parent.parent, settings=plain_settings) as workspace:
            await workspace._readers.run(
                lambda raw: raw.execute("SELECT sum(length(metadata)) FROM sessions").fetchall()
            )
    assert str(database) in str(refused.value)
    assert "`acode-tui db restore`" in refused.value.hint
    assert fingerprints(database) == before


@pytest.mark.parametrize("wal", [False, True])
async def test_a_database_of_another_program_is_left_alone(wal: bool, tmp_path: Path, plain_settings: Settings) -> None:
    database = tmp_path / ".agent" / "workspace.db"
    database.parent.mkdir()
    with foreign(database) as connection:
        connection.execute("PRAGMA journal_mode = WAL" if wal else "PRAGMA user_version = 3")
        connection.execute("CREATE TABLE schema_migrations (version TEXT)")
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    before = fingerprints(database)
    raised = await refusal(database, plain_settings)
    assert isinstance(raised, SchemaMismatchError)
    assert "another program" in raised.message
    assert fingerprints(database) == before
    assert [each.name for each in database.parent.iterdir()] == ["workspace.db"]


async def test_an_empty_database_that_another_program_has_marked_is_left_alone(
    tmp_path: Path, plain_settings: Settings
) -> None:
    database = tmp_path / ".agent" / "workspace.db"
    database.parent.mkdir()
    with foreign(database) as connection:
        connection.execute("PRAGMA application_id = 252006673")
    before = fingerprints(database)
    assert "another program" in str(await refusal(database, plain_settings))
    assert fingerprints(database) == before
    assert [each.name for each in database.parent.iterdir()] == ["workspace.db"]


@pytest.mark.parametrize("kind", ["truncated", "no database", "scrambled", "with a table overwritten"])
async def test_no_file_is_created_beside_a_damaged_file(
    kind: str, database: Path, tmp_path: Path, plain_settings: Settings
) -> None:
    copy = tmp_path / "elsewhere" / ".agent" / database.name
    copy.parent.mkdir(parents=True)
    shutil.copy(database, copy)
    KINDS[kind][0](copy)
    assert isinstance(await refusal(copy, plain_settings), IntegrityError)
    assert [each.name for each in copy.parent.iterdir()] == [database.name]


@contextmanager
def _as_unprivileged_owner(folder: Path) -> Iterator[None]:
    """This process as the owner of the folder, and not root: to root every file is open."""
    before = os.geteuid()
    if before == 0:
        for each in (folder, *folder.rglob("*")):
            os.chown(each, 65534, 65534)
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def lent() -> Iterator[Path]:
    """A folder that others may enter, as pytest's own may not be."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        for each in (folder, *folder.rglob("*")):
            each.chmod(0o700)


@pytest.mark.parametrize(
    ("file_mode", "folder_mode", "words"),
    [
        (0o200, 0o700, "you may not read it (mode 0200"),
        (0o400, 0o700, "you may not write to it (mode 0400"),
        (0o600, 0o500, "you may not write to its folder (mode 0500"),
    ],
)
async def test_missing_rights_are_named_and_nothing_is_changed(
    file_mode: int, folder_mode: int, words: str, database: Path, lent: Path, plain_settings: Settings
) -> None:
    folder = lent / ".agent"
    shutil.copytree(database.parent, folder)
    copy = folder / database.name
    with _as_unprivileged_owner(lent):
        copy.chmod(file_mode)
        folder.chmod(folder_mode)
        raised = await refusal(copy, plain_settings)
        copy.chmod(0o600)
    assert isinstance(raised, DatabaseConnectionError)
    assert raised.message.startswith(f"cannot open {copy}: {words}")
    assert "owner and mode" in raised.hint
    assert fingerprints(copy) == fingerprints(database)


async def test_reading_a_read_only_file_leaves_nothing_beside_it_and_reports_that_it_is_read_only(
    database: Path, lent: Path, plain_settings: Settings
) -> None:
    """SQLite would leave a WAL and its index that are read-only too, and stay so when the file is made writable."""
    folder = lent / ".agent"
    shutil.copytree(database.parent, folder)
    copy = folder / database.name
    before = {each.name for each in folder.iterdir()}
    with _as_unprivileged_owner(lent):
        copy.chmod(0o400)
        probed = probe(copy, thorough=True, seconds=5)
        with pytest.raises(DatabaseConnectionError, match="you may not write to it"), open_rolled_back(copy, seconds=5):
            pass
        found = {each.name: each for each in run_checks(copy, deep=False, seconds=5, check_cancelled=lambda: None)}
        back_up_file(copy, lent / "backups", now=NOON)
        (plan,) = await migration_plan(lent, plain_settings)
        with pytest.raises(DatabaseConnectionError, match="you may not write to it"):
            await vacuum_file(database_files(), copy, timeout_seconds=5)
        assert {each.name for each in folder.iterdir()} == before
    assert probed.damage == ()
    assert isinstance(probed.lock_wait, DatabaseConnectionError)
    assert all(each.ok for each in found.values())
    assert plan.pending == ()


async def test_a_wal_made_while_the_file_was_read_only_blocks_no_later_write(
    database: Path, lent: Path, plain_settings: Settings
) -> None:
    folder = lent / ".agent"
    shutil.copytree(database.parent, folder)
    for suffix in ("-wal", "-shm"):
        (folder / f"{database.name}{suffix}").touch(0o400)
    with _as_unprivileged_owner(lent):
        async with open_workspace(lent, settings=plain_settings) as workspace:
            await workspace.store.create_session("one more")
            for suffix in ("", "-wal", "-shm"):
                assert (folder / f"{database.name}{suffix}").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        ({"f_bavail": 0}, DiskFullError, "the disk is full"),
        ({"f_flag": os.ST_RDONLY}, DatabaseConnectionError, "its file system is read-only"),
    ],
)
def test_a_full_or_read_only_disk_is_named(
    changed: dict[str, int], kind: type[AcodeError], words: str, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = os.statvfs(database.parent)

    class FileSystem:
        f_bavail = changed.get("f_bavail", plain.f_bavail)
        f_flag = changed.get("f_flag", plain.f_flag)

    monkeypatch.setattr(errors.os, "statvfs", lambda folder: FileSystem)  # type: ignore[attr-defined]
    error = sqlite3.OperationalError("unable to open database file")
    error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
    raised = opening_error(error, database)
    assert isinstance(raised, kind)
    assert words in raised.message


def test_an_empty_file_is_filled_only_where_no_content_is_expected(tmp_path: Path) -> None:
    database = tmp_path / "workspace.db"
    require_content(database, expected=True)
    database.touch()
    require_content(database, expected=False)
    with pytest.raises(IntegrityError, match="the file is empty"):
        require_content(database, expected=True)
    database.unlink()
    wal_of(database).touch()
    require_content(database, expected=True)


async def test_backups_show_that_an_emptied_file_had_something_in_it(tmp_path: Path, plain_settings: Settings) -> None:
    async with open_workspace(tmp_path, settings=plain_settings) as workspace:
        await workspace.backup()
        database = workspace.database_path
    (database.parent / "workspace.id").unlink()
    _empty(database)
    assert "the file is empty" in str(await refusal(database, plain_settings))
    assert database.stat().st_size == 0


async def test_a_file_that_was_moved_away_makes_room_for_a_new_one(database: Path, plain_settings: Settings) -> None:
    database.rename(database.with_name("old.db"))
    async with open_workspace(database.parent.parent, settings=plain_settings) as workspace:
        assert (await workspace.store.list()).total == 0


async def test_the_configured_file_is_the_one_that_is_named(tmp_path: Path, plain_settings: Settings) -> None:
    settings = msgspec.structs.replace(
        plain_settings,
        persistence=PersistenceSettings(sqlite=SqliteSettings(path="data/runs.db")),
        backup=BackupSettings(directory="data/backups"),
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "runs.db").write_bytes(b"x" * 5000)
    with pytest.raises(IntegrityError, match=r"data/runs\.db: it is no SQLite database"):
        async with open_workspace(tmp_path, settings=settings):
            pass


def test_a_file_cut_off_within_its_last_page_is_never_read_as_whole(database: Path, tmp_path: Path) -> None:
    """SQLite would find it sound: it reads what is missing as zeros."""
    os.truncate(database, database.stat().st_size - PAGE_BYTES // 2)
    with pytest.raises(IntegrityError, match="it is cut off"):
        read_unchanged(database, lambda connection: None, seconds=5)
    with pytest.raises(IntegrityError, match="it is cut off"):
        back_up_file(database, tmp_path / "backups", now=NOON)
    assert not (tmp_path / "backups").exists()


async def test_bytes_behind_the_last_page_are_no_loss(database: Path, plain_settings: Settings) -> None:
    with database.open("ab") as file:
        file.write(b"\xa5" * 100)
    async with open_workspace(database.parent.parent, settings=plain_settings) as workspace:
        await workspace.store.create_session("goes on")
        assert (await workspace.store.list()).sessions
