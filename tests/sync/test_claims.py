"""Claims through the worker's own outbox: records whose rows something else changed, lanes that are queued again."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from acode_tui.storage.ports import LeaseLostError, WorkerStatus
from acode_tui.storage.sqlite.sync import claim
from acode_tui.sync.drain import MAX_BATCH_BYTES
from acode_tui.workspace import Workspace
from tests.pg import Database
from tests.sync.equality import assert_equal, assert_nothing_was_lost
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import RECORDS, add_run, opened, query

LATER = "9999-01-01T00:00:00.000000Z"


async def harm(workspace: Workspace, *statements: str) -> None:
    """Change the file as another program would."""

    def unit(connection: sqlite3.Connection) -> None:
        for statement in statements:
            connection.execute(statement)

    await workspace._writer.run(unit)


async def hold_lease(workspace: Workspace) -> str:
    assert await workspace._journal.acquire_lease("t", mode="api", status=WorkerStatus(state="idle")) is None
    return "t"


async def test_a_record_whose_row_is_gone_is_a_dead_letter_and_stops_its_own_session_alone(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time) as workspace:
        lost = await add_run(workspace, "loses its last row")
        await add_run(workspace, "is whole")
        await harm(
            workspace,
            "DROP TRIGGER artifacts_no_delete",
            f"DELETE FROM artifacts WHERE session_id = '{lost.id}'",
        )
        report = await workspace.sync.sync_now()
        assert (report.synced, report.remaining) == (2 * RECORDS - 1, 1)
        (dead,) = await workspace.outbox.list(status="failed")
        assert dead.session_id == lost.id
        assert dead.last_error == "its row is not in the workspace file any more"
        assert (await workspace.sync.sync_now()).remaining == 1
        assert await workspace.outbox.discard([dead.id]) == 1
        assert (await workspace.sync.sync_now()).remaining == 0
    await assert_equal(workspace.database_path, team)


@pytest.mark.parametrize("is_known", [False, True], ids=["another stamp", "the stamp of a record that was sent"])
async def test_a_record_whose_row_something_else_changed_follows_its_row(
    tmp_path: Path, time: FakeTime, team: Database, is_known: bool
) -> None:
    async with opened(tmp_path, time) as workspace:
        session = await add_run(workspace)
        if is_known:
            await workspace.sync.sync_now()
            (stamp,) = query(workspace, "SELECT updated_at FROM sessions")[0]
            await workspace.store.add_task(session.id, "more")
        else:
            stamp = "2026-01-05T13:00:00.000000Z"
        await harm(workspace, f"UPDATE sessions SET updated_at = '{stamp}', task_description = 'edited by hand'")
        report = await workspace.sync.sync_now()
        assert (report.failed, report.remaining) == (0, 0)
        if is_known:
            assert query(workspace, "SELECT outcome FROM outbox WHERE entity_type = 'session' ORDER BY id") == [
                ("applied",),
                ("superseded",),
            ]
            return
    await assert_nothing_was_lost(workspace.database_path, team)
    assert (await team.fetch("SELECT task_description FROM sessions"))[0][0] == "edited by hand"


async def test_a_row_that_cannot_be_read_is_a_dead_letter(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time) as workspace:
        await add_run(workspace)
        await harm(workspace, "UPDATE tool_calls SET state = 'Unheard of'")
        report = await workspace.sync.sync_now()
        assert (report.synced, report.remaining) == (4, 2)
        (dead,) = await workspace.outbox.list(status="failed")
        assert dead.last_error == "its row cannot be read"
        await harm(workspace, "UPDATE tool_calls SET state = 'Succeeded'")
        await workspace.outbox.retry()
        assert (await workspace.sync.sync_now()).remaining == 0
    await assert_equal(workspace.database_path, team)


async def test_an_artifact_whose_content_is_damaged_is_a_dead_letter(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time) as workspace:
        await add_run(workspace)
        await harm(
            workspace, "DROP TRIGGER artifacts_no_update", "UPDATE artifacts SET content = x'00', size = size + 1"
        )
        report = await workspace.sync.sync_now()
        assert (report.synced, report.remaining) == (RECORDS - 1, 1)
        (dead,) = await workspace.outbox.list(status="failed")
        assert dead.last_error == "its content is damaged"
        assert (await workspace.sync.sync_now()).remaining == 1


async def test_a_lane_that_is_queued_again_keeps_its_claims(tmp_path: Path, time: FakeTime, team: Database) -> None:
    """Otherwise an edit would fold into a version that the server may have, and be taken for a conflict."""
    async with opened(tmp_path, time) as workspace:
        session = await workspace.store.create_session("first")
        await workspace.store.add_task(session.id, "task")
        token = await hold_lease(workspace)
        await workspace.outbox.claim(token, max_records=9, max_bytes=MAX_BATCH_BYTES)
        claimed = "SELECT idempotency_key FROM outbox WHERE id IN (SELECT record_id FROM outbox_claims) ORDER BY 1"
        before = query(workspace, claimed)
        assert len(before) == 2
        await harm(
            workspace,
            "DELETE FROM outbox_claims WHERE record_id = 1",
            "DELETE FROM outbox WHERE entity_type = 'session'",
        )
        made = (await workspace.outbox.queue_unsent(after="", limit=9, everything=False)).made
        assert made == 1
        assert query(workspace, claimed) == [key for key in before if key[0].startswith("session_task")]
        assert query(workspace, "SELECT count(*) FROM outbox_claims") == [(1,)]


async def test_a_claim_where_nothing_is_due_writes_nothing_and_takes_no_lock(tmp_path: Path, time: FakeTime) -> None:
    async with opened(tmp_path, time) as workspace:
        token = await hold_lease(workspace)
        with sqlite3.connect(workspace.database_path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            found = await workspace.outbox.claim(token, max_records=9, max_bytes=MAX_BATCH_BYTES)
            other.execute("ROLLBACK")
        assert found.records == ()


async def test_a_claim_needs_the_lease(tmp_path: Path, time: FakeTime) -> None:
    async with opened(tmp_path, time) as workspace:
        await add_run(workspace)
        await hold_lease(workspace)
        with pytest.raises(LeaseLostError):
            await workspace.outbox.claim("another", max_records=9, max_bytes=MAX_BATCH_BYTES)
        assert query(workspace, "SELECT count(*) FROM outbox_claims") == [(0,)]


async def test_a_row_that_changes_between_claim_and_reading_is_sent_as_it_was_claimed(
    tmp_path: Path, time: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, time) as workspace:
        session = await workspace.store.create_session("as it was")
        token = await hold_lease(workspace)
        load = claim.load
        unit: Any = "UPDATE sessions SET task_description = 'changed', updated_at = ? WHERE id = ?"

        def late(connection: sqlite3.Connection, claims: Any, **options: Any) -> Any:
            from acode_tui.storage.sqlite.runs import row_writes

            with sqlite3.connect(workspace.database_path, isolation_level=None) as other:
                other.execute("BEGIN IMMEDIATE")
                stored: Any = row_writes.require(other, session.kind, session.id)
                row_writes.update(other, row_writes.stamped(stored, time.now), time.now)
                other.execute(unit, (LATER, session.id))
                other.execute("COMMIT")
            connection.execute("COMMIT")
            connection.execute("BEGIN")
            return load(connection, claims, **options)

        monkeypatch.setattr(claim, "load", late)
        batch = (await workspace.outbox.claim(token, max_records=9, max_bytes=MAX_BATCH_BYTES)).records
        (record,) = batch
        assert record.row.entity == session
        assert query(workspace, "SELECT count(*) FROM outbox") == [(2,)]
