"""Three copies of one workspace, edited, synced, crashed and skewed in any order: they all end up with the same rows.

The law: after two quiet syncs each, every replica and the team's database hold the same rows; a row says what its edit
with the highest stamp said; and an edit that reached the server and did not lead to that one is kept in a conflict
record, itself or in what was made of it.
"""

import itertools
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acode_tui.domain.errors import SyncError
from acode_tui.domain.states import EntityType
from acode_tui.storage.postgres.apply import ApplyReply
from acode_tui.storage.sqlite import entity_writes
from acode_tui.storage.sqlite.delivery import ClaimedRecord
from acode_tui.storage.sqlite.sync_journal import SyncJournal
from acode_tui.workspace import Workspace
from tests.pg import Database
from tests.sync.equality import rows_here, rows_there
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import opened, query

REPLICAS = 3
FIELD = {EntityType.SESSION: "task_description", EntityType.SESSION_TASK: "title"}


class Edit(NamedTuple):
    """Give one of the two shared rows another text."""

    replica: int
    kind: EntityType


class Sync(NamedTuple):
    """``crash``: the reply is lost, the batch is not. ``edit``: a row changes between delivery and acknowledgement."""

    replica: int
    crash: bool = False
    edit: EntityType | None = None
    batch_size: int = 500


class Skew(NamedTuple):
    """The machine's wall clock is set, forward or back."""

    replica: int
    seconds: int


replicas = st.integers(0, REPLICAS - 1)
kinds = st.sampled_from(sorted(FIELD))
steps = st.one_of(
    st.builds(Edit, replicas, kinds),
    st.builds(Sync, replicas, st.booleans(), st.none() | kinds, st.sampled_from([1, 500])),
    st.builds(Skew, replicas, st.integers(-3, 3).map(lambda hours: hours * 1800)),
)
histories = st.lists(steps, min_size=3, max_size=24)


class Crash(SyncError):
    """The process died here."""


class Said(NamedTuple):
    """An edit: what stood there before it, and its stamp."""

    before: str
    stamp: str


class World:
    """The replicas of one example, and a record of every edit and of every text that reached the server."""

    def __init__(self, workspaces: list[Workspace], times: list[FakeTime]) -> None:
        self.workspaces = workspaces
        self.times = times
        self.edits: dict[str, Said] = {}
        self.delivered: set[str] = set()
        self._numbers = itertools.count()

    async def edit(self, replica: int, kind: EntityType) -> None:
        workspace = self.workspaces[replica]
        text = f"{kind.value} {next(self._numbers)} on {replica}"
        self.times[replica].now += timedelta(seconds=1)

        def unit(connection: Any) -> Said:
            table = "sessions" if kind is EntityType.SESSION else "session_tasks"
            (entity_id,) = connection.execute(f"SELECT id FROM {table}").fetchone()
            stored: Any = entity_writes.require(connection, kind, entity_id)
            now = workspace._writer.clock.tick()
            changed = msgspec.structs.replace(entity_writes.stamped(stored, now), **{FIELD[kind]: text})
            entity_writes.update(connection, changed, now)
            return Said(getattr(stored, FIELD[kind]), changed.updated_at.isoformat(timespec="microseconds"))

        self.edits[text] = await workspace._writer.run(unit)

    async def sync(self, step: Sync) -> None:
        with self._between(step):
            try:
                await self.workspaces[step.replica].sync.sync_now(batch_size=step.batch_size)
            except Crash:
                assert step.crash

    @contextmanager
    def _between(self, step: Sync) -> Iterator[None]:
        """Have the step's mishap between delivery and acknowledgement, and note what was delivered."""
        acknowledge = SyncJournal.acknowledge
        mishaps = iter([True])

        async def watched(journal: SyncJournal, token: str, claimed: Sequence[ClaimedRecord], reply: ApplyReply) -> int:
            for record in claimed:
                if record.row.kind in FIELD:
                    self.delivered.add(getattr(record.row.entity, FIELD[record.row.kind]))
            if next(mishaps, False):
                if step.edit is not None:
                    await self.edit(step.replica, step.edit)
                if step.crash:
                    raise Crash("killed")
            return await acknowledge(journal, token, claimed, reply)

        SyncJournal.acknowledge = watched  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            SyncJournal.acknowledge = acknowledge  # type: ignore[method-assign]

    async def quiet(self) -> None:
        """Two quiet syncs each."""
        for replica in [*range(REPLICAS), *range(REPLICAS)]:
            await self.sync(Sync(replica))

    def ancestry(self, text: str) -> set[str]:
        """An edit and everything it was made of."""
        found = set()
        while text in self.edits:
            found.add(text)
            text = self.edits[text].before
        return found


