"""The sync worker: a loop that wakes, holds the lease, drains the outbox, follows the other replicas, and sleeps.

It never runs in a caller's way, and a target that fails costs no record an attempt: it opens the circuit. Whatever the
target does, the workspace goes on.
"""

import asyncio
import random as system_random
from collections.abc import Awaitable, Callable
from contextlib import suppress

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
from acode_tui.sync.lease_holder import Tenure, drained_by_other
from acode_tui.sync.ports import SyncReport, SyncStatus
from acode_tui.sync.round import Exchange, Work
from acode_tui.sync.state import Situation, status_of
from acode_tui.sync.target import Link, MakeTarget, Resolve
from acode_tui.sync.wake import Sleep, Waking

STANDBY_SECONDS = 5.0
"""How often a standby looks whether the lease is free."""

STOP_SECONDS = 8.0
"""How long the batch in hand may take to finish when the worker is stopped or given another address."""

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
        resolve: Resolve | None = None,
        wall: WallClock = system_clock,
        sleep: Sleep = asyncio.sleep,
        random: Random = system_random.random,
        largest_batch: int | None = None,
    ) -> None:
        """``data_version`` answers a number that changes with every process's commit; ``mode`` is shown to others;
        ``largest_batch`` bounds ``persistence.sync.max_batch_size`` where somebody watches the event loop paint.
        """
        resolve = resolve or (lambda settings: resolve_postgres(settings.persistence.postgres))
        self._outbox = outbox
        self._journal = journal
        self._wall = wall
        self._sleep = sleep
        self._loop: asyncio.Task[None] | None = None
        self._tenure = Tenure(journal, mode=mode, wall=wall)
        self._link = Link(
            journal,
            settings,
            user=user,
            make_target=make_target,
            target_schema_version=target_schema_version,
            resolve=resolve,
            wall=wall,
        )
        self._situation = Situation(
            settings, self._link, self._tenure, is_running=lambda: self.is_running, wall=wall, random=random
        )
        self._waking = Waking(wall, sleep, data_version)
        self._exchange = Exchange(
            outbox,
            journal,
            self._link,
            self._tenure,
            self._situation,
            self._waking,
            wall=wall,
            largest_batch=largest_batch,
        )

    # What others ask of it

    @property
    def is_running(self) -> bool:
        """Whether the loop runs (AC-036)."""
        return self._loop is not None and not self._loop.done()

    async def start(self) -> None:
        """Start the loop; harmless if it runs."""
        if not self.is_running:
            self._situation.stopping = False
            self._loop = asyncio.create_task(self._run(), name="acode-sync")
            self._loop.add_done_callback(_report_death)

    async def stop(self) -> None:
        """Finish the batch in hand, give up the lease, close the connection; within 10 s."""
        self._situation.stopping = True
        self._waking.wake()
        try:
            if self._loop is not None:
                await asyncio.wait([self._loop], timeout=STOP_SECONDS)
                if not self._loop.done():
                    # Whatever hangs is cut; what was sent and not acknowledged comes back as duplicates.
                    self._link.terminate()
                    self._loop.cancel()
                    await asyncio.wait([self._loop], timeout=1.0)
                self._loop = None
            await self._let_go()
        finally:
            self._situation.stopping = False

    async def pause(self) -> None:
        """Stop draining until ``resume``; the lease is kept, so nobody else drains either."""
        self._situation.paused = True
        self._waking.wake()

    async def resume(self) -> None:
        """Go on after ``pause``."""
        self._situation.paused = False
        self._waking.wake()

    def wind_down(self) -> None:
        """Let the batch in hand finish and begin no other: what was asked for answers with what remains."""
        self._situation.winding_down = True

    def observe(self, timed: Callable[[float], object]) -> None:
        """Tell ``timed`` how many seconds the target took for each batch."""
        self._exchange.timed = timed

    def local_commit(self) -> None:
        """Something was written here: have a look soon."""
        self._waking.local_commit()

    async def reconfigure(self, settings: Settings) -> None:
        """Take over changed settings: another address, another interval, on or off (AC-023).

        A drain under way ends after the batch in hand, and a batch that hangs is cut, so that switching off takes less
        than 30 s however much is pending.
        """
        if settings.persistence == self._situation.settings.persistence:
            # Nothing about the target has changed but that somebody asked: it is tried again.
            self._situation.settings = self._link.settings = settings
            self._situation.circuit.close()
            self._waking.wake()
            return
        self._situation.changing = True
        try:
            await self._interrupt()
            try:
                self._situation.settings = self._link.settings = settings
                await self._link.close()
                self._situation.circuit.close()
                if self._situation.resting_place() is not None:
                    await self._tenure.release(self._situation.shown())
            finally:
                self._situation.busy.release()
        finally:
            self._situation.changing = False
            self._waking.wake()

    async def sync_now(self, *, batch_size: int | None = None, progress: ReportProgress | None = None) -> SyncReport:
        """Drain until nothing is due, whatever the circuit says; then pull.

        Raises SyncError where PostgreSQL is off or misconfigured, another worker holds the lease, or the target fails.
        """
        return await self._asked(lambda tally: self._exchange.run(tally, batch_size=batch_size, progress=progress))

    async def sync_history(self, *, progress: ReportProgress | None = None) -> SyncReport:
        """Queue every row that was never synced, then drain. A second run adds nothing."""
        return await self._asked(lambda tally: self._exchange.run_history(tally, progress=progress))

    async def sync_full(self, *, progress: ReportProgress | None = None) -> SyncReport:
        """Send every row again: the way back from ``remote_behind``. What the server already has stays as it is."""
        return await self._asked(lambda tally: self._exchange.run_full(tally, progress=progress))

    async def status(self) -> SyncStatus:
        """The worker at a glance; of another process's worker, what it showed with its last heartbeat."""
        standing = await self._journal.snapshot()
        live = standing.lease if self._journal.is_live(standing.lease) else None
        return status_of(
            standing, live, self._situation.condition(), self._situation.shown(), address=self._link.address()
        )

    async def probe(self) -> SyncStatus:
        """The status after a look at the target, for a process that runs no worker. Never raises for the target."""
        if self._link.off() is None and not self.is_running:
            async with self._situation.busy:
                try:
                    await self._link.probe()
                    self._situation.circuit.close()
                except PostgresFault as error:
                    self._situation.trip(error.fault)
        return await self.status()

    def require_target(self) -> PostgresTarget:
        """Where PostgreSQL is. Raises SyncError where it is off or misconfigured."""
        off = self._link.off()
        if off is not None:
            raise SyncError(off.reason, hint=off.hint)
        address = self._link.address()
        assert address is not None
        return address

    async def migrate_target(self, *, dry_run: bool = False) -> TierMigrations:
        """Bring the team's schema up to date, or with ``dry_run`` say what that would do.

        Raises SyncError where PostgreSQL is off or cannot be used, MigrationError where a migration fails.
        """
        self.require_target()
        async with self._situation.busy:
            try:
                done = await self._link.migrate(dry_run=dry_run)
            finally:
                if not self.is_running:
                    await self._link.close()
            if not dry_run:
                self._situation.circuit.close()
        self._waking.wake()
        return done

    async def log_tail(self, limit: int) -> tuple[LogEntry, ...]:
        """The newest rows of the sync log, newest first."""
        return await self._journal.log_tail(limit)

    # The loop

    async def _run(self) -> None:
        heartbeat = asyncio.create_task(self._beat(), name="acode-sync-heartbeat")
        try:
            while not self._situation.stopping:
                await self._waking.begin()
                await self._round()
                if not self._situation.stopping:
                    await self._waking.rest(await self._patience(), self._is_wanted)
        finally:
            heartbeat.cancel()
            with suppress(asyncio.CancelledError):
                await heartbeat

    async def _round(self) -> None:
        """One turn: whatever may be done now is done. Faults end up in the circuit, trouble here in the status."""
        async with self._situation.busy:
            if self._situation.stopping or self._situation.paused:
                return
            try:
                if self._situation.resting_place() is not None:
                    await self._exchange.keep_house(None)
                    return
                if not self._situation.circuit.may_try(self._wall()) or not await self._tenure.hold(
                    self._situation.shown()
                ):
                    return
                await self._exchange.account(self._exchange.run)
                self._situation.trouble = None
            except PostgresFault:
                await self._link.close()
            except LeaseLostError:
                # Next turn: a standby, unless the other one is gone already.
                self._tenure.forget()
                self._waking.wake()
            except AcodeError as error:
                # The workspace itself refused (disk full, locked for 30 s): nothing is lost, the next turn tries again.
                self._situation.trouble = error
                log.error("sync.trouble", code=error.code, reason=error.message)
            await self._tenure.show(self._situation.shown())

    async def _is_wanted(self) -> bool:
        """Whether what somebody committed gives this worker something to do; its own heartbeats do not."""
        if (
            self._situation.circuit.fault is not None
            or self._situation.paused
            or self._situation.resting_place() is not None
        ):
            return False
        if self._tenure.rival is not None:
            return await self._journal.live_lease() is None
        return bool(await self._outbox.get_pending(1))

    async def _patience(self) -> float:
        """Seconds to sleep at most."""
        seconds = self._situation.settings.persistence.sync.interval_seconds
        now = self._wall()
        if self._tenure.rival is not None:
            return min(seconds, STANDBY_SECONDS)
        if self._situation.circuit.probe_at is not None:
            return max(0.05, min(seconds, (self._situation.circuit.probe_at - now).total_seconds()))
        if self._situation.circuit.fault is None and self._situation.resting_place() is None:
            due = (await self._outbox.stats()).next_attempt_at
            if due is not None:
                return max(0.05, min(seconds, (due - now).total_seconds()))
        return seconds

    async def _beat(self) -> None:
        """A heartbeat of its own, so that a long batch does not cost the lease."""
        while True:
            await self._sleep(HEARTBEAT_SECONDS)
            await self._tenure.beat(self._situation.shown())

    # What a person asks for

    async def _asked(self, work: Work) -> SyncReport:
        """Do a person's bidding now, paused or not; where another worker is at it, wait for that one."""
        situation = self._situation
        try:
            while True:
                self.require_target()
                async with situation.busy:
                    done = await self._done(work)
                if done is None:
                    # Nothing is held meanwhile: other settings may be taken over, the loop may look after itself.
                    done = await drained_by_other(
                        self._journal, wall=self._wall, sleep=self._sleep, should_stop=self._is_over
                    )
                    self.require_target()
                if done is not None:
                    return done
        finally:
            situation.winding_down = False

    def _is_over(self) -> bool:
        """Whether there is nothing to wait for any more. A pause is none of it: somebody asked in spite of it."""
        return self._situation.stopping or self._situation.winding_down or self._link.off() is not None

    async def _done(self, work: Work) -> SyncReport | None:
        """The work, and back what was only held for it; None where another worker holds the lease."""
        situation = self._situation
        situation.circuit.close()
        paused, situation.paused = situation.paused, False
        try:
            if not await self._tenure.hold(situation.shown()):
                return None
            return await self._exchange.account(work)
        except PostgresFault:
            await self._link.close()
            raise
        except LeaseLostError:
            self._tenure.forget()
            raise
        finally:
            situation.paused = situation.paused or paused
            if not self.is_running:
                await self._let_go()

    # Ends and interruptions

    async def _interrupt(self) -> None:
        """Take ``_busy`` from whatever goes on: after the step in hand, or by cutting the connection if that hangs."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._situation.busy.acquire()
        except TimeoutError:
            self._link.terminate()
            await self._situation.busy.acquire()

    async def _let_go(self) -> None:
        await self._link.close()
        await self._tenure.release(self._situation.shown())


def _report_death(loop: "asyncio.Task[None]") -> None:
    """A loop ends when it is told to. One that ends by an error is a bug, and at least not a silent one."""
    if not loop.cancelled() and loop.exception() is not None:
        log.error("sync.died", code="ACODE-DB-005", reason=repr(loop.exception()))
