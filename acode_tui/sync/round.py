"""One round with the team's database: push what is due, pull what is new, delete what is past its retention.

However a round ends, it is recorded: in the circuit, in the sync log and in the numbers of the status.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter

from acode_tui.domain.clock import WallClock
from acode_tui.domain.progress import Progress, ReportProgress, progress_after
from acode_tui.logs import get_logger
from acode_tui.storage.delivery_protocol import PostgresFault
from acode_tui.storage.ports import DeliveryOutbox, LogEntry, PullCursor, SyncJournal, SyncTarget
from acode_tui.sync.batch_size import BatchSize
from acode_tui.sync.drain import OutboxProcessor, RoundCounts
from acode_tui.sync.lease_holder import LeaseHolder
from acode_tui.sync.ports import SyncReport, SyncState
from acode_tui.sync.pull import pull, read_all_again
from acode_tui.sync.state import WorkerState
from acode_tui.sync.target import TargetConnection
from acode_tui.sync.wake import WakeSignal

RETENTION_INTERVAL = timedelta(hours=1)
RETENTION_PAGE = 500
"""Outbox records that are deleted in one transaction."""
HISTORY_PAGE = 20
"""Sessions whose rows are queued in one transaction, for which the user's own writes wait."""
QUEUED_AHEAD = 10_000
"""Records that are queued before they are sent: enough for batches of every size."""
PAGES_AHEAD = 100
"""Pages after which is sent what waits, although they had little to queue."""

Work = Callable[[RoundCounts], Awaitable[None]]

log = get_logger("acode_tui.sync")


async def delete_expired(outbox: DeliveryOutbox, target: SyncTarget, *, before: datetime) -> int:
    """Delete records that were processed before a moment, if the ledger holds their key or a newer one replaced them.

    Returns how many.
    """
    deleted, after = 0, 0
    while page := await outbox.expired(before=before, after_id=after, limit=RETENTION_PAGE):
        after = page[-1].id
        asked = [(each.session_id, each.idempotency_key) for each in page if each.needs_ledger]
        held = await target.ledger_has(asked) if asked else set()
        ids = [each.id for each in page if not each.needs_ledger or each.idempotency_key in held]
        deleted += await outbox.delete_records(ids)
    return deleted


