"""More workers than the server has connections: all of them drain, and those that wait say what they wait for."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.storage.delivery_protocol import Fault, FaultKind
from acode_tui.storage.postgres.provisioning import provisioning_sql
from acode_tui.sync.ports import SyncState
from acode_tui.sync.sharing import HOLD_SECONDS, LINGER_SECONDS, PATIENCE_SECONDS, Patience, full_delay, linger_seconds
from tests.clocks import GUARD_SECONDS, TurnedClock
from tests.pg import Database, Server
from tests.sync.conftest import URL
from tests.sync.equality import assert_nothing_was_lost
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import opened

ROLE = "agents"
WORKERS = 12
RESERVED = 3
USABLE = 6


async def backends(team: Database, user: str) -> set[int]:
    rows = await team.fetch(
        "SELECT pid FROM pg_stat_activity WHERE usename = $1 AND application_name = 'acode-tui'", user
    )
    return {row["pid"] for row in rows}


async def none_connected(team: Database, user: str) -> None:
    """Wait for the server's processes to end, which is a moment after their connections were closed."""
    async with asyncio.timeout(GUARD_SECONDS):
        while await backends(team, user):
            pass


async def test_twelve_workers_live_on_six_connections(
    tmp_path: Path, time: FakeTime, private_pg: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    team = Database(private_pg(max_connections=str(USABLE + RESERVED)), "postgres")
    await team.execute(f"CREATE ROLE {ROLE} LOGIN", provisioning_sql(role=ROLE))
    monkeypatch.setenv(URL, team.url_as(ROLE))
    async with AsyncExitStack() as stack:
        held = [await asyncpg.connect(team.url_as(ROLE)) for _ in range(USABLE)]
        workers = [
            await stack.enter_async_context(opened(tmp_path / str(number), time, sync=True))
            for number in range(WORKERS)
        ]
        for worker in workers:
            await worker.store.create_session("one of many")
        await time.advance(1)
        for worker in workers:
            status = await worker.sync.status()
            assert (status.state, status.pending) == (SyncState.OFFLINE, 1)
            assert "the server is full" in status.reason
        for connection in held:
            await connection.close()
        await time.advance(60, step=2)
        assert [(await worker.sync.status()).pending for worker in workers] == [0] * WORKERS
        assert {(await worker.sync.status()).state for worker in workers} == {SyncState.IDLE}
        await none_connected(team, ROLE)
        for worker in workers:
            await worker.store.create_session("all of them at once")
        await time.advance(60, step=2)
        await none_connected(team, ROLE)
    assert (await team.fetch("SELECT count(*) FROM sessions"))[0][0] == 2 * WORKERS


async def test_a_connection_is_kept_for_the_next_commit_of_an_agent_at_work(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time, sync=True) as workspace:
        await none_connected(team, "postgres")
        seen = set()
        for number in range(4):
            await workspace.store.create_session(f"commit {number}")
            await time.advance(1)
            seen |= await backends(team, "postgres")
        assert len(seen) == 1
        await time.advance(2 * LINGER_SECONDS)
        await none_connected(team, "postgres")
    await assert_nothing_was_lost(workspace.database_path, team)


FULL = Fault(kind=FaultKind.SERVER, sqlstate="53300", sentence="full")
draws = st.floats(0, 1, exclude_max=True)


@given(draws, st.floats(0, 1000))
def test_a_connection_is_given_back_soon_and_never_kept_for_good(draw: float, age: float) -> None:
    assert linger_seconds(moved_nothing=True, age=age, random=lambda: draw) == 0
    kept = linger_seconds(moved_nothing=False, age=age, random=lambda: draw)
    assert kept == 0 or 0.5 * LINGER_SECONDS < kept < 1.5 * LINGER_SECONDS
    assert kept == 0 or age < 1.5 * HOLD_SECONDS


@given(st.integers(1, 10_000), draws)
def test_a_full_server_is_asked_again_within_twenty_seconds_and_not_hammered(failures: int, draw: float) -> None:
    assert 0.2 <= full_delay(failures, interval_seconds=30.0, random=lambda: draw) <= 20.0


@given(draws)
def test_a_request_waits_for_a_connection_only_and_not_for_long(draw: float) -> None:
    clock, patience = TurnedClock(), Patience(lambda: draw)
    begun = clock.now
    assert patience.next_wait(Fault(kind=FaultKind.REFUSED, sentence="off"), clock.now) is None
    while (wait := patience.next_wait(FULL, clock.now)) is not None:
        clock.turn(seconds=wait)
    assert PATIENCE_SECONDS <= (clock.now - begun).total_seconds() <= PATIENCE_SECONDS + 5
