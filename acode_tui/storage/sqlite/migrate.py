"""The migration runner of the workspace file: under a lock, after a backup, each migration in one transaction.

A run that is killed leaves each migration applied with its history row, or not at all, so it can be repeated. A
database that is newer, was changed, or belongs to another program is refused before anything is written.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from time import perf_counter

from acode_tui.domain.clock import WallClock, format_time, system_clock
from acode_tui.domain.errors import IntegrityError, MigrationError, SchemaMismatchError, TransactionError
from acode_tui.domain.schema import TABLES
from acode_tui.files import locked
from acode_tui.logs import get_logger
from acode_tui.storage.migrations.runner import Migration, due, newest
from acode_tui.storage.ports import AppliedMigration, TierMigrations
from acode_tui.storage.sqlite import fts5
from acode_tui.storage.sqlite.errors import WAYS_OUT, translate
from acode_tui.storage.sqlite.own_schema import HISTORY, require_own, statements

APPLICATION_ID = 1094930244
"""``ACOD``, which the first migration writes into the header of the file."""

_RECORD = """
INSERT INTO schema_migrations (version, description, checksum, applied_at, duration_ms) VALUES (?, ?, ?, ?, ?)
"""

log = get_logger("acode_tui.storage.sqlite")


def read_applied(connection: sqlite3.Connection) -> tuple[AppliedMigration, ...]:
    """The history.

    Raises SchemaMismatchError for a SQLite file of another program, IntegrityError for a damaged history.
    """
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    if application_id not in (0, APPLICATION_ID) or (tables and "schema_migrations" not in tables):
        raise _foreign()
    if not tables:
        return ()
    columns = {row[0] for row in connection.execute("SELECT name FROM pragma_table_info('schema_migrations')")}
    if not columns >= {"version", "description", "checksum", "duration_ms"}:
        # Other programs have a table of this name.
        raise _foreign()
    rows = connection.execute("SELECT version, description, checksum, duration_ms FROM schema_migrations").fetchall()
    if any(value is None for row in rows for value in row):
        # No column may be NULL, but a damaged page may say so.
        raise IntegrityError("the history of migrations is damaged", hint=WAYS_OUT)
    return tuple(AppliedMigration(version=v, description=d, checksum=c, duration_ms=ms) for v, d, c, ms in rows)


def require_workspace(connection: sqlite3.Connection, known: Sequence[Migration]) -> None:
    """Check a file before anything about it is changed: it is a workspace, its schema is known, its tables can be read.

    Raises SchemaMismatchError, MigrationError, and sqlite3.DatabaseError where the beginning of a table is damaged.
    """
    if plan(connection, known).from_version is not None:
        there = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in there.intersection([*(each.name for each in TABLES.values()), "outbox", "workspace_meta"]):
            connection.execute(f"SELECT 1 FROM {table} NOT INDEXED LIMIT 1").fetchone()  # noqa: S608 - from TABLES


def _foreign() -> SchemaMismatchError:
    return SchemaMismatchError(
        "the file is a SQLite database of another program",
        hint="choose another persistence.sqlite.path; it was left as it is",
    )


def plan(connection: sqlite3.Connection, known: Sequence[Migration]) -> TierMigrations:
    """What ``migrate`` would do. Changes nothing.

    Raises SchemaMismatchError and MigrationError where the history is not this program's, and IntegrityError where the
    file has objects that the history does not make.
    """
    planned = plan_by_history(connection, known)
    require_own(connection, known, planned.from_version)
    return planned


def plan_by_history(connection: sqlite3.Connection, known: Sequence[Migration]) -> TierMigrations:
    """As ``plan``, without a look at the objects: for a report that lists them."""
    applied = read_applied(connection)
    pending = due(known, applied)
    return TierMigrations(
        tier="sqlite",
        from_version=newest(applied),
        to_version=known[-1].version if known else newest(applied),
        pending=tuple(migration.version for migration in pending),
    )


def migrate(
    connection: sqlite3.Connection,
    known: Sequence[Migration],
    *,
    lock_path: Path,
    lock_timeout_seconds: float = 60.0,
    backup: Callable[[str], None] | None = None,
    wall: WallClock = system_clock,
) -> TierMigrations:
    """Apply the migrations that are due; return them. A second run applies nothing and changes nothing (AC-012).

    ``backup`` is called with the present version before the first change to a database that has one; its exception ends
    the run. Raises MigrationError (that migration is rolled back, earlier ones stay) and SchemaMismatchError.
    """
    before = plan(connection, known)
    if not before.pending:
        return before
    with _lock(lock_path, lock_timeout_seconds):
        # Another process may have migrated while this one waited.
        before = plan(connection, known)
        if before.pending and before.from_version is not None and backup is not None:
            backup(before.from_version)
        applied = tuple(
            _apply(connection, migration, wall) for migration in known if migration.version in before.pending
        )
    return TierMigrations(
        tier="sqlite", from_version=before.from_version, to_version=before.to_version, applied=applied
    )


def _apply(connection: sqlite3.Connection, migration: Migration, wall: WallClock) -> AppliedMigration:
    started = perf_counter()
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(HISTORY)
        skipped = False
        for statement in statements(migration.sql):
            skipped |= not fts5.execute(connection, statement)
        if skipped:
            connection.execute(fts5.NOTE_WITHOUT_WORDS)
        duration_ms = round((perf_counter() - started) * 1000)
        row = (migration.version, migration.description, migration.checksum, format_time(wall()), duration_ms)
        connection.execute(_RECORD, row)
        connection.execute("COMMIT")
    except (sqlite3.Error, sqlite3.Warning, MigrationError) as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        what = f"migration {migration.version} ({migration.description}) failed"
        if isinstance(error, sqlite3.OperationalError):
            raise MigrationError(translate(error, what).message) from error
        reason = error.message if isinstance(error, MigrationError) else error
        raise MigrationError(f"{what}: {reason}") from error
    log.info("migration.applied", database="sqlite", operation=migration.version, duration_ms=duration_ms)
    return AppliedMigration(
        version=migration.version,
        description=migration.description,
        checksum=migration.checksum,
        duration_ms=duration_ms,
    )


def _lock(path: Path, timeout_seconds: float) -> AbstractContextManager[None]:
    """One migration at a time on this machine."""

    def refusal() -> TransactionError:
        return TransactionError(
            f"another program has been migrating this workspace for over {timeout_seconds:g} s",
            hint="wait for it, or end it if it hangs",
        )

    return locked(path, timeout_seconds=timeout_seconds, refusal=refusal)
