"""The rate of the apply protocol beside the least that any delivery costs, in one run on one server.

The floor is a bare batched ``unnest`` upsert of the same rows into the same tables: no head, ledger, comparison or
settling. Row by row is the simplest sync. Over a proxy with 50 ms round trips their number decides.
"""

import statistics
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import asyncpg

from acode_tui.config.postgres_address import PostgresTarget
from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import ApplyRow
from acode_tui.storage.postgres.migrate import migrate
from acode_tui.storage.postgres.rows import PG_TYPES, column_values, stored_columns
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.sync.conflict import ConflictResolver
from benchmarks.result import Measure, at_least
from benchmarks.servers import measured_on_a_server
from tests.fault_proxy import fault_proxy
from tests.pg import Server
from tests.storage.runs import make_run, plain, records

WORKSPACE = "0190d6a1-0000-7000-8000-000000000001"
BATCH = 500
RECORDS = 20_000
ROW_BY_ROW = 1_000
ROUND_TRIP = 0.05
ROUNDS = 3
FAR_FLOOR = 1_500.0


def run() -> list[Measure]:
    """All measures."""
    return measured_on_a_server(_measure)


async def _measure(server: Server) -> list[Measure]:
    bare, applied = [], []
    for number in range(ROUNDS):
        rows = mixed(RECORDS)
        bare.append(await bare_rate(await new_database(server, f"bare_{number}"), rows))
        applied.append(await _applied(await new_database(server, f"applied_{number}"), rows))
    single = await row_by_row_rate(await new_database(server, "single"), mixed(ROW_BY_ROW))
    async with fault_proxy("127.0.0.1", server.port, latency=ROUND_TRIP) as proxy:
        far = await _applied(await new_database(server, "far"), mixed(10_000), port=proxy.port)
    floor, rate = statistics.median(bare), statistics.median(applied)
    return [
        at_least("deliver mixed records, beside a bare unnest upsert", rate, "records/s", floor, 0.4),
        at_least("deliver mixed records, beside row by row", rate, "records/s", single, 13),
        at_least("deliver mixed records at 50 ms round trip", far, "records/s", FAR_FLOOR, 1),
    ]


def mixed(count: int) -> list[Entity]:
    """Whole runs of about a hundred rows, parents first: in the order an outbox holds them."""
    rows: list[Entity] = []
    while len(rows) < count:
        rows += plain(make_run(WORKSPACE, calls=48))
    return rows[:count]


async def new_database(server: Server, name: str) -> str:
    await server.execute(f"CREATE DATABASE {name}")
    connection = await asyncpg.connect(server.url(name))
    try:
        await migrate(connection)
    finally:
        await connection.close()
    # So that no round pays for the checkpoint of the one before.
    await server.execute("CHECKPOINT")
    return server.url(name)


async def _applied(url: str, rows: Sequence[Entity], *, port: int | None = None) -> float:
    target = PostgresSyncTarget(_target(url, port), ConflictResolver())
    head = await target.register_workspace(WORKSPACE, user="bench", host="bench", version="0")
    batches = [list(batch) for batch in _batches(records(rows))]
    await target.probe()
    started = perf_counter()
    for batch in batches:
        await target.apply(WORKSPACE, batch, incarnation=head.incarnation)
    elapsed = perf_counter() - started
    await target.close()
    return len(rows) / elapsed


async def bare_rate(url: str, rows: Sequence[Entity]) -> float:
    connection = await asyncpg.connect(url)
    started = perf_counter()
    for start in range(0, len(rows), BATCH):
        await _upsert(connection, rows[start : start + BATCH])
    elapsed = perf_counter() - started
    await connection.close()
    return len(rows) / elapsed


async def row_by_row_rate(url: str, rows: Sequence[Entity]) -> float:
    connection = await asyncpg.connect(url)
    started = perf_counter()
    for row in rows:
        await _upsert(connection, [row])
    elapsed = perf_counter() - started
    await connection.close()
    return len(rows) / elapsed


async def _upsert(connection: Any, rows: Sequence[Entity]) -> None:
    async with connection.transaction():
        for kind in TABLES:
            mine = [row for row in rows if row.kind is kind]
            if mine:
                await connection.execute(_UPSERTS[kind], WORKSPACE, *_columns(kind, mine))


def _columns(kind: EntityType, rows: Sequence[Entity]) -> list[list[Any]]:
    return [column_values(column, rows) for column in stored_columns(TABLES[kind]) if column.name != "workspace_id"]


def _upsert_sql(kind: EntityType) -> str:
    table = TABLES[kind]
    columns = [column for column in stored_columns(table) if column.name != "workspace_id"]
    names = ", ".join(f'"{column.name}"' for column in columns)
    arrays = ", ".join(f"${number}::{PG_TYPES[column.kind]}[]" for number, column in enumerate(columns, 2))
    key = "(id)" if kind is EntityType.SESSION else "(session_id, id)"
    sets = ", ".join(f'"{column.name}" = EXCLUDED."{column.name}"' for column in columns)
    return (
        f"INSERT INTO {table.name} ({names}, workspace_id, change_seq) "
        f"SELECT {names}, $1::uuid, 1 FROM unnest({arrays}) AS u ({names}) ON CONFLICT {key} DO UPDATE SET {sets}"
    )


_UPSERTS = {kind: _upsert_sql(kind) for kind in TABLES}


def _batches(rows: Sequence[ApplyRow]) -> list[Sequence[ApplyRow]]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def _target(url: str, port: int | None) -> PostgresTarget:
    address, _, database = url.rpartition("/")
    return PostgresTarget(
        host="127.0.0.1",
        port=port or int(address.rpartition(":")[2]),
        database=database,
        user="postgres",
        password=None,
        sslmode="disable",
    )


if __name__ == "__main__":
    for line in run():
        print(line)
