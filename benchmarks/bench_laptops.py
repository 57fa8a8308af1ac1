"""Ten, a hundred and a thousand laptops on one server with a hundred connections: bursts, and idle rounds.

Each laptop has a workspace and does what its worker does: an idle round is a login and one row, every thirty seconds,
and the connection is given back. One in twenty is at work: it sends 40 records every five seconds and keeps its
connection. A laptop that finds the server full asks again after a moment. All of them run in one process beside the
server, so with a thousand the rate is that of the whole machine.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random
from time import perf_counter

import asyncpg

from acode_tui.storage.delivery_protocol import Head, PostgresFault
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.sync.classify import is_full
from acode_tui.sync.conflict import ConflictResolver
from benchmarks.bench_apply import _target, new_database
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized
from benchmarks.servers import measured_on_a_server
from benchmarks.timing import quantile
from tests.pg import Server
from tests.storage.runs import make_run, plain, records

CONNECTIONS = 100
IDLE_SECONDS = 30.0
BURST_SECONDS = 5.0
AT_WORK = 20
"""One laptop in so many is at work; at least one."""
CALLS = 17
"""Tool calls in a burst: 40 records."""
_TICKS = os.sysconf("SC_CLK_TCK")


def run() -> list[Measure]:
    return measured_on_a_server(_measure, max_connections=str(CONNECTIONS))


async def _measure(server: Server) -> list[Measure]:
    measures: list[Measure] = []
    for laptops in (10, 100, 1_000):
        url = await new_database(server, f"laptops_{laptops}")
        measures += await _fleet(server, url, laptops, seconds=sized(60, 12))
    return measures


class Fleet:
    """What the laptops of one run have seen."""

    def __init__(self, url: str, seconds: float) -> None:
        self.address = _target(url)
        self.ends_at = perf_counter() + seconds
        self.batches: list[float] = []
        self.records = 0
        self.refused = 0

    async def laptop(self, number: int, *, works: bool, chance: Random) -> None:
        """One laptop until the end: idle rounds, or bursts."""
        target = PostgresSyncTarget(self.address, ConflictResolver())
        workspace_id = f"0190d6a1-0000-7000-8000-{number:012d}"
        pause = BURST_SECONDS if works else IDLE_SECONDS
        await self._sleep(chance.random() * pause)
        head: Head | None = None
        while perf_counter() < self.ends_at:
            started = perf_counter()
            try:
                if head is None:
                    head = await target.register_workspace(workspace_id, user="ada", host="laptop", version="1")
                elif works:
                    batch = records(plain(make_run(workspace_id, calls=CALLS)))
                    await target.apply(workspace_id, batch, incarnation=head.incarnation)
                    self.batches.append(perf_counter() - started)
                    self.records += len(batch)
                else:
                    await target.head(workspace_id)
            except PostgresFault as error:
                if not is_full(error.fault):
                    raise
                self.refused += 1
                await self._sleep(chance.random())
                continue
            if not works:
                await target.close()
            await self._sleep(started + pause * (0.8 + 0.4 * chance.random()) - perf_counter())
        await target.close()

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, min(seconds, self.ends_at - perf_counter())))


async def _fleet(server: Server, url: str, laptops: int, *, seconds: float) -> list[Measure]:
    fleet, chance = Fleet(url, seconds), Random(laptops)
    most = 0

    async def watch() -> None:
        nonlocal most
        connection = await asyncpg.connect(url)
        while True:
            used = await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL")
            most = max(most, used)
            await asyncio.sleep(0.2)

    watching = asyncio.create_task(watch())
    before, started = _server_seconds(server), perf_counter()
    await asyncio.gather(
        *(fleet.laptop(number, works=number % AT_WORK == 0, chance=chance) for number in range(laptops))
    )
    spent, took = _server_seconds(server) - before, perf_counter() - started
    watching.cancel()
    return _measures(f"{laptops:,} laptops", fleet, spent, took, most)


def _measures(name: str, fleet: Fleet, spent: float, took: float, most: int) -> list[Measure]:
    times: Sequence[float] = fleet.batches or [0.0]
    return [
        Measure(name=f"{name}: records sent", value=fleet.records / took, unit="records/s"),
        at_most(f"{name}: a batch of 40, median", quantile(times, 0.5) * 1e3, "ms", 250),
        at_most(f"{name}: a batch of 40, 99th percentile", quantile(times, 0.99) * 1e3, "ms", 1_000),
        Measure(
            name=f"{name}: the server's CPU for 1,000 records, idle rounds included",
            value=spent / max(fleet.records, 1) * 1e6,
            unit="ms",
        ),
        at_most(f"{name}: connections at once", most, "connections", CONNECTIONS),
        Measure(name=f"{name}: logins that found the server full", value=fleet.refused, unit="logins"),
    ]


def _server_seconds(server: Server) -> float:
    """CPU seconds of the server so far: its processes, and those that have ended."""
    postmaster = int((server.data / "postmaster.pid").read_text().split("\n")[0])
    # utime and stime; of the postmaster also those of the processes that it has waited for.
    total = sum(int(value) for value in _stat(postmaster)[11:15])
    for each in Path("/proc").iterdir():
        if not each.name.isdigit():
            continue
        try:
            fields = _stat(int(each.name))
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[1]) == postmaster:
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` behind the program's name."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
