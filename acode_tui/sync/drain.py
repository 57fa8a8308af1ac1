"""Draining the outbox into the target: claim, apply, acknowledge, again, until nothing is due.

A batch is acknowledged in the transaction that claims the next one, so each costs the local disk one commit.

A batch is harmless to repeat: its records stay pending until they are acknowledged, and the central ledger answers a
second delivery with ``duplicate``. So a crash, a cut or a lost lease between any two steps costs nothing but time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, TypeVar

import msgspec

from acode_tui.domain.clock import format_time
from acode_tui.domain.progress import ReportProgress, progress_after
from acode_tui.logs import get_logger
from acode_tui.storage.delivery_protocol import ApplyReply, ApplyRow, FaultKind, PostgresFault
from acode_tui.storage.ports import ClaimedRecord, Delivered, DeliveryOutbox, PullCursor, SyncTarget
from acode_tui.sync.batch_size import BatchSize
from acode_tui.sync.classify import Verdict, classify, is_record

MAX_BATCH_BYTES = 8 * 1024 * 1024
"""Payload and content in one batch, in bytes; a single larger record still goes alone."""

MAX_COLLISIONS = 5
"""How often a batch that collided with another transaction is sent again at once."""

Batch = Sequence[ClaimedRecord]
T = TypeVar("T")

log = get_logger("acode_tui.sync")


def lanes(batch: Batch) -> list[list[ClaimedRecord]]:
    """The batch by lane, lanes in the order of their first record, each in its own order."""
    grouped: dict[str, list[ClaimedRecord]] = {}
    for record in batch:
        grouped.setdefault(record.row.session_id, []).append(record)
    return list(grouped.values())


def halves(batch: Batch) -> tuple[list[ClaimedRecord], list[ClaimedRecord], bool]:
    """Two smaller batches, and whether the second depends on the first. At least two records are needed."""
    by_lane = lanes(batch)
    if len(by_lane) > 1:
        middle = len(by_lane) // 2
        first, second = by_lane[:middle], by_lane[middle:]
        return [r for lane in first for r in lane], [r for lane in second for r in lane], False
    middle = len(batch) // 2
    return list(batch[:middle]), list(batch[middle:]), True


class RoundCounts(msgspec.Struct, kw_only=True):
    """What a round has done so far, in records; ``pulled`` in rows."""

    synced: int = 0
    duplicates: int = 0
    superseded: int = 0
    conflicts: int = 0
    failed: int = 0
    pulled: int = 0

    @property
    def processed(self) -> int:
        """Records that have ended."""
        return self.synced + self.duplicates + self.superseded

    @property
    def is_empty(self) -> bool:
        return not (self.processed or self.conflicts or self.failed or self.pulled)


class OutboxProcessor:
    """One drain: everything that is due, under one lease token."""

    def __init__(
        self,
        outbox: DeliveryOutbox,
        target: SyncTarget,
        cursor: PullCursor,
        *,
        workspace_id: str,
        token: str,
        batch_size: Callable[[], int],
        sizes: BatchSize,
        counts: RoundCounts,
        should_stop: Callable[[], bool],
        is_quiet: Callable[[], bool],
        pending: int = 0,
        on_progress: ReportProgress | None = None,
        on_batch: Callable[[float], object] | None = None,
        with_former: bool = False,
    ) -> None:
        """``batch_size`` returns the records of the next batch, by the ``sizes`` that learn from each.

        ``is_quiet`` returns whether nothing was written in this process since it was last asked; ``on_batch``
        receives the seconds that the target took for each batch it applied. ``with_former``: the server may have lost
        versions that were sent.
        """
        self._outbox = outbox
        self._target = target
        self._cursor = cursor
        self._workspace_id = workspace_id
        self._token = token
        self._batch_size = batch_size
        self._sizes = sizes
        self._counts = counts
        self._should_stop = should_stop
        self._is_quiet = is_quiet
        self._pending = pending
        self._on_progress = on_progress
        self._on_batch = on_batch
        self._with_former = with_former
        self._started = perf_counter()
        self._unacknowledged: Delivered | None = None
        """A batch that is delivered and not yet acknowledged."""
        self._prepared: tuple[Batch, Any] | None = None
        """A batch that waits for the one before it, and what the target made of it meanwhile."""
        self._slow: list[tuple[ClaimedRecord, PostgresFault]] = []
        """Records that the server's time limit ended alone, while nothing says whether it is them or the server."""
        self._is_fast = False
        """Whether a batch went through since the server's time limit ended one."""

    async def run(self) -> None:
        """Send batches until nothing is due or ``should_stop`` says so; a batch that was begun is finished.

        Raises PostgresFault where the target failed (nothing is counted against any record), LeaseLostError.
        """
        self._started = perf_counter()
        try:
            batch = await self._claim()
            while batch and not self._should_stop():
                batch = await finished(self._overlapped(batch) if self._is_quiet() else self._one_by_one(batch))
                if not batch:
                    # Nothing could be claimed beside the batch, but perhaps more of its own rows once it is settled.
                    batch = await finished(self._claim())
        finally:
            await finished(self._acknowledge_delivered())

    async def _one_by_one(self, batch: Batch) -> Batch:
        """Send a batch with nothing beside it, so that while the server works the interpreter is free for the process's
        own writers. Returns the next batch.
        """
        await self._acknowledge_delivered()
        try:
            self._unacknowledged = Delivered(batch, await self._apply(batch))
        except PostgresFault as refusal:
            await self._send_in_parts(batch, refusal)
        return await self._claim()

    async def _overlapped(self, batch: Batch) -> Batch:
        """Send a batch, and meanwhile acknowledge the one before it and claim the one after it. Returns the latter.

        The two databases work at the same time. A batch is acknowledged before the one after it is claimed, so the
        next but one never meets its records; and one that was claimed beside a batch that was refused is claimed
        again, because it may stand behind what was refused.
        """
        beside = asyncio.ensure_future(self._claim_and_prepare(batch))
        try:
            reply = await self._apply(batch)
        except PostgresFault as refusal:
            await beside
            await self._send_in_parts(batch, refusal)
            return await self._claim()
        except BaseException:
            await asyncio.wait([beside])
            raise
        self._unacknowledged = Delivered(batch, reply)
        return await beside

    async def _claim_and_prepare(self, beside: Batch) -> Batch:
        """The next batch, made ready to be sent while the target is at work."""
        batch = await self._claim(beside=beside)
        if batch:
            self._prepared = batch, await self._target.prepare([record.row for record in batch])
        return batch

    async def _acknowledge_delivered(self) -> None:
        if self._unacknowledged is not None:
            delivered, self._unacknowledged = self._unacknowledged, None
            self._count(delivered, await self._outbox.acknowledge(self._token, delivered))

    def _claim(self, *, beside: Batch = ()) -> Awaitable[Batch]:
        """The next batch, once what was delivered before is acknowledged."""
        delivered, self._unacknowledged = self._unacknowledged, None
        return self._acknowledge_and_claim(delivered, beside)

    async def _acknowledge_and_claim(self, delivered: Delivered | None, beside: Batch) -> Batch:
        claimed = await self._outbox.claim(
            self._token,
            max_records=self._batch_size(),
            max_bytes=MAX_BATCH_BYTES,
            beside=beside,
            delivered=delivered,
            with_former=self._with_former,
        )
        if delivered is not None:
            self._count(delivered, claimed.conflicts)
        return claimed.records

    async def _deliver(self, batch: Batch) -> bool:
        """Send and acknowledge a batch, or as much of it as the target takes. Returns whether all of it was taken."""
        try:
            reply = await self._apply(batch)
        except PostgresFault as refusal:
            return await self._bisect(batch, refusal)
        delivered = Delivered(batch, reply)
        self._count(delivered, await self._outbox.acknowledge(self._token, delivered))
        return True

    async def _send_in_parts(self, batch: Batch, refusal: PostgresFault) -> None:
        """Send a refused batch in halves, and then decide who was too slow: a record, or the server.

        Raises a fault of the target.
        """
        self._slow, self._is_fast = [], False
        await self._bisect(batch, refusal)
        for record, slow in self._slow:
            if not self._is_fast:
                self._sizes.reset()
                raise slow
            await self._count_refusal(record, slow, dead=False)

    async def _bisect(self, batch: Batch, refusal: PostgresFault) -> bool:
        """Send a refused batch in halves, down to the record that was refused. Returns whether all of it was taken.

        Raises ``refusal`` if it is a fault of the target.
        """
        verdict = classify(refusal.fault)
        if verdict is Verdict.TOO_SLOW or refusal.fault.kind is FaultKind.TIMEOUT:
            self._sizes.timed_out(len(batch))
        if not (is_record(verdict) or verdict is Verdict.TOO_SLOW):
            raise refusal
        if len(batch) == 1 and verdict is Verdict.TOO_SLOW:
            if self._slow and not self._is_fast:
                # Two rows in turn, and nothing else went through: it is not them.
                self._sizes.reset()
                raise refusal
            self._slow.append((batch[0], refusal))
            return False
        if len(batch) == 1:
            await self._count_refusal(batch[0], refusal, dead=verdict is Verdict.RECORD_DEAD)
            return False
        first, second, is_dependent = halves(batch)
        all_taken = await self._deliver(first)
        if is_dependent and not all_taken:
            return False
        return await self._deliver(second) and all_taken

    async def _apply(self, batch: Batch) -> ApplyReply:
        rows = [record.row for record in batch]
        ready, self._prepared = self._prepared, None
        prepared = ready[1] if ready is not None and ready[0] is batch else None
        for _ in range(MAX_COLLISIONS):
            try:
                return await self._send(rows, prepared)
            except PostgresFault as fault:
                if classify(fault.fault) is not Verdict.RETRY_NOW:
                    raise
        return await self._send(rows, prepared)

    async def _send(self, rows: Sequence[ApplyRow], prepared: Any) -> ApplyReply:
        started = perf_counter()
        reply = await self._target.apply(
            self._workspace_id,
            rows,
            incarnation=self._cursor.incarnation,
            cursor=self._cursor.change_seq,
            prepared=prepared,
        )
        seconds = perf_counter() - started
        self._is_fast = True
        self._sizes.took(len(rows), seconds)
        if self._on_batch is not None:
            self._on_batch(seconds)
        return reply

    def _count(self, delivered: Delivered, conflicts: int) -> None:
        """Count and log a batch that is acknowledged."""
        counts = self._counts
        counts.conflicts += conflicts
        for record, result in zip(delivered.batch, delivered.reply.results, strict=True):
            counts.superseded += len(record.superseded)
            if result.outcome == "duplicate":
                counts.duplicates += 1
                log.info("sync.duplicate", key=record.row.idempotency_key, outcome="duplicate")
            else:
                counts.synced += 1
            if result.conflict is not None:
                log.warning(
                    "sync.conflict",
                    code="ACODE-DB-006",
                    entity_type=result.conflict.entity_type.value,
                    entity_id=result.conflict.entity_id,
                    local_updated_at=format_time(result.conflict.local_updated_at),
                    remote_updated_at=format_time(result.conflict.remote_updated_at),
                    winner=result.conflict.winner,
                )
        if self._on_progress is not None:
            seconds = perf_counter() - self._started
            self._on_progress(progress_after(seconds, counts.processed, self._pending, "records"))

    async def _count_refusal(self, record: ClaimedRecord, refusal: PostgresFault, *, dead: bool) -> None:
        self._counts.failed += 1
        # The oldest record of the row is where its lane waits; the newer ones wait behind it.
        is_dead = await self._outbox.mark_failed(record.oldest_id, refusal.fault.sentence, dead=dead, token=self._token)
        log.warning(
            "sync.refused",
            code="ACODE-DB-005",
            entity_type=record.row.kind.value,
            entity_id=record.row.entity.id,
            sqlstate=refusal.fault.sqlstate,
            dead_letter=is_dead,
        )


async def finished(work: Awaitable[T]) -> T:
    """Wait until ``work`` has ended even if the caller is cancelled meanwhile, so that it is never left half done."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait([task])
        if not task.cancelled() and task.exception() is not None:
            log.warning("sync.interrupted", reason=type(task.exception()).__name__)
        raise
