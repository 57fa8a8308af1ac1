"""Compares the rows of both tiers, column by column, in one canonical form."""

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from acode_tui.domain.clock import format_time
from acode_tui.domain.codec import normal_form
from acode_tui.domain.schema import TABLES, Column
from acode_tui.storage.postgres.rows import select_list
from acode_tui.storage.sqlite.contents import unpack
from tests.pg import Database

Rows = dict[str, dict[str, dict[str, Any]]]
"""Canonical values by table, id and column."""


def rows_here(path: Path) -> Rows:
    """Every entity of a workspace file, read by a connection of its own."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        return {
            table.name: {
                row["id"]: {column.name: _canonical(column, _stored(column, row)) for column in table.columns}
                for row in connection.execute(f"SELECT * FROM {table.name}")
            }
            for table in TABLES.values()
        }
    finally:
        connection.close()


async def rows_there(database: Database, workspace_id: str | None = None) -> Rows:
    """Every entity in the team's database, or those of one workspace."""
    found: Rows = {}
    for table in TABLES.values():
        sql = f"SELECT {select_list(table, content=True)} FROM {table.name} WHERE $1::uuid IS NULL OR workspace_id = $1"
        records = await database.fetch(sql, workspace_id)
        found[table.name] = {
            str(record["id"]): {column.name: _canonical(column, record[column.name]) for column in table.columns}
            for record in records
        }
    return found


def _stored(column: Column, row: sqlite3.Row) -> Any:
    return unpack(row["content"], row["size"]) if column.kind == "bytes" else row[column.name]


def _canonical(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.kind == "json":
        return normal_form(msgspec.json.decode(value))
    if column.kind == "time":
        return value if isinstance(value, str) else format_time(value)
    if column.kind == "bytes":
        return bytes(value).hex()
    return value if isinstance(value, int) else str(value)


def checksum(rows: Rows) -> str:
    """SHA-256 over all rows."""
    return hashlib.sha256(msgspec.json.encode(rows, order="sorted")).hexdigest()


async def assert_equal(path: Path, database: Database, *, but: frozenset[str] = frozenset()) -> None:
    """Both sides hold the same rows, column by column; fails for the first table that differs. ``but`` is ignored."""
    here, there = _without(rows_here(path), but), _without(await rows_there(database), but)
    for table, rows in here.items():
        assert rows == there[table], f"{table} differs"
    assert checksum(here) == checksum(there)


def _without(rows: Rows, but: frozenset[str]) -> Rows:
    return {
        table: {key: {name: value for name, value in row.items() if name not in but} for key, row in found.items()}
        for table, found in rows.items()
    }


async def ledger(database: Database) -> list[str]:
    """The ledger's keys; each once, or the ledger is broken."""
    keys = [record["idempotency_key"] for record in await database.fetch("SELECT idempotency_key FROM sync_inbox")]
    assert len(keys) == len(set(keys))
    return keys


async def assert_nothing_was_lost(path: Path, database: Database, *, conflicts: int = 0) -> None:
    """Everything is delivered, each effect once, no attempt was counted, and there are as many conflicts as given."""
    await assert_equal(path, database)
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        waiting, attempts = connection.execute(
            "SELECT count(*) FILTER (WHERE processed_at IS NULL), coalesce(sum(attempts), 0) FROM outbox"
        ).fetchone()
        found = connection.execute("SELECT count(*) FROM sync_conflicts").fetchone()[0]
        sent = connection.execute(
            "SELECT idempotency_key FROM outbox WHERE outcome NOT IN ('superseded', 'discarded')"
        ).fetchall()
    finally:
        connection.close()
    assert (waiting, attempts, found) == (0, 0, conflicts)
    assert {key for (key,) in sent} <= set(await ledger(database))
    assert len(await database.fetch("SELECT 1 FROM sync_conflicts")) == conflicts
