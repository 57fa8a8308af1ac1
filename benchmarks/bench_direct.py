"""Recording straight into PostgreSQL: the rate of 64 writers, and of one, each call's own write answered by its commit.

The floor is a bare ``unnest`` upsert of the same rows, one statement for as many writes as there are writers: the
calls, their sessions' stamps, the rows of the ledger, without which a write whose answer was lost would be made twice,
and those of the search index. All values, digests and lexemes too, are made before the clock starts. It locks no head,
compares no version, validates and redacts nothing, and no caller waits for an answer of its own. For information, the
upsert of calls and stamps alone. And, where the package is installed, LangGraph's own saver, which checkpoints an
agent's state in PostgreSQL: 64 writers over its pool of connections (``langgraph-checkpoint-postgres``, which is no
dependency of this project).
"""

import asyncio
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import Any

import asyncpg
import msgspec

from acode_tui.config.settings import Settings
from acode_tui.domain.codec import content_digest
from acode_tui.domain.entities import Entity, ToolCall
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.postgres.apply_sql import digest_of, document_of
from acode_tui.storage.postgres.batch_lexemes import Lexemes, lexemes_by_session, search_arrays
from acode_tui.workspace.direct import DirectWorkspace, open_direct
from benchmarks.bench_apply import UNNEST_PARTS, WORKSPACE, new_database, own_columns, unnest_arrays, unnest_rate
from benchmarks.result import Measure, at_least
from benchmarks.scale import sized
from benchmarks.servers import measured_on_a_server
from tests.pg import Server
from tests.storage.runs import plain, records

WRITERS = 64
CALLS = 100
"""Calls of each writer."""

ROUNDS = 3
PARAMETERS = {"path": "src/login.ts", "limit": 400, "note": "x" * 200}
LANGGRAPH_TIMES = 3.0
_SESSION = EntityType.SESSION


def run() -> list[Measure]:
    """All measures."""
    return measured_on_a_server(_measure)


