"""One worker drains a workspace. Another one waits and takes over; a worker that lost the lease may not acknowledge."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from acode_tui.domain.errors import SyncError
from acode_tui.storage.ports import HEARTBEAT_SECONDS, LEASE_SECONDS, Lease, LeaseLostError, PullCursor, WorkerStatus
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.storage.sqlite.sync import lease
from acode_tui.sync.ports import SyncReport, SyncState
from acode_tui.workspace import Workspace
from tests.clocks import GUARD_SECONDS
from tests.pg import Database
from tests.sync.conftest import URL
from tests.sync.equality import assert_nothing_was_lost
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import WORKER_LOOPS, add_run, opened, query, syncing


async def die(workspace: Workspace, time: FakeTime) -> None:
    """End the worker as if its process was killed: without giving the lease up."""
    worker = workspace.sync
    loop = worker._loop
    assert loop is not None
    time.loops -= WORKER_LOOPS - 1
    loop.cancel()
    await asyncio.wait([loop])
    worker._lease._heartbeat_at = None  # so that closing the workspace releases nothing


def counted(waiting: "asyncio.Task[SyncReport]", time: FakeTime) -> "asyncio.Task[SyncReport]":
    """Count a task that sleeps between polls as a loop until it is done."""

    def done(_: object) -> None:
        time.loops -= 1
        time._came.set()

    time.loops += 1
    waiting.add_done_callback(done)
    return waiting


async def test_two_workers_do_the_work_once(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with (
        opened(tmp_path, time, sync=True, mode="headless") as first,
        opened(tmp_path, time, sync=True, mode="dashboard") as second,
    ):
        for number in range(5):
            await add_run(first if number % 2 else second, f"run {number}")
            await time.advance(2)
        states = [(await each.sync.status()).state for each in (first, second)]
        assert states == [SyncState.IDLE, SyncState.STANDBY]
        standby = await second.sync.status()
        assert standby.holder is not None
        assert "drains this workspace" in standby.reason
        assert standby.pending == 0
        assert query(first, "SELECT count(*) FROM outbox WHERE outcome = 'duplicate'") == [(0,)]
        assert (await second.sync.sync_now()).remaining == 0
    await assert_nothing_was_lost(first.database_path, team)


async def test_a_request_waits_for_the_worker_that_holds_the_lease(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time, sync=True) as worker, opened(tmp_path, time) as other:
        await time.advance(1)
        await worker.sync.pause()
        await add_run(other)
        waiting = (await other.outbox.stats()).pending
        asked = counted(asyncio.create_task(other.sync.sync_now()), time)
        await time.advance(3)
        assert not asked.done()
        await worker.sync.resume()
        await time.advance(3)
        report = await asked
        assert (report.synced, report.remaining) == (waiting, 0)
    await assert_nothing_was_lost(worker.database_path, team)


async def test_a_request_fails_if_the_holder_makes_no_progress(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time, sync=True) as worker, opened(tmp_path, time) as other:
        await time.advance(1)
        await worker.sync.pause()
        await add_run(other)
        waiting = (await other.outbox.stats()).pending
        asked = counted(asyncio.create_task(other.sync.sync_now()), time)
        await time.advance(12)
        with pytest.raises(SyncError, match="makes no progress"):
            await asked
        assert (await other.outbox.stats()).pending == waiting


async def test_changed_settings_apply_while_a_request_waits(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time, sync=True) as worker, opened(tmp_path, time) as other:
        await time.advance(1)
        await worker.sync.pause()
        await add_run(other)
        asked = counted(asyncio.create_task(other.sync.sync_now()), time)
        await time.advance(3)
        async with asyncio.timeout(GUARD_SECONDS):
            await other.reload(syncing(interval_seconds=20))
        assert not asked.done()
        await other.reload(syncing(enabled=False))
        await time.advance(1)
        with pytest.raises(SyncError, match="not enabled"):
            await asked


async def test_ctrl_c_ends_the_wait_for_another_worker(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time, sync=True) as worker, opened(tmp_path, time) as other:
        await time.advance(1)
        await worker.sync.pause()
        await add_run(other)
        asked = counted(asyncio.create_task(other.sync.sync_now()), time)
        await time.advance(3)
        other.sync.wind_down()
        await time.advance(1)
        assert (await asked).remaining > 0


async def test_a_standby_takes_over_at_once_from_a_worker_that_stops(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time, sync=True) as first, opened(tmp_path, time, sync=True) as second:
        await first.sync.stop()
        time.loops -= WORKER_LOOPS - 1
        await add_run(first)
        await time.advance(5)
        assert (await second.sync.status()).state is SyncState.IDLE
        assert (await second.sync.status()).pending == 0
        time.loops += WORKER_LOOPS - 1


async def test_a_standby_takes_over_within_thirty_seconds_of_a_death(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time, sync=True) as first, opened(tmp_path, time, sync=True) as second:
        await die(first, time)
        await add_run(second)
        await time.advance(9)
        assert (await second.sync.status()).state is SyncState.STANDBY
        await time.advance(21)
        assert (await second.sync.status()).state is SyncState.IDLE
        assert (await second.sync.status()).pending == 0
        time.loops += WORKER_LOOPS - 1
    await assert_nothing_was_lost(second.database_path, team)


async def test_a_worker_that_lost_the_lease_may_not_acknowledge(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stale worker has sent a batch when another one takes over: the batch comes back as duplicates."""
    async with opened(tmp_path, time) as stale, opened(tmp_path, time) as other:
        await add_run(stale)
        taken: list[Any] = []
        apply = PostgresSyncTarget.apply

        async def late(target: PostgresSyncTarget, *arguments: Any, **options: Any) -> Any:
            reply = await apply(target, *arguments, **options)
            if not taken:
                taken.append(None)
                time.now = time.now.replace(hour=13)  # the machine slept; the lease has long expired
                taken[0] = await other.sync.sync_now()
            return reply

        monkeypatch.setattr(PostgresSyncTarget, "apply", late)
        with pytest.raises(LeaseLostError):
            await stale.sync.sync_now()
        assert (taken[0].duplicates, taken[0].synced, taken[0].remaining) == (6, 0, 0)
        assert (await stale.sync.sync_now()).remaining == 0
    await assert_nothing_was_lost(stale.database_path, team)


