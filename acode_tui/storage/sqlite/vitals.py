"""Numbers that say how a workspace's file is, each read from outside and without leaving a trace.

A table that is not there yet counts as empty: that is so where migrations are pending, and health looks at such a file
too without bringing it up to date. A file that is missing, damaged or locked is an AcodeError that says so.
"""

import sqlite3
from datetime import datetime
from pathlib import Path
from time import perf_counter

import msgspec

from acode_tui.domain.errors import AcodeError
from acode_tui.domain.times import format_time, parse_time
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import ConflictCounts, OutboxStats, SchemaStatus
from acode_tui.storage.sqlite import inspection
from acode_tui.storage.sqlite.files.expected_schema import lost_tables
from acode_tui.storage.sqlite.files.inspect import look, looking, quick_check, write_lock_wait
from acode_tui.storage.sqlite.sync import claim as delivery
from acode_tui.storage.sqlite.sync import conflicts, outbox

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
        return look(self._path, lambda raw: inspection.read_schema(raw, packaged("sqlite")), seconds=self._seconds)

    def queue(self, now: datetime) -> QueueFacts:
        """How the outbox stands at ``now``."""
        return look(self._path, lambda raw: _queue(raw, now), seconds=self._seconds)

    def dead_letters(self) -> int:
        """Records that the server refused for the last time."""
        return look(
            self._path,
            lambda raw: outbox.read_stats(raw).failed if _has(raw, "outbox") else 0,
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
    due = delivery.oldest_due(connection, now=format_time(now))
    finished = connection.execute(_LAST_FINISHED).fetchone()[0]
    return QueueFacts(
        outbox=outbox.read_stats(connection),
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
