"""Inspecting a workspace file, at three depths, and probing how it answers. Every byte of it stays as it is."""

import sqlite3
from contextlib import closing
from pathlib import Path
from time import monotonic, perf_counter

from acode_tui.domain.errors import AcodeError, IntegrityError
from acode_tui.domain.progress import CheckCancelled, ReportStep, never_cancelled
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import Depth, FileProbe, FileReport
from acode_tui.storage.sqlite import meta
from acode_tui.storage.sqlite.connection import connect_to, has_content
from acode_tui.storage.sqlite.files.check import run_checks
from acode_tui.storage.sqlite.files.expected_schema import lost_tables
from acode_tui.storage.sqlite.files.facts import has_table
from acode_tui.storage.sqlite.files.open_unchanged import open_unchanged, write_lock_wait
from acode_tui.storage.sqlite.migrate import plan
from acode_tui.storage.sqlite.paths import JOURNAL, WAL, beside, wal_of

_DEADLINE_OPCODES = 10_000
_MOST_DAMAGE = 5
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""The last one is what a statement over a schema says that lost a table or column."""

_SHORT = (sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)


def inspect(
    database: Path,
    depth: Depth,
    *,
    seconds: float = 5.0,
    deep: bool = False,
    expect_content: bool = False,
    on_step: ReportStep | None = None,
    check_cancelled: CheckCancelled = never_cancelled,
) -> FileReport:
    """See ``FileInspection.inspect``. Below the full depth no lock is taken: the caller may have the file alone."""
    if depth is Depth.FULL:
        checks = run_checks(
            database,
            deep=deep,
            seconds=seconds,
            check_cancelled=check_cancelled,
            on_step=on_step,
            expect_content=expect_content,
        )
        wrong = [each.description for each in checks if not each.ok]
        return FileReport(exists=True, is_damaged=bool(wrong), reason=wrong[0] if wrong else "", checks=checks)
    report = _read_header(database)
    return _read_content(database, seconds) if depth is Depth.CONTENT and report.is_sound else report


def probe(database: Path, *, thorough: bool, seconds: float) -> FileProbe:
    """Measure how the file answers: a read, soundness (all of it only if ``thorough``), and the wait for the lock.

    A writer may have to wait for as long as is left: another process's large import is no lock that is never given
    back. Raises AcodeError.
    """
    started = perf_counter()
    share = seconds / 3
    with open_unchanged(database, seconds=share) as connection:
        read_ms = (perf_counter() - started) * 1000
        lost = tuple(f"it has lost {table}" for table in _lost_tables(connection))
        damage = _quick_check(connection, seconds=share) if thorough else ()
    wait: float | AcodeError
    try:
        wait = write_lock_wait(database, seconds=max(share, seconds - (perf_counter() - started)))
    except AcodeError as error:
        wait = error
    return FileProbe(read_ms=read_ms, damage=(*lost, *(damage or ())) if lost else damage, lock_wait=wait)


def library_version() -> tuple[int, ...]:
    """The SQLite library's version."""
    return sqlite3.sqlite_version_info


def _read_header(database: Path) -> FileReport:
    try:
        size = database.stat().st_size
    except FileNotFoundError:
        return FileReport(exists=False, reason="it is not there")
    except OSError as error:
        return FileReport(exists=True, reason=error.strerror or str(error))
    if size == 0 and not wal_of(database).exists():
        return FileReport(exists=True, is_damaged=True, reason="it is empty")
    return FileReport(exists=True)


def _read_content(database: Path, seconds: float) -> FileReport:
    # One that may write folds a WAL into the file when it is closed; one that may not leaves an empty WAL behind.
    has_journal = any(has_content(beside(database, suffix)) for suffix in (WAL, JOURNAL))
    try:
        with closing(connect_to(database, timeout_seconds=seconds, mode="ro" if has_journal else "rw")) as connection:
            connection.execute("PRAGMA query_only = ON")
            return _report(connection)
    except IntegrityError as error:
        return FileReport(exists=True, is_damaged=True, reason=error.message)
    except sqlite3.Error as error:
        return FileReport(exists=True, is_damaged=_is_damage(error), reason=str(error))


def _report(connection: sqlite3.Connection) -> FileReport:
    workspace_id, pending, sessions, reason, is_damaged = None, None, None, "", False
    try:
        if has_table(connection, "workspace_meta"):
            workspace_id = meta.read(connection, meta.WORKSPACE_ID)
        plan(connection, packaged("sqlite"))
        pending = connection.execute("SELECT count(*) FROM outbox WHERE processed_at IS NULL").fetchone()[0]
        sessions = connection.execute("SELECT count(*) FROM sessions").fetchone()[0]
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            reason, is_damaged = found, True
        elif lost := lost_tables(connection):
            reason, is_damaged = f"it has lost {', '.join(lost)}", True
        elif workspace_id is None:
            reason = "it is no workspace"
    except AcodeError as error:
        reason = error.message
    except sqlite3.Error as error:
        reason, is_damaged = str(error), _is_damage(error)
    return FileReport(
        exists=True,
        is_damaged=is_damaged,
        reason=reason,
        workspace_id=workspace_id,
        pending=pending,
        sessions=sessions,
    )


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file's content is wrong, not that it may not or cannot read it now."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF in _DAMAGE or code in _SHORT)


def _quick_check(connection: sqlite3.Connection, *, seconds: float) -> tuple[str, ...] | None:
    """What SQLite's quick check finds wrong, nothing if the file is sound; None if ``seconds`` were not enough."""
    deadline = monotonic() + seconds
    connection.set_progress_handler(lambda: monotonic() > deadline, _DEADLINE_OPCODES)
    try:
        found = tuple(str(row[0]) for row in connection.execute(f"PRAGMA quick_check({_MOST_DAMAGE})"))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return None
    finally:
        connection.set_progress_handler(None, 0)
    return () if found == ("ok",) else found


def _lost_tables(connection: sqlite3.Connection) -> tuple[str, ...]:
    try:
        return lost_tables(connection)
    except AcodeError:
        return ()  # another program's file: the check of the schema says so
