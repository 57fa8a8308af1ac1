"""The outbox of the workspace file: every write that the team's database has not confirmed yet, in order."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from acode_tui.domain.clock import WallClock, format_time, system_clock
from acode_tui.domain.redaction import Redact, unchanged
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType, Operation
from acode_tui.domain.validation import require_order
from acode_tui.logs import get_logger
from acode_tui.storage.delivery_protocol import ApplyReply
from acode_tui.storage.ports import (
    ClaimedRecord,
    Delivered,
    ExpiredRecord,
    NextBatch,
    OutboxRecord,
    OutboxStats,
    OutboxStatus,
    QueuedPage,
    RecordKey,
)
from acode_tui.storage.sqlite import meta
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.runs import row_writes
from acode_tui.storage.sqlite.sync import claim as claiming
from acode_tui.storage.sqlite.sync import lease, records, retention
from acode_tui.storage.sqlite.sync.acknowledge import acknowledge
from acode_tui.storage.sqlite.sync.records import COLUMNS, RetryPolicy
from acode_tui.storage.sqlite.writer import Writer

log = get_logger("acode_tui.storage.sqlite")

_ATTEMPTS = "SELECT coalesce(sum(attempts), 0) FROM outbox WHERE processed_at IS NULL AND attempts > 0"


class _Listing(NamedTuple):
    """One status: the condition on its records, and the column that they are ordered by before their id.

    Refused records are found through their index by its name: it holds the columns of the order, so that no payload
    is read but those of the page.
    """

    condition: str
    order: str
    indexed_by: str = ""
    newest_first: bool = False

    def page(self, after: OutboxRecord | None) -> tuple[str, tuple[Any, ...]]:
        """The statement that reads a page, and its parameters before the limit."""
        direction, beyond = ("DESC", "<") if self.newest_first else ("ASC", ">")
        behind = ""
        bound: tuple[Any, ...] = ()
        if after is not None:
            at = after.id if self.order == "id" else getattr(after, self.order)
            behind = f"AND ({self.order}, id) {beyond} (?, ?)"
            bound = (format_time(at) if isinstance(at, datetime) else at, after.id)
        ids = f"""
            SELECT id FROM outbox {self.indexed_by} WHERE {self.condition} {behind}
            ORDER BY {self.order} {direction}, id {direction} LIMIT ?
        """  # noqa: S608
        sql = f"SELECT {COLUMNS} FROM outbox WHERE id IN ({ids}) ORDER BY {self.order} {direction}, id {direction}"  # noqa: S608
        return sql, bound


_REFUSED = "INDEXED BY outbox_refused"
_LISTS: dict[str, _Listing] = {
    "pending": _Listing("processed_at IS NULL AND failed_at IS NULL", "created_at"),
    "retrying": _Listing("processed_at IS NULL AND attempts > 0 AND failed_at IS NULL", "next_attempt_at", _REFUSED),
    "failed": _Listing("processed_at IS NULL AND attempts > 0 AND failed_at IS NOT NULL", "failed_at", _REFUSED),
    "processed": _Listing("processed_at IS NOT NULL", "processed_at", newest_first=True),
    "all": _Listing("1", "id"),
}

# By id, so that only one payload is read.
_LAST_REFUSED = f"""
SELECT {COLUMNS} FROM outbox WHERE id = (
    SELECT id FROM outbox INDEXED BY outbox_refused WHERE processed_at IS NULL AND attempts > 0
    ORDER BY updated_at DESC, id DESC LIMIT 1
)
"""  # noqa: S608
_REQUEUE = "UPDATE outbox SET attempts = 0, next_attempt_at = NULL, failed_at = NULL, updated_at = ?"


class SqliteOutbox:
    """``DeliveryOutbox`` over the workspace file.

    What the worker writes under its lease is quiet: it does not count as a local commit, so the worker does not wake
    itself.
    """

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        *,
        retry: RetryPolicy,
        wall: WallClock = system_clock,
        redact: Redact[Any] = unchanged,
    ) -> None:
        """``redact`` makes the form of a row that goes to the team."""
        self._redact = redact
        self._writer = writer
        self._readers = readers
        self._retry = retry
        self._wall = wall

    def configure(self, retry: RetryPolicy) -> None:
        """Use another retry policy from the next refusal on."""
        self._retry = retry

    async def enqueue(self, kind: EntityType, entity_id: str) -> OutboxRecord:
        """Queue an entity's present row again: a mutable row under a new stamp, an immutable one as it was queued."""

        def unit(connection: sqlite3.Connection) -> OutboxRecord:
            entity = row_writes.require(connection, kind, entity_id)
            if TABLES[kind].mutable:
                now = self._writer.clock.tick()
                entity = row_writes.update(connection, row_writes.stamped(entity, now), now)
            elif _newest_of(connection, kind, entity_id) is None:
                row_writes.enqueue(connection, entity, Operation.INSERT, self._writer.clock.tick())
            (record,) = records.read_records(connection, [_newest_of(connection, kind, entity_id)])
            return record

        return await self._writer.run(unit)

    async def get_pending(self, limit: int) -> tuple[OutboxRecord, ...]:
        """Records due now, oldest first (AC-038). Raises ValidationError for a bad limit."""
        require_order(limit, "limit")
        now = format_time(self._wall())
        return await self._readers.run(lambda connection: records.due(connection, now=now, limit=limit))

    async def mark_processed(self, record_id: int, outcome: str = "applied") -> None:
        """End a record; one that has ended stays as it is (AC-034). Raises NotFoundError."""

        def unit(connection: sqlite3.Connection) -> None:
            key = RecordKey(record_id, records.require(connection, record_id).idempotency_key)
            records.mark_processed(connection, [(key, outcome)], now=format_time(self._wall()))

        await self._writer.run(unit)

    async def mark_failed(self, record_id: int, error: str, *, dead: bool = False, token: str | None = None) -> bool:
        """Count a refusal, under the lease if a ``token`` is given; a record that has ended, or is dead, stays.

        Returns whether it is a dead letter now. Raises NotFoundError, LeaseLostError.
        """

        def unit(connection: sqlite3.Connection) -> bool:
            if token is not None:
                lease.require(connection, token)
            return records.mark_failed(connection, record_id, error, now=self._wall(), retry=self._retry, dead=dead)

        return await self._writer.run(unit, quiet=token is not None)

    async def pending_count(self) -> int:
        """Unprocessed records, dead letters not counted."""
        return (await self.stats()).pending

    async def stats(self) -> OutboxStats:
        """The backlog's counts."""
        return await self._readers.run(records.read_stats)

    async def attempts(self) -> int:
        """Refusals of all records that are not finished, dead letters included."""
        return await self._readers.run(lambda connection: int(connection.execute(_ATTEMPTS).fetchone()[0]))

    async def get(self, record_id: int) -> OutboxRecord:
        """A record. Raises NotFoundError."""
        return await self._readers.run(lambda connection: records.require(connection, record_id))

    async def last_refused(self) -> OutboxRecord | None:
        """The unfinished record that the server refused last; None where there is none."""

        def read(connection: sqlite3.Connection) -> OutboxRecord | None:
            return next(iter(records.read_records(connection, connection.execute(_LAST_REFUSED))), None)

        return await self._readers.run(read)

    async def list(
        self, *, status: OutboxStatus = "pending", limit: int = 100, after: OutboxRecord | None = None
    ) -> tuple[OutboxRecord, ...]:
        """Records of one status; ``after`` is the record that the page before ended with."""
        sql, bound = _LISTS[status].page(after)
        return await self._readers.run(
            lambda connection: records.read_records(connection, connection.execute(sql, (*bound, limit)))
        )

    async def retry(self, record_ids: Sequence[int] | None = None) -> tuple[int, ...]:
        """Make dead letters and backing-off records due now, attempts back at 0; all, or these. Answers their ids."""

        def unit(connection: sqlite3.Connection) -> tuple[int, ...]:
            now = format_time(self._wall())
            if record_ids is None:
                sql = f"{_REQUEUE} WHERE processed_at IS NULL AND attempts > 0 RETURNING id"
                return tuple(sorted(row[0] for row in connection.execute(sql, (now,))))
            sql = f"{_REQUEUE} WHERE id = ? AND processed_at IS NULL AND attempts > 0 RETURNING id"
            return tuple(row[0] for each in record_ids for row in connection.execute(sql, (now, each)).fetchall())

        return await self._writer.run(unit)

    async def discard(self, record_ids: Sequence[int]) -> int:
        """End dead letters unsent; returns how many. Other records stay as they are."""

        def unit(connection: sqlite3.Connection) -> int:
            found = [records.find(connection, each) for each in dict.fromkeys(record_ids)]
            dead = [each for each in found if each and each.failed_at is not None and each.processed_at is None]
            outcomes = [(RecordKey(each.id, each.idempotency_key), "discarded") for each in dead]
            records.mark_processed(connection, outcomes, now=format_time(self._wall()))
            return len(dead)

        return await self._writer.run(unit)

    # Delivery

    async def claim(
        self,
        token: str,
        *,
        max_records: int,
        max_bytes: int,
        beside: Sequence[ClaimedRecord] = (),
        delivered: Delivered | None = None,
        with_former: bool = False,
    ) -> NextBatch:
        """The next batch, or the one after ``beside``; empty when nothing is due.

        ``delivered`` is acknowledged in the same transaction, before. Where nothing is due and nothing was delivered,
        nothing is written and no lock is taken. Raises LeaseLostError.
        """
        now = format_time(self._wall())

        def unit(connection: sqlite3.Connection) -> tuple[int, Sequence[claiming.Claim]]:
            lease.require(connection, token)
            conflicts = 0 if delivered is None else self._acknowledge(connection, *delivered)
            return conflicts, claiming.claim(connection, now=now, max_records=max_records, beside=beside)

        if delivered is None and not await self._readers.run(
            lambda connection: claiming.select(connection, now=now, max_records=1, beside=beside)
        ):
            return NextBatch()
        conflicts, claims = await self._writer.run(unit, quiet=True)
        batch, lost = await self._readers.run(
            lambda connection: claiming.load(
                connection, claims, max_bytes=max_bytes, redact=self._redact, with_former=with_former
            )
        )
        if lost:
            await self._repair(token, lost)
            if not batch:
                # Each of them is a dead letter or refers to its row now, so this ends.
                again = await self.claim(
                    token, max_records=max_records, max_bytes=max_bytes, beside=beside, with_former=with_former
                )
                return NextBatch(again.records, conflicts)
        return NextBatch(batch, conflicts)

    async def _repair(self, token: str, lost: Sequence[claiming.Unsendable]) -> None:
        for each in lost:
            log.warning("outbox.repaired", entity_type=each.kind.value, entity_id=each.entity_id, reason=each.reason)

        def unit(connection: sqlite3.Connection) -> None:
            lease.require(connection, token)
            claiming.repair(connection, lost, now=self._wall(), retry=self._retry)

        await self._writer.run(unit, quiet=True)

    async def acknowledge(self, token: str, delivered: Delivered) -> int:
        """Write what became of a batch; returns how many conflicts are new. Raises LeaseLostError."""

        def unit(connection: sqlite3.Connection) -> int:
            lease.require(connection, token)
            return self._acknowledge(connection, *delivered)

        return await self._writer.run(unit, quiet=True)

    def _acknowledge(self, connection: sqlite3.Connection, batch: Sequence[ClaimedRecord], reply: ApplyReply) -> int:
        now = format_time(self._wall())
        conflicts = acknowledge(connection, self._writer.clock, batch, reply.results, now=now, redact=self._redact)
        if batch:
            meta.store_last_acknowledged(connection, batch[-1].row.session_id, batch[-1].row.idempotency_key)
        cursor = meta.read_pull_cursor(connection)
        if cursor is not None and reply.change_seq == cursor.change_seq + 1:
            # No other replica wrote in between: there is nothing to pull.
            meta.store_pull_cursor(connection, msgspec.structs.replace(cursor, change_seq=reply.change_seq))
        duplicates = sum(result.outcome == "duplicate" for result in reply.results)
        if duplicates:
            meta.store(connection, meta.DUPLICATES, str(meta.read_duplicates(connection) + duplicates))
        return conflicts

    async def queue_unsent(
        self,
        *,
        after: str,
        limit: int,
        everything: bool,
        new_incarnation: bool = False,
        waiting: bool = False,
        queued: frozenset[str] = frozenset(),
        kept_since: datetime | None = None,
    ) -> QueuedPage:
        """Queue one page of sessions; see ``retention.queue_unsent``."""
        return await self._writer.run(
            lambda connection: retention.queue_unsent(
                connection,
                self._writer.clock,
                after=after,
                limit=limit,
                everything=everything,
                new_incarnation=new_incarnation,
                waiting=waiting,
                queued=queued,
                kept_since=None if kept_since is None else format_time(kept_since),
            ),
            quiet=True,
        )

    async def resend_position(self, incarnation: str) -> str:
        """The session that an interrupted re-send to this incarnation ended with; empty where there was none."""
        return await self._readers.run(lambda connection: meta.read_resend_position(connection, incarnation))

    async def note_resend(self, incarnation: str, after: str | None) -> None:
        """Note up to which session a re-send got; None at its end."""
        await self._writer.run(
            lambda connection: meta.store_resend_position(connection, incarnation, after), quiet=True
        )

    async def count_unsent(self, *, everything: bool) -> int:
        """How many rows ``queue_unsent`` is about."""
        return await self._readers.run(lambda connection: retention.count_unsent(connection, everything=everything))

    # Retention

    async def expired(self, *, before: datetime, after_id: int, limit: int) -> tuple[ExpiredRecord, ...]:
        """One page of processed records from before a moment."""
        stamp = format_time(before)
        return await self._readers.run(
            lambda connection: retention.expired(connection, before=stamp, after_id=after_id, limit=limit)
        )

    async def delete_records(self, ids: Sequence[int]) -> int:
        """Delete processed records; returns how many."""
        return await self._writer.run(lambda connection: retention.delete_records(connection, ids), quiet=True)


def _newest_of(connection: sqlite3.Connection, kind: EntityType, entity_id: str) -> Any:
    # Keys begin with kind and id, and end with the stamp: their index finds an entity's newest record.
    start = f"{kind.value}:{entity_id}:"
    sql = f"""
        SELECT {COLUMNS} FROM outbox WHERE idempotency_key >= ? AND idempotency_key < ?
        ORDER BY idempotency_key DESC LIMIT 1
    """  # noqa: S608
    return connection.execute(sql, (start, start + "~")).fetchone()
