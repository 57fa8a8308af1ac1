"""Checks of the team's schema: its migrations, tables and columns. Reads only."""

from acode_tui.domain.errors import AcodeError
from acode_tui.domain.schema import TABLES, Table
from acode_tui.storage.ports import Check
from acode_tui.storage.postgres import migrate
from acode_tui.storage.postgres.connection import ReadPool
from acode_tui.storage.postgres.rows import PG_TYPES

_COLUMNS = """
SELECT table_name, column_name, udt_name, is_nullable = 'YES' AS nullable
FROM information_schema.columns WHERE table_schema = $1
"""
_POSTGRES_ONLY = {"change_seq": ("int8", False), "synced_at": ("timestamptz", False), "workspace_id": ("uuid", False)}
"""Columns of every entity table that exist in PostgreSQL only."""

_OTHER_TABLES = (
    "workspaces",
    "sync_inbox",
    "sync_conflicts",
    "session_search",
    "pruned_sessions",
    "prunes",
    "schema_migrations",
)
_UDT = {"bigint": "int8"}
_MOST_FINDINGS = 5


async def check_migrations(pool: ReadPool, schema: str) -> Check:
    """Check that the applied migrations are this program's, with unchanged checksums."""
    async with pool.connection() as connection:
        try:
            version = await migrate.check_schema(connection, schema)
        except AcodeError as error:
            return Check(name="remote migrations", ok=False, description=error.message)
    return Check(name="remote migrations", ok=True, description=f"{version}, every migration as released")


async def check_tables(pool: ReadPool, schema: str) -> Check:
    """Check that every table and column exists, with the right type and nullability."""
    present: dict[str, dict[str, tuple[str, bool]]] = {}
    async with pool.connection() as connection:
        for table, column, type_, nullable in await connection.fetch(_COLUMNS, schema):
            present.setdefault(table, {})[column] = (type_, nullable)
    wrong = [f"table {name} is missing" for name in _OTHER_TABLES if name not in present]
    for each in TABLES.values():
        if each.name not in present:
            wrong.append(f"table {each.name} is missing")
            continue
        for column, expected in _expected_columns(each).items():
            found = present[each.name].get(column)
            if found is None:
                wrong.append(f"{each.name}.{column} is missing")
            elif found != expected:
                wrong.append(f"{each.name}.{column} is {_describe(found)}, not {_describe(expected)}")
    description = f"all {len(TABLES) + len(_OTHER_TABLES)} exist, with every column"
    if wrong:
        description = "; ".join(wrong[:_MOST_FINDINGS])
        if len(wrong) > _MOST_FINDINGS:
            description += f"; and {len(wrong) - _MOST_FINDINGS} more"
    return Check(name="remote tables", ok=not wrong, description=description)


def _expected_columns(table: Table) -> dict[str, tuple[str, bool]]:
    own = {}
    for column in table.columns:
        type_ = PG_TYPES[column.kind]
        own[column.name] = (_UDT.get(type_, type_), column.nullable)
    return {**_POSTGRES_ONLY, **own}


def _describe(column: tuple[str, bool]) -> str:
    type_, nullable = column
    return f"{type_}{' null' if nullable else ' not null'}"
