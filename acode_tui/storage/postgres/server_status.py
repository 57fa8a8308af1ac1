"""How large the team's database is, how it grows, and what it is busy with. Reads only, and no table as a whole."""

import asyncpg

from acode_tui.domain.schema import TABLES
from acode_tui.storage.postgres.connection import APPLICATION_NAME, ReadPool
from acode_tui.storage.postgres.identifiers import Connection, quoted, quoted_schema
from acode_tui.storage.postgres.migrate import check_schema
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
_TABLE_NAMES = (
    *(table.name for table in TABLES.values()),
    "session_search",
    "sync_inbox",
    "sync_conflicts",
    "workspaces",
    "pruned_sessions",
)
ENABLE_HINT = (
    "the slowest statements are not collected; set shared_preload_libraries = 'pg_stat_statements', restart the "
    "server, and run CREATE EXTENSION pg_stat_statements in this database"
)
READ_HINT = "the slowest statements may be read by members of pg_read_all_stats: GRANT pg_read_all_stats TO this login"

_TABLE_SIZES = """
SELECT c.relname::text AS table, CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS rows,
    pg_table_size(c.oid) AS bytes, pg_indexes_size(c.oid) AS index_bytes, coalesce(s.n_dead_tup, 0) AS dead_rows,
    greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed_at
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) ORDER BY pg_total_relation_size(c.oid) DESC, c.relname
"""
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
        rows = await connection.fetch(_TABLE_SIZES, schema, list(_TABLE_NAMES))
        tables = tuple(TableSize(**dict(row)) for row in rows)
        connections = await connection.fetchrow(_CONNECTIONS, APPLICATION_NAME)
        assert connections is not None
        last = await connection.fetchrow(
            "SELECT cutoff, ledger_rows, sessions, pruned_by, started_at, ended_at "  # noqa: S608
            f"FROM {name}.prunes ORDER BY started_at DESC LIMIT 1"
        )
        statements, hint = await _slow_statements(connection)
        return ServerStatus(
            server_version=await connection.fetchval("SELECT current_setting('server_version')"),
            schema_version=version,
            database_bytes=await connection.fetchval("SELECT pg_database_size(current_database())"),
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
