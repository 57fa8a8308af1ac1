"""Looking at a workspace file that must stay as it is, byte for byte, whatever state it is in.

SQLite folds the WAL into the file when the last connection that may write is closed, and leaves an empty WAL behind
when the last one that may not is. So a file whose WAL holds something is opened read-only, any other one for writing:
either way nothing is written and nothing is left behind. No schema is looked for, nothing is created.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, perf_counter
from typing import TypeVar

import msgspec

from acode_tui.domain.clock import format_time, parse_time
from acode_tui.domain.errors import AcodeError, DatabaseConnectionError, IntegrityError
from acode_tui.storage.migrations.runner import Migration, newest, packaged
from acode_tui.storage.ports import ConflictCounts, DatabaseFacts, OutboxStats, SchemaStatus
from acode_tui.storage.sqlite import meta
from acode_tui.storage.sqlite.connection import connect_to, has_content
from acode_tui.storage.sqlite.errors import may_write, opening, require_content, require_rights, translated
from acode_tui.storage.sqlite.files.expected_schema import lost_tables
from acode_tui.storage.sqlite.files.locks import share_if_known
from acode_tui.storage.sqlite.files.paths import JOURNAL, WAL, beside, wal_of
from acode_tui.storage.sqlite.migrate import plan, read_applied
from acode_tui.storage.sqlite.sync import conflicts, records

T = TypeVar("T")

_DEADLINE_OPCODES = 10_000
_NO_PLACE = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_UNCHANGING = "ro&immutable=1"
"""Parameters of the address by which a file is opened that nobody changes meanwhile."""


@contextmanager
def looking(path: Path, *, seconds: float, check: Callable[[], None] | None = None) -> Iterator[sqlite3.Connection]:
    """A connection for reading that gives up after ``seconds``, be it waiting or at work. Raises AcodeError.

    Where ``check`` is given, that decides how long it may be at work, by raising.
    """
    with opening(path), ExitStack() as stack:
        stack.enter_context(closing(share_if_known(path, timeout_seconds=seconds)))
        _require(path)
        connection = stack.enter_context(closing(_connected(path, seconds)))
        deadline = monotonic() + seconds
        is_over = check or (lambda: int(monotonic() > deadline))
        connection.set_progress_handler(is_over, _DEADLINE_OPCODES)
        connection.execute("PRAGMA query_only = ON")
        yield connection


def look(
    path: Path,
    read: Callable[[sqlite3.Connection], T],
    *,
    seconds: float,
    check: Callable[[], None] | None = None,
) -> T:
    """What ``read`` answers of the file, from one snapshot. Raises AcodeError."""
    with looking(path, seconds=seconds, check=check) as connection:
        connection.execute("BEGIN")
        try:
            return read(connection)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


@contextmanager
def undone(path: Path, *, seconds: float) -> Iterator[sqlite3.Connection]:
    """A connection inside a write transaction that is always rolled back: for looks that SQLite takes for writes.

    Raises TransactionError where another process kept the write lock for ``seconds``, and DatabaseConnectionError for a
    file that may only be looked at.
    """
    with translated(f"cannot look into {path}", at_open=True), ExitStack() as stack:
        stack.enter_context(closing(share_if_known(path, timeout_seconds=seconds)))
        _require(path)
        require_rights(path)
        if mode_to_look(path) == "ro":
            # Closed after the other one: as long as it is open, nothing is folded.
            guard = stack.enter_context(closing(connect_to(path, timeout_seconds=seconds, mode="ro")))
            guard.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        connection = stack.enter_context(closing(connect_to(path, timeout_seconds=seconds)))
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def write_lock_wait(path: Path, *, seconds: float) -> float:
    """How long a writer waits for its turn right now, in seconds.

    Raises TransactionError where that is longer than ``seconds``, DiskFullError where the disk is full, and
    DatabaseConnectionError where the file is read-only.
    """
    started = perf_counter()
    with undone(path, seconds=seconds):
        return perf_counter() - started


def quick_check(connection: sqlite3.Connection, *, seconds: float, most: int = 5) -> tuple[str, ...] | None:
    """What SQLite's quick check finds wrong, nothing if the file is sound; None if ``seconds`` were not enough."""
    deadline = monotonic() + seconds
    connection.set_progress_handler(lambda: monotonic() > deadline, _DEADLINE_OPCODES)
    try:
        found = tuple(str(row[0]) for row in connection.execute(f"PRAGMA quick_check({most})"))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return None
    finally:
        connection.set_progress_handler(None, 0)
    return () if found == ("ok",) else found