async def play(team: Database, folder: Path, history: list[Edit | Sync | Skew]) -> None:
    start = FakeTime()
    async with opened(folder / "0", start) as first:
        session = await first.store.create_session("the first text")
        await first.store.add_task(session.id, "the first title")
        await first.sync.sync_now()
        workspace_id = first.workspace_id
    for replica in range(1, REPLICAS):
        shutil.copytree(folder / "0", folder / str(replica))
    async with AsyncExitStack() as stack:
        times = [FakeTime(start.now) for _ in range(REPLICAS)]
        world = World(
            [await stack.enter_async_context(opened(folder / str(n), time)) for n, time in enumerate(times)], times
        )
        for step in history:
            match step:
                case Edit(replica, kind):
                    await world.edit(replica, kind)
                case Sync():
                    await world.sync(step)
                case Skew(replica, seconds):
                    times[replica].now += timedelta(seconds=seconds)
        await world.quiet()
        await check(world, team, workspace_id)


async def check(world: World, team: Database, workspace_id: str) -> None:
    there = await rows_there(team, workspace_id)
    for workspace in world.workspaces:
        assert rows_here(workspace.database_path) == there
        assert query(workspace, "SELECT count(*), sum(attempts) FROM outbox WHERE processed_at IS NULL")[0][0] == 0
        assert query(workspace, "SELECT coalesce(sum(attempts), 0) FROM outbox") == [(0,)]
    sql = "SELECT entity_type, local_payload, remote_payload FROM sync_conflicts WHERE workspace_id = $1"
    kept: set[str] = set()
    for kind, *payloads in await team.fetch(sql, workspace_id):
        name = {"session": "taskDescription", "session_task": "title"}[kind]
        kept |= {json.loads(payload)[name] for payload in payloads}
    explained = set().union(*(world.ancestry(text) for text in kept)) if kept else set()
    for kind, field in FIELD.items():
        table = {EntityType.SESSION: "sessions", EntityType.SESSION_TASK: "session_tasks"}[kind]
        (row,) = there[table].values()
        edits = {text: said for text, said in world.edits.items() if text.startswith(f"{kind.value} ")}
        if not edits:
            continue
        latest = row[field]
        # Of edits with one stamp any may stay, as long as it is the same everywhere.
        assert edits[latest].stamp == max(said.stamp for said in edits.values())
        lost = {text for text in world.delivered if text in edits} - world.ancestry(latest)
        assert lost <= explained, f"{lost - explained} reached the server and is nowhere"


_numbers = itertools.count()


@pytest.mark.ac("AC-049")
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(history=histories)
async def test_replicas_converge_whatever_happens(
    team: Database, tmp_path: Path, history: list[Edit | Sync | Skew]
) -> None:
    await play(team, tmp_path / str(next(_numbers)), history)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(
    max_examples=400,
    deadline=None,
    derandomize=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=histories)
async def test_replicas_converge_in_many_more_histories(
    team: Database, tmp_path: Path, history: list[Edit | Sync | Skew]
) -> None:
    folder = tmp_path / str(next(_numbers))
    await play(team, folder, history)
    shutil.rmtree(folder)
