"""The rate of the apply protocol beside two bare deliveries of the same rows, in the same run on the same server.

The floor is a bare ``unnest`` upsert into the same tables: one statement a batch, like the program's, committed by
itself, on values that were made before the clock started; no head, ledger, comparison or settling. The simplest sync
is a loop of one prepared upsert a row. Over a proxy with 50 ms round trips the number of round trips decides: the
``unnest`` upsert has one a batch there too, and so has each row of the loop.
"""

from collections.abc import Sequence
from itertools import count
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

import asyncpg

from acode_tui.config.postgres_address import PostgresTarget
from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES, Column
from acode_tui.domain.states import EntityType
from acode_tui.storage.postgres.migrate import migrate
from acode_tui.storage.postgres.rows import PG_TYPES, column_values, stored_columns
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.sync.conflict import ConflictResolver
from benchmarks.result import Measure, at_least, no_less
from benchmarks.scale import sized
from benchmarks.servers import measured_on_a_server
from tests.fault_proxy import FaultProxy, fault_proxy
from tests.pg import Server
from tests.storage.runs import make_run, plain, records

WORKSPACE = "0190d6a1-0000-7000-8000-000000000001"
BATCH = 500
RECORDS = 10_000
ROUND_TRIP = 0.05
ROUNDS = 3
FAR_RATE = 1_500.0
"""Records a second that are reached at a round trip of 50 ms."""


def run() -> list[Measure]:
    """All measures."""
    return measured_on_a_server(_measure)


async def _measure(server: Server) -> list[Measure]:
    applied, floors = [], []
    for number in range(ROUNDS):
        rows = mixed(sized(RECORDS, 2_000))
        floors.append(await bare_rates(server, f"bare_{number}", rows))
        applied.append(await _applied(await new_database(server, f"applied_{number}"), rows))
    rows = mixed(sized(RECORDS, 5_000))
    async with fault_proxy("127.0.0.1", server.port, latency=ROUND_TRIP) as proxy:
        far_floor = await unnest_rate(through(await new_database(server, "far_bare"), proxy), rows)
        far = await _applied(through(await new_database(server, "far"), proxy), rows)
    rate = median(applied)
    unnest, row_by_row = (median(rates) for rates in zip(*floors, strict=True))
    return [
        at_least("deliver mixed records, beside a bare unnest upsert", rate, "records/s", unnest, 0.4),
        at_least("deliver mixed records, beside row by row", rate, "records/s", row_by_row, 3),
        no_less("deliver mixed records at 50 ms round trip", far, "records/s", FAR_RATE).beside(far_floor),
    ]


def mixed(number: int) -> list[Entity]:
    """Whole runs of about a hundred rows, parents first: in the order an outbox holds them."""
    rows: list[Entity] = []
    while len(rows) < number:
        rows += plain(make_run(WORKSPACE, calls=48))
    return rows[:number]


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


def through(url: str, proxy: FaultProxy) -> str:
    """The database's URL with the proxy's port."""
    address, _, database = url.rpartition("/")
    return f"{address.rpartition(':')[0]}:{proxy.port}/{database}"


async def _applied(url: str, rows: Sequence[Entity]) -> float:
    target = PostgresSyncTarget(_target(url), ConflictResolver())
    head = await target.register_workspace(WORKSPACE, user="bench", host="bench", version="0")
    batches = _batches(records(rows))
    await target.probe()
    started = perf_counter()
    for batch in batches:
        await target.apply(WORKSPACE, batch, incarnation=head.incarnation)
    elapsed = perf_counter() - started
    await target.close()
    return len(rows) / elapsed


async def bare_rates(server: Server, name: str, rows: Sequence[Entity]) -> tuple[float, float]:
    """Rows a second of both bare deliveries of ``rows``, each into a new database: ``unnest``, row by row."""
    return (
        await unnest_rate(await new_database(server, f"{name}_unnest"), rows),
        await _row_by_row_rate(await new_database(server, f"{name}_rows"), rows),
    )


