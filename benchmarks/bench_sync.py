"""A whole sync, from the outbox to PostgreSQL: claim, deliver, acknowledge, pull, with both databases durable.

Beside it, on the same server in the same run: the two bare deliveries of ``bench_apply``, of the very rows that the
outbox holds. They read no outbox and acknowledge nothing. Memory is that of a process of its own, which does nothing
but drain.
"""

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

import msgspec

import acode_tui
from acode_tui.config import IdentitySettings, Settings
from acode_tui.config.settings import PersistenceSettings, PostgresSettings, SyncSettings
from acode_tui.domain.entities import Entity
from acode_tui.domain.progress import Progress
from acode_tui.workspace import Workspace
from benchmarks.bench_apply import FAR_RATE, ROUND_TRIP, bare_rates, new_database, through, unnest_rate
from benchmarks.bench_redact import tool_output
from benchmarks.result import Measure, at_least, at_most, no_less, within
from benchmarks.scale import sized
from benchmarks.servers import measured_on_a_server
from benchmarks.timing import milliseconds, quantile, timed
from tests.fault_proxy import FaultProxy, Mode, fault_proxy
from tests.pg import Server
from tests.storage.runs import make_run, plain

URL = "ACODE_POSTGRES_URL"
CALLS = 47
RUN_RECORDS = 100
"""Rows in a run of 47 calls: session, event, task and prompt, step and reasoning, each call and its artifact."""

LONG_BACKLOG = int(os.environ.get("ACODE_BENCHMARKS_BACKLOG", "100000"))
"""Records; 1,000,000 for the long run."""

SETTINGS = Settings(
    identity=IdentitySettings(user="bench@example.org"),
    persistence=PersistenceSettings(postgres=PostgresSettings(enabled=True)),
)


def run() -> list[Measure]:
    """All measures."""
    return measured_on_a_server(_measure)


async def _measure(server: Server) -> list[Measure]:
    return [
        *await _end_to_end(server),
        await _recorded_calls(server, sized(3_000, 600)),
        await _redacted(server, sized(6_000, 1_000)),
        *await _far_away(server),
        await _round_trips(server),
        await _beside_writes(server),
        await _beside_a_hanging_target(server),
        *await _long_backlog(server),
    ]


@asynccontextmanager
async def _filled(url: str, records: int) -> AsyncIterator[tuple[Workspace, list[Entity]]]:
    """A workspace with a backlog for the database at ``url``, and the rows of the backlog."""
    os.environ[URL] = url
    with tempfile.TemporaryDirectory(prefix="acode-bench-") as folder:
        async with acode_tui.open_workspace(folder, settings=SETTINGS) as workspace:
            yield workspace, await fill(workspace, records)


