"""The worker's loop: when it wakes, what it costs, how it is paused, reconfigured and stopped."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

import acode_tui
from acode_tui import SessionState
from acode_tui.domain.errors import SyncError
from acode_tui.sync.ports import SyncState
from acode_tui.sync.wake import WakeSignal
from acode_tui.sync.worker import CUT_SECONDS, STOP_SECONDS
from acode_tui.workspace import Workspace
from tests.clocks import GUARD_SECONDS
from tests.fault_proxy import Mode, fault_proxy
from tests.pg import Database
from tests.sync.conftest import URL
from tests.sync.equality import assert_nothing_was_lost
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import RECORDS, add_run, opened, query, syncing


async def sessions_there(team: Database) -> int:
    return int((await team.fetch("SELECT count(*) FROM sessions"))[0][0])


@pytest.mark.ac("AC-036")
async def test_a_local_commit_is_sent_long_before_the_interval(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time, sync=True) as workspace:
        assert workspace.sync.is_running
        await add_run(workspace)
        await time.advance(1)
        assert await sessions_there(team) == 1
        assert (await workspace.sync.status()).pending == 0
    assert not workspace.sync.is_running
    await assert_nothing_was_lost(workspace.database_path, team)


@pytest.mark.ac("AC-036")
async def test_a_commit_of_another_process_is_noticed_within_seconds(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time, sync=True), opened(tmp_path, time) as other:
        await time.advance(40)
        await add_run(other)
        await time.advance(2)
        assert await sessions_there(team) == 1


@pytest.mark.ac("AC-036")
async def test_each_interval_pulls_the_writes_of_other_machines(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time, sync=True) as workspace:
        await add_run(workspace)
        await time.advance(1)
        await team.execute(
            "UPDATE workspaces SET change_seq = change_seq + 1",
            "UPDATE sessions SET task_description = 'elsewhere', sync_version = sync_version + 1, "
            "change_seq = (SELECT change_seq FROM workspaces), updated_at = updated_at + interval '1 second'",
        )
        await time.advance(31)
        assert query(workspace, "SELECT task_description FROM sessions") == [("elsewhere",)]
        assert query(workspace, "SELECT count(*) FROM outbox WHERE processed_at IS NULL") == [(0,)]


async def test_an_idle_worker_uses_the_server_once_an_interval_not_at_its_own_heartbeats(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fault_proxy("127.0.0.1", team.server.port) as proxy:
        monkeypatch.setenv(URL, team.url_through(proxy.port))
        async with opened(tmp_path, time, sync=True):
            before, connections = proxy.round_trips, proxy.connections
            await time.advance(300)
            asked, connected = proxy.round_trips - before, proxy.connections - connections
    # Ten rounds, each over a connection of its own (TLS asked for, login, end) that reads one row (two trips); and
    # every minute a look at schema, clock and registration.
    assert connected == 10
    assert 10 <= asked <= 10 * 6 + 5 * 12


async def test_idle_rounds_update_the_last_sync_without_a_log_row_each(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time, sync=True) as workspace:
        await time.advance(3600, step=10)
        last = (await workspace.sync.status()).last_sync_at
        assert last is not None
        assert time.now - last <= timedelta(seconds=40)
        assert await workspace.sync.log_tail(10) == ()
        async with opened(tmp_path, time) as other:
            seen = await other.sync.status()
            assert seen.last_sync_at is not None
            assert last - seen.last_sync_at <= timedelta(seconds=40)
    async with opened(tmp_path, time) as later:
        assert (await later.sync.status()).last_sync_at == last


async def test_a_pause_sends_nothing_until_resume(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time, sync=True) as workspace:
        await workspace.sync.pause()
        await add_run(workspace)
        await time.advance(120, step=10)
        status = await workspace.sync.status()
        assert (status.state, status.pending) == (SyncState.PAUSED, RECORDS)
        assert await sessions_there(team) == 0
        await workspace.sync.resume()
        await time.advance(1)
        assert (await workspace.sync.status()).state is SyncState.IDLE
        assert await sessions_there(team) == 1


async def test_a_paused_worker_does_not_connect(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fault_proxy("127.0.0.1", team.server.port) as proxy:
        monkeypatch.setenv(URL, team.url_through(proxy.port))
        async with opened(tmp_path, time, sync=True) as workspace:
            await workspace.sync.pause()
            await time.settled()
            proxy.cut()
            before = proxy.connections, proxy.round_trips
            await add_run(workspace)
            await time.advance(600, step=10)
            assert (proxy.connections, proxy.round_trips) == before


async def test_a_request_is_served_during_a_pause_and_does_not_end_it(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time, sync=True) as workspace:
        await workspace.sync.pause()
        await add_run(workspace)
        assert (await workspace.sync.sync_now()).remaining == 0
        assert (await workspace.sync.status()).state is SyncState.PAUSED


async def test_winding_down_ends_a_drain_after_the_batch_in_flight(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time) as workspace:
        for number in range(5):
            await add_run(workspace, f"run {number}")
        report = await workspace.sync.sync_now(batch_size=6, progress=lambda _: workspace.sync.wind_down())
        # The batch that was in flight when the first one was acknowledged is finished too.
        assert report.synced == 12
        assert report.remaining == 3 * RECORDS
        assert (await workspace.sync.sync_now()).remaining == 0
    await assert_nothing_was_lost(workspace.database_path, team)


async def test_starting_twice_runs_one_loop_and_a_stopped_worker_can_start_again(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time, sync=True) as workspace:
        await workspace.sync.start()
        await workspace.sync.stop()
        time.loops -= 2
        assert not workspace.sync.is_running
        assert (await workspace.sync.status()).state is SyncState.STOPPED
        await add_run(workspace)
        assert (await workspace.sync.sync_now()).remaining == 0
        await add_run(workspace)
        await workspace.sync.start()
        time.loops += 2
        await time.advance(1)
        assert await sessions_there(team) == 2


@pytest.mark.ac("AC-023")
async def test_switching_off_stops_within_thirty_seconds_and_loses_nothing(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time, sync=True) as workspace:
        await workspace.reload(syncing(enabled=False))
        await add_run(workspace)
        await time.advance(60, step=10)
        status = await workspace.sync.status()
        assert (status.state, status.pending, status.holder) == (SyncState.DISABLED, RECORDS, None)
        assert await sessions_there(team) == 0
        with pytest.raises(SyncError, match="not enabled"):
            await workspace.sync.sync_now()
        await workspace.reload(syncing())
        await time.advance(1)
        assert await sessions_there(team) == 1
    await assert_nothing_was_lost(workspace.database_path, team)


async def test_the_worker_alone_can_be_switched_off(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time, sync=True, settings=syncing(enabled=True)) as workspace:
        off = msgspec.structs.replace(
            workspace.settings,
            persistence=msgspec.structs.replace(
                workspace.settings.persistence,
                sync=msgspec.structs.replace(workspace.settings.persistence.sync, enabled=False),
            ),
        )
        await workspace.reload(off)
        await add_run(workspace)
        await time.advance(60, step=10)
        status = await workspace.sync.status()
        assert status.state is SyncState.DISABLED
        assert "persistence.sync.enabled" in status.reason
        assert status.switched_off_by == "persistence.sync.enabled"
        assert await sessions_there(team) == 0
        assert (await workspace.sync.sync_now()).remaining == 0


@pytest.mark.ac("AC-023")
async def test_a_long_drain_does_not_keep_a_changed_configuration_waiting(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time) as workspace:
        for number in range(6):
            await add_run(workspace, f"run {number}")
        changed: list[asyncio.Task[None]] = []

        def change(_: object) -> None:
            if not changed:
                changed.append(asyncio.create_task(workspace.reload(syncing(enabled=False))))

        report = await workspace.sync.sync_now(batch_size=6, progress=change)
        await changed[0]
        assert 0 < report.remaining < 6 * RECORDS
        assert (await workspace.sync.status()).state is SyncState.DISABLED


async def while_time_passes(time: FakeTime, work: Coroutine[Any, Any, None]) -> None:
    """Do ``work`` that ends once a hanging target is cut, which leaves two of ten seconds for the rest."""
    assert STOP_SECONDS + 2 * CUT_SECONDS <= 10
    task = asyncio.create_task(work)
    loops, time.loops = time.loops, 0
    await time.advance(STOP_SECONDS)
    time.loops = loops
    async with asyncio.timeout(GUARD_SECONDS):
        await task


async def _send_one(workspace: Workspace, time: FakeTime) -> None:
    """Write and send a session: the connection is kept for some seconds then."""
    await workspace.store.create_session("sent")
    await time.advance(1)


async def _hang(workspace: Workspace, time: FakeTime) -> None:
    """Write a run, and wait until the worker hangs while it sends it."""
    await add_run(workspace)
    time.loops -= 1
    await time.advance(1)
    while (await workspace.sync.status()).state not in (SyncState.SYNCING, SyncState.CONNECTING):
        pass


@pytest.mark.ac("AC-037")
async def test_local_writes_go_on_and_a_stop_is_prompt_while_the_target_hangs(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fault_proxy("127.0.0.1", team.server.port) as proxy:
        monkeypatch.setenv(URL, team.url_through(proxy.port))
        async with opened(tmp_path, time, sync=True) as workspace:
            await _send_one(workspace, time)
            await proxy.set_mode(Mode.SWALLOW)
            await _hang(workspace, time)
            before, trips = time.now, proxy.round_trips
            for number in range(20):
                await workspace.store.create_session(f"written meanwhile {number}")
            assert await workspace.store.count() == 22
            # All of them were answered before the batch was: no time has passed, and the server has said nothing.
            assert (await workspace.sync.status()).state is SyncState.SYNCING
            assert (time.now, proxy.round_trips) == (before, trips)
            await while_time_passes(time, workspace.sync.stop())
            assert not workspace.sync.is_running
            assert query(workspace, "SELECT count(*) FROM sync_lease") == [(0,)]
            assert query(workspace, "SELECT max(attempts) FROM outbox") == [(0,)]
            time.loops += 1
    monkeypatch.setenv(URL, team.url)
    async with opened(tmp_path, time) as again:
        await again.sync.sync_now()
    await assert_nothing_was_lost(again.database_path, team)


async def test_a_stop_is_prompt_while_a_connection_is_being_made(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fault_proxy("127.0.0.1", team.server.port) as proxy:
        await proxy.set_mode(Mode.SWALLOW)
        monkeypatch.setenv(URL, team.url_through(proxy.port))
        async with acode_tui.open_workspace(
            tmp_path, sync=True, wall=time.wall, sleep=time.sleep, settings=syncing()
        ) as workspace:
            while (await workspace.sync.status()).state is not SyncState.CONNECTING:
                pass
            await while_time_passes(time, workspace.sync.stop())
            assert query(workspace, "SELECT count(*) FROM sync_lease") == [(0,)]


@pytest.mark.parametrize("first", ["the loop", "a request"])
@pytest.mark.parametrize("hangs", ["a batch", "a connection"])
async def test_a_stop_takes_ten_seconds_at_most_when_the_loop_and_a_request_hang(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch, first: str, hangs: str
) -> None:
    """The loop and the request use the server one after the other; the stop must not wait for each in turn."""
    async with fault_proxy("127.0.0.1", team.server.port) as proxy, AsyncExitStack() as stack:
        monkeypatch.setenv(URL, team.url_through(proxy.port))
        if hangs == "a connection":
            await proxy.set_mode(Mode.SWALLOW)
            workspace = await stack.enter_async_context(opened(tmp_path, time))
        else:
            workspace = await stack.enter_async_context(opened(tmp_path, time, sync=True))
            await _send_one(workspace, time)
            await proxy.set_mode(Mode.SWALLOW)
        if first == "a request":
            await workspace.sync.pause()
        await add_run(workspace)
        if first == "the loop":
            await workspace.sync.start()
            await _hang(workspace, time)
            request = asyncio.create_task(workspace.sync.sync_now())
        else:
            request = asyncio.create_task(workspace.sync.sync_now())
            while not proxy.swallowed:
                await workspace.sync.status()
            await workspace.sync.start()
        await while_time_passes(time, workspace.sync.stop())
        assert query(workspace, "SELECT count(*) FROM sync_lease") == [(0,)]
        if first == "the loop":
            assert (await request).remaining > 0
        else:
            with pytest.raises(SyncError, match="lost"):
                await request
        time.loops = 0


@pytest.mark.ac("AC-023")
async def test_a_changed_address_ends_a_batch_that_hangs(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fault_proxy("127.0.0.1", team.server.port) as proxy:
        monkeypatch.setenv(URL, team.url_through(proxy.port))
        async with opened(tmp_path, time, sync=True) as workspace:
            await _send_one(workspace, time)
            await proxy.set_mode(Mode.SWALLOW)
            await _hang(workspace, time)
            monkeypatch.setenv(URL, team.url)
            await while_time_passes(time, workspace.reload(syncing(interval_seconds=20)))
            time.loops += 1
            await time.advance(1)
            assert (await workspace.sync.status()).state is SyncState.IDLE
            assert await sessions_there(team) == 2


async def test_retention_deletes_only_what_the_ledger_holds(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time) as workspace:
        session = await add_run(workspace)
        await workspace.sync.sync_now()
        (sent,) = query(workspace, "SELECT count(*) FROM outbox WHERE outcome = 'applied'")[0]
        await team.execute("DELETE FROM sync_inbox WHERE idempotency_key LIKE 'step:%'")
        time.now += timedelta(days=8)
        await workspace.store.transition_session(session.id, SessionState.FAILED, reason="over")
        await workspace.sync.sync_now()
        kept = query(workspace, "SELECT entity_type FROM outbox ORDER BY id")
    assert sent == 6
    assert sorted(kept) == [("session",), ("session_event",), ("step",)]


async def test_the_outbox_of_a_workspace_without_postgres_is_folded_parents_first(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time, sync=True, settings=syncing(enabled=False)) as workspace:
        await add_run(workspace)
        await time.advance(2 * 3600, step=600)
        kinds = [kind for (kind,) in query(workspace, "SELECT entity_type FROM outbox ORDER BY id")]
        assert kinds == ["session", "session_event", "session_task", "step", "tool_call", "artifact"]
        await workspace.reload(syncing())
        await time.advance(1)
    await assert_nothing_was_lost(workspace.database_path, team)


async def test_a_stop_does_not_linger_behind_a_commit(time: FakeTime) -> None:
    signal = WakeSignal(time.wall, time.sleep, None)
    await signal.reset()
    signal.local_commit()
    signal.wake()
    async with asyncio.timeout(GUARD_SECONDS):
        await signal.wait(30, _never)


async def _never() -> bool:
    return False
