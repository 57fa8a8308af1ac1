"""Three copies of one workspace, edited, synced, crashed and skewed in any order, against a real server."""

import itertools
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from acode_tui.domain.clock import format_time
from acode_tui.domain.errors import SyncError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import ApplyRow
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.storage.sqlite.runs import row_writes
from acode_tui.workspace import Workspace
from tests.pg import Database
from tests.sync.equality import rows_here, rows_there
from tests.sync.fake_time import FakeTime
from tests.sync.histories import FIELD, QUIET, REPLICAS, Edit, EditLog, RecordedEdit, Skew, Step, Sync, histories
from tests.sync.workspaces import opened, query


class Crash(SyncError):
    """The process died here."""


class World:
    """The replicas of one example."""

    def __init__(self, workspaces: list[Workspace], times: list[FakeTime]) -> None:
        self.workspaces = workspaces
        self.edit_log = EditLog()
        self._times = times

    async def play(self, history: list[Step]) -> None:
        for step in history:
            match step:
                case Edit(replica, kind):
                    await self._edit(replica, kind)
                case Sync():
                    await self._sync(step)
                case Skew(replica, seconds):
                    self._times[replica].now += timedelta(seconds=seconds)

    async def _edit(self, replica: int, kind: EntityType) -> None:
        workspace = self.workspaces[replica]
        text = self.edit_log.text(replica, kind)
        self._times[replica].now += timedelta(seconds=1)

        def unit(connection: Any) -> RecordedEdit:
            (entity_id,) = connection.execute(f"SELECT id FROM {TABLES[kind].name}").fetchone()
            stored: Any = row_writes.require(connection, kind, entity_id)
            now = workspace._writer.clock.tick()
            changed = msgspec.structs.replace(row_writes.stamped(stored, now), **{FIELD[kind]: text})
            row_writes.update(connection, changed, now)
            return RecordedEdit(getattr(stored, FIELD[kind]), format_time(changed.updated_at))

        self.edit_log.edits[text] = await workspace._writer.run(unit)

    async def _sync(self, step: Sync) -> None:
        with self._between(step):
            try:
                await self.workspaces[step.replica].sync.sync_now(batch_size=step.batch_size)
            except Crash:
                assert step.crash

    @contextmanager
    def _between(self, step: Sync) -> Iterator[None]:
        """Crash or edit between delivery and acknowledgement as the step says, and note what was delivered."""
        apply = PostgresSyncTarget.apply
        mishaps = iter([True])

        async def watched(
            target: PostgresSyncTarget, workspace_id: str, rows: Sequence[ApplyRow], **options: Any
        ) -> Any:
            reply = await apply(target, workspace_id, rows, **options)
            for row in rows:
                self.edit_log.note_delivery(row.entity)
            if next(mishaps, False):
                if step.edit is not None:
                    await self._edit(step.replica, step.edit)
                if step.crash:
                    raise Crash("killed")
            return reply

        PostgresSyncTarget.apply = watched  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            PostgresSyncTarget.apply = apply  # type: ignore[method-assign]


async def play(team: Database, folder: Path, history: list[Step]) -> None:
    start = FakeTime()
    async with opened(folder / "0", start) as first:
        session = await first.store.create_session("the first text")
        await first.store.add_task(session.id, "the first title")
        await first.sync.sync_now()
    for replica in range(1, REPLICAS):
        shutil.copytree(folder / "0", folder / str(replica))
    async with AsyncExitStack() as stack:
        times = [FakeTime(start.now) for _ in range(REPLICAS)]
        world = World(
            [await stack.enter_async_context(opened(folder / str(n), time)) for n, time in enumerate(times)], times
        )
        await world.play(history + QUIET)
        await check(world, team)


async def check(world: World, team: Database) -> None:
    workspace_id = world.workspaces[0].workspace_id
    there = await rows_there(team, workspace_id)
    for workspace in world.workspaces:
        assert rows_here(workspace.database_path) == there
        assert query(workspace, "SELECT count(*) FROM outbox WHERE processed_at IS NULL OR attempts > 0") == [(0,)]
    sql = "SELECT entity_type, local_payload, remote_payload FROM sync_conflicts WHERE workspace_id = $1"
    kept: set[str] = set()
    for kind, *payloads in await team.fetch(sql, workspace_id):
        name = {"session": "taskDescription", "session_task": "title"}[kind]
        kept |= {json.loads(payload)[name] for payload in payloads}
    final = {kind: next(iter(there[TABLES[kind].name].values()))[field] for kind, field in FIELD.items()}
    world.edit_log.verify(final, kept)


_numbers = itertools.count()
_SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.mark.ac("AC-049")
@settings(max_examples=8, deadline=None, suppress_health_check=_SUPPRESSED)
@given(history=histories)
async def test_replicas_converge_in_any_history(team: Database, tmp_path: Path, history: list[Step]) -> None:
    await play(team, tmp_path / str(next(_numbers)), history)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=400, deadline=None, derandomize=False, suppress_health_check=_SUPPRESSED)
@given(history=histories)
async def test_replicas_converge_in_many_more_histories(team: Database, tmp_path: Path, history: list[Step]) -> None:
    folder = tmp_path / str(next(_numbers))
    await play(team, folder, history)
    shutil.rmtree(folder)
