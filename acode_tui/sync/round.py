"""One exchange with the team's database: push what is due, pull what is news, keep house; and the account of it.

However it ends, it is accounted for: in the circuit, the sync log and the numbers shown.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from time import perf_counter

from acode_tui.domain.clock import WallClock
from acode_tui.domain.progress import ReportProgress
from acode_tui.logs import get_logger
from acode_tui.storage.delivery_protocol import PostgresFault
from acode_tui.storage.ports import DeliveryOutbox, LogEntry, SyncJournal, SyncTarget
from acode_tui.sync.drain import Drain, Tally
from acode_tui.sync.lease_holder import Tenure
from acode_tui.sync.ports import SyncReport, SyncState
from acode_tui.sync.pull import pull
from acode_tui.sync.state import Situation
from acode_tui.sync.target import Link
from acode_tui.sync.wake import Waking

PAGE = 500
EVERY = timedelta(hours=1)


async def retain(outbox: DeliveryOutbox, target: SyncTarget, *, before: datetime) -> int:
    """Forget delivered records from before a moment, if the ledger holds their key or a newer one replaced them."""
    gone, after = 0, 0
    while page := await outbox.expired(before=before, after_id=after, limit=PAGE):
        after = page[-1].id
        asked = [(each.session_id, each.idempotency_key) for each in page if each.needs_ledger]
        held = await target.ledger_has(asked) if asked else set()
        ids = [each.id for each in page if not each.needs_ledger or each.idempotency_key in held]
        gone += await outbox.delete_records(ids)
    return gone


async def fold(outbox: DeliveryOutbox) -> int:
    """Fold the pending records of a workspace that has nowhere to send to: one a row stays."""
    gone, after = 0, 0
    while True:
        count, last = await outbox.compact(after_id=after, limit=PAGE)
        gone += count
        if last is None:
            return gone
        after = last


Work = Callable[[Tally], Awaitable[None]]

HISTORY_PAGE = 20

log = get_logger("acode_tui.sync")


class Exchange:
    """Whoever calls it holds the lease, and calls nothing else of it meanwhile."""

    def __init__(
        self,
        outbox: DeliveryOutbox,
        journal: SyncJournal,
        link: Link,
        tenure: Tenure,
        situation: Situation,
        waking: Waking,
        *,
        wall: WallClock,
        largest_batch: int | None = None,
    ) -> None:
        """``largest_batch`` bounds what the settings allow: encoding a batch holds up whoever shares the event loop."""
        self._outbox = outbox
        self._journal = journal
        self._largest_batch = largest_batch
        self._link = link
        self._tenure = tenure
        self._situation = situation
        self._waking = waking
        self._wall = wall
        self._upkept_at: datetime | None = None
        self.timed: Callable[[float], object] | None = None
        """Told how many seconds the target took for each batch."""

    def _batch_size(self) -> int:
        allowed = self._situation.settings.persistence.sync.max_batch_size
        return allowed if self._largest_batch is None else min(allowed, self._largest_batch)

    async def account(self, work: Work) -> SyncReport:
        """Do ``work`` and account for it. Raises what it raises."""
        situation, circuit = self._situation, self._situation.circuit
        tally, started, at = Tally(), perf_counter(), self._wall()
        event, message, is_news = "stopped", "", False
        try:
            await work(tally)
            is_news = circuit.fault is not None
            circuit.close()
            if not situation.should_stop():
                event, situation.synced_at = "drained", self._wall()
            if is_news:
                log.info("sync.state", state=SyncState.IDLE.value)
        except PostgresFault as error:
            event, message = "interrupted", error.fault.sentence
            is_news = situation.trip(error.fault)
            raise
        finally:
            situation.activity = None
            elapsed = perf_counter() - started
            if tally.done:
                situation.rate = tally.done / elapsed if elapsed > 0 else 0.0
            if is_news or not tally.is_empty:
                await self._note(tally, event, message or _caught_up(tally), at, elapsed)
        remaining = await self._outbox.stats()
        return SyncReport(
            synced=tally.synced,
            duplicates=tally.duplicates,
            superseded=tally.superseded,
            conflicts=tally.conflicts,
            failed=tally.failed,
            remaining=remaining.pending + remaining.failed,
            duration_seconds=elapsed,
        )

    async def run(self, tally: Tally, *, batch_size: int | None = None, progress: ReportProgress | None = None) -> None:
        """Push everything that is due, then pull everything that is news. Raises PostgresFault, LeaseLostError."""
        if not self._link.is_open:
            self._situation.activity = SyncState.CONNECTING
        target, cursor = await self._link.connected(self._tenure.token)
        self._situation.activity = SyncState.SYNCING
        self._waking.is_quiet()  # what was written before does not count
        pending = await self._outbox.pending_count()
        should_stop = self._situation.should_stop
        drain = Drain(
            self._outbox,
            target,
            cursor,
            workspace_id=self._journal.workspace_id,
            token=self._tenure.token,
            batch_size=batch_size or self._batch_size(),
            tally=tally,
            should_stop=should_stop,
            is_quiet=self._waking.is_quiet,
            pending=pending,
            progress=progress,
            timed=self.timed,
        )
        await drain.run()
        if should_stop():
            return
        tally.pulled = await pull(
            self._journal,
            target,
            await self._journal.pull_cursor() or cursor,
            workspace_id=self._journal.workspace_id,
            token=self._tenure.token,
            should_stop=should_stop,
        )
        await self.keep_house(target)

    async def run_history(self, tally: Tally, *, progress: ReportProgress | None = None) -> None:
        """Queue every row that was never synced, then exchange."""
        await self._link.connected(self._tenure.token)
        await self._queue(everything=False)
        await self.run(tally, progress=progress)

    async def run_full(self, tally: Tally, *, progress: ReportProgress | None = None) -> None:
        """Queue every row, then exchange: the way back from ``remote_behind``."""
        should_stop = self._situation.should_stop
        restart = await self._link.new_incarnation()
        await self._queue(everything=True, new_incarnation=restart is not None)
        if restart is not None and not should_stop():
            await self._journal.set_pull_cursor(self._tenure.token, restart)
        if not should_stop():
            await self.run(tally, progress=progress)

    async def keep_house(self, target: SyncTarget | None) -> None:
        """Hourly: forget what is delivered and old, or fold what has nowhere to go."""
        now = self._wall()
        if self._upkept_at is not None and now - self._upkept_at < EVERY:
            return
        if target is None and (self._link.is_enabled or await self._journal.live_lease() is not None):
            # Another process may not know yet that there is nowhere to send to: its batch in hand is left alone.
            return
        self._upkept_at = now
        if target is not None:
            days = self._situation.settings.persistence.sync.retention_days
            await retain(self._outbox, target, before=now - timedelta(days=days))
        else:
            await fold(self._outbox)

    async def _queue(self, *, everything: bool, new_incarnation: bool = False) -> None:
        after: str | None = ""
        while after is not None and not self._situation.should_stop():
            _, after = await self._outbox.queue_unsent(
                after=after, limit=HISTORY_PAGE, everything=everything, new_incarnation=new_incarnation
            )

    async def _note(self, tally: Tally, event: str, message: str, at: datetime, elapsed: float) -> None:
        entry = LogEntry(
            at=at,
            event=event,
            state=self._situation.state().value,
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
        await self._journal.append_log(entry, synced_at=self._situation.synced_at)


def _caught_up(tally: Tally) -> str:
    """An old workspace file that was put back catches up by itself, and says so."""
    if not tally.pulled:
        return ""
    return f"took over {tally.pulled} rows that were written elsewhere, or here before this file was put back"
