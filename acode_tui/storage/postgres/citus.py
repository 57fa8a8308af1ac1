"""Distribution of the tables by session, if the server has the Citus extension and the configuration enables it.

All tables are co-located by session, so a run's rows are on one node and composite foreign keys work; ``workspaces`` is
a reference table, so a batch can update the head in the same transaction. On a server without Citus nothing happens.
"""

from acode_tui.domain.schema import TABLES
from acode_tui.storage.postgres.identifiers import Connection, quoted_schema

_COLUMNS = {
    **{table.name: table.session_column for table in TABLES.values()},
    "sync_inbox": "session_id",
    "sync_conflicts": "session_id",
    "session_search": "session_id",
}
"""Distribution column by table, parents first: a referenced table must be distributed before those that refer to it."""


async def has_citus(connection: Connection) -> bool:
    """Whether the extension is installed in this database."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"))


async def distribute_tables(connection: Connection, schema: str) -> None:
    """Distribute every table that exists and is not distributed yet. Call it inside the migration's transaction."""
    if not await has_citus(connection):
        return
    name = quoted_schema(schema)
    await connection.fetchval("SELECT set_config('citus.multi_shard_modify_mode', 'sequential', true)")
    if await _is_undistributed(connection, f"{name}.workspaces"):
        await connection.fetchval("SELECT create_reference_table($1::text::regclass)", f"{name}.workspaces")
    for table, column in _COLUMNS.items():
        qualified = f"{name}.{table}"
        if not await _is_undistributed(connection, qualified):
            continue
        peer = "default" if table == "sessions" else f"{name}.sessions"
        await connection.fetchval(
            "SELECT create_distributed_table($1::text::regclass, $2, colocate_with => $3)", qualified, column, peer
        )


async def _is_undistributed(connection: Connection, table: str) -> bool:
    return bool(
        await connection.fetchval(
            "SELECT to_regclass($1) IS NOT NULL "
            "AND NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass($1))",
            table,
        )
    )
