"""A durable write, alone and among 64 writers, beside a bare ``sqlite3`` loop of the same statements and fsyncs.

The floor inserts prepared rows of the same size into a file of the same schema and triggers
included, on a connection with the settings of the program's own: no validation, no clock, no JSON, no thread, no event
loop. It commits each write, or 64 of them at once: as many as can wait for one group commit.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import msgspec

from acode_tui.domain.clock import format_time, system_clock
from acode_tui.domain.entities import Session
from acode_tui.domain.ids import new_id
from acode_tui.domain.states import Operation
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.runs import outbox_writes
from acode_tui.workspace import Workspace
from benchmarks.result import Measure, at_least, at_most, within
from benchmarks.scale import sized
from benchmarks.timing import milliseconds, quantile, timed, timed_call
from benchmarks.workspaces import bare_writer, make_database, workspace

WRITERS = 64
GROUPS = 10
"""Floor commits of a round: one row in each, then 64 rows in each."""

ROUNDS = 5
_DESCRIPTION = "Add input validation to the login form, case {:06d}"


def run() -> list[Measure]:
    return asyncio.run(_run())


async def _run() -> list[Measure]:
    with TemporaryDirectory(prefix="acode-benchmark-") as folder:
        path = await asyncio.to_thread(make_database, Path(folder))
        async with workspace() as ours:
            with bare_writer(path) as bare:
                return [*await _single(ours, bare), *await _many(ours, bare)]


async def _single(ours: Workspace, bare: sqlite3.Connection) -> list[Measure]:
    numbers = count()

    async def write() -> Session:
        return await ours.store.create_session(_DESCRIPTION.format(next(numbers)))

    floor_write = _floor(bare, await write(), commits=sized(600, 150))
    ours_times: list[float] = []
    floor_times: list[float] = []
    for round_ in range(sized(60, 15)):
        floor_times += [timed_call(floor_write) for _ in range(10)]
        ours_times += [await timed(write()) for _ in range(10)]
        if round_ == 0:  # the first writes of both open caches and files
            ours_times.clear()
            floor_times.clear()
    value = milliseconds(ours_times)
    return [
        within("single durable write, median", value, "ms", milliseconds(floor_times), 1.6),
        at_most("single durable write, 99th percentile", quantile(ours_times, 0.99) * 1e3, "ms", 25),
        await _tool_call(ours),
    ]


async def _tool_call(ours: Workspace) -> Measure:
    """The busiest write: a call ends, and the last activity of its session with it."""
    session = await ours.store.create_session("A session with calls")
    task = await ours.store.add_task(session.id, "Look")
    step = await ours.store.add_step(task.id, "Read")
    times = []
    for _ in range(sized(200, 50)):
        call = await ours.store.add_tool_call(step.id, "read_file", {"path": "login.ts"})
        times.append(await timed(ours.store.complete_tool_call(call.id, result={"lines": 120})))
    return at_most("tool call completed, median", milliseconds(times), "ms", 25)


async def _many(ours: Workspace, bare: sqlite3.Connection) -> list[Measure]:
    each = sized(20, 5)
    numbers = count()
    sample = await ours.store.create_session(_DESCRIPTION.format(0))
    write_one = _floor(bare, sample, commits=ROUNDS * WRITERS * 4)
    write_group = _floor(bare, sample, commits=ROUNDS * GROUPS, rows_per_commit=WRITERS)

    async def writer() -> None:
        for _ in range(each):
            await ours.store.create_session(_DESCRIPTION.format(next(numbers)))

    rates, single_rates, group_rates = [], [], []
    for _ in range(ROUNDS):
        single_rates.append(_rate(write_one, WRITERS * 4))
        group_rates.append(_rate(write_group, GROUPS) * WRITERS)
        started = perf_counter()
        await asyncio.gather(*(writer() for _ in range(WRITERS)))
        rates.append(WRITERS * each / (perf_counter() - started))
    name, rate = f"{WRITERS} concurrent writers", median(rates)
    return [
        at_least(name, rate, "writes/s", median(single_rates), 3),
        Measure(name=f"{name}, beside {WRITERS} rows a commit", value=rate, unit="writes/s").beside(
            median(group_rates)
        ),
    ]


def _rate(commit: Callable[[], None], times: int) -> float:
    """Commits a second."""
    started = perf_counter()
    for _ in range(times):
        commit()
    return times / (perf_counter() - started)


def _floor(
    connection: sqlite3.Connection, sample: Session, *, commits: int, rows_per_commit: int = 1
) -> Callable[[], None]:
    """Sessions like ``sample`` and their outbox records, one commit a call, everything about them prepared.

    The rows of a commit share one statement, which costs less than one each.
    """
    insert, enqueue = (_with_rows(sql, rows_per_commit) for sql in (rows.INSERT[Session.kind], outbox_writes.ENQUEUE))
    prepared = iter([_prepared(sample, rows_per_commit) for _ in range(commits)])

    def write() -> None:
        sessions, records = next(prepared)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(insert, sessions)
        connection.execute(enqueue, records)
        connection.execute("COMMIT")

    return write


def _with_rows(insert: str, rows_: int) -> str:
    head, parameters = insert.rsplit(" VALUES ", 1)
    return f"{head} VALUES {', '.join([parameters] * rows_)}"


def _prepared(sample: Session, rows_: int) -> tuple[list[Any], list[Any]]:
    """The values of so many sessions, and those of their records."""
    sessions: list[Any] = []
    records: list[Any] = []
    for number in range(rows_):
        now = system_clock()
        session = msgspec.structs.replace(
            sample, id=new_id(), task_description=_DESCRIPTION.format(number), created_at=now, updated_at=now
        )
        row = rows.to_row(session)
        sessions += row
        records += outbox_writes.outbox_row(session.kind, row, Operation.INSERT, format_time(now))
    return sessions, records
