"""A thousand faults of network, server and clocks while three replicas of two workspaces write and sync.

At the end all replicas and the server are equal by checksum, the ledger has one row a key, no attempt was counted, and
there is no conflict: each replica edits its own runs alone, so any would be false. Run it with
`uv run pytest -n0 -m soak tests/sync/test_fault_soak.py`; ACODE_SOAK_FAULTS and ACODE_SOAK_SEED choose another number
and another order.
"""

import asyncio
import os
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from acode_tui import SessionState
from acode_tui.domain.errors import AcodeError
from acode_tui.storage.postgres.migrate import migrate
from acode_tui.workspace import Workspace
from tests.fault_proxy import FaultProxy, Mode, fault_proxy, short_deadlines
from tests.pg import Database, Server
from tests.sync.conftest import URL
from tests.sync.equality import checksum, ledger, rows_here, rows_there
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import add_run, opened, query

FAULTS = int(os.environ.get("ACODE_SOAK_FAULTS", "1000"))
SEED = int(os.environ.get("ACODE_SOAK_SEED", "1"))
REPLICAS = 3
MOST_AHEAD = 120
"""Seconds that a clock may be off by: within what is allowed."""

NEXT = {
    SessionState.PLANNING: SessionState.EXECUTING,
    SessionState.EXECUTING: SessionState.PAUSED,
    SessionState.PAUSED: SessionState.EXECUTING,
}


class Machine:
    """A replica with its own clock, and the runs that it recorded."""

    def __init__(self, workspace: Workspace, time: FakeTime) -> None:
        self.workspace = workspace
        self.time = time
        self.runs: list[str] = []

    async def work(self, chance: random.Random) -> None:
        """Record a run, or go on with one of its own."""
        self.time.now += timedelta(seconds=chance.random())
        if not self.runs or chance.random() < 0.2:
            self.runs.append((await add_run(self.workspace)).id)
            return
        session_id = chance.choice(self.runs)
        state = (await self.workspace.store.get(session_id)).state
        await self.workspace.store.transition_session(session_id, NEXT[state], reason="on")

    async def sync(self) -> None:
        """Sync; a fault is reported and no exception."""
        try:
            await self.workspace.sync.sync_now()
        except AcodeError as error:
            if error.code not in ("ACODE-DB-001", "ACODE-DB-005"):
                raise


class Faults:
    """Each fault lasts as long as its block, and is over afterwards."""

    def __init__(self, server: Server, proxy: FaultProxy, chance: random.Random) -> None:
        self._server = server
        self._proxy = proxy
        self._chance = chance

    @property
    def kinds(self) -> tuple[str, ...]:
        return ("cut", "lose_reply", "cut_commit", "terminate", "restart", "refuse", "black_hole", "half_open", "block")

    async def strike(self, kind: str, syncs: Callable[[], Awaitable[object]]) -> None:
        """Sync on all machines while the fault happens, at once or after some round trips."""
        proxy = self._proxy
        if kind == "lose_reply":
            proxy.cut_in_reply_to_commit()
            await syncs()
        elif kind == "cut_commit":
            proxy.cut_before_commit()
            await syncs()
        elif kind in ("refuse", "black_hole"):
            await proxy.set_mode(Mode.REFUSE if kind == "refuse" else Mode.SWALLOW)
            with short_deadlines() if kind == "black_hole" else nullcontext():
                await syncs()
        elif kind == "block":
            async with self._blocked():
                with short_deadlines():
                    await syncs()
        else:
            silent = short_deadlines() if kind == "half_open" else nullcontext()
            with silent:
                running = asyncio.ensure_future(syncs())
                await self._after_some_round_trips(running)
                await self._break(kind)
                await running
        proxy.cut()
        await proxy.set_mode(Mode.PASS)

    async def _after_some_round_trips(self, running: asyncio.Future[object]) -> None:
        until = self._proxy.round_trips + self._chance.randrange(20)
        while self._proxy.round_trips < until and not running.done():  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def _break(self, kind: str) -> None:
        if kind == "cut":
            self._proxy.cut()
        elif kind == "half_open":
            await self._proxy.set_mode(Mode.SWALLOW)
        elif kind == "terminate":
            await self._server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'acode-tui'"
            )
        else:
            await asyncio.to_thread(self._server.restart)

    @asynccontextmanager
    async def _blocked(self) -> AsyncIterator[None]:
        """Another program holds a lock for longer than anybody waits."""
        connection = await asyncpg.connect(self._server.url("postgres"))
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE sessions IN SHARE ROW EXCLUSIVE MODE")
                yield
        finally:
            await connection.close()


@pytest.mark.soak
@pytest.mark.timeout(7200)
async def test_a_thousand_faults_lose_and_invent_nothing(
    tmp_path: Path, private_pg: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(SEED)
    server = private_pg()
    team = Database(server, "postgres")
    connection = await team.connect()
    await migrate(connection)
    await connection.close()
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(fault_proxy("127.0.0.1", server.port))
        monkeypatch.setenv(URL, team.url_through(proxy.port))
        workspaces = [await _replicas(stack, tmp_path / name) for name in ("first", "second")]
        machines = [machine for replicas in workspaces for machine in replicas]
        faults = Faults(server, proxy, chance)

        async def sync_all() -> None:
            await asyncio.gather(*(machine.sync() for machine in machines))

        for _ in range(FAULTS):
            for machine in chance.sample(machines, 3):
                await machine.work(chance)
            if chance.random() < 0.1:
                chance.choice(machines).time.now += timedelta(seconds=chance.uniform(-MOST_AHEAD, MOST_AHEAD) / 10)
            await faults.strike(chance.choice(faults.kinds), sync_all)
        for _ in range(3):
            for machine in machines:
                report = await machine.workspace.sync.sync_now()
                assert (report.failed, report.conflicts) == (0, 0)
        for replicas in workspaces:
            there = await rows_there(team, replicas[0].workspace.workspace_id)
            for machine in replicas:
                assert checksum(rows_here(machine.workspace.database_path)) == checksum(there)
                assert query(
                    machine.workspace,
                    "SELECT count(*) FILTER (WHERE processed_at IS NULL), coalesce(sum(attempts), 0) FROM outbox",
                ) == [(0, 0)]
                assert query(machine.workspace, "SELECT count(*) FROM sync_conflicts") == [(0,)]
        sent = {
            key
            for machine in machines
            for (key,) in query(
                machine.workspace, "SELECT idempotency_key FROM outbox WHERE outcome IN ('applied', 'duplicate')"
            )
        }
        assert sent
        assert sent <= set(await ledger(team))
        assert not await team.fetch("SELECT 1 FROM sync_conflicts")


async def _replicas(stack: AsyncExitStack, folder: Path) -> list[Machine]:
    """Three copies of a workspace that was synced once."""
    first = folder / "0"
    first.mkdir(parents=True)
    time = FakeTime()
    async with opened(first, time) as workspace:
        await workspace.sync.sync_now()
    machines = []
    for number in range(REPLICAS):
        path = folder / str(number)
        if number:
            shutil.copytree(first, path)
        own = FakeTime(time.now)
        machines.append(Machine(await stack.enter_async_context(opened(path, own)), own))
    return machines