async def fill(workspace: Workspace, records: int) -> list[Entity]:
    """Save runs of so many rows. Returns the rows, in the order of the outbox."""
    rows: list[Entity] = []
    for _ in range(records // RUN_RECORDS):
        graph = make_run(workspace.workspace_id, calls=CALLS)
        await workspace.store.save(graph)
        rows += plain(graph)
    return rows


async def drain(workspace: Workspace) -> float:
    """Records a second, everything counted."""
    report = await workspace.sync.sync_now()
    assert report.remaining == 0
    return report.synced / report.duration_seconds


async def _end_to_end(server: Server) -> list[Measure]:
    records = sized(10_000, 3_000)
    ours, floors = [], []
    for number in range(sized(3, 1)):
        async with _filled(await new_database(server, f"sync_{number}"), records) as (workspace, rows):
            floors.append(await bare_rates(server, f"sync_bare_{number}", rows))
            await server.execute("CHECKPOINT")
            ours.append(await drain(workspace))
    rate = statistics.median(ours)
    unnest, row_by_row = (statistics.median(rates) for rates in zip(*floors, strict=True))
    return [
        at_least("sync of mixed records end to end, beside a bare unnest upsert", rate, "records/s", unnest, 0.4),
        at_least("sync of mixed records end to end, beside row by row", rate, "records/s", row_by_row, 3),
    ]


async def _redacted(server: Server, records: int) -> Measure:
    """Calls with ordinary tool output as their results, redacted beside as they are: the medians of pairs in turn."""
    rates: dict[bool, list[float]] = {True: [], False: []}
    for number in range(sized(5, 1)):
        for redact in (True, False) if number % 2 else (False, True):
            url = await new_database(server, f"sync_redacted_{number}_{redact}".lower())
            os.environ[URL] = url
            persistence = msgspec.structs.replace(SETTINGS.persistence, sync=SyncSettings(redact=redact))
            with tempfile.TemporaryDirectory(prefix="acode-bench-") as folder:
                settings = msgspec.structs.replace(SETTINGS, persistence=persistence)
                async with acode_tui.open_workspace(folder, settings=settings) as workspace:
                    await _fill_with_output(workspace, records)
                    await server.execute("CHECKPOINT")
                    rates[redact].append(await drain(workspace))
    redacted, plain = statistics.median(rates[True]), statistics.median(rates[False])
    return at_least("redacted sync of tool output, beside one in the clear", redacted, "records/s", plain, 0.85)


async def _fill_with_output(workspace: Workspace, records: int) -> None:
    """Runs of so many rows; each call has a kilobyte or two of tool output as its result."""
    pieces = [each[:2_000] for each in tool_output(2_000_000)]
    for start in range(0, records, RUN_RECORDS):
        graph = make_run(workspace.workspace_id, calls=CALLS)
        (task,) = graph.tasks
        (step,) = task.steps
        calls = tuple(
            msgspec.structs.replace(call, result={"stdout": pieces[(start + order) % len(pieces)]})
            for order, call in enumerate(step.tool_calls)
        )
        step = msgspec.structs.replace(step, tool_calls=calls)
        task = msgspec.structs.replace(task, steps=(step,))
        await workspace.store.save(msgspec.structs.replace(graph, tasks=(task,)))


async def _recorded_calls(server: Server, calls: int) -> Measure:
    """A recorder's own traffic: each call is written three times and touches its session. Beside the sync of as many
    rows that were written once.
    """
    async with _filled(await new_database(server, "sync_distinct"), calls) as (workspace, _):
        distinct = await drain(workspace)
    async with _filled(await new_database(server, "sync_recorded"), 0) as (workspace, _):
        store = workspace.store
        session = await store.create_session("recorded")
        task = await store.add_task(session.id, "task")
        step = await store.add_step(task.id, "step")

        async def record(number: int) -> None:
            call = await store.add_tool_call(step.id, "read_file", {"path": f"src/form_{number}.py"})
            await store.start_tool_call(call.id)
            await store.complete_tool_call(call.id, result={"lines": number})

        for start in range(0, calls, 64):
            await asyncio.gather(*(record(number) for number in range(start, min(start + 64, calls))))
        pending = await workspace.outbox.pending_count()
        assert pending == calls + 3
        rate = await drain(workspace)
    return Measure(name="sync of recorded calls, each written three times", value=rate, unit="records/s").beside(
        distinct
    )


async def _far_away(server: Server) -> list[Measure]:
    url = await new_database(server, "sync_far")
    async with (
        fault_proxy("127.0.0.1", server.port, latency=ROUND_TRIP) as proxy,
        _filled(through(url, proxy), sized(10_000, 5_000)) as (workspace, rows),
    ):
        floor = await unnest_rate(through(await new_database(server, "sync_far_bare"), proxy), rows)
        rate = await drain(workspace)
    return [no_less("sync at 50 ms round trip", rate, "records/s", FAR_RATE).beside(floor)]


async def _round_trips(server: Server) -> Measure:
    """A batch of 500 takes as many round trips as one of 50."""
    url = await new_database(server, "sync_trips")
    trips = {}

    async def counted(workspace: Workspace, proxy: FaultProxy, size: int, batches: int) -> int:
        await fill(workspace, size * batches)
        before = proxy.round_trips
        await workspace.sync.sync_now(batch_size=size)
        return proxy.round_trips - before

    async with (
        fault_proxy("127.0.0.1", server.port) as proxy,
        _filled(through(url, proxy), 100) as (workspace, _),
    ):
        await workspace.sync.sync_now()
        for size in (50, 500):
            # What a connection and its first batch cost once cancels out between two and four batches.
            few, more = [await counted(workspace, proxy, size, batches) for batches in (2, 4)]
            trips[size] = (more - few) / 2
    return within("round trips of a batch of 500, beside one of 50", trips[500], "", trips[50], 1.0)


async def _beside_writes(server: Server) -> Measure:
    """What a local write costs its caller while a drain runs, and while none does."""
    url = await new_database(server, "sync_writes")
    async with _filled(url, sized(40_000, 10_000)) as (workspace, _):

        async def write() -> float:
            await asyncio.sleep(0.002)
            return await timed(workspace.store.create_session("written meanwhile"))

        idle = [await write() for _ in range(300)][50:]
        draining = asyncio.create_task(workspace.sync.sync_now())
        busy = []
        while not draining.done():
            busy.append(await write())
        await draining
    return within("local write while a sync runs, median", milliseconds(busy), "ms", milliseconds(idle), 3)


async def _beside_a_hanging_target(server: Server) -> Measure:
    """What a local write costs its caller while a batch waits for a server that accepts bytes and never answers."""
    url = await new_database(server, "sync_hanging")
    async with (
        fault_proxy("127.0.0.1", server.port) as proxy,
        _filled(through(url, proxy), 1_000) as (workspace, _),
    ):
        await workspace.sync.sync_now()
        await fill(workspace, 1_000)
        await proxy.set_mode(Mode.SWALLOW)
        hanging = asyncio.create_task(workspace.sync.sync_now())
        while not proxy.swallowed:  # noqa: ASYNC110 - a proxy has no event to wait for
            await asyncio.sleep(0.01)
        times: list[float] = []
        while len(times) < sized(600, 300) and not hanging.done():  # the sync gives up at its own timeout
            times.append(await timed(workspace.store.create_session("written meanwhile")))
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
    return at_most("local write while the target hangs, 99th percentile", quantile(times, 0.99) * 1e3, "ms", 25)


async def _long_backlog(server: Server) -> list[Measure]:
    records = sized(LONG_BACKLOG, 20_000)
    url = await new_database(server, "sync_long")
    os.environ[URL] = url
    with tempfile.TemporaryDirectory(prefix="acode-bench-") as folder:
        async with acode_tui.open_workspace(folder, settings=SETTINGS) as workspace:
            await fill(workspace, records)
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "benchmarks.bench_sync", folder],
            stdout=subprocess.PIPE,
            check=True,
            env={**os.environ, URL: url},
        )
    answer = json.loads(done.stdout)
    name = f"draining {records:,} records"
    return [
        at_most(f"{name}: resident memory", answer["resident_mib"], "MiB", 200),
        at_least(
            f"{name}: rate of the last quarter, beside the first", answer["last"], "records/s", answer["first"], 0.8
        ),
    ]


def peak_mib() -> float:
    """The most memory this process has had resident.

    Linux keeps a parent's peak in a child's ``ru_maxrss``, across exec; the address space's own peak is the child's.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(each for each in status.read_text().splitlines() if each.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


async def _drain_alone(folder: str) -> None:
    """In a process of its own: drain, and print rate and memory."""
    seen: list[tuple[float, int]] = []
    async with acode_tui.open_workspace(folder, settings=SETTINGS) as workspace:

        def note(progress: Progress) -> None:
            seen.append((perf_counter(), progress.done))

        report = await workspace.sync.sync_now(progress=note)
    assert report.remaining == 0
    quarter = max(1, len(seen) // 4)

    def rate(part: list[tuple[float, int]]) -> float:
        (start, before), (end, after) = part[0], part[-1]
        return (after - before) / (end - start)

    peak = peak_mib()
    print(json.dumps({"resident_mib": peak, "first": rate(seen[: quarter + 1]), "last": rate(seen[-quarter - 1 :])}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(_drain_alone(sys.argv[1]))
    else:
        for line in run():
            print(line)
