"""Two copies of one workspace file on two machines: the later edit ends up on both, the other one is never lost."""

import json
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from acode_tui import ArtifactType, SessionState
from acode_tui.domain.clock import format_time
from acode_tui.storage.postgres.recovery_source import RecoverySource
from acode_tui.storage.sqlite.sync.adopt import adopt_pulled
from acode_tui.workspace import Workspace
from tests.pg import Database
from tests.sync.conftest import LogLines
from tests.sync.equality import assert_equal, rows_here
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import add_run, opened, query


@pytest.fixture
async def machines(tmp_path: Path, time: FakeTime, team: Database) -> AsyncIterator[tuple[Workspace, Workspace]]:
    """Two copies of a synced workspace."""
    async with opened(tmp_path / "a", time) as first:
        await add_run(first)
        await first.sync.sync_now()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    async with opened(tmp_path / "a", time) as a, opened(tmp_path / "b", time) as b:
        assert a.workspace_id == b.workspace_id
        yield a, b


async def only_session(workspace: Workspace) -> str:
    return str(query(workspace, "SELECT id FROM sessions")[0][0])


@pytest.mark.ac("AC-048")
@pytest.mark.ac("AC-049")
@pytest.mark.ac("AC-050")
@pytest.mark.ac("AC-051")
@pytest.mark.ac("AC-052")
@pytest.mark.parametrize("later_first", [False, True])
async def test_the_later_edit_ends_up_on_both_machines(
    machines: tuple[Workspace, Workspace], time: FakeTime, team: Database, log_lines: LogLines, later_first: bool
) -> None:
    a, b = machines
    session_id = await only_session(a)
    await a.store.transition_session(session_id, SessionState.FAILED, reason="on A")
    time.now += timedelta(minutes=5)
    await b.store.transition_session(session_id, SessionState.CANCELLED, reason="on B, later")

    order = (b, a) if later_first else (a, b)
    reports = [await machine.sync.sync_now() for machine in (*order, *order)]
    assert sum(report.conflicts for report in reports) == 1

    for machine in machines:
        assert (await machine.store.get(session_id)).state is SessionState.CANCELLED
        await assert_equal(machine.database_path, team)
    assert rows_here(a.database_path) == rows_here(b.database_path)

    # Both sides keep both payloads: the machine that met the conflict, and the team's database.
    second = order[1]
    (conflict,) = await second.conflicts.list()
    assert conflict.entity_id == session_id
    states = {json.loads(bytes(conflict.local_payload))["state"], json.loads(bytes(conflict.remote_payload))["state"]}
    assert states == {"Failed", "Cancelled"}
    assert conflict.winner == ("remote" if later_first else "local")
    (central,) = await team.fetch("SELECT * FROM sync_conflicts")
    assert {json.loads(central["local_payload"])["state"], json.loads(central["remote_payload"])["state"]} == states
    assert (central["winner"], str(central["id"])) == (conflict.winner, conflict.id)
    assert (await second.sync.status()).conflicts == 1
    assert (await second.sync.status()).unreviewed_conflicts == 1
    async with opened(second.root, time) as reopened:
        assert (await reopened.sync.status()).conflicts == 1

    (line,) = [line for line in log_lines() if line.get("code") == "ACODE-DB-006"]
    assert line["level"] == "warning"
    assert line["entity_id"] == session_id
    assert line["winner"] == conflict.winner
    assert line["local_updated_at"] != line["remote_updated_at"]


@pytest.mark.ac("AC-049")
async def test_a_restored_old_file_catches_up_and_reports_it(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path / "a", time) as workspace:
        session = await add_run(workspace)
        await workspace.sync.sync_now()
    shutil.copytree(tmp_path / "a", tmp_path / "old")
    async with opened(tmp_path / "a", time) as workspace:
        time.now += timedelta(minutes=1)
        await workspace.store.transition_session(session.id, SessionState.FAILED, reason="later")
        await add_run(workspace, "another")
        await workspace.sync.sync_now()
    async with opened(tmp_path / "old", time) as workspace:
        report = await workspace.sync.sync_now()
        assert (report.conflicts, report.remaining) == (0, 0)
        (entry, *_) = await workspace.sync.log_tail(1)
        assert entry.pulled == 8
        assert "put back" in entry.message
        await assert_equal(workspace.database_path, team)
        # Its clock was raised by what it saw: an edit now is later than all of it, and no conflict.
        time.now -= timedelta(hours=3)
        seen = max(updated for (updated,) in query(workspace, "SELECT updated_at FROM sessions"))
        fresh = await workspace.store.create_session("after the clock was set back")
        assert format_time(fresh.created_at) > seen
        other = next(s for s in (await workspace.store.list(limit=5)).sessions if s.id != session.id)
        await workspace.store.transition_session(other.id, SessionState.FAILED, reason="after")
        assert (await workspace.sync.sync_now()).conflicts == 0
        await assert_equal(workspace.database_path, team)


async def test_contents_of_tasks_and_steps_reach_the_other_machine(
    machines: tuple[Workspace, Workspace], team: Database
) -> None:
    a, b = machines
    graph = await a.store.get_with_hierarchy(await only_session(a))
    (task,) = graph.tasks
    prompt, answer = b"Please validate.", "Done: « ü »\n".encode() * 100
    await a.store.add_artifact(task.id, ArtifactType.USER_PROMPT, "prompt", prompt, "text/plain")
    await a.store.add_artifact(task.steps[0].id, ArtifactType.MODEL_RESPONSE, "answer", answer, "text/plain")
    await a.sync.sync_now()
    # B's pull begins after the rows that these hang on, so the page has to bring those along.
    await b.sync.sync_now()
    (there,) = (await b.store.get_with_hierarchy(graph.id)).tasks
    assert [each.name for each in (*there.artifacts, *there.steps[0].artifacts)] == ["prompt", "answer"]
    assert await b.store.get_artifact_content(there.steps[0].artifacts[0].id) == answer
    for machine in machines:
        await assert_equal(machine.database_path, team)


async def test_a_pull_of_own_rows_writes_nothing(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time) as workspace:
        await add_run(workspace)
        await workspace.sync.sync_now()
        async with workspace._team_pool() as pool:
            page = await RecoverySource(pool, schema="public").page(workspace.workspace_id, 0)
        assert page is not None
        assert page.rows
        writer = workspace._writer
        assert await writer.run(lambda connection: adopt_pulled(connection, writer.clock, page.rows)) == 0


async def test_a_pull_leaves_a_row_with_a_pending_edit_to_the_push(
    machines: tuple[Workspace, Workspace], time: FakeTime, team: Database
) -> None:
    a, b = machines
    session_id = await only_session(a)
    await a.store.transition_session(session_id, SessionState.FAILED, reason="on A")
    await a.sync.sync_now()
    time.now += timedelta(minutes=1)
    await b.store.transition_session(session_id, SessionState.CANCELLED, reason="on B")
    # B's edit may not be sent now; the pull must not write A's row over it.
    await team.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    report = await b.sync.sync_now()
    assert report.failed == 1
    assert (await b.store.get(session_id)).state is SessionState.CANCELLED
    await team.execute("DROP TRIGGER refuse ON sessions")
    await b.outbox.retry()
    assert (await b.sync.sync_now()).conflicts == 1
    await a.sync.sync_now()
    for machine in machines:
        assert (await machine.store.get(session_id)).state is SessionState.CANCELLED
        await assert_equal(machine.database_path, team)