def _connected(path: Path, seconds: float) -> sqlite3.Connection:
    mode = mode_to_look(path)
    try:
        return connect_to(path, timeout_seconds=seconds, mode=mode)
    except sqlite3.OperationalError as error:
        if mode != "rw" or error.sqlite_errorcode & 0xFF not in _NO_PLACE:
            raise
        # A full disk or a read-only folder has no place for the WAL's index. Then nobody can be writing either.
        return connect_to(path, timeout_seconds=seconds, mode=_UNCHANGING)


def mode_to_look(path: Path) -> str:
    """How to open a file so that looking leaves it, and its folder, as they are."""
    if has_content(wal_of(path)):
        return "ro"
    # SQLite would leave a WAL and an index beside a file that may only be read, with that file's mode:
    # nobody could write any more, even once the file's own mode is set right.
    return "rw" if may_write(path) else _UNCHANGING


def _require(path: Path) -> None:
    # Whether a workspace has lived there is for the caller to know.
    require_content(path, has_lived=False)
    if not path.exists():
        raise DatabaseConnectionError(
            f"there is no database at {path}", hint="open the dashboard, or `acode-tui import --all`, to begin one"
        )


_LAST_APPLIED = "SELECT description, applied_at FROM schema_migrations WHERE version = ?"


def read_facts(connection: sqlite3.Connection, path: Path, known: tuple[Migration, ...]) -> DatabaseFacts:
    """The file at a glance. ``last_modified`` is the last commit's, be it still in the WAL."""
    wal = wal_of(path)
    size, modified = 0, 0.0
    for each in (path, wal):
        try:
            status = os.stat(each)
        except FileNotFoundError:
            continue
        size += status.st_size
        if each is path or status.st_size:
            modified = max(modified, status.st_mtime)
    sessions = connection.execute("SELECT coalesce(sum(sessions), 0) FROM session_totals").fetchone()[0]
    return DatabaseFacts(
        path=str(path),
        size_bytes=size,
        schema_version=newest(read_applied(connection)),
        target_version=known[-1].version,
        journal_mode=connection.execute("PRAGMA journal_mode").fetchone()[0],
        sessions=sessions,
        last_modified=datetime.fromtimestamp(modified, UTC) if modified else None,
    )


def read_schema(connection: sqlite3.Connection, known: tuple[Migration, ...]) -> SchemaStatus:
    """The schema's version, what is pending, and which migration came last."""
    planned = plan(connection, known)
    last = connection.execute(_LAST_APPLIED, (planned.from_version,)).fetchone() if planned.from_version else None
    return SchemaStatus(
        tier="sqlite",
        version=planned.from_version,
        target=known[-1].version,
        pending=planned.pending,
        description=last[0] if last else "",
        applied_at=parse_time(last[1]) if last else None,
    )


_HAS_META = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'workspace_meta'"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""The last one is what a statement over a schema says that lost a table or column."""

_SHORT = (sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)


class StandingFile(msgspec.Struct, frozen=True, kw_only=True):
    """``reason`` says why the file is not sound; ``pending`` counts the records that were never sent.

    A file that is not sound need not be damaged: it may be another program's, a newer one's, or somebody else's.
    """

    exists: bool
    is_sound: bool = False
    is_damaged: bool = False
    reason: str = ""
    workspace_id: str | None = None
    pending: int | None = None
    sessions: int | None = None


def look_at(database: Path) -> StandingFile:
    """Look; takes about as long as reading the file. Never raises for what is in it."""
    try:
        size = database.stat().st_size
    except FileNotFoundError:
        return StandingFile(exists=False, reason="it is not there")
    except OSError as error:
        return StandingFile(exists=True, reason=error.strerror or str(error))
    if size == 0 and not wal_of(database).exists():
        return StandingFile(exists=True, is_damaged=True, reason="it is empty")
    # One that may write folds a WAL into the file when it is closed; one that may not leaves an empty WAL behind.
    has_journal = any(has_content(beside(database, suffix)) for suffix in (WAL, JOURNAL))
    try:
        with closing(connect_to(database, timeout_seconds=5, mode="ro" if has_journal else "rw")) as connection:
            connection.execute("PRAGMA query_only = ON")
            return _read(connection)
    except IntegrityError as error:
        return StandingFile(exists=True, is_damaged=True, reason=error.message)
    except sqlite3.Error as error:
        return StandingFile(exists=True, is_damaged=_is_damage(error), reason=str(error))


