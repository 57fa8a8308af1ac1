"""Whether the team's schema is this program's, and how many rows of a workspace it holds. Reads only."""

from collections.abc import Sequence
from datetime import timedelta
from time import perf_counter

import msgspec

from acode_tui.config.postgres_address import PostgresTarget
from acode_tui.domain.clock import WallClock
from acode_tui.domain.errors import AcodeError, SchemaMismatchError
from acode_tui.domain.schema import TABLES, Table
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import PostgresFault, TargetFacts
from acode_tui.storage.ports import Check
from acode_tui.storage.postgres import migrate
from acode_tui.storage.postgres.citus import has_citus
from acode_tui.storage.postgres.connection import DRIVER_ERRORS, ReadPool, connect, deadline
from acode_tui.storage.postgres.errors import fault_of
from acode_tui.storage.postgres.identifiers import Connection, quoted_schema
from acode_tui.storage.postgres.rows import PG_TYPES

_COLUMNS = """
SELECT table_name, column_name, udt_name, is_nullable = 'YES' AS nullable
FROM information_schema.columns WHERE table_schema = $1
"""
_OWN = {"change_seq": ("int8", False), "synced_at": ("timestamptz", False), "workspace_id": ("uuid", False)}
"""Columns that only this tier has, on every entity table."""

_OTHER_TABLES = ("workspaces", "sync_inbox", "sync_conflicts", "schema_migrations")
_UDT = {"bigint": "int8"}
_MOST_FINDINGS = 5


class TeamCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one workspace by kind, and the last number that its rows there carry; None if it is not known there."""

    rows: dict[EntityType, int]
    change_seq: int | None


async def check_migrations(pool: ReadPool, schema: str) -> Check:
    """Whether each migration that was applied there is the one that was released."""
    async with pool.connection() as connection:
        try:
            version = await migrate.check_schema(connection, schema)
        except AcodeError as error:
            return Check(name="remote migrations", ok=False, description=error.message)
    return Check(name="remote migrations", ok=True, description=f"{version}, each as it was released")


async def check_tables(pool: ReadPool, schema: str) -> Check:
    """Whether every table and column is there, of the right type, and takes no less and no more than it should."""
    present: dict[str, dict[str, tuple[str, bool]]] = {}
    async with pool.connection() as connection:
        for table, column, type_, nullable in await connection.fetch(_COLUMNS, schema):
            present.setdefault(table, {})[column] = (type_, nullable)
    wrong = [f"table {name} is missing" for name in _OTHER_TABLES if name not in present]
    for each in TABLES.values():
        if each.name not in present:
            wrong.append(f"table {each.name} is missing")
            continue
        for column, expected in _expected(each).items():
            found = present[each.name].get(column)
            if found is None:
                wrong.append(f"{each.name}.{column} is missing")
            elif found != expected:
                wrong.append(f"{each.name}.{column} is {_described(found)}, not {_described(expected)}")
    description = f"all {len(TABLES) + len(_OTHER_TABLES)} are there, with every column"
    if wrong:
        description = "; ".join(wrong[:_MOST_FINDINGS])
        if len(wrong) > _MOST_FINDINGS:
            description += f"; and {len(wrong) - _MOST_FINDINGS} more"
    return Check(name="remote tables", ok=not wrong, description=description)


async def count_rows(pool: ReadPool, schema: str, workspace_id: str) -> TeamCounts:
    """How many rows of the workspace are there."""
    name = quoted_schema(schema)
    async with pool.connection() as connection:
        rows = {
            kind: int(
                await connection.fetchval(
                    f"SELECT count(*) FROM {name}.{table.name} WHERE workspace_id = $1",  # noqa: S608
                    workspace_id,
                )
            )
            for kind, table in TABLES.items()
        }
        head = await connection.fetchval(
            f"SELECT change_seq FROM {name}.workspaces WHERE id = $1",  # noqa: S608
            workspace_id,
        )
    return TeamCounts(rows=rows, change_seq=head)


async def changed_after(pool: ReadPool, schema: str, kind: EntityType, ids: Sequence[str], change_seq: int) -> set[str]:
    """Those of the rows that were written after a number of the central order: news for whoever stands there."""
    async with pool.connection() as connection:
        rows = await connection.fetch(
            f"SELECT id FROM {quoted_schema(schema)}.{TABLES[kind].name} "  # noqa: S608
            "WHERE id = ANY($1::uuid[]) AND change_seq > $2",
            list(ids),
            change_seq,
        )
    return {str(row["id"]) for row in rows}


def _expected(table: Table) -> dict[str, tuple[str, bool]]:
    own = {}
    for column in table.columns:
        type_ = PG_TYPES[column.kind]
        own[column.name] = (_UDT.get(type_, type_), column.nullable)
    return {**_OWN, **own}


def _described(column: tuple[str, bool]) -> str:
    type_, nullable = column
    return f"{type_}{' null' if nullable else ' not null'}"


_LOOK = """
SELECT clock_timestamp() AS now, current_setting('server_version') AS version,
    current_setting('transaction_read_only')::boolean OR pg_is_in_recovery() AS read_only
"""


async def facts_of(connection: Connection, *, schema: str, wall: WallClock, distributed: bool) -> TargetFacts:
    """What a connection lets see. Never raises for a schema."""
    before, started = wall(), perf_counter()
    row = await connection.fetchrow(_LOOK)
    latency = perf_counter() - started
    assert row is not None
    return TargetFacts(
        server_version=row["version"],
        schema_version=await migrate.schema_version(connection, schema),
        latency=latency,
        clock_offset=(row["now"] - before - timedelta(seconds=latency / 2)).total_seconds(),
        read_only=row["read_only"],
        distributed=distributed,
        server_time=row["now"],
    )


async def probe(
    target: PostgresTarget, *, schema: str, connect_timeout: float, command_timeout: float, wall: WallClock
) -> TargetFacts:
    """The same over a connection made for it. Timeouts in seconds. Raises PostgresFault."""
    connection = await connect(target, connect_timeout=connect_timeout)
    try:
        with deadline(connection, command_timeout):
            facts = await facts_of(connection, schema=schema, wall=wall, distributed=await has_citus(connection))
            await connection.close()
            return facts
    except (*DRIVER_ERRORS, SchemaMismatchError) as error:
        raise PostgresFault(fault_of(error, target)) from None
    finally:
        if not connection.is_closed():
            connection.terminate()
