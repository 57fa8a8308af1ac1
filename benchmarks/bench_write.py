"""A durable write, alone and among 64 writers, beside a bare ``sqlite3`` loop of the same statements and fsyncs.

The floor writes prepared rows into a file of the same schema, triggers and full-text indexes included, one commit a
write: no validation, no clock, no JSON, no thread, no event loop.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from acode_tui.domain.clock import format_time, system_clock
from acode_tui.domain.entities import Session
from acode_tui.domain.ids import new_id
from acode_tui.domain.states import Operation, SessionState
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.runs import row_writes as entity_writes
from acode_tui.workspace import Workspace
from benchmarks.result import Measure, at_least, at_most, within
from benchmarks.scale import sized
from benchmarks.timing import milliseconds, quantile, timed, timed_call
from benchmarks.workspaces import bare_connection, make_database, workspace

WRITERS = 64
_DESCRIPTION = "Add input validation to the login form, case {}"


def run() -> list[Measure]:
    return asyncio.run(_run())


async def _run() -> list[Measure]:
    with TemporaryDirectory(prefix="acode-benchmark-") as folder:
        path = await asyncio.to_thread(make_database, Path(folder))
        async with workspace() as ours:
            with bare_connection(path) as bare:
                return [*await _single(ours, bare), *await _many(ours, bare)]


async def _single(ours: Workspace, bare: sqlite3.Connection) -> list[Measure]:
    numbers = count()
    floor_write = _floor(bare, ours.workspace_id)
    ours_times: list[float] = []
    floor_times: list[float] = []
    for round_ in range(sized(60, 15)):
        floor_times += [timed_call(floor_write) for _ in range(10)]
        ours_times += [await timed(ours.store.create_session(_DESCRIPTION.format(next(numbers)))) for _ in range(10)]
        if round_ == 0:  # the first writes of both open caches and files
            ours_times.clear()
            floor_times.clear()
    value = milliseconds(ours_times)
    return [
        within("single durable write, median", value, "ms", milliseconds(floor_times), 2.5),
        at_most("single durable write, 99th percentile", quantile(ours_times, 0.99) * 1e3, "ms", 25),
        await _tool_call(ours),
    ]


async def _tool_call(ours: Workspace) -> Measure:
    """The busiest write: a call ends, and its step, task and session move with it."""
    session = await ours.store.create_session("A session with calls")
    task = await ours.store.add_task(session.id, "Look")
    step = await ours.store.add_step(task.id, "Read")
    times = []
    for _ in range(sized(200, 50)):
        call = await ours.store.add_tool_call(step.id, "read_file", {"path": "login.ts"})
        times.append(await timed(ours.store.complete_tool_call(call.id, result={"lines": 120})))
    return at_most("tool call completed (4 rows, 4 records), median", milliseconds(times), "ms", 25)


async def _many(ours: Workspace, bare: sqlite3.Connection) -> list[Measure]:
    each = sized(20, 5)
    floor_write = _floor(bare, ours.workspace_id)

    async def writer(number: int) -> None:
        for turn in range(each):
            await ours.store.create_session(_DESCRIPTION.format(f"{number}-{turn}"))

    rates, floor_rates = [], []
    for _ in range(5):
        started = perf_counter()
        for _ in range(WRITERS * 4):
            floor_write()
        floor_rates.append(WRITERS * 4 / (perf_counter() - started))
        started = perf_counter()
        await asyncio.gather(*(writer(number) for number in range(WRITERS)))
        rates.append(WRITERS * each / (perf_counter() - started))
    middle = len(rates) // 2
    name = f"{WRITERS} concurrent writers"
    return [at_least(name, sorted(rates)[middle], "writes/s", sorted(floor_rates)[middle], 3)]


def _floor(connection: sqlite3.Connection, workspace_id: str) -> Callable[[], None]:
    """One session and its outbox record in one commit, everything about them prepared."""
    prepared = iter([_prepared(workspace_id, number) for number in range(sized(6000, 2000))])

    def write() -> None:
        row, record = next(prepared)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(rows.INSERT[Session.kind], row)
        connection.execute(entity_writes.ENQUEUE, record)
        connection.execute("COMMIT")

    return write


def _prepared(workspace_id: str, number: int) -> tuple[rows.Row, rows.Row]:
    now = system_clock()
    session = Session(
        id=new_id(),
        task_description=_DESCRIPTION.format(number),
        state=SessionState.CREATED,
        created_at=now,
        updated_at=now,
        workspace_id=workspace_id,
        user_id="someone@example.org",
    )
    row = rows.to_row(session)
    return row, entity_writes.outbox_row(session.kind, row, Operation.INSERT, format_time(now))
