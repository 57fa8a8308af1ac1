"""A record that the server refuses blocks its own lane and no other; ten attempts make a dead letter."""

from datetime import timedelta
from pathlib import Path

import pytest

from acode_tui import SessionState
from acode_tui.sync.ports import SyncState
from tests.pg import Database
from tests.sync.equality import assert_equal, assert_nothing_was_lost
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import RECORDS, add_run, opened, query, syncing

REFUSE = (
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "IF NEW.task_description = 'refused' THEN RAISE EXCEPTION 'no such run here'; END IF; RETURN NEW; END $$",
    "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION refuse()",
)
ALLOW = ("DROP TRIGGER refuse ON sessions", "DROP FUNCTION refuse")


@pytest.mark.ac("AC-039")
async def test_a_refused_record_blocks_its_own_session_only(tmp_path: Path, time: FakeTime, team: Database) -> None:
    await team.execute(*REFUSE)
    async with opened(tmp_path, time) as workspace:
        for name in ("a", "b", "refused", "c", "d"):
            await add_run(workspace, name)
        report = await workspace.sync.sync_now()
        assert (report.synced, report.failed, report.remaining) == (4 * 6, 1, RECORDS)
        assert sorted(r[0] for r in await team.fetch("SELECT task_description FROM sessions")) == ["a", "b", "c", "d"]
        (record,) = await workspace.outbox.list(status="retrying")
        assert (record.attempts, record.processed_at, record.failed_at) == (1, None, None)
        assert record.last_error is not None
        assert "no such run here" in record.last_error
        assert record.next_attempt_at == time.now + timedelta(seconds=5)
        # No record of the lane is sent before its next attempt is due, however often a sync is asked for.
        assert (await workspace.sync.sync_now()).failed == 0
        assert (await workspace.sync.status()).retrying == 1


@pytest.mark.ac("AC-040")
@pytest.mark.ac("AC-041")
async def test_ten_refusals_make_a_dead_letter_that_can_be_sent_again(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    await team.execute(*REFUSE)
    async with opened(tmp_path, time, sync=True) as workspace:
        await add_run(workspace, "refused")
        await time.advance(1)
        for attempt in range(1, 10):
            (record,) = await workspace.outbox.list(status="retrying")
            assert record.attempts == attempt
            assert record.next_attempt_at is not None
            time.now = max(time.now, record.next_attempt_at - timedelta(seconds=1))
            await time.advance(2)
        (dead,) = await workspace.outbox.list(status="failed")
        assert (dead.attempts, dead.next_attempt_at) == (10, None)
        status = await workspace.sync.status()
        assert (status.state, status.failed, status.retrying) == (SyncState.IDLE, 1, 0)

        await time.advance(hours=3, step=60)
        assert (await workspace.outbox.list(status="failed"))[0].attempts == 10
        await team.execute(*ALLOW)
        await workspace.outbox.retry([dead.id])
        await time.advance(2)
        assert (await workspace.sync.status()).failed == 0
    await assert_equal(workspace.database_path, team)


@pytest.mark.ac("AC-040")
async def test_the_wait_after_each_refusal_doubles_up_to_an_hour(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    await team.execute(*REFUSE)
    waits = []
    async with opened(tmp_path, time) as workspace:
        await add_run(workspace, "refused")
        for _ in range(9):
            await workspace.sync.sync_now()
            (record,) = await workspace.outbox.list(status="retrying")
            assert record.next_attempt_at is not None
            waits.append((record.next_attempt_at - time.now).total_seconds())
            time.now = record.next_attempt_at
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 1280]


async def test_a_value_postgres_can_never_hold_is_a_dead_letter_at_once(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time) as workspace:
        await add_run(workspace, "fine")
        session = await add_run(workspace, "too wide")
        # What a boundary refuses can still stand in a file that something else wrote.
        await workspace._writer.run(
            lambda connection: connection.execute(
                "UPDATE sessions SET task_description = char(0) WHERE id = ?", (session.id,)
            )
        )
        report = await workspace.sync.sync_now()
        assert (report.failed, report.synced) == (1, 6)
        (dead,) = await workspace.outbox.list(status="failed")
        assert (dead.attempts, dead.entity_id) == (1, session.id)
        assert await workspace.outbox.discard([dead.id]) == 1
        # Now the lane's children have no parent.
        for _ in range(10):
            await workspace.sync.sync_now()
            dead_ones = [record.id for record in await workspace.outbox.list(status="failed")]
            await workspace.outbox.discard(dead_ones)
        assert not await workspace.outbox.list(status="failed")
        # An edit of the session brings the whole row, and with it the lane to life.
        await workspace._writer.run(
            lambda connection: connection.execute("UPDATE sessions SET task_description = 'narrow'")
        )
        await workspace.store.transition_session(session.id, SessionState.FAILED, reason="mended")
        await workspace.outbox.retry()
        await workspace.sync.sync_history()
        assert (await workspace.sync.status()).failed == 0
        assert await team.fetch("SELECT 1 FROM sessions WHERE id = $1", session.id)


async def test_a_refused_record_does_not_undo_earlier_rows_of_its_lane(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    await team.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no steps'; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT ON steps FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    async with opened(tmp_path, time, settings=syncing(max_batch_size=50)) as workspace:
        await add_run(workspace)
        report = await workspace.sync.sync_now()
        assert (report.synced, report.failed) == (3, 1)
        assert len(await team.fetch("SELECT 1 FROM session_tasks")) == 1
        await team.execute("DROP TRIGGER refuse ON steps")
        await workspace.outbox.retry()
        await workspace.sync.sync_now()
    await assert_equal(workspace.database_path, team)


async def test_a_refusal_counts_no_attempt_for_other_records(tmp_path: Path, time: FakeTime, team: Database) -> None:
    await team.execute(*REFUSE)
    async with opened(tmp_path, time, settings=syncing(max_batch_size=500)) as workspace:
        for number in range(12):
            await add_run(workspace, "refused" if number == 7 else f"run {number}")
        await workspace.sync.sync_now()
        assert query(workspace, "SELECT sum(attempts), count(*) FROM outbox WHERE attempts > 0") == [(1, 1)]
        await team.execute(*ALLOW)
        time.now += timedelta(seconds=5)
        await workspace.sync.sync_now()
        await workspace._writer.run(lambda connection: connection.execute("UPDATE outbox SET attempts = 0"))
    await assert_nothing_was_lost(workspace.database_path, team)
