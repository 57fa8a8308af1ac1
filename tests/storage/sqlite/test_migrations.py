"""Migrating the workspace file: each is applied whole or not at all, after a backup, once even in several processes."""

import hashlib
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from acode_tui.config import Settings
from acode_tui.domain.errors import AcodeError, MigrationError, SchemaMismatchError, TransactionError
from acode_tui.storage.migrations.runner import Migration, OtherBuildError, make_migration, packaged
from acode_tui.storage.ports import TierMigrations
from acode_tui.storage.sqlite.connection import prepare_file
from acode_tui.storage.sqlite.files import backup_copy
from acode_tui.storage.sqlite.migrate import migrate, plan, read_applied
from acode_tui.storage.sqlite.own_schema import statements
from acode_tui.workspace import open_workspace
from tests.clocks import GUARD_SECONDS
from tests.storage.sqlite.parts import foreign, rows
from tests.storage.sqlite.processes import child, finished, go, ready

KNOWN = packaged("sqlite")
FIRST = make_migration("1.0.0_first.sql", "CREATE TABLE one (x INTEGER) STRICT;\nINSERT INTO one VALUES (1);")
SECOND = make_migration("1.2.0_second.sql", "CREATE TABLE two (x TEXT) STRICT;")
TENTH = make_migration("1.10.0_tenth.sql", "ALTER TABLE two ADD COLUMN y TEXT;")
BROKEN = make_migration("1.11.0_broken.sql", "CREATE TABLE three (x TEXT) STRICT;\nINSERT INTO nowhere VALUES (1);")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / ".agent" / "workspace.db"
    prepare_file(path)
    return path


@pytest.fixture
def connection(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None, timeout=5)) as opened:
        yield opened


def run(connection: sqlite3.Connection, known: Sequence[Migration], folder: Path, **more: Any) -> TierMigrations:
    return migrate(connection, known, lock_path=folder / "locks" / "migrate.lock", **more)


