"""The sizes of the tables: of one server, or of all shards where Citus distributes them."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from acode_tui.domain.schema import TABLES
from acode_tui.storage.postgres.identifiers import Connection, quoted_schema
from acode_tui.storage.server_ports import TableSize

_TABLE_NAMES = (
    *(table.name for table in TABLES.values()),
    "session_search",
    "sync_inbox",
    "sync_conflicts",
    "workspaces",
    "pruned_sessions",
)

_SIZE = """CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS rows,
    pg_table_size(c.oid) AS bytes, pg_indexes_size(c.oid) AS index_bytes, coalesce(s.n_dead_tup, 0) AS dead_rows,
    greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed_at
FROM pg_class AS c LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid"""
_OF_ONE_SERVER = f"""
SELECT c.relname::text AS table, {_SIZE} JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) ORDER BY pg_total_relation_size(c.oid) DESC, c.relname
"""
_OF_A_SHARD = f"SELECT to_json(size) FROM (SELECT {_SIZE} WHERE c.oid = '%s'::regclass) AS size"  # noqa: S608
_ON_SHARDS = "SELECT success, result FROM run_command_on_shards($1::text::regclass, $2)"
_ON_NODES = "SELECT success, result FROM run_command_on_all_nodes('SELECT pg_database_size(current_database())')"


async def read_table_sizes(connection: Connection, schema: str) -> tuple[TableSize, ...]:
    """The tables of one server, the largest first."""
    rows = await connection.fetch(_OF_ONE_SERVER, schema, list(_TABLE_NAMES))
    return tuple(TableSize(**dict(row)) for row in rows)


async def read_shard_sizes(connection: Connection, schema: str) -> tuple[TableSize, ...]:
    """The same where the tables are distributed: sums over the shards of the nodes that answer."""
    tables = []
    for name in _TABLE_NAMES:
        rows = await connection.fetch(_ON_SHARDS, f"{quoted_schema(schema)}.{name}", _OF_A_SHARD)
        tables.append(_summed(name, [json.loads(row["result"]) for row in rows if row["success"]]))
    return tuple(sorted(tables, key=lambda each: (-each.bytes - each.index_bytes, each.table)))


async def read_node_sizes(connection: Connection) -> tuple[int, int, int]:
    """The bytes of the database on all nodes of a cluster, how many nodes there are, and how many do not answer."""
    rows = await connection.fetch(_ON_NODES)
    sizes = [int(row["result"]) for row in rows if row["success"]]
    return sum(sizes), len(rows), len(rows) - len(sizes)


def _summed(name: str, shards: Sequence[dict[str, Any]]) -> TableSize:
    counted = [shard["rows"] for shard in shards if shard["rows"] is not None]
    vacuumed = [datetime.fromisoformat(shard["vacuumed_at"]) for shard in shards if shard["vacuumed_at"]]
    return TableSize(
        table=name,
        rows=sum(counted) if counted else None,
        bytes=sum(shard["bytes"] for shard in shards),
        index_bytes=sum(shard["index_bytes"] for shard in shards),
        dead_rows=sum(shard["dead_rows"] for shard in shards),
        # The shard that waits longest says how long it is.
        vacuumed_at=min(vacuumed) if vacuumed else None,
    )
