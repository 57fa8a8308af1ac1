"""How large the team's database is, how it grows, and what it is busy with. Reads only, and no table as a whole.

Of a cluster, the sizes and dead rows are those of all nodes, connections and statements those of the coordinator.
"""

import asyncpg

from acode_tui.storage.postgres.connection import APPLICATION_NAME, ReadPool
from acode_tui.storage.postgres.identifiers import Connection, quoted, quoted_schema
from acode_tui.storage.postgres.migrate import check_schema
from acode_tui.storage.postgres.table_sizes import read_node_sizes, read_shard_sizes, read_table_sizes
from acode_tui.storage.server_ports import (
    Connections,
    Growth,
    LastPrune,
    ServerStatus,
    SlowStatement,
    TableSize,
)

GROWTH_DAYS = 7
MOST_STATEMENTS = 5
_LONGEST_STATEMENT = 200
ENABLE_HINT = (
    "the slowest statements are not collected; set shared_preload_libraries = 'pg_stat_statements', restart the "
    "server, and run CREATE EXTENSION pg_stat_statements in this database"
)
MISSING_HINT = "{missing} of {nodes} nodes do not answer; sizes and dead rows are those of the others"
READ_HINT = "the slowest statements may be read by members of pg_read_all_stats: GRANT pg_read_all_stats TO this login"

_CONNECTIONS = """
SELECT count(*) AS used, count(*) FILTER (WHERE application_name = $1) AS acode,
    current_setting('max_connections')::int AS most
FROM pg_stat_activity WHERE backend_type = 'client backend'
"""
_SLOWEST = f"""
SELECT left(regexp_replace(query, '\\s+', ' ', 'g'), {_LONGEST_STATEMENT}) AS statement, calls,
    mean_exec_time AS mean_ms, total_exec_time / 1000 AS total_seconds
FROM {{extension}}.pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY total_exec_time DESC LIMIT {MOST_STATEMENTS}
"""  # noqa: S608


async def read_server_status(pool: ReadPool, schema: str) -> ServerStatus:
    """The status now. Raises SchemaMismatchError unless the schema is this program's."""
    name = quoted_schema(schema)
    async with pool.connection() as connection:
        version = await check_schema(connection, schema)
        distributed = await pool.is_distributed(connection, schema)
        if distributed:
            tables = await read_shard_sizes(connection, schema)
            database_bytes, nodes, missing = await read_node_sizes(connection)
        else:
            tables = await read_table_sizes(connection, schema)
            database_bytes = await connection.fetchval("SELECT pg_database_size(current_database())")
            nodes, missing = 1, 0
        connections = await connection.fetchrow(_CONNECTIONS, APPLICATION_NAME)
        assert connections is not None
        last = await connection.fetchrow(
            "SELECT cutoff, ledger_rows, sessions, pruned_by, started_at, ended_at "  # noqa: S608
            f"FROM {name}.prunes ORDER BY started_at DESC LIMIT 1"
        )
        statements, hint = await _slow_statements(connection)
        if missing:
            hint = MISSING_HINT.format(missing=missing, nodes=nodes)
        return ServerStatus(
            server_version=await connection.fetchval("SELECT current_setting('server_version')"),
            schema_version=version,
            distributed=distributed,
            nodes=nodes,
            database_bytes=database_bytes,
            tables=tables,
            growth=await _growth(connection, name, tables),
            workspaces=await connection.fetchval(f"SELECT count(*) FROM {name}.workspaces"),  # noqa: S608
            oldest_session_at=await connection.fetchval(f"SELECT min(updated_at) FROM {name}.sessions"),  # noqa: S608
            connections=Connections(**dict(connections)),
            slow_statements=statements,
            hint=hint,
            last_prune=None if last is None else LastPrune(**dict(last)),
        )


async def _growth(connection: Connection, name: str, tables: tuple[TableSize, ...]) -> Growth:
    """By the index of ``created_at``: no table has an index of the time when a row came."""
    begun = await connection.fetchval(
        f"SELECT count(*) FROM {name}.sessions WHERE created_at >= now() - make_interval(days => $1)",  # noqa: S608
        GROWTH_DAYS,
    )
    sessions = next((each.rows for each in tables if each.table == "sessions"), None)
    total = sum(each.bytes + each.index_bytes for each in tables)
    return Growth(
        days=GROWTH_DAYS,
        sessions=begun,
        bytes_a_day=round(total / sessions * begun / GROWTH_DAYS) if sessions else None,
    )


async def _slow_statements(connection: Connection) -> tuple[tuple[SlowStatement, ...] | None, str]:
    extension = await connection.fetchval(
        "SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace "
        "WHERE e.extname = 'pg_stat_statements'"
    )
    if extension is None:
        return None, ENABLE_HINT
    try:
        # A savepoint where the block is a transaction already. Only a superuser may ask which libraries are loaded.
        async with connection.transaction():
            rows = await connection.fetch(_SLOWEST.format(extension=quoted(extension)))
    except asyncpg.ObjectNotInPrerequisiteStateError:
        return None, ENABLE_HINT
    visible = await connection.fetchval("SELECT pg_has_role('pg_read_all_stats', 'USAGE')")
    return tuple(SlowStatement(**dict(row)) for row in rows), "" if visible else READ_HINT