def _read(connection: sqlite3.Connection) -> StandingFile:
    workspace_id, pending, sessions, reason, is_damaged = None, None, None, "", False
    try:
        if connection.execute(_HAS_META).fetchone() is not None:
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
    return StandingFile(
        exists=True,
        is_sound=not reason,
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


_LAST_FINISHED = "SELECT max(processed_at) FROM outbox WHERE processed_at IS NOT NULL"


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """How long a first read took, in milliseconds; which tables are lost and what a quick check found, None if
    it was not finished; how long a writer waits for its turn, in seconds, or why nobody can write."""

    read_ms: float
    damage: tuple[str, ...] | None
    lock_wait: float | AcodeError


class QueueFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The backlog; since when its oldest record that could be sent waits; when a record was last finished."""

    outbox: OutboxStats
    oldest_due_at: datetime | None = None
    last_finished_at: datetime | None = None


class FileVitals:
    """The file at ``path``; each question may take ``seconds``. Blocks: for a thread of its own."""

    def __init__(self, path: Path, *, seconds: float) -> None:
        self._path = path
        self._seconds = seconds

    def pulse(self, *, thorough: bool) -> Pulse:
        """Whether the file answers, is sound (only if ``thorough``, for that reads all of it), and takes writes.

        A writer may have to wait for as long as is left: somebody's large import is no lock that is never given back.
        """
        started = perf_counter()
        share = self._seconds / 3
        with looking(self._path, seconds=share) as connection:
            read_ms = (perf_counter() - started) * 1000
            lost = tuple(f"it has lost {table}" for table in _lost(connection))
            damage = quick_check(connection, seconds=share) if thorough else ()
        wait: float | AcodeError
        try:
            wait = write_lock_wait(self._path, seconds=max(share, self._seconds - (perf_counter() - started)))
        except AcodeError as error:
            wait = error
        return Pulse(read_ms=read_ms, damage=(*lost, *(damage or ())) if lost else damage, lock_wait=wait)

    def schema(self) -> SchemaStatus:
        """The version it is at, and what is pending. Raises SchemaMismatchError where it is newer."""
        return look(self._path, lambda raw: read_schema(raw, packaged("sqlite")), seconds=self._seconds)

    def queue(self, now: datetime) -> QueueFacts:
        """How the outbox stands at ``now``."""
        return look(self._path, lambda raw: _queue(raw, now), seconds=self._seconds)

    def dead_letters(self) -> int:
        """Records that the server refused for the last time."""
        return look(
            self._path,
            lambda raw: records.read_stats(raw).failed if _has(raw, "outbox") else 0,
            seconds=self._seconds,
        )

    def conflicts(self) -> ConflictCounts:
        """Conflicts, and those of them that nobody has looked at."""
        return look(
            self._path,
            lambda raw: conflicts.read_counts(raw) if _has(raw, "sync_conflicts") else ConflictCounts(),
            seconds=self._seconds,
        )


def library_version() -> tuple[int, ...]:
    """The SQLite library's version."""
    return sqlite3.sqlite_version_info


def _queue(connection: sqlite3.Connection, now: datetime) -> QueueFacts:
    if not _has(connection, "outbox"):
        return QueueFacts(outbox=OutboxStats())
    due = records.oldest_due(connection, now=format_time(now))
    finished = connection.execute(_LAST_FINISHED).fetchone()[0]
    return QueueFacts(
        outbox=records.read_stats(connection),
        oldest_due_at=None if due is None else parse_time(due),
        last_finished_at=None if finished is None else parse_time(finished),
    )


def _lost(connection: sqlite3.Connection) -> tuple[str, ...]:
    try:
        return lost_tables(connection)
    except AcodeError:
        return ()  # another program's file: the look at the schema says so


def _has(connection: sqlite3.Connection, table: str) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None
