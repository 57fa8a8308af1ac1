"""Looking at the workspace file as a file: what it is, and how it stands."""

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from acode_tui.domain.times import parse_time
from acode_tui.storage.migrations.runner import Migration, newest
from acode_tui.storage.ports import DatabaseFacts, SchemaStatus
from acode_tui.storage.sqlite.migrate import plan, read_applied

_LAST_APPLIED = "SELECT description, applied_at FROM schema_migrations WHERE version = ?"


def read_facts(connection: sqlite3.Connection, path: Path, known: tuple[Migration, ...]) -> DatabaseFacts:
    """The file at a glance. ``last_modified`` is the last commit's, be it still in the WAL."""
    wal = path.with_name(path.name + "-wal")
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
