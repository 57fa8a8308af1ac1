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

from acode_tui import __version__
from acode_tui.config import Misconfigured, PostgresTarget, Settings, resolve_postgres
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.errors import AcodeError, MigrationError, SyncError
from acode_tui.domain.ids import new_id
from acode_tui.logs import add_secrets, get_logger
from acode_tui.storage.migrations.runner import TierMigrations
from acode_tui.storage.postgres.apply import TargetFacts
from acode_tui.storage.postgres.fault import Fault, FaultKind, PostgresFault
from acode_tui.storage.sqlite import lease as leases
from acode_tui.storage.sqlite.lease import Lease, LeaseLostError
from acode_tui.storage.sqlite.sync_journal import LogEntry, Mark, SyncJournal
from acode_tui.sync import conflict as rules
from acode_tui.sync import upkeep
from acode_tui.sync.backoff import Random
from acode_tui.sync.circuit import Circuit
from acode_tui.sync.drain import Drain, Tally
from acode_tui.sync.ports import ProgressCallback, SyncReport, SyncState, SyncStatus
from acode_tui.sync.pull import behind_fault, is_behind, pull

if TYPE_CHECKING:
    from acode_tui.storage.postgres.sync_target import SyncTarget

Sleep = Callable[[float], Awaitable[None]]

POLL_SECONDS = 1.0
"""How soon another process's commit is noticed while the worker sleeps."""

STANDBY_SECONDS = 5.0
"""How often a standby looks whether the lease is free."""

OTHER_SECONDS = 10.0
"""How long another worker may make no progress before whoever asked for a sync is told so."""

STOP_SECONDS = 8.0
"""How long the batch in hand may take to finish when the worker is stopped; it stops within 10 s in any case."""

FACTS_SECONDS = 60.0
CLOCK_WARNING_SECONDS = 2.0
HISTORY_PAGE = 20

