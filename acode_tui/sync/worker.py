"""The sync worker: a loop that wakes, holds the lease, drains the outbox, pulls what other replicas wrote, and sleeps.

It runs beside its callers, never in their way. A target that fails costs no record an attempt: it opens the circuit.
The workspace can be read and written in every state of the target.
"""

import asyncio
import random as system_random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from acode_tui.config import PostgresTarget, Settings, resolve_postgres
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.errors import AcodeError, SyncError
from acode_tui.domain.progress import ReportProgress
from acode_tui.logs import get_logger
from acode_tui.storage.delivery_protocol import PostgresFault
from acode_tui.storage.ports import (
    HEARTBEAT_SECONDS,
    DeliveryOutbox,
    LeaseLostError,
    LogEntry,
    SyncJournal,
    TierMigrations,
)
from acode_tui.sync.classify import Random
from acode_tui.sync.lease_holder import LeaseHolder, wait_for_holder
from acode_tui.sync.ports import SyncReport, SyncStatus
from acode_tui.sync.round import SyncRound, Work
from acode_tui.sync.sharing import Patience, linger_seconds
from acode_tui.sync.state import WorkerState, make_status
from acode_tui.sync.target import MakeTarget, ResolveAddress, TargetConnection
from acode_tui.sync.wake import Sleep, WakeSignal

STANDBY_SECONDS = 5.0
"""How often a standby checks whether the lease can be taken."""

STOP_SECONDS = 8.0
"""How long the batch in flight may take to finish when the worker is stopped or its settings change."""

CUT_SECONDS = 1.0
"""How long what used a connection may take to end after the connection was cut."""

DEFECT_SECONDS = 5.0
"""How long the worker pauses after a round that ended with an exception nobody foresaw; it doubles with each."""

MAX_DEFECT_SECONDS = 300.0

log = get_logger("acode_tui.sync")


