"""Facts about a workspace file that its status and its health checks show, each from the snapshot of a connection."""

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from acode_tui.domain.clock import format_time, parse_time
from acode_tui.domain.schema import TABLES
from acode_tui.storage.delivery_protocol import RowKey
from acode_tui.storage.migrations.runner import Migration, newest
from acode_tui.storage.ports import ConflictCounts, DatabaseFacts, OutboxStats, QueueFacts, SchemaStatus
from acode_tui.storage.sqlite import meta
from acode_tui.storage.sqlite.file_systems import shared_file_system
from acode_tui.storage.sqlite.migrate import plan, read_applied
from acode_tui.storage.sqlite.paths import wal_of
from acode_tui.storage.sqlite.sync import conflicts, quarantine, records

_LAST_APPLIED = "SELECT description, applied_at FROM schema_migrations WHERE version = ?"
_LAST_FINISHED = "SELECT max(processed_at) FROM outbox WHERE processed_at IS NOT NULL"


def read_facts(connection: sqlite3.Connection, path: Path, known: tuple[Migration, ...]) -> DatabaseFacts:
    """The file's size, schema and sessions. ``last_modified`` is the last commit's time, also of one in the WAL."""
    size, modified = 0, 0.0
    for each in (path, wal_of(path)):
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
        shared_file_system=shared_file_system(path.parent),
    )


def read_schema_status(connection: sqlite3.Connection, known: tuple[Migration, ...]) -> SchemaStatus:
    """The schema's version, what is pending, and which migration was applied last."""
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


def read_queue(connection: sqlite3.Connection, now: datetime) -> QueueFacts:
    """The outbox at ``now``; an empty one where its table does not exist yet."""
    if not has_table(connection, "outbox"):
        return QueueFacts(outbox=OutboxStats())
    due = records.oldest_due(connection, now=format_time(now))
    finished = connection.execute(_LAST_FINISHED).fetchone()[0]
    return QueueFacts(
        outbox=records.read_stats(connection),
        oldest_due_at=None if due is None else parse_time(due),
        last_finished_at=None if finished is None else parse_time(finished),
    )


def read_dead_letters(connection: sqlite3.Connection) -> int:
    """Records that the server refused for the last time."""
    return records.read_stats(connection).failed if has_table(connection, "outbox") else 0


def read_conflict_counts(connection: sqlite3.Connection) -> ConflictCounts:
    """Settled conflicts, and those that are not reviewed."""
    return conflicts.read_counts(connection) if has_table(connection, "sync_conflicts") else ConflictCounts()


def read_kept_aside(connection: sqlite3.Connection) -> list[RowKey]:
    """Rows of the team's database that are kept aside."""
    return quarantine.after(connection, None, limit=-1) if has_table(connection, "quarantined_rows") else []


def read_last_stamp(connection: sqlite3.Connection) -> datetime | None:
    """The last stamp of the workspace's clock; None before the first."""
    stored = meta.read(connection, meta.CLOCK) if has_table(connection, "workspace_meta") else None
    return None if stored is None else parse_time(stored)


def read_row_counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Rows by table."""
    return {
        table.name: int(connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0])  # noqa: S608
        for table in TABLES.values()
    }


def has_table(connection: sqlite3.Connection, table: str) -> bool:
    """Whether the file has a table of this name."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None
