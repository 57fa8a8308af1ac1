"""Looking at the workspace file as a file: what it is, how it stands, whether it is sound."""

import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from acode_tui.domain.codec import digest
from acode_tui.domain.schema import TABLES
from acode_tui.storage.migrations.runner import Migration, newest
from acode_tui.storage.ports import Check, DatabaseFacts, SchemaStatus
from acode_tui.storage.sqlite.migrate import plan, read_applied
from acode_tui.storage.sqlite.search import FTS_TABLES

_MOST_FINDINGS = 5


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
    """The schema's version and what is pending."""
    planned = plan(connection, known)
    return SchemaStatus(tier="sqlite", version=planned.from_version, target=known[-1].version, pending=planned.pending)


Look = Callable[[sqlite3.Connection], Check]


def checks() -> tuple[Look, ...]:
    """What ``db check`` looks at, one function each. The full-text one writes nothing but needs the writer."""
    return (_integrity, _foreign_keys, _artifact_hashes, _outbox_records, _totals)


def _integrity(connection: sqlite3.Connection) -> Check:
    found = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_MOST_FINDINGS})")]
    ok = found == ["ok"]
    return Check(name="integrity", ok=ok, description="every page is sound" if ok else "; ".join(found))


def _foreign_keys(connection: sqlite3.Connection) -> Check:
    found = connection.execute("PRAGMA foreign_key_check").fetchmany(_MOST_FINDINGS)
    description = "every child has its parent"
    if found:
        description = "; ".join(f"{table} row {row} has no {parent}" for table, row, parent, _ in found)
    return Check(name="foreign keys", ok=not found, description=description)


def _artifact_hashes(connection: sqlite3.Connection) -> Check:
    wrong, total = [], 0
    for artifact_id, content, content_hash, size in connection.execute(
        "SELECT id, content, content_hash, size FROM artifacts"
    ):
        total += 1
        if len(content) != size or digest(content) != content_hash:
            wrong.append(artifact_id)
    description = f"all {total:,} artifacts fit their hashes"
    if wrong:
        description = f"{len(wrong):,} of {total:,} differ from their hashes: {', '.join(wrong[:_MOST_FINDINGS])}"
    return Check(name="artifact hashes", ok=not wrong, description=description)


def _outbox_records(connection: sqlite3.Connection) -> Check:
    missing = 0
    for kind, table in TABLES.items():
        missing += connection.execute(
            f"""
            SELECT count(*) FROM outbox AS o WHERE o.processed_at IS NULL AND o.entity_type = ?
            AND NOT EXISTS (SELECT 1 FROM {table.name} AS t WHERE t.id = o.entity_id)
            """,  # noqa: S608 - from TABLES
            (kind.value,),
        ).fetchone()[0]
    description = "every pending record has its row" if not missing else f"{missing:,} pending records have no row"
    return Check(name="outbox", ok=not missing, description=description)


def _totals(connection: sqlite3.Connection) -> Check:
    stored = dict(connection.execute("SELECT state, sessions FROM session_totals WHERE sessions <> 0"))
    counted = dict(connection.execute("SELECT state, count(*) FROM sessions GROUP BY state"))
    ok = stored == counted
    description = "the session counters are right" if ok else "the session counters differ from the sessions"
    return Check(name="counters", ok=ok, description=description)


def check_search(connection: sqlite3.Connection) -> Check:
    """Whether the full-text indexes fit their tables; a unit of work, because FTS5 asks for a write to do it."""
    wrong = []
    for index in FTS_TABLES:
        try:
            connection.execute(f"INSERT INTO {index} ({index}, rank) VALUES ('integrity-check', 1)")  # noqa: S608
        except sqlite3.DatabaseError:
            wrong.append(index)
    description = "the search indexes fit their tables" if not wrong else f"out of step: {', '.join(wrong)}"
    return Check(name="search", ok=not wrong, description=description)