class SyncWorker:
    """``SyncService`` for one workspace and process."""

    def __init__(
        self,
        outbox: DeliveryOutbox,
        journal: SyncJournal,
        settings: Settings,
        *,
        make_target: MakeTarget,
        target_schema_version: str,
        user: str,
        mode: str = "dashboard",
        data_version: Callable[[], Awaitable[int]] | None = None,
        resolve: ResolveAddress | None = None,
        wall: WallClock = system_clock,
        sleep: Sleep = asyncio.sleep,
        random: Random = system_random.random,
        largest_batch: int | None = None,
    ) -> None:
        """``target_schema_version`` is the schema that this program needs in PostgreSQL; ``data_version`` answers a
        number that changes with every process's commit; ``mode`` is shown to other processes; ``largest_batch`` bounds
        ``persistence.sync.max_batch_size`` where a dashboard shares the event loop.
        """
        resolve = resolve or (lambda settings: resolve_postgres(settings.persistence.postgres))
        self._outbox = outbox
        self._journal = journal
        self._wall = wall
        self._sleep = sleep
        self._random = random
        self._loop: asyncio.Task[None] | None = None
        self._requests: set[asyncio.Future[None]] = set()
        """One for each sync that was asked for and has not ended."""
        self._defects = 0
        """How many rounds in a row ended with an exception that nobody foresaw."""
        self._stops = 0
        """How often the worker was stopped: a request that began before the last stop does no more work."""
        self._lease = LeaseHolder(journal, mode=mode, wall=wall)
        self._target = TargetConnection(
            journal,
            settings,
            user=user,
            make_target=make_target,
            target_schema_version=target_schema_version,
            resolve=resolve,
            wall=wall,
        )
        self._state = WorkerState(
            settings, self._target, self._lease, is_running=lambda: self.is_running, wall=wall, random=random
        )
        self._wake = WakeSignal(wall, sleep, data_version)
        self._round = SyncRound(
            outbox,
            journal,
            self._target,
            self._lease,
            self._state,
            self._wake,
            wall=wall,
            largest_batch=largest_batch,
        )

    @property
    def is_running(self) -> bool:
        """Whether the loop runs (AC-036)."""
        return self._loop is not None and not self._loop.done()

    async def start(self) -> None:
        """Start the loop; harmless if it runs."""
        if not self.is_running:
            self._state.stopping = False
            self._loop = asyncio.create_task(self._run(), name="acode-sync")
            self._loop.add_done_callback(_log_defect)

    async def stop(self) -> None:
        """Finish the batch in flight, give up the lease, close the connection; within 10 s.

        The loop and every sync that was asked for end together, so that none of them waits for a hanging target after
        another one has. A target that hangs is cut; what was sent and not acknowledged comes back as duplicates.
        """
        self._state.stopping = True
        self._stops += 1
        self._wake.wake()
        try:
            if not await self._end_within(STOP_SECONDS):
                self._target.terminate()
                if not await self._end_within(CUT_SECONDS) and self._loop is not None:
                    self._loop.cancel()
                    await self._end_within(CUT_SECONDS)
            self._loop = None
            await self._let_go()
        finally:
            self._state.stopping = False

    async def pause(self) -> None:
        """Stop draining until ``resume``; the lease is kept, so no other worker drains either."""
        self._state.paused = True
        self._wake.wake()

    async def resume(self) -> None:
        """Drain again after ``pause``."""
        self._state.paused = False
        self._wake.wake()

    def wind_down(self) -> None:
        """Finish the batch in flight and begin no other: a sync that was asked for reports what remains."""
        self._state.winding_down = True

    def observe(self, on_batch: Callable[[float], object]) -> None:
        """Call ``on_batch`` with the seconds that the target took for each batch."""
        self._round.on_batch = on_batch

    def local_commit(self) -> None:
        """Wake soon: this process has committed a write."""
        self._wake.local_commit()

    async def reconfigure(self, settings: Settings) -> None:
        """Use changed settings: another address, another interval, on or off (AC-023).

        A drain under way ends after the batch in flight, and a batch that hangs is cut, so that switching off takes
        less than 30 s however much is pending.
        """
        if settings.persistence == self._state.settings.persistence:
            # The target's settings are the same, but a reload was asked for: the target is tried again.
            self._state.settings = self._target.settings = settings
            self._state.circuit.close()
            self._wake.wake()
            return
        self._state.reconfiguring = True
        try:
            await self._interrupt()
            try:
                self._state.settings = self._target.settings = settings
                await self._target.close()
                self._state.circuit.close()
                if self._state.is_switched_off():
                    await self._lease.release(self._state.status())
            finally:
                self._state.busy.release()
        finally:
            self._state.reconfiguring = False
            self._wake.wake()

    async def sync_now(self, *, batch_size: int | None = None, progress: ReportProgress | None = None) -> SyncReport:
        """Drain until nothing is due, even while the circuit is open; then pull.

        Raises SyncError where PostgreSQL is off or misconfigured, another worker holds the lease, or the target fails.
        """
        return await self._request(lambda counts: self._round.run(counts, batch_size=batch_size, on_progress=progress))

    async def sync_history(self, *, progress: ReportProgress | None = None) -> SyncReport:
        """Queue every row that was never synced, then drain. A second run adds nothing."""
        return await self._request(lambda counts: self._round.run_history(counts, on_progress=progress))

    async def sync_full(self, *, progress: ReportProgress | None = None) -> SyncReport:
        """Send every row again: the way back from ``remote_behind``. What the server already has stays as it is."""
        return await self._request(lambda counts: self._round.run_full(counts, on_progress=progress))

    async def status(self) -> SyncStatus:
        """The worker and its queue; of another process's worker, what its last heartbeat stored."""
        snapshot = await self._journal.snapshot()
        live = snapshot.lease if self._journal.is_live(snapshot.lease) else None
        return make_status(
            snapshot,
            live,
            self._state.conditions(),
            self._state.status(),
            address=self._target.address(),
            now=self._wall(),
        )

    async def probe(self) -> SyncStatus:
        """The status after a probe of the target, for a process that runs no worker. Never raises for the target."""
        if self._target.unusable() is None and not self.is_running:
            async with self._state.busy:
                try:
                    await self._target.probe()
                    self._state.circuit.close()
                except PostgresFault as error:
                    self._state.trip(error.fault)
        return await self.status()

    def require_target(self) -> PostgresTarget:
        """Where PostgreSQL is. Raises SyncError where it is off or misconfigured."""
        unusable = self._target.unusable()
        if unusable is not None:
            raise SyncError(unusable.reason, hint=unusable.hint)
        address = self._target.address()
        assert address is not None
        return address

    async def migrate_target(self, *, dry_run: bool = False) -> TierMigrations:
        """Bring the team's schema up to date, or with ``dry_run`` return what that would do.

        Raises SyncError where PostgreSQL is off or cannot be used, MigrationError where a migration fails.
        """
        self.require_target()
        async with self._state.busy:
            try:
                done = await self._target.migrate(dry_run=dry_run)
            finally:
                if not self.is_running:
                    await self._target.close()
            if not dry_run:
                self._state.circuit.close()
        self._wake.wake()
        return done

    async def log_tail(self, limit: int) -> tuple[LogEntry, ...]:
        """The newest rows of the sync log, newest first."""
        return await self._journal.log_tail(limit)

    # The loop

    async def _run(self) -> None:
        heartbeats = asyncio.create_task(self._send_heartbeats(), name="acode-sync-heartbeat")
        try:
            while not self._state.stopping:
                try:
                    await self._wake.reset()
                    await self._work_once()
                    if not self._state.stopping:
                        await self._rest()
                except Exception as error:  # noqa: BLE001 - logged and shown: nothing ends the worker
                    await self._wake.pause(self._note_defect(error))
        finally:
            heartbeats.cancel()
            with suppress(asyncio.CancelledError):
                await heartbeats

    async def _rest(self) -> None:
        """Sleep until there is something to do. A connection that nothing needs meanwhile is given back."""
        seconds = await self._longest_sleep()
        until = self._wall() + timedelta(seconds=seconds)
        if self._target.is_open:
            linger = linger_seconds(
                moved_nothing=self._round.moved_nothing, age=self._target.age(), random=self._random
            )
            if linger and await self._wake.wait(min(linger, seconds), self._has_work):
                return
            if linger < seconds:
                async with self._state.busy:
                    await self._target.give_back()
        await self._wake.wait((until - self._wall()).total_seconds(), self._has_work)

    def _note_defect(self, error: Exception) -> float:
        """Log and show an exception that nobody foresaw; returns the seconds to wait before the next round."""
        if isinstance(error, AcodeError):
            log.error("sync.trouble", code=error.code, reason=error.message)
            self._state.local_error = error
        else:
            log.error("sync.defect", code=SyncError.code, reason=type(error).__name__, exc_info=error)
            self._state.local_error = SyncError(
                f"a round ended with an error that was not expected: {type(error).__name__}",
                hint="it is tried again; the log has the details (`acode-tui diagnostics` collects them)",
            )
        self._target.terminate()
        self._defects += 1
        return min(DEFECT_SECONDS * 2.0 ** min(self._defects - 1, 10), MAX_DEFECT_SECONDS)

    async def _work_once(self) -> None:
        """Do what may be done now. A fault of the target ends up in the circuit, a local error in the status."""
        state = self._state
        async with state.busy:
            if state.stopping or state.paused or state.is_switched_off():
                return
            try:
                if not state.circuit.may_try(self._wall()) or not await self._lease.acquire(state.status()):
                    return
                await self._round.record(self._round.run)
                state.local_error = None
                self._defects = 0
            except PostgresFault:
                await self._target.close()
            except LeaseLostError:
                # The next round finds out whether this worker is a standby, or the other one has ended already.
                self._lease.reset()
                self._wake.wake()
            except AcodeError as error:
                # The workspace file refused (disk full, locked for 30 s): nothing is lost, the next round tries again.
                state.local_error = error
                log.error("sync.trouble", code=error.code, reason=error.message)
            await self._lease.publish(state.status())

    async def _has_work(self) -> bool:
        """Whether another process's commit gives this worker something to do; its own heartbeats do not."""
        state = self._state
        if state.circuit.fault is not None or state.paused or state.is_switched_off():
            return False
        if self._lease.other is not None:
            return await self._journal.live_lease() is None
        return bool(await self._outbox.get_pending(1))

    async def _longest_sleep(self) -> float:
        """Seconds to sleep if nothing wakes the worker."""
        seconds = self._state.settings.persistence.sync.interval_seconds
        circuit, now = self._state.circuit, self._wall()
        if self._lease.other is not None:
            return min(seconds, STANDBY_SECONDS)
        if circuit.probe_at is not None:
            return max(0.05, min(seconds, (circuit.probe_at - now).total_seconds()))
        if circuit.fault is None and not self._state.is_switched_off():
            due = (await self._outbox.stats()).next_attempt_at
            if due is not None:
                return max(0.05, min(seconds, (due - now).total_seconds()))
        return seconds

    async def _send_heartbeats(self) -> None:
        """In a task of its own, so that a long batch does not cost the lease."""
        while True:
            await self._sleep(HEARTBEAT_SECONDS)
            try:
                await self._lease.heartbeat(self._state.status())
            except Exception as error:  # without heartbeats the lease would be lost while the loop goes on
                log.error("sync.heartbeat", code=SyncError.code, reason=type(error).__name__, exc_info=error)

    # Requests

    async def _request(self, work: Work) -> SyncReport:
        """Do the work now, paused or not; where another worker holds the lease, wait until that one has done it."""
        state, stops, patience = self._state, self._stops, Patience(self._random)
        ended = asyncio.get_running_loop().create_future()
        self._requests.add(ended)

        def should_end() -> bool:
            # Not because of a pause: the request was made in spite of it.
            return self._stops != stops or state.winding_down or self._target.unusable() is not None

        try:
            while True:
                self.require_target()
                try:
                    async with state.busy:
                        # A request that waited for its turn until the worker was stopped only reports what remains.
                        report = None if self._stops != stops else await self._work_for_request(work)
                except PostgresFault as error:
                    wait = None if should_end() else patience.next_wait(error.fault, self._wall())
                    if wait is None:
                        raise
                    await self._sleep(wait)
                    continue
                if report is None:
                    # Nothing is locked meanwhile: the settings may change, the loop may go on.
                    report = await wait_for_holder(
                        self._journal, wall=self._wall, sleep=self._sleep, should_stop=should_end
                    )
                    self.require_target()
                if report is not None:
                    return report
        finally:
            state.winding_down = False
            self._requests.discard(ended)
            ended.set_result(None)

    async def _work_for_request(self, work: Work) -> SyncReport | None:
        """Do the work, then restore what was changed for it; None where another worker holds the lease."""
        state = self._state
        state.circuit.close()
        paused, state.paused = state.paused, False
        try:
            if not await self._lease.acquire(state.status()):
                return None
            return await self._round.record(work)
        except PostgresFault:
            await self._target.close()
            raise
        except LeaseLostError:
            self._lease.reset()
            raise
        finally:
            state.paused = state.paused or paused
            if self.is_running:
                await self._target.give_back()
            else:
                await self._let_go()

    # Ending

    async def _end_within(self, seconds: float) -> bool:
        """Whether the loop and every request end in so many seconds."""
        waited = [each for each in (self._loop, *self._requests) if each is not None and not each.done()]
        if not waited:
            return True
        ended = asyncio.ensure_future(asyncio.wait(waited))
        try:
            return await self._done_within(seconds, ended)
        finally:
            ended.cancel()

    async def _interrupt(self) -> None:
        """Acquire ``busy`` once the batch in flight has finished, or by cutting the connection if it hangs."""
        acquired = asyncio.ensure_future(self._state.busy.acquire())
        try:
            if not await self._done_within(STOP_SECONDS, acquired):
                self._target.terminate()
            await acquired
        except BaseException:
            if acquired.done():
                self._state.busy.release()
            acquired.cancel()
            raise

    async def _done_within(self, seconds: float, work: "asyncio.Future[Any]") -> bool:
        """Whether ``work`` ends in so many seconds; it goes on if it does not."""
        timer = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait({work, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            await asyncio.gather(timer, return_exceptions=True)
        return work.done()

    async def _let_go(self) -> None:
        await self._target.close()
        await self._lease.release(self._state.status())


def _log_defect(loop: "asyncio.Task[None]") -> None:
    """Log the exception that ended the loop: it should only end by ``stop``, so this is a defect."""
    if not loop.cancelled() and loop.exception() is not None:
        log.error("sync.died", code="ACODE-DB-005", reason=repr(loop.exception()))