OFF_REASON = "PostgreSQL is not enabled"
OFF_HINT = "enable it with `acode-tui config set persistence.postgres.enabled true`"

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
        resolve: Callable[[Settings], PostgresTarget | Misconfigured] | None = None,
        wall: WallClock = system_clock,
        sleep: Sleep = asyncio.sleep,
        random: Random = system_random.random,
    ) -> None:
        """``data_version`` answers a number that changes with every process's commit; ``mode`` is shown to others."""
        self._journal = journal
        self._settings = settings
        self._user = user
        self._mode = mode
        self._data_version = data_version
        self._resolve = resolve or (lambda settings: resolve_postgres(settings.persistence.postgres))
        self._wall = wall
        self._sleep = sleep
        self._circuit = Circuit(random)
        self._token = new_id()
        self._busy = asyncio.Lock()
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._stopping = False
        self._paused = False
        self._lost = False
        self._winding_down = False
        self._in_the_way: Lease | None = None
        self._target: SyncTarget | None = None
        self._facts: TargetFacts | None = None
        self._facts_at: datetime | None = None
        self._activity: SyncState | None = None
        self._trouble: AcodeError | None = None
        self._rate = 0.0
        self._upkept_at: datetime | None = None

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

    async def stop(self) -> None:
        """Finish the batch in hand, give up the lease, close the connection; within 10 s."""
        self._stopping = True
        self._wake.set()
        if self._loop is not None:
            await asyncio.wait([self._loop], timeout=STOP_SECONDS)
            if not self._loop.done():
                # Whatever hangs is cut; what was sent and not acknowledged comes back as duplicates.
                if self._target is not None:
                    self._target.terminate()
                self._loop.cancel()
                await asyncio.wait([self._loop], timeout=1.0)
            self._loop = None
        await self._let_go()

    async def pause(self) -> None:
        """Stop draining until ``resume``; the lease is kept, so nobody else drains either."""
        self._paused = True
        self._wake.set()

    async def resume(self) -> None:
        """Go on after ``pause``."""
        self._paused = False
        self._wake.set()

    def wind_down(self) -> None:
        """Let the batch in hand finish and begin no other: what was asked for answers with what remains."""
        self._winding_down = True

    def local_commit(self) -> None:
        """Something was written here: have a look soon."""
        self._wake.set()

    async def reconfigure(self, settings: Settings) -> None:
        """Take over changed settings: another address, another interval, on or off (AC-023).

        Asking for it is a reason to try the target again, whatever has changed.
        """
        if settings.persistence == self._settings.persistence:
            self._settings = settings
            self._circuit.close()
            self._wake.set()
            return
        async with self._busy:
            self._settings = settings
            await self._disconnect()
            self._circuit.close()
            if self._off() is not None:
                await self._let_go()
        self._wake.set()

    async def sync_now(self, *, batch_size: int | None = None, progress: ProgressCallback | None = None) -> SyncReport:
        """Drain until nothing is due, whatever the circuit says; then pull.

        Raises SyncError where PostgreSQL is off or misconfigured, another worker holds the lease, or the target fails.
        """
        return await self._asked(lambda tally: self._exchange(tally, batch_size=batch_size, progress=progress))

    async def sync_history(self, *, progress: ProgressCallback | None = None) -> SyncReport:
        """Queue every row that was never synced, then drain. A second run adds nothing."""

        async def work(tally: Tally) -> None:
            await self._connected()
            await self._queue(everything=False)
            await self._exchange(tally, progress=progress)

        return await self._asked(work)

    async def sync_full(self, *, progress: ProgressCallback | None = None) -> SyncReport:
        """Send every row again: the way back from ``remote_behind``. What the server already has stays as it is."""

        async def work(tally: Tally) -> None:
            await self._connected(accept_behind=True)
            await self._queue(everything=True)
            await self._exchange(tally, progress=progress)

        return await self._asked(work)

    async def status(self) -> SyncStatus:
        """The worker at a glance; of another process's worker, what its lease says."""
        standing = await self._journal.standing()
        live = standing.lease if await self._journal.is_live(standing.lease) else None
        state, reason, hint = self._describe(live)
        target = self._address()
        facts = self._facts
        return SyncStatus(
            state=state,
            reason=reason,
            hint=hint,
            target=target.display if isinstance(target, PostgresTarget) else None,
            database=target.database if isinstance(target, PostgresTarget) else None,
            holder=None if live is None else live.holder,
            heartbeat_at=None if live is None else live.heartbeat_at,
            pending=standing.outbox.pending,
            oldest_pending_at=standing.outbox.oldest_pending_at,
            retrying=standing.outbox.retrying,
            failed=standing.outbox.failed,
            conflicts=standing.conflicts.total,
            unreviewed_conflicts=standing.conflicts.unreviewed,
            duplicates=standing.duplicates,
            rate=self._rate,
            last_sync_at=standing.last_sync_at,
            next_attempt_at=self._circuit.probe_at or standing.outbox.next_attempt_at,
            schema_version=None if facts is None else facts.schema_version,
            target_schema_version=self._target_version(),
            latency_ms=None if facts is None else facts.latency * 1000,
            clock_offset_ms=None if facts is None else facts.clock_offset * 1000,
        )

    async def probe(self) -> SyncStatus:
        """The status after a look at the target, for a process that runs no worker. Never raises for the target."""
        if self._off() is None and not self.is_running:
            async with self._busy:
                try:
                    target = self._open_target()
                    await target.connect()
                    self._facts, self._facts_at = await target.probe(), self._wall()
                    await target.check_schema()
                    self._circuit.close()
                except PostgresFault as error:
                    self._trip(error.fault)
                finally:
                    await self._disconnect()
        return await self.status()

    def require_target(self) -> PostgresTarget:
        """Where PostgreSQL is. Raises SyncError where it is off or misconfigured."""
        off = self._off()
        if off is not None:
            raise SyncError(off[1], hint=off[2])
        address = self._address()
        assert isinstance(address, PostgresTarget)
        return address

    async def migrate_target(self, *, dry_run: bool = False) -> TierMigrations:
        """Bring the team's schema up to date, or with ``dry_run`` say what that would do.

        Raises SyncError where PostgreSQL is off or cannot be used, MigrationError where a migration fails.
        """
        self.require_target()
        async with self._busy:
            target = self._open_target()
            try:
                distribute = self._settings.persistence.postgres.distribute
                done = await target.migrate(distribute=distribute, dry_run=dry_run)
            finally:
                if not self.is_running:
                    await self._disconnect()
            if not dry_run:
                self._circuit.close()
                self._facts_at = None
        self._wake.set()
        return done

    async def log_tail(self, limit: int) -> tuple[LogEntry, ...]:
        """The newest rows of the sync log, newest first."""
        return await self._journal.tail(limit)

    # The loop

    async def _run(self) -> None:
        heartbeat = asyncio.create_task(self._beat(), name="acode-sync-heartbeat")
        try:
            while not self._stopping:
                self._wake.clear()
                await self._round()
                await self._rest()
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
                if self._off() is not None:
                    await self._keep_house(None)
                    return
                if not self._circuit.may_try(self._wall()) or not await self._hold():
                    return
                await self._worked(self._exchange)
                self._trouble = None
            except PostgresFault as error:
                self._trip(error.fault)
                await self._disconnect_if_lost(error.fault)
                await self._show()
            except LeaseLostError:
                self._forget_lease()
            except AcodeError as error:
                # The workspace itself refused (disk full, locked for 30 s): nothing is lost, the next turn tries again.
                self._trouble = error
                log.error("sync.trouble", code=error.code, reason=error.message)

    async def _rest(self) -> None:
        """Wait for the interval, a local commit, a request, another process's commit, or a probe that is due."""
        if self._stopping:
            return
        until = self._wall() + timedelta(seconds=await self._patience())
        version = await self._version()
        while not (self._wake.is_set() or self._stopping):
            left = (until - self._wall()).total_seconds()
            if left <= 0:
                return
            await self._nap(min(left, POLL_SECONDS))
            if await self._version() != version and self._circuit.fault is None and self._in_the_way is None:
                return

    async def _patience(self) -> float:
        """Seconds to sleep at most."""
        seconds = self._settings.persistence.sync.interval_seconds
        now = self._wall()
        if self._in_the_way is not None:
            return min(seconds, STANDBY_SECONDS)
        if self._circuit.probe_at is not None:
            return max(0.05, min(seconds, (self._circuit.probe_at - now).total_seconds()))
        if self._circuit.fault is None and self._off() is None:
            due = (await self._journal.standing()).outbox.next_attempt_at
            if due is not None:
                return max(0.05, min(seconds, (due - now).total_seconds()))
        return seconds

    async def _nap(self, seconds: float) -> None:
        waking = asyncio.ensure_future(self._wake.wait())
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait({waking, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (waking, sleeping):
                each.cancel()
            await asyncio.gather(waking, sleeping, return_exceptions=True)

    async def _version(self) -> int:
        return 0 if self._data_version is None else await self._data_version()

    # One exchange with the target

    async def _asked(self, work: Callable[[Tally], Awaitable[None]]) -> SyncReport:
        """Do a person's bidding now, and give back what was only held for it."""
        self.require_target()
        async with self._busy:
            self._circuit.close()
            self._winding_down = False
            try:
                while not await self._hold():
                    report = await self._drained_by_other()
                    if report is not None:
                        return report
                return await self._worked(work)
            except PostgresFault as error:
                self._trip(error.fault)
                await self._disconnect_if_lost(error.fault)
                raise
            except LeaseLostError:
                self._forget_lease()
                raise
            finally:
                if not self.is_running:
                    await self._let_go()

    async def _drained_by_other(self) -> SyncReport | None:
        """Wait while another worker sends what is pending, which it begins to within a second of a commit.

        Answers what it did; None once its lease is free to be taken. Raises SyncError where it makes no progress.
        """
        before = (await self._journal.standing()).outbox.pending
        least, idle_since, started = before, self._wall(), self._wall()
        while True:
            standing = await self._journal.standing()
            queue = standing.outbox
            if not queue.pending or self._winding_down:
                return SyncReport(
                    synced=before - queue.pending,
                    remaining=queue.pending + queue.failed,
                    duration_seconds=(self._wall() - started).total_seconds(),
                )
            if not await self._journal.is_live(standing.lease):
                return None
            if queue.pending < least:
                least, idle_since = queue.pending, self._wall()
            elif (self._wall() - idle_since).total_seconds() > OTHER_SECONDS:
                holder = standing.lease.holder if standing.lease is not None else "another worker"
                raise SyncError(
                    f"{holder} drains this workspace and makes no progress",
                    hint="see its log, or end it: this process then takes over",
                )
            await self._sleep(POLL_SECONDS)

    async def _worked(self, work: Callable[[Tally], Awaitable[None]]) -> SyncReport:
        """Run ``work`` and account for it, however it ends."""
        tally, started, at = Tally(), perf_counter(), self._wall()
        event, message = "drained", ""
        try:
            await work(tally)
            self._circuit.close()
        except PostgresFault as error:
            event, message = "interrupted", error.fault.sentence
            raise
        finally:
            self._activity = None
            elapsed = perf_counter() - started
            if tally.done:
                self._rate = tally.done / elapsed if elapsed > 0 else 0.0
            if not tally.is_empty or event != "drained":
                await self._note(tally, event, message, at, elapsed)
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
        log.info("sync.drained", **{name: getattr(entry, name) for name in ("synced", "duplicates", "conflicts")})
        await self._journal.note(entry, synced_at=self._wall() if event == "drained" else None)

    async def _exchange(
        self, tally: Tally, *, batch_size: int | None = None, progress: ProgressCallback | None = None
    ) -> None:
        """Push everything that is due, then pull everything that is news."""
        target, mark = await self._connected()
        self._activity = SyncState.SYNCING
        pending = (await self._journal.standing()).outbox.pending
        drain = Drain(
            self._journal,
            target,
            mark,
            token=self._token,
            batch_size=batch_size or self._settings.persistence.sync.max_batch_size,
            tally=tally,
            should_stop=lambda: self._stopping or self._paused or self._lost or self._winding_down,
            pending=pending,
            progress=progress,
        )
        await drain.run()
        if self._stopping or self._winding_down:
            return
        standing = await self._journal.mark() or mark
        _, tally.pulled = await pull(self._journal, target, standing, token=self._token)
        await self._keep_house(target)

    async def _connected(self, *, accept_behind: bool = False) -> tuple["SyncTarget", Mark]:
        """A target that is ready for batches, and where this replica stands with it. Raises PostgresFault."""
        target = self._open_target()
        if not target.is_connected:
            self._activity = SyncState.CONNECTING
            self._facts_at = None
            await target.connect()
        await self._look(target)
        mark = await self._journal.mark()
        if self._facts_at == self._wall() or mark is None or accept_behind:
            head = await target.register_workspace(
                self._journal.workspace_id, user=self._user, host=self._journal.host, version=__version__
            )
            if mark is not None and is_behind(head, mark):
                if not accept_behind:
                    raise behind_fault()
                if head.incarnation == mark.incarnation:
                    head = await target.renew_incarnation(self._journal.workspace_id)
                mark = None
            if mark is None:
                # From zero: whatever other replicas have sent so far is news here.
                mark = Mark(change_seq=0, incarnation=head.incarnation)
                await self._journal.set_mark(self._token, mark)
        return target, mark

    async def _look(self, target: "SyncTarget") -> None:
        """Refresh what is known of the target once a minute: its schema, its clock, how far away it is."""
        now = self._wall()
        if self._facts_at is not None and (now - self._facts_at).total_seconds() < FACTS_SECONDS:
            return
        facts = await target.probe()
        postgres = self._settings.persistence.postgres
        if facts.schema_version != self._target_version() and postgres.auto_migrate and not facts.read_only:
            try:
                await target.migrate(distribute=postgres.distribute)
            except MigrationError as error:
                raise PostgresFault(Fault(kind=FaultKind.SCHEMA, sentence=error.message, hint=error.hint)) from error
            facts = await target.probe()
        self._facts = facts
        await target.check_schema()
        if facts.read_only:
            raise PostgresFault(
                Fault(
                    kind=FaultKind.SERVER,
                    sqlstate="25006",
                    sentence=f"{target.target.display} is read-only, a standby perhaps",
                    hint="point the address at the primary",
                )
            )
        if abs(facts.clock_offset) > CLOCK_WARNING_SECONDS:
            log.warning("sync.clock_offset", offset_ms=round(facts.clock_offset * 1000))
        self._facts_at = self._wall()

    async def _queue(self, *, everything: bool) -> None:
        after: str | None = ""
        while after is not None and not (self._stopping or self._winding_down):
            _, after = await self._journal.queue_unsent(after=after, limit=HISTORY_PAGE, everything=everything)

    async def _keep_house(self, target: "SyncTarget | None") -> None:
        """Hourly: forget what is delivered and old, or fold what has nowhere to go."""
        now = self._wall()
        if self._upkept_at is not None and now - self._upkept_at < upkeep.EVERY:
            return
        self._upkept_at = now
        if target is not None:
            days = self._settings.persistence.sync.retention_days
            await upkeep.retain(self._journal, target, before=now - timedelta(days=days))
        elif not self._settings.persistence.postgres.enabled:
            await upkeep.fold(self._journal)

    # The lease

    async def _hold(self) -> bool:
        # The state as it will be if this succeeds: a standby that takes over is none any more.
        self._in_the_way = None
        state = self._state().value
        self._in_the_way = await self._journal.acquire(self._token, mode=self._mode, state=state)
        self._lost = False
        return self._in_the_way is None

    async def _beat(self) -> None:
        """A heartbeat of its own, so that a long batch does not cost the lease."""
        while True:
            await self._sleep(leases.HEARTBEAT_SECONDS)
            if self._in_the_way is None and self._off() is None:
                await self._show()

    async def _show(self) -> None:
        """Beat, and let other processes see the state."""
        try:
            live = await self._journal.live_lease()
            if live is not None and live.token == self._token:
                await self._journal.beat(self._token, self._state().value)
        except LeaseLostError:
            self._lost = True
        except AcodeError as error:
            log.warning("sync.heartbeat", code=error.code, reason=error.message)

    def _forget_lease(self) -> None:
        # A token is never used again: whoever took over may have counted on its being void.
        self._token = new_id()
        self._lost = False

    async def _let_go(self) -> None:
        await self._disconnect()
        try:
            await self._journal.release(self._token)
        except AcodeError as error:
            log.warning("sync.release", code=error.code, reason=error.message)

    # The target

    def _address(self) -> PostgresTarget | Misconfigured | None:
        return self._resolve(self._settings) if self._settings.persistence.postgres.enabled else None

    def _off(self) -> tuple[SyncState, str, str] | None:
        """Why there is nothing to talk to; None if there is."""
        address = self._address()
        if address is None:
            return SyncState.DISABLED, OFF_REASON, OFF_HINT
        if isinstance(address, Misconfigured):
            return SyncState.MISCONFIGURED, address.reason, address.hint
        return None

    def _open_target(self) -> "SyncTarget":
        address = self._address()
        assert isinstance(address, PostgresTarget)
        if self._target is not None and self._target.target == address:
            return self._target
        # Here, not above: a process that never syncs need not load the driver.
        from acode_tui.storage.postgres.sync_target import SyncTarget

        postgres = self._settings.persistence.postgres
        add_secrets(address.secrets)
        self._target = SyncTarget(
            address,
            rules,
            schema=postgres.schema,
            connect_timeout=postgres.connect_timeout_seconds,
            command_timeout=postgres.command_timeout_seconds,
            wall=self._wall,
        )
        return self._target

    async def _disconnect(self) -> None:
        target, self._target = self._target, None
        self._facts_at = None
        if target is not None:
            await target.close()

    async def _disconnect_if_lost(self, fault: Fault) -> None:
        """After a fault of the target nothing about it is taken for granted: the next try looks again."""
        self._facts_at = None
        if fault.sqlstate is None:
            await self._disconnect()

    def _trip(self, fault: Fault) -> None:
        before = self._circuit.state
        self._circuit.trip(fault, now=self._wall(), interval_seconds=self._settings.persistence.sync.interval_seconds)
        if self._circuit.state is not before:
            log.warning(
                "sync.state",
                code="ACODE-DB-005",
                state=str(self._circuit.state),
                reason=fault.sentence,
                hint=fault.hint,
            )

    @staticmethod
    def _target_version() -> str:
        from acode_tui.storage.migrations.runner import packaged

        return packaged("postgres")[-1].version

    # What is shown

    def _state(self) -> SyncState:
        off = self._off()
        if off is not None:
            return off[0]
        if self._paused:
            return SyncState.PAUSED
        if self._in_the_way is not None:
            return SyncState.STANDBY
        return self._circuit.state or self._activity or SyncState.IDLE

    def _describe(self, live: Lease | None) -> tuple[SyncState, str, str]:
        off = self._off()
        if off is not None:
            return off
        fault = self._circuit.fault
        if not self.is_running and not self._busy.locked():
            if live is not None and live.token != self._token and live.state in tuple(SyncState):
                return SyncState(live.state), f"{live.holder} drains this workspace", ""
            if fault is None:
                return SyncState.STOPPED, "no worker runs", "open the dashboard or run `acode-tui --headless`"
        state = self._state()
        if state is SyncState.PAUSED:
            return state, "the worker is paused", "press p to resume"
        if state is SyncState.STANDBY and self._in_the_way is not None:
            return state, f"{self._in_the_way.holder} drains this workspace", "it is taken over when that one ends"
        if fault is not None and state is self._circuit.state:
            return state, fault.sentence, fault.hint
        if self._trouble is not None:
            return state, self._trouble.message, self._trouble.hint
        return state, "", ""
