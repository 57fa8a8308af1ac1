"""The sync worker: a loop that wakes, holds the lease, drains the outbox, follows the other replicas, and sleeps.

It never runs in a caller's way, and a target that fails costs no record an attempt: it opens the circuit. Whatever the
target does, the workspace goes on.
"""

import asyncio
import random as system_random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING

from acode_tui.config import PostgresTarget, Settings, resolve_postgres
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.errors import AcodeError, SyncError
from acode_tui.logs import get_logger
from acode_tui.storage.migrations.runner import TierMigrations
from acode_tui.storage.postgres.fault import Fault, PostgresFault
from acode_tui.storage.sqlite import lease as leases
from acode_tui.storage.sqlite.lease import LeaseLostError
from acode_tui.storage.sqlite.sync_journal import LogEntry, Shown, SyncJournal
from acode_tui.sync import upkeep
from acode_tui.sync.backoff import Random
from acode_tui.sync.circuit import Circuit
from acode_tui.sync.drain import Drain, Tally
from acode_tui.sync.link import Link, Resolve, target_version
from acode_tui.sync.ports import ProgressCallback, SyncReport, SyncState, SyncStatus
from acode_tui.sync.pull import pull
from acode_tui.sync.standing import Condition, describe, status_of
from acode_tui.sync.tenure import Tenure
from acode_tui.sync.waiting import drained_by_other
from acode_tui.sync.waking import Sleep, Waking

if TYPE_CHECKING:
    from acode_tui.storage.postgres.sync_target import SyncTarget

Work = Callable[[Tally], Awaitable[None]]

STANDBY_SECONDS = 5.0
"""How often a standby looks whether the lease is free."""

STOP_SECONDS = 8.0
"""How long the batch in hand may take to finish when the worker is stopped or given another address."""

HISTORY_PAGE = 20

log = get_logger("acode_tui.sync")