async def unnest_rate(url: str, rows: Sequence[Entity], *, batch: int = BATCH) -> float:
    """Rows a second of one upsert statement for each batch."""
    connection = await asyncpg.connect(url)
    prepared = [unnest_arrays(each) for each in _batches(rows, batch)]
    started = perf_counter()
    for arrays in prepared:
        await connection.execute(_UNNEST, WORKSPACE, *arrays)
    elapsed = perf_counter() - started
    await connection.close()
    return len(rows) / elapsed


def unnest_arrays(rows: Sequence[Entity]) -> list[list[Any]]:
    return [column for kind in TABLES for column in _columns(kind, [row for row in rows if row.kind is kind])]


async def _row_by_row_rate(url: str, rows: Sequence[Entity]) -> float:
    """Rows a second of one upsert statement for each row. Both bare deliveries commit every statement."""
    connection = await asyncpg.connect(url)
    prepared = [(_ONE_ROW[row.kind], [column[0] for column in _columns(row.kind, [row])]) for row in rows]
    started = perf_counter()
    for statement, values in prepared:
        await connection.execute(statement, WORKSPACE, *values)
    elapsed = perf_counter() - started
    await connection.close()
    return len(rows) / elapsed


def _columns(kind: EntityType, rows: Sequence[Entity]) -> list[list[Any]]:
    return [column_values(column, rows) for column in own_columns(kind)]


def own_columns(kind: EntityType) -> list[Column]:
    return [column for column in stored_columns(TABLES[kind]) if column.name != "workspace_id"]


def _upsert_sql(kind: EntityType, values: str) -> str:
    """An upsert of ``values``: a SELECT or VALUES of the table's columns, the workspace and a ``change_seq``."""
    names = [f'"{column.name}"' for column in own_columns(kind)]
    key = "(id)" if kind is EntityType.SESSION else "(session_id, id)"
    sets = ", ".join(f"{name} = EXCLUDED.{name}" for name in names)
    columns = ", ".join(names)
    return (
        f"INSERT INTO {TABLES[kind].name} ({columns}, workspace_id, change_seq) {values} "
        f"ON CONFLICT {key} DO UPDATE SET {sets}"
    )


def _one_row_sql(kind: EntityType) -> str:
    parameters = ", ".join(f"${number}" for number, _ in enumerate(own_columns(kind), 2))
    return _upsert_sql(kind, f"VALUES ({parameters}, $1, 1)")


def _unnest_sql() -> str:
    """The upserts of one statement for the arrays of all tables: a foreign key is checked at its end."""
    numbers = count(2)
    parts = []
    for kind, table in TABLES.items():
        names = ", ".join(f'"{column.name}"' for column in own_columns(kind))
        arrays = ", ".join(f"${next(numbers)}::{PG_TYPES[column.kind]}[]" for column in own_columns(kind))
        select = f"SELECT {names}, $1::uuid, 1 FROM unnest({arrays}) AS u ({names})"
        parts.append(f"{table.name}_written AS ({_upsert_sql(kind, select)})")
    return f"WITH {', '.join(parts)}"


_ONE_ROW = {kind: _one_row_sql(kind) for kind in TABLES}
UNNEST_PARTS = _unnest_sql()
"""The upserts of all tables, each as a part of a WITH, which a SELECT has to follow."""
_UNNEST = f"{UNNEST_PARTS} SELECT"


R = TypeVar("R")


def _batches(rows: Sequence[R], size: int = BATCH) -> list[Sequence[R]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _target(url: str) -> PostgresTarget:
    address, _, database = url.rpartition("/")
    return PostgresTarget(
        host="127.0.0.1",
        port=int(address.rpartition(":")[2]),
        database=database,
        user="postgres",
        password=None,
        sslmode="disable",
    )


if __name__ == "__main__":
    for line in run():
        print(line)