def schema(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT * FROM sqlite_master ORDER BY name").fetchall()


@pytest.mark.ac("AC-009")
@pytest.mark.ac("AC-010")
def test_migrations_are_applied_in_numeric_order_with_a_row_each(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    done = run(connection, [FIRST, SECOND, TENTH], tmp_path)
    assert [each.version for each in done.applied] == ["1.0.0", "1.2.0", "1.10.0"]
    assert (done.from_version, done.to_version, done.pending) == (None, "1.10.0", ())
    stored = connection.execute("SELECT version, description, checksum FROM schema_migrations").fetchall()
    assert stored == [(m.version, m.description, m.checksum) for m in (FIRST, SECOND, TENTH)]
    times = connection.execute("SELECT applied_at, duration_ms FROM schema_migrations").fetchall()
    assert all(len(at) == 27 and ms >= 0 for at, ms in times)


@pytest.mark.ac("AC-012")
def test_a_second_run_applies_nothing_and_changes_no_byte(
    file: Path, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    run(connection, KNOWN, tmp_path)
    before, bytes_before = schema(connection), file.read_bytes()
    again = run(connection, KNOWN, tmp_path)
    assert (again.applied, again.pending) == ((), ())
    assert schema(connection) == before
    assert file.read_bytes() == bytes_before


@pytest.mark.ac("AC-013")
def test_a_failing_migration_is_undone_and_earlier_ones_stay(connection: sqlite3.Connection, tmp_path: Path) -> None:
    with pytest.raises(
        MigrationError, match=r"ACODE-DB-003: migration 1\.11\.0 \(broken\) failed: .*nowhere"
    ) as failed:
        run(connection, [FIRST, SECOND, BROKEN], tmp_path)
    assert str(failed.value).count("nowhere") == 1
    assert not connection.in_transaction
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"one", "two", "schema_migrations"}
    assert [each.version for each in read_applied(connection)] == ["1.0.0", "1.2.0"]
    mended = make_migration("1.11.0_broken.sql", "CREATE TABLE three (x TEXT) STRICT;")
    assert [each.version for each in run(connection, [FIRST, SECOND, mended], tmp_path).applied] == ["1.11.0"]


@pytest.mark.ac("AC-013")
@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE three (x TEXT) STRICT;\nCREATE TABLE four (",
        "CREATE TABLE three (x TEXT) STRICT;\nCREATE TABLE four (y TEXT); CREATE TABLE five (z TEXT);",
        "CREATE TABLE three (x TEXT) STRICT;\nCREATE TABEL four (y TEXT);",
    ],
    ids=["half a statement", "two on a line", "a typo"],
)
def test_a_malformed_migration_is_undone_too(connection: sqlite3.Connection, tmp_path: Path, sql: str) -> None:
    bad = make_migration("1.11.0_bad.sql", sql)
    with pytest.raises(MigrationError, match=r"1\.11\.0"):
        run(connection, [FIRST, bad], tmp_path)
    assert not connection.in_transaction
    assert {row[1] for row in schema(connection) if row[0] == "table"} == {"one", "schema_migrations"}


@pytest.mark.ac("AC-012")
@pytest.mark.parametrize("survived", range(len(KNOWN)))
def test_a_run_killed_in_between_can_be_repeated(file: Path, survived: int) -> None:
    with child("killed_migrating", file, survived) as process:
        process.wait(GUARD_SECONDS)
        assert process.returncode == -signal.SIGKILL
    with foreign(file) as connection:
        assert len(read_applied(connection)) == survived
    with child("migrate", file) as process:
        ready(process)
        go(process)
        finished(process)
    with foreign(file) as connection:
        assert [each.version for each in read_applied(connection)] == [each.version for each in KNOWN]
        assert plan(connection, KNOWN).pending == ()


@pytest.mark.ac("AC-013")
def test_a_newer_database_a_changed_one_and_a_gap_are_refused_untouched(
    file: Path, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    run(connection, [FIRST, SECOND, TENTH], tmp_path)
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    changed = make_migration("1.2.0_second.sql", "CREATE TABLE two (x INTEGER) STRICT;")
    skipped = make_migration("1.1.0_skipped.sql", "SELECT 1;")
    for known, error in (
        ([FIRST, SECOND], SchemaMismatchError),
        ([FIRST, changed, TENTH, BROKEN], OtherBuildError),
        ([FIRST, skipped, SECOND, TENTH], MigrationError),
    ):
        with pytest.raises(error):
            run(connection, known, tmp_path)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before


def test_a_plan_touches_nothing(file: Path, connection: sqlite3.Connection) -> None:
    planned = plan(connection, KNOWN)
    assert planned.pending == tuple(each.version for each in KNOWN)
    assert file.read_bytes() == b""


def _older(root: Path) -> Path:
    """A workspace as an older program left it: only 1.0.0, with a session."""
    path = root / ".agent" / "workspace.db"
    prepare_file(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        run(connection, KNOWN[:1], root / ".agent")
        connection.execute(
            "INSERT INTO sessions (id, task_description, state, created_at, updated_at, workspace_id) "
            "VALUES ('0190d6a1-0000-7000-8000-00000000000a', 'old', 'Created', ?, ?, 'w')",
            ("2025-01-01T00:00:00.000000Z",) * 2,
        )
    return path


@pytest.mark.ac("AC-011")
async def test_an_older_workspace_is_backed_up_and_then_brought_up_to_date(
    tmp_path: Path, plain_settings: Settings
) -> None:
    _older(tmp_path)
    async with open_workspace(tmp_path, settings=plain_settings) as ws:
        assert (ws.migrated.from_version, ws.migrated.to_version) == ("1.0.0", KNOWN[-1].version)
        assert [each.version for each in ws.migrated.applied] == [each.version for each in KNOWN[1:]]
        page = await ws.store.list()
        assert [session.task_description for session in page] == ["old"]
    (backup,) = (tmp_path / ".agent" / "backups").glob("*.db")
    assert backup.name.endswith("_pre_migrate.db")
    assert backup.with_suffix(".json").exists()
    assert rows(backup, "SELECT version FROM schema_migrations") == [("1.0.0",)]
    assert rows(backup, "SELECT task_description FROM sessions") == [("old",)]


async def test_a_new_workspace_needs_no_backup(tmp_path: Path, plain_settings: Settings) -> None:
    async with open_workspace(tmp_path, settings=plain_settings):
        assert not (tmp_path / ".agent" / "backups").exists()


async def test_a_failed_backup_ends_the_migration_before_it_began(
    tmp_path: Path, plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _older(tmp_path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup_copy, "_copy", full)
    with pytest.raises(TransactionError, match=r"the backup could not be written .*: No space left"):
        async with open_workspace(tmp_path, settings=plain_settings):
            pass
    assert rows(path, "SELECT version FROM schema_migrations") == [("1.0.0",)]
    assert path.read_bytes() == before
    assert list((tmp_path / ".agent" / "backups").iterdir()) == []


async def test_without_auto_migrate_an_older_workspace_is_not_opened(tmp_path: Path, plain_settings: Settings) -> None:
    path = _older(tmp_path)
    with pytest.raises(SchemaMismatchError, match="migrations are pending") as refused:
        async with open_workspace(tmp_path, settings=plain_settings, auto_migrate=False):
            pass
    assert "db migrate" in refused.value.hint
    assert rows(path, "SELECT version FROM schema_migrations") == [("1.0.0",)]


@pytest.mark.ac("AC-013")
async def test_a_workspace_whose_migration_fails_is_not_opened(
    tmp_path: Path, plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from acode_tui.workspace import opening

    path = _older(tmp_path)
    monkeypatch.setattr(opening, "packaged", lambda tier: (*KNOWN[:2], make_migration("9.0.0_bad.sql", "BAD;")))
    with pytest.raises(AcodeError, match=r"ACODE-DB-003.*9\.0\.0"):
        async with open_workspace(tmp_path, settings=plain_settings):
            pytest.fail("the workspace was opened")
    assert [row[0] for row in rows(path, "SELECT version FROM schema_migrations")] == ["1.0.0", "1.1.0"]


def test_processes_that_migrate_one_older_file_at_once_apply_each_migration_once(tmp_path: Path) -> None:
    path = _older(tmp_path)
    with ExitStack() as stack:
        children = [stack.enter_context(child("migrate", path)) for _ in range(3)]
        for process in children:
            ready(process)
        for process in children:
            go(process)
        for process in children:
            assert finished(process) == "open\n"
    assert len(rows(path, "SELECT version FROM schema_migrations")) == len(KNOWN)


def test_a_migration_that_another_process_holds_up_ends_with_a_clear_error(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    import fcntl

    lock = tmp_path / "locks" / "migrate.lock"
    lock.parent.mkdir()
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TransactionError, match="has been migrating this workspace for over 0 s"):
            run(connection, KNOWN, tmp_path, lock_timeout_seconds=0.0)
    assert run(connection, KNOWN, tmp_path).applied


def test_a_script_is_cut_into_whole_statements() -> None:
    script = """-- a comment; with a semicolon
CREATE TABLE a (x TEXT); -- trailing
CREATE TRIGGER t AFTER INSERT ON a
BEGIN
    SELECT 1;
    SELECT ';';
END;

-- the end
"""
    found = list(statements(script))
    assert len(found) == 2
    assert found[1].rstrip().endswith("END;")
    with pytest.raises(MigrationError, match="middle of a statement"):
        list(statements("CREATE TABLE a ("))


def test_the_packaged_scripts_lose_nothing_when_they_are_cut() -> None:
    for migration in KNOWN:
        joined = "".join("".join(statements(migration.sql)).split())
        assert joined in "".join(migration.sql.split())
        assert joined.endswith(";")
