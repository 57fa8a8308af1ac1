"""What goes to the team is redacted; everything that compares the two sides speaks of that form."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acode_tui import ArtifactType, SessionState
from acode_tui.config import Settings
from acode_tui.domain.codec import digest
from acode_tui.domain.entities import Session
from acode_tui.domain.errors import SyncError
from acode_tui.domain.redaction import RowRedactor
from acode_tui.domain.schema import TABLES
from acode_tui.domain.validation import MAX_DESCRIPTION_CHARS
from acode_tui.workspace import Maintenance, Workspace
from tests.domain.planted_secrets import Planted, secrets
from tests.pg import Database
from tests.sync.fake_time import FakeTime
from tests.sync.test_team_input import edit, replica, rows_of
from tests.sync.workspaces import add_run, opened, query, syncing

TOKEN = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"
PLACES = 14


async def plant(workspace: Workspace, texts: Sequence[str]) -> Session:
    """A run with a text in every field that a person or an agent can fill."""
    given = iter(texts)
    store = workspace.store
    session = await store.create_session(next(given), metadata={"note": next(given), "deep": [{"list": [next(given)]}]})
    await store.transition_session(session.id, SessionState.PLANNING, reason=next(given))
    task = await store.add_task(session.id, next(given), description=next(given), metadata={"a": next(given)})
    step = await store.add_step(task.id, next(given), description=next(given))
    call = await store.add_tool_call(step.id, "bash", {"command": next(given)})
    await store.add_artifact(call.id, ArtifactType.FILE_CONTENT, f"x {next(given)}", next(given).encode(), "text/plain")
    await store.complete_tool_call(call.id, result={"stdout": next(given)})
    other = await store.add_tool_call(step.id, "bash", {})
    await store.fail_tool_call(other.id, next(given))
    return session


async def everything(team: Database) -> str:
    """All that the server holds, contents and words of the search included, in lower case."""
    found = []
    for table in (*(each.name for each in TABLES.values()), "sync_inbox", "sync_conflicts", "session_search"):
        content = ", encode(t.content, 'escape') AS bytes" if table == "artifacts" else ""
        rows = await team.fetch(f"SELECT t::text AS row{content} FROM {table} AS t")
        found += [value for row in rows for value in row.values()]
    return "\n".join(found).lower()


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(secrets, min_size=PLACES, max_size=PLACES))
async def test_no_planted_secret_reaches_the_team(
    team: Database, tmp_path_factory: pytest.TempPathFactory, planted: list[Planted]
) -> None:
    time = FakeTime()
    folder = tmp_path_factory.mktemp("planted")
    texts = [each.text[:900] for each in planted]
    async with opened(folder, time) as workspace:
        session = await plant(workspace, texts)
        report = await workspace.sync.sync_now()
        assert (report.failed, report.remaining) == (0, 0)
        there = await everything(team)
        for each in planted:
            assert each.core.lower() not in there, each
        # Nothing is lost here, and the two sides are the same.
        assert (await workspace.store.get_with_hierarchy(session.id)).task_description == texts[0]
        validation = await workspace.validate()
        assert validation.mismatched == ()
        assert (await workspace.conflicts.counts()).total == 0
    await team.execute("TRUNCATE sessions, sync_inbox, sync_conflicts, session_search CASCADE")


async def test_a_replica_gets_the_redacted_form_and_nothing_goes_back_and_forth(
    team: Database, tmp_path: Path, time: FakeTime
) -> None:
    async with opened(tmp_path / "laptop", time) as laptop:
        session = await plant(laptop, [f"{number} uses {TOKEN}" for number in range(PLACES)])
        await laptop.sync.sync_now()
        await replica(tmp_path / "desktop", laptop, time)
        async with opened(tmp_path / "desktop", time) as desktop:
            await desktop.sync.sync_now()
            assert TOKEN not in str(rows_of(desktop))
            (content, stated, size) = query(desktop, "SELECT content, content_hash, size FROM artifacts")[0]
            assert (digest(content), len(content)) == (stated, size)
            # The replica edits every row, and the laptop takes the edit over without losing what it had.
            time.now += timedelta(seconds=1)
            await desktop.store.transition_session(session.id, SessionState.EXECUTING, reason="go on")
            await edit(desktop, session.id)
            await desktop.sync.sync_now()
            for _ in range(2):
                for each in (laptop, desktop):
                    report = await each.sync.sync_now()
                    assert (report.synced, report.conflicts, report.failed) == (0, 0, 0)
            graph = await laptop.store.get_with_hierarchy(session.id)
            assert graph.state is SessionState.EXECUTING
            assert graph.task_description == f"0 uses {TOKEN}"
            assert graph.tasks[0].steps[0].tool_calls[0].parameters == {"command": f"9 uses {TOKEN}"}
            for each in (laptop, desktop):
                assert (await each.validate()).mismatched == ()
            assert TOKEN.lower() not in await everything(team)


async def test_a_delivery_that_was_not_acknowledged_is_no_conflict_and_costs_no_text(
    team: Database, tmp_path: Path, time: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "laptop", time) as laptop:
        session = await plant(laptop, [f"{number} uses {TOKEN}" for number in range(PLACES)])
        before = rows_of(laptop)

        def die(*arguments: Any) -> int:
            raise SyncError("the process died here")

        with monkeypatch.context() as patched:
            patched.setattr(laptop.outbox, "_acknowledge", die)
            with pytest.raises(SyncError, match="died"):
                await laptop.sync.sync_now()
        report = await laptop.sync.sync_now()
        assert report.duplicates > 0
        assert report.conflicts == 0
        after = rows_of(laptop)
        assert [row[:2] for row in after["sessions"]] == [row[:2] for row in before["sessions"]]
        assert (await laptop.store.get_with_hierarchy(session.id)).task_description == f"0 uses {TOKEN}"
        assert (await laptop.validate()).mismatched == ()


async def test_what_was_sent_in_the_clear_is_no_conflict_and_a_full_sync_cleans_it(
    team: Database, tmp_path: Path, time: FakeTime
) -> None:
    clear = syncing(redact=False)
    async with opened(tmp_path / "laptop", time, settings=clear) as laptop:
        session = await plant(laptop, [f"{number} uses {TOKEN}" for number in range(PLACES)])
        await laptop.sync.sync_now()
        assert TOKEN.lower() in await everything(team)
    async with opened(tmp_path / "laptop", time) as laptop:
        assert (await laptop.validate()).mismatched == ()
        report = await laptop.sync.sync_full()
        assert (report.conflicts, report.failed) == (0, 0)
        for table in ("sessions", "session_tasks", "steps", "tool_calls"):
            assert TOKEN not in str(await team.fetch(f"SELECT t::text FROM {table} AS t"))
        assert (await laptop.store.get_with_hierarchy(session.id)).task_description == f"0 uses {TOKEN}"
        assert (await laptop.validate()).mismatched == ()
        assert (await laptop.conflicts.counts()).total == 0


async def test_recovery_and_the_check_speak_of_the_redacted_form(
    team: Database, tmp_path: Path, time: FakeTime
) -> None:
    async with opened(tmp_path / "laptop", time) as laptop:
        await plant(laptop, [f"{number} uses {TOKEN}" for number in range(PLACES)])
        await laptop.sync.sync_now()
        workspace_id = laptop.workspace_id
    checks = {each.name: each for each in await Maintenance(tmp_path / "laptop", syncing()).check_team()}
    assert checks["remote rows"].ok, checks["remote rows"]
    (tmp_path / "recovered").mkdir()
    there = Maintenance(tmp_path / "recovered", syncing())
    assert (await there.recover(confirm=lambda _: True, workspace_id=workspace_id)).quarantined == 0
    async with opened(tmp_path / "recovered", time) as recovered:
        assert TOKEN not in str(rows_of(recovered))
        assert (await recovered.validate()).mismatched == ()


async def test_two_edits_of_a_row_with_a_secret_meet_in_the_redacted_form(
    team: Database, tmp_path: Path, time: FakeTime
) -> None:
    async with opened(tmp_path / "laptop", time) as laptop:
        session = await add_run(laptop, f"uses {TOKEN}")
        await laptop.sync.sync_now()
        await replica(tmp_path / "desktop", laptop, time)
        async with opened(tmp_path / "desktop", time) as desktop:
            await desktop.sync.sync_now()
            for each, state in ((laptop, SessionState.EXECUTING), (desktop, SessionState.AWAITING_APPROVAL)):
                time.now += timedelta(seconds=1)
                await each.store.transition_session(session.id, state, reason=f"because of {TOKEN}")
            for each in (laptop, desktop, laptop, desktop):
                await each.sync.sync_now()
            assert TOKEN.lower() not in await everything(team)
            (conflict,) = await desktop.conflicts.list()
            assert TOKEN not in str(bytes(conflict.local_payload)) + str(bytes(conflict.remote_payload))
            for each in (laptop, desktop):
                assert (await each.store.get(session.id)).state is SessionState.AWAITING_APPROVAL
            assert (await laptop.store.get(session.id)).task_description == f"uses {TOKEN}"


def test_a_redacted_row_stays_as_it_is_and_within_the_limits() -> None:
    redactor = RowRedactor(homes=("/home/ada",), keeps=("user_id",))
    session = Session(
        id="0190d6a1-0000-7000-8000-000000000001",
        created_at=FakeTime().now,
        updated_at=FakeTime().now,
        task_description=("PASSWORD=Zq7abcd9 " * 60)[:MAX_DESCRIPTION_CHARS],
        state=SessionState.CREATED,
        user_id="ada@example.org",
        workspace_id="0190d6a1-0000-7000-8000-000000000002",
    )
    once = redactor.row(session)
    assert once is not session
    assert len(once.task_description) <= MAX_DESCRIPTION_CHARS
    assert once.user_id == "ada@example.org"
    assert redactor.row(redactor.row(once)).task_description == redactor.row(once).task_description


def test_the_default_is_to_redact() -> None:
    assert Settings().persistence.sync.redact is True