class SyncWorker:
    """``SyncService`` for one workspace and process."""

    def __init__(
        self,
        journal: SyncJournal,
        settings: Settings,
        *,
        user: str,
        mode: str = "dashboard",
        data_version: Callable[[], Awaitable[int]] | None = None,
        resolve: Resolve | None = None,
        wall: WallClock = system_clock,
        sleep: Sleep = asyncio.sleep,
        random: Random = system_random.random,
    ) -> None:
        """``data_version`` answers a number that changes with every process's commit; ``mode`` is shown to others."""
        resolve = resolve or (lambda settings: resolve_postgres(settings.persistence.postgres))
        self._journal = journal
        self._settings = settings
        self._wall = wall
        self._sleep = sleep
        self._circuit = Circuit(random)
        self._tenure = Tenure(journal, mode=mode, wall=wall)
        self._link = Link(journal, settings, user=user, resolve=resolve, wall=wall)
        self._busy = asyncio.Lock()
        self._waking = Waking(wall, sleep, data_version)
        self._loop: asyncio.Task[None] | None = None
        self._stopping = False
        self._paused = False
        self._winding_down = False
        self._changing = False
        self._activity: SyncState | None = None
        self._trouble: AcodeError | None = None
        self._rate = 0.0
        self._synced_at: datetime | None = None
        self._upkept_at: datetime | None = None
        self._timed: Callable[[float], object] | None = None

    # What others ask of it

    @property
    def is_running(self) -> bool:
        """Whether the loop runs (AC-036)."""
        return self._loop is not None and not self._loop.done()

    async def start(self) -> None:
        """Start the loop; harmless if it runs."""
        if not self.is_running:
            self._stopping = False
            self._loop = asyncio.create_task(self._run(), name="acode-sync")
            self._loop.add_done_callback(_report_death)

    async def stop(self) -> None:
        """Finish the batch in hand, give up the lease, close the connection; within 10 s."""
        self._stopping = True
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
            self._stopping = False

    async def pause(self) -> None:
        """Stop draining until ``resume``; the lease is kept, so nobody else drains either."""
        self._paused = True
        self._waking.wake()

    async def resume(self) -> None:
        """Go on after ``pause``."""
        self._paused = False
        self._waking.wake()

    def wind_down(self) -> None:
        """Let the batch in hand finish and begin no other: what was asked for answers with what remains."""
        self._winding_down = True

    def observe(self, timed: Callable[[float], object]) -> None:
        """Tell ``timed`` how many seconds the target took for each batch."""
        self._timed = timed

    def local_commit(self) -> None:
        """Something was written here: have a look soon."""
        self._waking.local_commit()

    async def reconfigure(self, settings: Settings) -> None:
        """Take over changed settings: another address, another interval, on or off (AC-023).

        A drain under way ends after the batch in hand, and a batch that hangs is cut, so that switching off takes less
        than 30 s however much is pending.
        """
        if settings.persistence == self._settings.persistence:
            # Nothing about the target has changed but that somebody asked: it is tried again.
            self._settings = self._link.settings = settings
            self._circuit.close()
            self._waking.wake()
            return
        self._changing = True
        try:
            await self._interrupt()
            try:
                self._settings = self._link.settings = settings
                await self._link.close()
                self._circuit.close()
                if self._resting_place() is not None:
                    await self._tenure.release(self._shown())
            finally:
                self._busy.release()
        finally:
            self._changing = False
            self._waking.wake()

    async def sync_now(self, *, batch_size: int | None = None, progress: ProgressCallback | None = None) -> SyncReport:
        """Drain until nothing is due, whatever the circuit says; then pull.

        Raises SyncError where PostgreSQL is off or misconfigured, another worker holds the lease, or the target fails.
        """
        return await self._asked(lambda tally: self._exchange(tally, batch_size=batch_size, progress=progress))

    async def sync_history(self, *, progress: ProgressCallback | None = None) -> SyncReport:
        """Queue every row that was never synced, then drain. A second run adds nothing."""

        async def work(tally: Tally) -> None:
            await self._link.connected(self._tenure.token)
            await self._queue(everything=False)
            await self._exchange(tally, progress=progress)

        return await self._asked(work)

    async def sync_full(self, *, progress: ProgressCallback | None = None) -> SyncReport:
        """Send every row again: the way back from ``remote_behind``. What the server already has stays as it is."""

        async def work(tally: Tally) -> None:
            life = await self._link.new_life()
            await self._queue(everything=True, new_life=life is not None)
            if life is not None and not self._should_stop():
                await self._journal.set_mark(self._tenure.token, life)
            if not self._should_stop():
                await self._exchange(tally, progress=progress)

        return await self._asked(work)

    async def status(self) -> SyncStatus:
        """The worker at a glance; of another process's worker, what it showed with its last heartbeat."""
        standing = await self._journal.standing()
        live = standing.lease if await self._journal.is_live(standing.lease) else None
        return status_of(standing, live, self._condition(), self._shown(), address=self._link.address())

    async def probe(self) -> SyncStatus:
        """The status after a look at the target, for a process that runs no worker. Never raises for the target."""
        if self._link.off() is None and not self.is_running:
            async with self._busy:
                try:
                    await self._link.probe()
                    self._circuit.close()
                except PostgresFault as error:
                    self._trip(error.fault)
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
        async with self._busy:
            try:
                done = await self._link.migrate(dry_run=dry_run)
            finally:
                if not self.is_running:
                    await self._link.close()
            if not dry_run:
                self._circuit.close()
        self._waking.wake()
        return done

    async def log_tail(self, limit: int) -> tuple[LogEntry, ...]:
        """The newest rows of the sync log, newest first."""
        return await self._journal.tail(limit)

    # The loop

    async def _run(self) -> None:
        heartbeat = asyncio.create_task(self._beat(), name="acode-sync-heartbeat")
        try:
            while not self._stopping:
                await self._waking.begin()
                await self._round()
                if not self._stopping:
                    await self._waking.rest(await self._patience(), self._is_wanted)
        finally:
            heartbeat.cancel()
            with suppress(asyncio.CancelledError):
                await heartbeat

    async def _round(self) -> None:
        """One turn: whatever may be done now is done. Faults end up in the circuit, trouble here in the status."""
        async with self._busy:
            if self._stopping or self._paused:
                return
            try:
                if self._resting_place() is not None:
                    await self._keep_house(None)
                    return
                if not self._circuit.may_try(self._wall()) or not await self._tenure.hold(self._shown()):
                    return
                await self._worked(self._exchange)
                self._trouble = None
            except PostgresFault:
                await self._link.close()
            except LeaseLostError:
                # Next turn: a standby, unless the other one is gone already.
                self._tenure.forget()
                self._waking.wake()
            except AcodeError as error:
                # The workspace itself refused (disk full, locked for 30 s): nothing is lost, the next turn tries again.
                self._trouble = error
                log.error("sync.trouble", code=error.code, reason=error.message)
            await self._tenure.show(self._shown())

    async def _is_wanted(self) -> bool:
        """Whether what somebody committed gives this worker something to do; its own heartbeats do not."""
        if self._circuit.fault is not None or self._paused or self._resting_place() is not None:
            return False
        if self._tenure.rival is not None:
            return await self._journal.live_lease() is None
        return await self._journal.has_due()

    async def _patience(self) -> float:
        """Seconds to sleep at most."""
        seconds = self._settings.persistence.sync.interval_seconds
        now = self._wall()
        if self._tenure.rival is not None:
            return min(seconds, STANDBY_SECONDS)
        if self._circuit.probe_at is not None:
            return max(0.05, min(seconds, (self._circuit.probe_at - now).total_seconds()))
        if self._circuit.fault is None and self._resting_place() is None:
            due = (await self._journal.standing()).outbox.next_attempt_at
            if due is not None:
                return max(0.05, min(seconds, (due - now).total_seconds()))
        return seconds

    async def _beat(self) -> None:
        """A heartbeat of its own, so that a long batch does not cost the lease."""
        while True:
            await self._sleep(leases.HEARTBEAT_SECONDS)
            await self._tenure.beat(self._shown())

    # One exchange with the target

    async def _asked(self, work: Work) -> SyncReport:
        """Do a person's bidding now, paused or not, and give back what was only held for it."""
        self.require_target()
        async with self._busy:
            self._circuit.close()
            paused, self._paused = self._paused, False
            try:
                while not await self._tenure.hold(self._shown()):
                    done = await drained_by_other(
                        self._journal, wall=self._wall, sleep=self._sleep, should_stop=self._should_stop
                    )
                    if done is not None:
                        return done
                return await self._worked(work)
            except PostgresFault:
                await self._link.close()
                raise
            except LeaseLostError:
                self._tenure.forget()
                raise
            finally:
                self._paused = self._paused or paused
                self._winding_down = False
                if not self.is_running:
                    await self._let_go()

    async def _worked(self, work: Work) -> SyncReport:
        """Run ``work`` and account for it, however it ends: in the circuit, the sync log and the numbers shown."""
        tally, started, at = Tally(), perf_counter(), self._wall()
        event, message, is_news = "stopped", "", False
        try:
            await work(tally)
            is_news = self._circuit.fault is not None
            self._circuit.close()
            if not self._should_stop():
                event, self._synced_at = "drained", self._wall()
            if is_news:
                log.info("sync.state", state=SyncState.IDLE.value)
        except PostgresFault as error:
            event, message = "interrupted", error.fault.sentence
            is_news = self._trip(error.fault)
            raise
        finally:
            self._activity = None
            elapsed = perf_counter() - started
            if tally.done:
                self._rate = tally.done / elapsed if elapsed > 0 else 0.0
            if is_news or not tally.is_empty:
                await self._note(tally, event, message or _caught_up(tally), at, elapsed)
        remaining = (await self._journal.standing()).outbox
        return SyncReport(
            synced=tally.synced,
            duplicates=tally.duplicates,
            superseded=tally.superseded,
            conflicts=tally.conflicts,
            failed=tally.failed,
            remaining=remaining.pending + remaining.failed,
            duration_seconds=elapsed,
        )

    async def _note(self, tally: Tally, event: str, message: str, at: datetime, elapsed: float) -> None:
        entry = LogEntry(
            at=at,
            event=event,
            state=self._state().value,
            message=message,
            synced=tally.synced,
            duplicates=tally.duplicates,
            superseded=tally.superseded,
            conflicts=tally.conflicts,
            failed=tally.failed,
            pulled=tally.pulled,
            duration_ms=round(elapsed * 1000),
        )
        numbers = ("synced", "duplicates", "superseded", "conflicts", "failed", "pulled", "duration_ms")
        log.info(f"sync.{event}", **{name: getattr(entry, name) for name in numbers})
        await self._journal.note(entry, synced_at=self._synced_at)

    async def _exchange(
        self, tally: Tally, *, batch_size: int | None = None, progress: ProgressCallback | None = None
    ) -> None:
        """Push everything that is due, then pull everything that is news."""
        if not self._link.is_open:
            self._activity = SyncState.CONNECTING
        target, mark = await self._link.connected(self._tenure.token)
        self._activity = SyncState.SYNCING
        self._waking.is_quiet()  # what was written before does not count
        pending = (await self._journal.standing()).outbox.pending
        drain = Drain(
            self._journal,
            target,
            mark,
            token=self._tenure.token,
            batch_size=batch_size or self._settings.persistence.sync.max_batch_size,
            tally=tally,
            should_stop=self._should_stop,
            is_quiet=self._waking.is_quiet,
            pending=pending,
            progress=progress,
            timed=self._timed,
        )
        await drain.run()
        if self._should_stop():
            return
        standing = await self._journal.mark() or mark
        token, stop = self._tenure.token, self._should_stop
        _, tally.pulled = await pull(self._journal, target, standing, token=token, should_stop=stop)
        await self._keep_house(target)

    def _should_stop(self) -> bool:
        """Asked between batches and pages: whether somebody wants this drain to end."""
        return self._stopping or self._paused or self._changing or self._winding_down or self._tenure.is_lost

    async def _queue(self, *, everything: bool, new_life: bool = False) -> None:
        after: str | None = ""
        while after is not None and not self._should_stop():
            _, after = await self._journal.queue_unsent(
                after=after, limit=HISTORY_PAGE, everything=everything, new_life=new_life
            )

    async def _keep_house(self, target: "SyncTarget | None") -> None:
        """Hourly: forget what is delivered and old, or fold what has nowhere to go."""
        now = self._wall()
        if self._upkept_at is not None and now - self._upkept_at < upkeep.EVERY:
            return
        if target is None and (self._link.is_enabled or await self._journal.live_lease() is not None):
            # Another process may not know yet that there is nowhere to send to: its batch in hand is left alone.
            return
        self._upkept_at = now
        if target is not None:
            days = self._settings.persistence.sync.retention_days
            await upkeep.retain(self._journal, target, before=now - timedelta(days=days))
        else:
            await upkeep.fold(self._journal)

    # Ends and interruptions

    async def _interrupt(self) -> None:
        """Take ``_busy`` from whatever goes on: after the step in hand, or by cutting the connection if that hangs."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._busy.acquire()
        except TimeoutError:
            self._link.terminate()
            await self._busy.acquire()

    async def _let_go(self) -> None:
        await self._link.close()
        await self._tenure.release(self._shown())

    def _trip(self, fault: Fault) -> bool:
        """Open the circuit; answers whether that is another state than before."""
        before = self._circuit.fault
        self._circuit.trip(fault, now=self._wall(), interval_seconds=self._settings.persistence.sync.interval_seconds)
        if before is not None and before.sentence == fault.sentence:
            return False
        state = str(self._circuit.state)
        log.warning("sync.state", code="ACODE-DB-005", state=state, reason=fault.sentence, hint=fault.hint)
        return True

    # What is shown

    def _resting_place(self) -> SyncState | None:
        """The state of a worker that its settings give nothing to do; None if there is something."""
        off = self._link.off()
        if off is not None:
            return off.state
        return None if self._settings.persistence.sync.enabled else SyncState.DISABLED

    def _state(self) -> SyncState:
        return describe(self._condition(), None).state

    def _condition(self) -> Condition:
        return Condition(
            token=self._tenure.token,
            off=self._link.off(),
            is_enabled=self._settings.persistence.sync.enabled,
            is_running=self.is_running,
            is_busy=self._busy.locked(),
            is_paused=self._paused,
            rival=self._tenure.rival,
            activity=self._activity,
            fault=self._circuit.fault,
            fault_state=self._circuit.state,
            trouble=self._trouble,
        )

    def _shown(self) -> Shown:
        """What goes with a heartbeat."""
        facts = self._link.facts
        told = describe(self._condition(), None)
        return Shown(
            state=told.state.value,
            reason=told.reason,
            hint=told.hint,
            rate=self._rate,
            last_sync_at=self._synced_at,
            next_attempt_at=self._circuit.probe_at,
            schema_version=None if facts is None else facts.schema_version,
            target_schema_version=target_version(),
            latency_ms=None if facts is None else facts.latency * 1000,
            clock_offset_ms=None if facts is None else facts.clock_offset * 1000,
        )


def _report_death(loop: "asyncio.Task[None]") -> None:
    """A loop ends when it is told to. One that ends by an error is a bug, and at least not a silent one."""
    if not loop.cancelled() and loop.exception() is not None:
        log.error("sync.died", code="ACODE-DB-005", reason=repr(loop.exception()))


def _caught_up(tally: Tally) -> str:
    """An old workspace file that was put back catches up by itself, and says so."""
    if not tally.pulled:
        return ""
    return f"took over {tally.pulled} rows that were written elsewhere, or here before this file was put back"