async def _measure(server: Server) -> list[Measure]:
    calls = sized(CALLS, 10)
    many, bare, same, one, savers = [], [], [], [], []
    for number in range(ROUNDS):
        url = await new_database(server, f"direct_{number}")
        async with open_direct(url, settings=Settings()) as workspace:
            many.append(await _rate(workspace, WRITERS, calls))
            one.append(await _rate(workspace, 1, calls))
            batches = await _recorded(workspace, calls)
        bare.append(await _bare_rate(await new_database(server, f"bare_{number}"), batches))
        same.append(await _same_rows_rate(await new_database(server, f"same_{number}"), batches))
        if find_spec("langgraph") is not None and find_spec("langgraph.checkpoint.postgres") is not None:
            savers.append(await _langgraph_rate(server, f"langgraph_{number}", calls // 5))
    rate = median(many)
    beside = f"{WRITERS} writers straight into PostgreSQL, beside"
    measures = [
        at_least(f"{beside} a bare unnest of the same rows", rate, "writes/s", median(same), 0.5),
        Measure(name=f"{beside} one of calls and sessions alone", value=rate, unit="writes/s").beside(median(bare)),
        Measure(name="one writer straight into PostgreSQL", value=median(one), unit="writes/s"),
    ]
    if savers:
        measures.insert(1, at_least(f"{beside} LangGraph's saver", rate, "writes/s", median(savers), LANGGRAPH_TIMES))
    return measures


async def _rate(workspace: DirectWorkspace, writers: int, calls: int) -> float:
    """Calls a second that so many writers add, each to a run of its own and one after the other."""
    steps = [await _begin(workspace) for _ in range(writers)]

    async def write(step_id: str) -> None:
        for number in range(calls):
            await workspace.store.add_tool_call(step_id, "read_file", {**PARAMETERS, "n": number}, started=True)

    started = perf_counter()
    await asyncio.gather(*map(write, steps))
    return writers * calls / (perf_counter() - started)


async def _begin(workspace: DirectWorkspace) -> str:
    session = await workspace.store.create_session("Add input validation to the login form")
    task = await workspace.store.add_task(session.id, "Analyse", started=True)
    return (await workspace.store.add_step(task.id, "Read the login form", started=True)).id


async def _recorded(workspace: DirectWorkspace, calls: int) -> list[list[Entity]]:
    """The rows of the 64 runs: what they began with, then a batch for each round of their calls."""
    begun: list[Entity] = []
    rounds: list[list[Entity]] = [[] for _ in range(calls)]
    for session in await workspace.store.list(limit=200):
        rows = plain(await workspace.store.get_with_hierarchy(session.id))
        own = [row for row in rows if isinstance(row, ToolCall)]
        if len(own) != calls:
            continue
        begun += [row for row in rows if not isinstance(row, ToolCall)]
        for number, call in enumerate(own):
            stamped = [msgspec.structs.replace(row, updated_at=call.updated_at) for row in rows if row.kind is _SESSION]
            rounds[number] += [*stamped, call]
    return [begun, *rounds]


async def _bare_rate(url: str, batches: list[list[Entity]]) -> float:
    """Calls a second of the bare upsert: each call has its session's stamp beside it."""
    begun, *rounds = batches
    await unnest_rate(url, begun, batch=len(begun))
    size = len(rounds[0])
    return await unnest_rate(url, [row for rows in rounds for row in rows], batch=size) / 2


async def _same_rows_rate(url: str, batches: list[list[Entity]]) -> float:
    """Calls a second of the bare upsert with the rows of the ledger and of the search index."""
    begun, *rounds = batches
    connection = await asyncpg.connect(url)
    try:
        known: Lexemes = {}
        prepared = [await _same_rows(rows, known, number) for number, rows in enumerate((begun, *rounds))]
        await connection.execute(_SAME_ROWS, WORKSPACE, *prepared[0])
        started = perf_counter()
        for arrays in prepared[1:]:
            await connection.execute(_SAME_ROWS, WORKSPACE, *arrays)
        elapsed = perf_counter() - started
    finally:
        await connection.close()
    return sum(len(rows) for rows in rounds) / 2 / elapsed


async def _same_rows(rows: list[Entity], known: Lexemes, number: int) -> list[Any]:
    """The arrays of a batch with this number: its rows, their ledger, and lexemes that a session has not had yet."""
    records_of = records(rows)
    lexemes = await lexemes_by_session(rows)
    new = {each: dict.fromkeys(found.keys() - known.get(each, {}).keys()) for each, found in lexemes.items()}
    for session_id, found in lexemes.items():
        known.setdefault(session_id, {}).update(found)
    return [
        *unnest_arrays(rows),
        [record.session_id for record in records_of],
        [record.idempotency_key for record in records_of],
        [content_digest(record.entity) for record in records_of],
        *search_arrays({session_id: found for session_id, found in new.items() if found}, first_part=number),
    ]


def _same_rows_sql() -> str:
    first = sum(len(own_columns(kind)) for kind in TABLES) + 2
    ledger, search = (
        ", ".join(f"${number}::{type_}[]" for number, type_ in enumerate(types, start))
        for start, types in ((first, ("uuid", "text", "bytea")), (first + 3, ("uuid", "integer", "text")))
    )
    return (
        f"{UNNEST_PARTS}, ledger AS (INSERT INTO sync_inbox "
        "(session_id, idempotency_key, key_digest, workspace_id, payload_sha256, change_seq) "
        f"SELECT session_id, key, {digest_of('key')}, $1, digest, 1 "
        f"FROM unnest({ledger}) AS u (session_id, key, digest) ON CONFLICT (session_id, key_digest) DO NOTHING), "
        "searched AS (INSERT INTO session_search (session_id, workspace_id, change_seq, part, document) "
        f"SELECT session_id, $1, 1, part, {document_of('lexemes')} "
        f"FROM unnest({search}) AS u (session_id, part, lexemes)) SELECT"
    )


_SAME_ROWS = _same_rows_sql()


async def _langgraph_rate(server: Server, name: str, calls: int) -> float:
    """Checkpoints a second that 64 writers put, each on a thread of its own and one after the other."""
    # Imported by name: the type checker runs where the package is not installed.
    base: Any = import_module("langgraph.checkpoint.base")
    aio: Any = import_module("langgraph.checkpoint.postgres.aio")
    rows: Any = import_module("psycopg.rows")
    pools: Any = import_module("psycopg_pool")
    await server.execute(f"CREATE DATABASE {name}")
    options: dict[str, Any] = {"autocommit": True, "prepare_threshold": 0, "row_factory": rows.dict_row}
    async with pools.AsyncConnectionPool(
        server.url(name), min_size=10, max_size=10, kwargs=options, open=False
    ) as pool:
        saver = aio.AsyncPostgresSaver(pool)
        await saver.setup()

        async def write(writer: int) -> None:
            config: Any = {"configurable": {"thread_id": f"{writer}", "checkpoint_ns": ""}}
            for number in range(calls):
                version = f"{number:032}.0"
                checkpoint = {
                    **base.empty_checkpoint(),
                    "channel_values": {"call": {**PARAMETERS, "n": number}},
                    "channel_versions": {"call": version},
                }
                config = await saver.aput(config, checkpoint, {"source": "loop", "step": number}, {"call": version})

        started = perf_counter()
        await asyncio.gather(*map(write, range(WRITERS)))
        return WRITERS * calls / (perf_counter() - started)


if __name__ == "__main__":
    for line in run():
        print(line)