class SyncRound:
    """The caller holds the lease and runs one round at a time."""

    def __init__(
        self,
        outbox: DeliveryOutbox,
        journal: SyncJournal,
        target: TargetConnection,
        lease: LeaseHolder,
        state: WorkerState,
        wake: WakeSignal,
        *,
        wall: WallClock,
        largest_batch: int | None = None,
    ) -> None:
        """``largest_batch`` bounds what the settings allow: encoding a batch blocks the event loop meanwhile."""
        self._outbox = outbox
        self._journal = journal
        self._target = target
        self._lease = lease
        self._state = state
        self._wake = wake
        self._wall = wall
        self._largest_batch = largest_batch
        self._sizes = BatchSize()
        self._retention_at: datetime | None = None
        self._has_read_again = False
        self.moved_nothing = True
        """Whether the last round neither sent nor pulled anything."""
        self.on_batch: Callable[[float], object] | None = None
        """Receives the seconds that the target took for each batch."""

    def _batch_size(self, asked: int | None) -> int:
        """Records in the next batch; ``asked`` is what a person asked for."""
        allowed = self._state.settings.persistence.sync.max_batch_size
        if self._largest_batch is not None:
            allowed = min(allowed, self._largest_batch)
        facts = self._target.facts
        grown = self._sizes.next(asked or allowed, None if facts is None else facts.latency)
        return grown if asked is None else min(asked, grown)

    async def record(self, work: Work) -> SyncReport:
        """Do ``work`` and record how it ended. Raises what ``work`` raises."""
        state, circuit = self._state, self._state.circuit
        counts, started, at = RoundCounts(), perf_counter(), self._wall()
        event, message, has_changed = "stopped", "", False
        try:
            await work(counts)
            has_changed = circuit.fault is not None
            circuit.close()
            if not state.should_stop():
                event, state.synced_at = "drained", self._wall()
            if has_changed:
                log.info("sync.state", state=SyncState.IDLE.value)
        except PostgresFault as error:
            event, message = "interrupted", error.fault.sentence
            has_changed = state.trip(error.fault)
            raise
        finally:
            state.activity = None
            self.moved_nothing = counts.is_empty
            elapsed = perf_counter() - started
            if counts.processed:
                state.rate = counts.processed / elapsed if elapsed > 0 else 0.0
            if has_changed or not counts.is_empty:
                await self._append_log(counts, event, message or _pull_message(counts), at, elapsed)
        remaining = await self._outbox.stats()
        return SyncReport(
            synced=counts.synced,
            duplicates=counts.duplicates,
            superseded=counts.superseded,
            conflicts=counts.conflicts,
            failed=counts.failed,
            remaining=remaining.pending + remaining.failed,
            duration_seconds=elapsed,
        )

    async def run(
        self, counts: RoundCounts, *, batch_size: int | None = None, on_progress: ReportProgress | None = None
    ) -> None:
        """Push everything that is due, then pull everything that is new. Raises PostgresFault, LeaseLostError."""
        self._state.activity = SyncState.SYNCING if self._target.is_expected else SyncState.CONNECTING
        target, cursor = await self._target.ready(self._lease.token)
        self._state.activity = SyncState.SYNCING
        should_stop = self._state.should_stop
        await self._drain(target, cursor, counts, batch_size=batch_size, on_progress=on_progress)
        if should_stop():
            return
        counts.pulled = await pull(
            self._journal,
            target,
            # Acknowledging moves the cursor where no other replica wrote in between.
            await self._journal.pull_cursor() or cursor,
            workspace_id=self._journal.workspace_id,
            token=self._lease.token,
            should_stop=should_stop,
        )
        if not self._has_read_again:
            counts.pulled += await read_all_again(
                self._journal, target, token=self._lease.token, should_stop=should_stop
            )
            self._has_read_again = not should_stop()
        await self._run_retention(target)

    async def _drain(
        self,
        target: SyncTarget,
        cursor: PullCursor,
        counts: RoundCounts,
        *,
        batch_size: int | None = None,
        on_progress: ReportProgress | None = None,
        with_former: bool = False,
    ) -> None:
        self._wake.is_quiet()  # what was committed before the drain does not count
        processor = OutboxProcessor(
            self._outbox,
            target,
            cursor,
            workspace_id=self._journal.workspace_id,
            token=self._lease.token,
            batch_size=lambda: self._batch_size(batch_size),
            sizes=self._sizes,
            counts=counts,
            should_stop=self._state.should_stop,
            is_quiet=self._wake.is_quiet,
            pending=await self._outbox.pending_count(),
            on_progress=on_progress,
            on_batch=self.on_batch,
            with_former=with_former,
        )
        await processor.run()

    async def run_history(self, counts: RoundCounts, *, on_progress: ReportProgress | None = None) -> None:
        """Queue every row that was never synced and send it, in turns; then run a round."""
        target, cursor = await self._target.ready(self._lease.token)
        self._state.activity = SyncState.SYNCING
        show = await self._progress_of_all(on_progress, everything=False)
        await self._send_in_turns(target, cursor, counts, on_progress=show, everything=False)
        if not self._state.should_stop():
            await self.run(counts, on_progress=show)

    async def run_full(self, counts: RoundCounts, *, on_progress: ReportProgress | None = None) -> None:
        """Queue every row and send it, in turns; then run a round: the way back from ``remote_behind``.

        One that was interrupted goes on where it ended.
        """
        target, restart = await self._target.restart()
        cursor = restart
        if cursor is None:
            target, cursor = await self._target.ready(self._lease.token)
        self._state.activity = SyncState.SYNCING
        show = await self._progress_of_all(on_progress, everything=True)
        await self._send_in_turns(
            target, cursor, counts, on_progress=show, everything=True, new_incarnation=restart is not None
        )
        if self._state.should_stop():
            return
        if restart is not None:
            await self._journal.set_pull_cursor(self._lease.token, restart)
        await self.run(counts, on_progress=show)

    async def _send_in_turns(
        self,
        target: SyncTarget,
        cursor: PullCursor,
        counts: RoundCounts,
        *,
        on_progress: ReportProgress | None,
        everything: bool,
        new_incarnation: bool = False,
    ) -> None:
        """Queue some pages of sessions, send what waits, and so on. A stop ends it between two pages or batches."""
        queue = partial(
            self._outbox.queue_unsent,
            limit=HISTORY_PAGE,
            everything=everything,
            new_incarnation=new_incarnation,
            kept_since=self._expired_before() if everything else None,
        )
        after: str | None = await self._outbox.resend_position(cursor.incarnation) if everything else ""
        queued: frozenset[str] = frozenset()
        while after is not None and not self._state.should_stop():
            if everything:
                # What waits of a session further on is sent with this turn, so its parents have to be in front of it.
                waiting: str | None = after
                while waiting is not None and not self._state.should_stop():
                    page = await queue(after=waiting, waiting=True, queued=queued)
                    queued, waiting = queued.union(page.sessions), page.after
            made = pages = 0
            while after is not None and made < QUEUED_AHEAD and pages < PAGES_AHEAD and not self._state.should_stop():
                page = await queue(after=after, queued=queued)
                made, pages, after = made + page.made, pages + 1, page.after
            if not self._state.should_stop():
                await self._drain(target, cursor, counts, on_progress=on_progress, with_former=everything)
            if everything and not self._state.should_stop():
                await self._outbox.note_resend(cursor.incarnation, after)

    async def _progress_of_all(self, on_progress: ReportProgress | None, *, everything: bool) -> ReportProgress | None:
        """Progress of a drain as progress of all turns: their total, and the rate since the first one began."""
        if on_progress is None:
            return None
        total, started = await self._outbox.count_unsent(everything=everything), perf_counter()

        def show(drained: Progress) -> None:
            on_progress(progress_after(perf_counter() - started, drained.done, total, drained.unit))

        return show

    async def _run_retention(self, target: SyncTarget) -> None:
        """Once an hour: delete delivered records past their retention."""
        now = self._wall()
        if self._retention_at is not None and now - self._retention_at < RETENTION_INTERVAL:
            return
        self._retention_at = now
        await delete_expired(self._outbox, target, before=self._expired_before())

    def _expired_before(self) -> datetime:
        """Records that were processed before this moment are deleted."""
        return self._wall() - timedelta(days=self._state.settings.persistence.sync.retention_days)

    async def _append_log(self, counts: RoundCounts, event: str, message: str, at: datetime, elapsed: float) -> None:
        entry = LogEntry(
            at=at,
            event=event,
            state=self._state.status().state,
            message=message,
            synced=counts.synced,
            duplicates=counts.duplicates,
            superseded=counts.superseded,
            conflicts=counts.conflicts,
            failed=counts.failed,
            pulled=counts.pulled,
            duration_ms=round(elapsed * 1000),
        )
        numbers = ("synced", "duplicates", "superseded", "conflicts", "failed", "pulled", "duration_ms")
        log.info(f"sync.{event}", **{name: getattr(entry, name) for name in numbers})
        await self._journal.append_log(entry, synced_at=self._state.synced_at)


def _pull_message(counts: RoundCounts) -> str:
    """What a pull brought: also how an old workspace file that was put back says that it caught up."""
    if not counts.pulled:
        return ""
    return f"took over {counts.pulled} rows that were written elsewhere, or here before this file was put back"
