"""The size of a batch: it grows with the round trip, and shrinks where the server's time limit ends one."""

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from acode_tui.sync.batch_size import FIRST_SIZE, MOST_TIMES, SLOW_SECONDS, BatchSize
from acode_tui.sync.ports import SyncState
from tests.pg import Database
from tests.sync.equality import assert_nothing_was_lost
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import opened, query


def test_it_grows_with_the_round_trip() -> None:
    sizes = BatchSize()
    assert [sizes.next(10_000, seconds) for seconds in (None, 0.0005, 0.005, 0.02, 0.05, 2.0)] == [
        *(FIRST_SIZE,) * 3,
        4 * FIRST_SIZE,
        *(MOST_TIMES * FIRST_SIZE,) * 2,
    ]
    assert sizes.next(100, 0.05) == 100


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 2 * SLOW_SECONDS)), max_size=40), st.integers(1, 10_000))
def test_it_stays_within_what_is_allowed_and_halves_at_a_time_limit(
    batches: list[tuple[bool, float]], allowed: int
) -> None:
    sizes = BatchSize()
    for is_ended, seconds in batches:
        size = sizes.next(allowed, 0.02)
        assert 1 <= size <= allowed
        if is_ended or seconds > SLOW_SECONDS:
            sizes.timed_out(size) if is_ended else sizes.took(size, seconds)
            assert sizes.next(allowed, 0.02) == max(1, size // 2)
        else:
            sizes.took(size, seconds)
            assert sizes.next(allowed, 0.02) in {size, min(2 * size, allowed, 4 * FIRST_SIZE)}
    for _ in range(16):
        sizes.took(sizes.next(allowed, 0.02), 0.1)
    assert sizes.next(allowed, 0.02) == min(allowed, 4 * FIRST_SIZE)


# The server's time limit without the time: SQLSTATE 57014 for some rows, and for statements with more than three.
SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.task_description LIKE '%slow%' THEN RAISE EXCEPTION 'timeout' USING ERRCODE = '57014'; END IF;
    RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION slow();
"""
SLOW_BATCHES = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT count(*) FROM written) > 3 THEN RAISE EXCEPTION 'timeout' USING ERRCODE = '57014'; END IF;
    RETURN NULL; END $$;
CREATE TRIGGER slow AFTER INSERT ON sessions REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION slow();
"""
FAST = "DROP TRIGGER slow ON sessions"


def attempts(workspace: Any) -> Any:
    return query(workspace, "SELECT sum(attempts), count(*) FROM outbox WHERE processed_at IS NULL")


async def test_a_row_that_the_servers_limit_ends_waits_alone(tmp_path: Path, time: FakeTime, team: Database) -> None:
    await team.execute(SLOW)
    async with opened(tmp_path, time) as workspace:
        for number in range(5):
            await workspace.store.create_session("slow" if number == 1 else f"run {number}")
        report = await workspace.sync.sync_now()
        assert (report.synced, report.failed) == (4, 1)
        assert attempts(workspace) == [(1, 1)]
        await team.execute(FAST)
        time.now = time.wall().replace(hour=13)
        assert (await workspace.sync.sync_now()).remaining == 0
        await workspace._writer.run(lambda connection: connection.execute("UPDATE outbox SET attempts = 0"))
    await assert_nothing_was_lost(workspace.database_path, team)


async def test_a_server_that_is_slow_for_every_row_costs_no_attempt(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    await team.execute(SLOW)
    async with opened(tmp_path, time, sync=True) as workspace:
        for number in range(3):
            await workspace.store.create_session(f"slow {number}")
        await time.advance(1)
        status = await workspace.sync.status()
        assert (status.state, status.pending) == (SyncState.OFFLINE, 3)
        assert "statement_timeout" in status.reason
        assert attempts(workspace) == [(0, 3)]
        await team.execute(FAST)
        await time.advance(31)
        assert (await workspace.sync.status()).state is SyncState.IDLE
    await assert_nothing_was_lost(workspace.database_path, team)


async def test_batches_are_halved_until_the_servers_limit_lets_them_through(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    await team.execute(SLOW_BATCHES)
    async with opened(tmp_path, time) as workspace:
        for number in range(20):
            await workspace.store.create_session(f"run {number}")
        report = await workspace.sync.sync_now()
        assert (report.synced, report.failed, report.remaining) == (20, 0, 0)
    await assert_nothing_was_lost(workspace.database_path, team)
