"""A thousand faults of network, pooler, server and clocks while three replicas of two workspaces write and sync.

At the end all replicas and the server are equal by checksum, the ledger has one row a key, no attempt was counted, and
there is no conflict: each replica edits its own runs alone, so any would be false. Run it with
`uv run pytest -n0 -s -m soak tests/sync/test_fault_soak.py`; ACODE_SOAK_FAULTS, ACODE_SOAK_SEED and ACODE_SOAK_KINDS
choose another number, another order, and some of the faults.
"""

import asyncio
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from acode_tui import ArtifactType, SessionState
from acode_tui.domain.errors import AcodeError
from acode_tui.storage.postgres.migrate import migrate
from acode_tui.sync.ports import SyncState
from acode_tui.workspace import Workspace
from tests.pg import Server
from tests.sync.equality import checksum, ledger, rows_here, rows_there
from tests.sync.fake_time import FakeTime
from tests.sync.faults import Faults, faults
from tests.sync.workspaces import add_run, opened, query, syncing

FAULTS = int(os.environ.get("ACODE_SOAK_FAULTS", "1000"))
KINDS = os.environ.get("ACODE_SOAK_KINDS", "").split()
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
        self.is_behind = False
        """Whether the last sync found a server that went back in time: the operator sends everything again."""
        self.ends: Counter[str] = Counter()
        """How syncs ended: "done", or the sentence of their fault."""

    async def work(self, chance: random.Random) -> None:
        """Record a run, or go on with one of its own."""
        self.time.now += timedelta(seconds=chance.random())
        if not self.runs or chance.random() < 0.1:
            self.runs.append((await add_run(self.workspace)).id)
            return
        session_id = chance.choice(self.runs)
        state = (await self.workspace.store.get(session_id)).state
        await self.workspace.store.transition_session(session_id, NEXT[state], reason="on")

    async def sync(self) -> bool:
        """Sync, as an operator does who sees the state; returns whether it was done. A fault is reported and raises
        nothing else.
        """
        service = self.workspace.sync
        try:
            report = await (service.sync_full() if self.is_behind else service.sync_now())
        except AcodeError as error:
            if error.code not in ("ACODE-DB-001", "ACODE-DB-005"):
                raise
            self.ends[error.message] += 1
            self.is_behind |= (await service.status()).state is SyncState.REMOTE_BEHIND
            return False
        self.ends["done, after sending everything again" if self.is_behind else "done"] += 1
        errors = query(self.workspace, "SELECT last_error FROM outbox WHERE last_error IS NOT NULL")
        conflicts = query(self.workspace, "SELECT * FROM sync_conflicts")
        assert (report.failed, report.conflicts, errors, conflicts) == (0, 0, [], [])
        self.is_behind = False
        return True

    async def add_large_file(self, chance: random.Random) -> None:
        """Store more than what is free within the pages of the server's tables.

        No words, which would be indexed with each full re-send, and nothing that looks like a secret by chance.
        """
        store = self.workspace.store
        task = await store.add_task((await add_run(self.workspace)).id, "Read a large file")
        content = bytes(byte | 0x80 for byte in chance.randbytes(40_000))
        await store.add_artifact(task.id, ArtifactType.FILE_CONTENT, "large", content, "application/octet-stream")


@pytest.mark.soak
@pytest.mark.timeout(7200)
async def test_a_thousand_faults_lose_and_invent_nothing(
    tmp_path: Path, private_pg: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(SEED)
    machines: list[Machine] = []

    def step_clock() -> None:
        chance.choice(machines).time.now += timedelta(seconds=chance.uniform(-MOST_AHEAD, MOST_AHEAD) / 10)

    async def pass_time() -> None:
        for machine in machines:
            await machine.time.advance(1)

    async def sync_all() -> None:
        await asyncio.gather(*(machine.sync() for machine in machines))

    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(faults(private_pg, chance, step_clock=step_clock, pass_time=pass_time))
        connection = await there.team.connect()
        await migrate(connection)
        await connection.close()
        workspaces = []
        for name, url in zip(("direct", "pooled"), there.urls, strict=True):
            monkeypatch.setenv(f"ACODE_TEST_{name.upper()}", url)
            workspaces.append(await _replicas(stack, tmp_path / name, f"ACODE_TEST_{name.upper()}"))
            machines += workspaces[-1]
        kinds = [kind for kind in there.kinds if kind in KINDS or not KINDS]
        print("left out:", there.impossible or "none")
        struck: Counter[str] = Counter()
        for _ in range(FAULTS):
            for machine in chance.sample(machines, 3):
                await machine.work(chance)
            kind = chance.choice(kinds)
            if kind == "disk_full":
                for replicas in workspaces:
                    await chance.choice(replicas).add_large_file(chance)
            await there.strike(kind, sync_all)
            struck[kind] += 1
        await _heal(machines)
        print(dict(sorted(struck.items())))
        for ends in (machine.ends for machine in machines):
            print(dict(ends.most_common()))
        await _assert_equal(workspaces, there)


async def _heal(machines: list[Machine]) -> None:
    """Sync all until each has what the others sent; one that is behind sends everything again first."""
    for _ in range(10):
        if all([await machine.sync() for machine in machines]):
            break
    for machine in machines:
        assert await machine.sync()


async def _assert_equal(workspaces: list[list[Machine]], there: Faults) -> None:
    keys = set(await ledger(there.team))
    assert keys
    for replicas in workspaces:
        rows = await rows_there(there.team, replicas[0].workspace.workspace_id)
        for machine in replicas:
            assert checksum(rows_here(machine.workspace.database_path)) == checksum(rows)
            assert query(
                machine.workspace,
                "SELECT count(*) FILTER (WHERE processed_at IS NULL), coalesce(sum(attempts), 0) FROM outbox",
            ) == [(0, 0)]
            assert query(machine.workspace, "SELECT count(*) FROM sync_conflicts") == [(0,)]
            # A standby that took over may lack the keys of batches that it lost: their rows were sent again.
            newest = query(
                machine.workspace,
                "SELECT idempotency_key, max(id) FROM outbox WHERE outcome IN ('applied', 'duplicate')"
                " GROUP BY entity_type, entity_id",
            )
            assert {key for key, _ in newest} <= keys
    assert not await there.team.fetch("SELECT 1 FROM sync_conflicts")


async def _replicas(stack: AsyncExitStack, folder: Path, variable: str) -> list[Machine]:
    """Three copies of a workspace that was synced once, with the server's address in a variable."""
    settings = syncing()
    postgres = msgspec.structs.replace(settings.persistence.postgres, connection_string_env=variable)
    settings = msgspec.structs.replace(
        settings, persistence=msgspec.structs.replace(settings.persistence, postgres=postgres)
    )
    first = folder / "0"
    first.mkdir(parents=True)
    time = FakeTime()
    async with opened(first, time, settings=settings) as workspace:
        await workspace.sync.sync_now()
    machines = []
    for number in range(REPLICAS):
        path = folder / str(number)
        if number:
            shutil.copytree(first, path)
        own = FakeTime(time.now)
        machines.append(Machine(await stack.enter_async_context(opened(path, own, settings=settings)), own))
    return machines
