"""Opens the SQLite store without the rest of the program, and reads its file for assertions."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic as real_monotonic
from typing import Any

from acode_tui.domain.clock import MonotonicClock, WallClock
from acode_tui.domain.schema import TABLES
from acode_tui.domain.validation import Limits
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.sqlite.checkpoints import Checkpoints
from acode_tui.storage.sqlite.connection import FunctionConnection, SqliteConnectionFactory, prepare_file
from acode_tui.storage.sqlite.migrate import migrate
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.runs.store import SqliteRunStateStore
from acode_tui.storage.sqlite.runs.transcript_cursors import SqliteTranscriptLog
from acode_tui.storage.sqlite.sync.conflicts import SqliteConflictLog
from acode_tui.storage.sqlite.sync.outbox import SqliteOutbox
from acode_tui.storage.sqlite.sync.records import RetryPolicy
from acode_tui.storage.sqlite.writer import Writer
from acode_tui.sync.classify import record_delay
from tests.clocks import TurnedClock

WORKSPACE_ID = "0190d6a1-0000-7000-8000-000000000001"
ENTITY_TABLES = tuple(table.name for table in TABLES.values())


@dataclass
class Parts:
    """An open store and its parts."""

    path: Path
    connection: FunctionConnection
    writer: Writer
    checkpoints: Checkpoints
    readers: Readers
    store: SqliteRunStateStore
    outbox: SqliteOutbox
    conflicts: SqliteConflictLog
    transcripts: SqliteTranscriptLog


@asynccontextmanager
async def open_parts(
    path: Path,
    *,
    wall: WallClock | None = None,
    timeout_seconds: float = 30.0,
    monotonic: Callable[[], float] = real_monotonic,
    limits: Limits | None = None,
) -> AsyncIterator[Parts]:
    """The parts over one file, which is created and migrated if necessary."""
    wall = wall or TurnedClock()
    prepare_file(path)
    connections = SqliteConnectionFactory(path, timeout_seconds=timeout_seconds)
    connection = await connections.open_writer(check=lambda raw: None)
    lock = path.with_name("migrate.lock")
    await connection.run(lambda raw: migrate(raw, packaged("sqlite"), lock_path=lock, wall=wall))
    checkpoints = Checkpoints(connections)
    writer = Writer(connection, MonotonicClock(wall), checkpoints, timeout_seconds=timeout_seconds, monotonic=monotonic)
    readers = Readers(connections)
    try:
        yield Parts(
            path=path,
            connection=connection,
            writer=writer,
            checkpoints=checkpoints,
            readers=readers,
            store=SqliteRunStateStore(writer, readers, workspace_id=WORKSPACE_ID, user_id="ada", limits=limits),
            outbox=SqliteOutbox(writer, readers, retry=RetryPolicy(delay), wall=wall),
            conflicts=SqliteConflictLog(writer, readers, wall=wall),
            transcripts=SqliteTranscriptLog(writer, readers),
        )
    finally:
        await readers.close()
        await writer.close()


def delay(attempt: int) -> float:
    """The default wait after a refusal, without jitter."""
    return record_delay(attempt, initial_seconds=5, max_seconds=3600)


@contextmanager
def foreign(path: Path) -> Iterator[sqlite3.Connection]:
    """A plain ``sqlite3`` connection, as another program has."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection


def rows(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query on a connection of its own."""
    with foreign(path) as connection:
        return connection.execute(sql, values).fetchall()


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that a write may touch, the notes for the search index included."""
    with foreign(path) as connection:
        tables = [*ENTITY_TABLES, "outbox", "session_totals", "sync_conflicts", "ingest_files", "search_changes"]
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in tables}


def count(path: Path, table: str, where: str = "1", *values: Any) -> int:
    return int(rows(path, f"SELECT count(*) FROM {table} WHERE {where}", *values)[0][0])


def log_queued_writes(path: Path) -> None:
    """Log from now on each write that is queued, also those that fold into a record which waits."""
    with foreign(path) as connection:
        connection.execute("CREATE TABLE queued_writes (kind TEXT, entity_id TEXT, key TEXT)")
        for event in ("INSERT", "UPDATE OF idempotency_key"):
            connection.execute(
                f"CREATE TRIGGER log_{event[:6]} AFTER {event} ON outbox "
                "BEGIN INSERT INTO queued_writes VALUES (new.entity_type, new.entity_id, new.idempotency_key); END"
            )


def assert_sound(path: Path) -> None:
    """No page is damaged, no child lacks its parent, and every entity row has an outbox record."""
    with foreign(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        for kind, table in TABLES.items():
            missing = connection.execute(
                f"""
                SELECT id FROM {table.name} AS t WHERE NOT EXISTS (
                    SELECT 1 FROM outbox AS o
                    WHERE o.idempotency_key = ? || ':' || t.id || ':' || t.updated_at
                )
                """,
                (kind.value,),
            ).fetchall()
            assert missing == [], f"{table.name} rows without the outbox record of their present state"