async def test_a_token_is_void_for_good_once_another_one_held_the_lease(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time) as workspace:
        journal = workspace._journal
        status = WorkerStatus(state="idle")
        assert await journal.acquire_lease("first", mode="api", status=status) is None
        rival = await journal.acquire_lease("second", mode="api", status=status)
        assert rival is not None
        assert rival.token == "first"
        time.now = time.now.replace(hour=13)
        assert await journal.acquire_lease("second", mode="api", status=status) is None
        cursor = PullCursor(change_seq=1, incarnation="x")
        for void in (journal.renew_lease("first", status), journal.adopt("first", (), cursor)):
            with pytest.raises(LeaseLostError):
                await void
        await journal.release_lease("first", status)
        lease = await journal.live_lease()
        assert lease is not None
        assert lease.token == "second"


async def test_another_process_sees_why_the_worker_is_not_idle(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, time, sync=True, mode="headless") as worker:
        await team.server.execute(f"ALTER DATABASE {team.name} ALLOW_CONNECTIONS false")
        await team.server.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{team.name}'"
        )
        await time.advance(61)
        own = await worker.sync.status()
        assert own.state is SyncState.OFFLINE
        async with opened(tmp_path, time, settings=syncing()) as observer:
            seen = await observer.sync.status()
        assert (seen.state, seen.reason, seen.hint) == (own.state, own.reason, own.hint)
        assert (seen.next_attempt_at, seen.holder) == (own.next_attempt_at, own.holder)
        await team.server.execute(f"ALTER DATABASE {team.name} ALLOW_CONNECTIONS true")


async def test_a_lease_of_a_clock_that_runs_ahead_is_bounded(tmp_path: Path, time: FakeTime, team: Database) -> None:
    """A container that is gone, whose clock was a day ahead."""
    async with opened(tmp_path, time) as workspace:
        ahead = time.wall() + timedelta(days=1)
        await workspace._writer.run(
            lambda connection: lease.acquire(
                connection, token="gone", host="container", pid=1, mode="headless", state="idle", now=ahead
            )
        )
        await add_run(workspace)
        assert (await workspace.sync.sync_now()).remaining == 0
    await assert_nothing_was_lost(workspace.database_path, team)


async def test_a_lease_of_a_clock_slightly_ahead_is_believed(tmp_path: Path, time: FakeTime) -> None:
    now = time.wall()
    stored = Lease(
        token="t",
        holder="container:1",
        pid=1,
        mode="headless",
        state="idle",
        acquired_at=now,
        heartbeat_at=now + timedelta(seconds=HEARTBEAT_SECONDS),
        expires_at=now + timedelta(seconds=HEARTBEAT_SECONDS + LEASE_SECONDS),
    )
    assert lease.is_live(stored, now, "here")
    assert not lease.is_live(stored, now - timedelta(seconds=1), "here")


async def test_a_shell_without_the_address_shows_the_workers_own_word(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service has the address in its environment; the shell that asks does not."""
    async with opened(tmp_path, time, sync=True), opened(tmp_path, time) as asking:
        await time.advance(10)
        monkeypatch.delenv(URL)
        assert (await asking.sync.probe()).state is SyncState.IDLE
    # Without a worker the missing address is what counts.
    async with opened(tmp_path, time) as asking:
        assert (await asking.sync.probe()).state is SyncState.MISCONFIGURED
