"""Distribution of the tables by session, if the server has the Citus extension and the configuration enables it.

All tables are co-located by session, so a run's rows are on one node and composite foreign keys work. ``workspaces``
is distributed by its id: as a reference table it would have one lock for the cluster, and each workspace would wait for
the batches of all others. ``prunes`` stays on the coordinator. On a server without Citus nothing happens.
"""

from acode_tui.domain.schema import TABLES
from acode_tui.storage.postgres.identifiers import Connection, quoted_schema, quoted_text

_COLUMNS = {
    **{table.name: table.session_column for table in TABLES.values()},
    "sync_inbox": "session_id",
    "sync_conflicts": "session_id",
    "session_search": "session_id",
    "pruned_sessions": "session_id",
    "workspaces": "id",
}
"""Distribution column by table, parents first: a referenced table must be distributed before those that refer to it."""


SEQUENTIAL = "SELECT set_config('citus.multi_shard_modify_mode', 'sequential', true)"
"""For the rest of the transaction: shards are made and changed one after the other, as foreign keys to them need."""


async def has_citus(connection: Connection) -> bool:
    """Whether the extension is installed in this database."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"))


async def is_distributed(connection: Connection, schema: str) -> bool:
    """Whether the tables of this schema are distributed: the sessions are the first of them."""
    return await has_citus(connection) and bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = to_regclass($1))",
            f"{quoted_schema(schema)}.sessions",
        )
    )


async def distribute_tables(connection: Connection, schema: str) -> None:
    """Distribute every table that is not distributed yet. Call it inside the migration's transaction."""
    if not await has_citus(connection):
        return
    for statement in distribution_sql(schema):
        await connection.execute(statement)


def distribution_sql(schema: str) -> list[str]:
    """The statements that distribute the tables of a schema, all of which exist; they may be run again."""
    name = quoted_schema(schema)
    statements = [SEQUENTIAL]
    for table, column in _COLUMNS.items():
        qualified = quoted_text(f"{name}.{table}")
        peer = {"sessions": "default", "workspaces": "none"}.get(table, f"{name}.sessions")
        statements.append(
            f"SELECT create_distributed_table({qualified}, '{column}', colocate_with => {quoted_text(peer)}) "  # noqa: S608
            f"WHERE NOT EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = {qualified}::regclass)"
        )
    return statements
