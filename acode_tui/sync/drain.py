"""Emptying the outbox into the target: claim, apply, acknowledge, again, until nothing is due.

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
from acode_tui.storage.delivery_protocol import ApplyReply, PostgresFault
from acode_tui.storage.ports import ClaimedRecord, DeliveryOutbox, PullCursor, SyncTarget
from acode_tui.sync.classify import Verdict, classify, is_record

MAX_BATCH_BYTES = 8 * 1024 * 1024
"""Payload and content in one batch, in bytes; a single larger record still goes alone."""

Batch = Sequence[ClaimedRecord]


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


COLLISIONS = 5
"""How often a batch that collided with another transaction is sent again at once."""

T = TypeVar("T")

log = get_logger("acode_tui.sync")


class Tally(msgspec.Struct, kw_only=True):
    """What a drain has done so far."""

    synced: int = 0
    duplicates: int = 0
    superseded: int = 0
    conflicts: int = 0
    failed: int = 0
    pulled: int = 0

    @property
    def done(self) -> int:
        """Records that have ended."""
        return self.synced + self.duplicates + self.superseded

    @property
    def is_empty(self) -> bool:
        return not (self.done or self.conflicts or self.failed or self.pulled)


class Drain:
    """One run over everything that is due. Made for one run, under one lease token."""

    def __init__(
        self,
        outbox: DeliveryOutbox,
        target: SyncTarget,
        cursor: PullCursor,
        *,
        workspace_id: str,
        token: str,
        batch_size: int,
        tally: Tally,
        should_stop: Callable[[], bool],
        is_quiet: Callable[[], bool],
        pending: int = 0,
        progress: ReportProgress | None = None,
        timed: Callable[[float], object] | None = None,
    ) -> None:
        """``timed`` is told how many seconds the target took for each batch that it applied."""
        self._outbox = outbox
        self._target = target
        self._cursor = cursor
        self._workspace_id = workspace_id
        self._token = token
        self._batch_size = batch_size
        self._tally = tally
        self._should_stop = should_stop
        self._is_quiet = is_quiet
        self._pending = pending
        self._progress = progress
        self._timed = timed
        self._started = perf_counter()
        self._behind: tuple[Batch, ApplyReply] | None = None
        """A batch that is delivered and not yet acknowledged."""

    async def run(self) -> None:
        """Send batches until nothing is due or ``should_stop`` says so; a batch that was begun is finished.

        Raises PostgresFault where the target failed (nothing is counted against any record), LeaseLostError.
        """
        self._started = perf_counter()
        try:
            batch = await self._claim()
            while batch and not self._should_stop():
                batch = await finished(self._turn(batch) if self._is_quiet() else self._step(batch))
                if not batch:
                    # Nothing beside it, but perhaps more of its own rows, now that they are settled.
                    await finished(self._catch_up())
                    batch = await self._claim()
        finally:
            await finished(self._catch_up())

    async def _step(self, batch: Batch) -> Batch:
        """One thing after the other: while the server works, the interpreter is left to whoever writes here."""
        await self._catch_up()
        await self._deliver(batch)
        return await self._claim()

    async def _turn(self, batch: Batch) -> Batch:
        """Send a batch; meanwhile acknowledge the one before it and claim the one after it. Answers that one.

        The two databases work at the same time. A batch is acknowledged before the one after it is claimed, so the
        next but one never meets its records; and one that was claimed beside a batch that was refused is claimed
        again, for it may stand behind what was refused.
        """
        beside = asyncio.ensure_future(self._beside(batch))
        try:
            reply = await self._apply(batch)
        except PostgresFault as refusal:
            await beside
            await self._divide(batch, refusal)
            return await self._claim()
        except BaseException:
            await asyncio.wait([beside])
            raise
        self._behind = batch, reply
        return await beside

    async def _beside(self, batch: Batch) -> Batch:
        await self._catch_up()
        return await self._claim(beside=batch)

    async def _catch_up(self) -> None:
        """Acknowledge what is delivered."""
        if self._behind is not None:
            (batch, reply), self._behind = self._behind, None
            await self._acknowledge(batch, reply)

    async def _claim(self, *, beside: Batch = ()) -> Batch:
        return await self._outbox.claim(max_records=self._batch_size, max_bytes=MAX_BATCH_BYTES, beside=beside)

    async def _deliver(self, batch: Batch) -> bool:
        """Send a batch, or as much of it as the target takes. Answers whether all of it went."""
        try:
            reply = await self._apply(batch)
        except PostgresFault as refusal:
            return await self._divide(batch, refusal)
        await self._acknowledge(batch, reply)
        return True

    async def _divide(self, batch: Batch, refusal: PostgresFault) -> bool:
        """Take a refused batch apart; answers whether all of it went after all. Raises a fault of the target."""
        verdict = classify(refusal.fault)
        if not is_record(verdict):
            raise refusal
        if len(batch) == 1:
            await self._refuse(batch[0], refusal, dead=verdict is Verdict.RECORD_DEAD)
            return False
        first, second, dependent = halves(batch)
        whole = await self._deliver(first)
        if dependent and not whole:
            return False
        return await self._deliver(second) and whole

    async def _apply(self, batch: Batch) -> ApplyReply:
        rows = [record.row for record in batch]
        for _ in range(COLLISIONS):
            try:
                return await self._send(rows)
            except PostgresFault as fault:
                if classify(fault.fault) is not Verdict.RETRY_NOW:
                    raise
        return await self._send(rows)

    async def _send(self, rows: list[Any]) -> ApplyReply:
        started = perf_counter()
        reply = await self._target.apply(
            self._workspace_id, rows, incarnation=self._cursor.incarnation, cursor=self._cursor.change_seq
        )
        if self._timed is not None:
            self._timed(perf_counter() - started)
        return reply

    async def _acknowledge(self, batch: Batch, reply: ApplyReply) -> None:
        self._tally.conflicts += await self._outbox.acknowledge(self._token, batch, reply)
        for record, result in zip(batch, reply.results, strict=True):
            self._tally.superseded += len(record.superseded)
            if result.outcome == "duplicate":
                self._tally.duplicates += 1
                log.info("sync.duplicate", key=record.row.idempotency_key, outcome="duplicate")
            else:
                self._tally.synced += 1
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
        if self._progress is not None:
            seconds = perf_counter() - self._started
            self._progress(progress_after(seconds, self._tally.done, self._pending, "records"))

    async def _refuse(self, record: ClaimedRecord, refusal: PostgresFault, *, dead: bool) -> None:
        self._tally.failed += 1
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
    """Wait for work that must not be left half done, even if the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait([task])
        if not task.cancelled() and task.exception() is not None:
            log.warning("sync.interrupted", reason=type(task.exception()).__name__)
        raise
