"""The outbox: every write that the team's database has not confirmed yet, in the order it happened.

The lane of a record is its session. A record waits while an earlier one of its lane is unfinished, so a parent always
precedes its child; other lanes go on.
"""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from acode_tui.domain.clock import WallClock, format_time, parse_time, system_clock
from acode_tui.domain.errors import NotFoundError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.secrets.known import redact
from acode_tui.domain.states import EntityType, Operation
from acode_tui.domain.validation import escape, require_order
from acode_tui.storage.ports import OutboxRecord, OutboxStats, OutboxStatus
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.runs import row_writes as writes
from acode_tui.storage.sqlite.writer import Writer

MAX_ERROR_CHARS = 1_000
_COLUMNS = ", ".join(f'"{name}"' for name in OutboxRecord.__struct_fields__)

# A lane is blocked from its first record that is backing off or dead; what came before that record may go.
# The index by name: without statistics the planner would walk the whole backlog in the order of its lanes.
PENDING = f"""
WITH blocked (session_id, first) AS (
    SELECT session_id, min(id) FROM outbox INDEXED BY outbox_refused
    WHERE processed_at IS NULL AND attempts > 0 AND (failed_at IS NOT NULL OR next_attempt_at > ?)
    GROUP BY session_id
)
SELECT {_COLUMNS} FROM outbox AS o
WHERE o.processed_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM blocked AS b WHERE b.session_id = o.session_id AND b.first <= o.id)
ORDER BY o.created_at, o.id LIMIT ?
"""  # noqa: S608

# By name as well: the planner would look up every row of the backlog for its attempts.
_STATS = """
SELECT
    (SELECT count(*) FROM outbox INDEXED BY outbox_pending WHERE processed_at IS NULL),
    (SELECT min(created_at) FROM outbox INDEXED BY outbox_pending WHERE processed_at IS NULL),
    (SELECT count(*) FROM outbox INDEXED BY outbox_refused
     WHERE processed_at IS NULL AND attempts > 0 AND failed_at IS NULL),
    (SELECT count(*) FROM outbox INDEXED BY outbox_refused
     WHERE processed_at IS NULL AND attempts > 0 AND failed_at IS NOT NULL),
    (SELECT min(next_attempt_at) FROM outbox INDEXED BY outbox_refused
     WHERE processed_at IS NULL AND attempts > 0 AND failed_at IS NULL)
"""

_ATTEMPTS = "SELECT coalesce(sum(attempts), 0) FROM outbox WHERE processed_at IS NULL AND attempts > 0"


class _Listing(NamedTuple):
    """Which records, and the column that they are ordered by before their id; ``newest`` first where it says so.

    Refused ones are found by name of their index: it holds what orders them, so no payload is read but the page's own.
    """

    where: str
    order: str
    by: str = ""
    newest: bool = False

    def page(self, after: OutboxRecord | None) -> tuple[str, tuple[Any, ...]]:
        """The statement that reads a page, but for its limit, and what is bound before that."""
        way, beyond = ("DESC", "<") if self.newest else ("ASC", ">")
        behind = ""
        bound: tuple[Any, ...] = ()
        if after is not None:
            at = after.id if self.order == "id" else getattr(after, self.order)
            behind = f"AND ({self.order}, id) {beyond} (?, ?)"
            bound = (format_time(at) if isinstance(at, datetime) else at, after.id)
        ids = f"""
            SELECT id FROM outbox {self.by} WHERE {self.where} {behind}
            ORDER BY {self.order} {way}, id {way} LIMIT ?
        """  # noqa: S608
        sql = f"SELECT {_COLUMNS} FROM outbox WHERE id IN ({ids}) ORDER BY {self.order} {way}, id {way}"  # noqa: S608
        return sql, bound


_REFUSED = "INDEXED BY outbox_refused"
_LISTS: dict[str, _Listing] = {
    "pending": _Listing("processed_at IS NULL AND failed_at IS NULL", "created_at"),
    "retrying": _Listing("processed_at IS NULL AND attempts > 0 AND failed_at IS NULL", "next_attempt_at", _REFUSED),
    "failed": _Listing("processed_at IS NULL AND attempts > 0 AND failed_at IS NOT NULL", "failed_at", _REFUSED),
    "processed": _Listing("processed_at IS NOT NULL", "processed_at", newest=True),
    "all": _Listing("1", "id"),
}

# The payloads of all but one are left where they are.
_LAST_REFUSED = f"""
SELECT {_COLUMNS} FROM outbox WHERE id = (
    SELECT id FROM outbox INDEXED BY outbox_refused WHERE processed_at IS NULL AND attempts > 0
    ORDER BY updated_at DESC, id DESC LIMIT 1
)
"""  # noqa: S608

_FAILED = """
UPDATE outbox SET attempts = attempts + 1, last_error = ?, updated_at = ?, next_attempt_at = ?, failed_at = ?
WHERE id = ? AND processed_at IS NULL AND failed_at IS NULL
"""
_PROCESSED = "UPDATE outbox SET processed_at = ?, outcome = ?, updated_at = ? WHERE id = ? AND processed_at IS NULL"
_REQUEUE = "UPDATE outbox SET attempts = 0, next_attempt_at = NULL, failed_at = NULL, updated_at = ?"


class RetryPolicy(NamedTuple):
    """``delay`` answers the seconds to wait after refusal n (AC-040); the ``max_attempts``-th is the last (AC-041)."""

    delay: Callable[[int], float]
    max_attempts: int = 10


class SqliteOutbox:
    """``Outbox`` over the workspace file.

    ``retry_delay`` answers the seconds to wait after attempt n (AC-040); the ``max_attempts``-th failure ends
    automatic retries (AC-041).
    """

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        *,
        retry_delay: Callable[[int], float],
        max_attempts: int = 10,
        wall: WallClock = system_clock,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._retry = RetryPolicy(retry_delay, max_attempts)
        self._wall = wall

    async def enqueue(self, kind: EntityType, entity_id: str) -> OutboxRecord:
        """Queue an entity's present row again: a mutable row under a new stamp, an immutable one as it was queued."""

        def unit(connection: sqlite3.Connection) -> OutboxRecord:
            entity = writes.require(connection, kind, entity_id)
            if TABLES[kind].mutable:
                now = self._writer.clock.tick()
                entity = writes.update(connection, writes.stamped(entity, now), now)
            elif _by_entity(connection, kind, entity_id) is None:
                writes.enqueue(connection, entity, Operation.INSERT, self._writer.clock.tick())
            row = _by_entity(connection, kind, entity_id)
            assert row is not None
            return record(row)

        return await self._writer.run(unit)

    async def get_pending(self, limit: int) -> tuple[OutboxRecord, ...]:
        """Records due now, oldest first (AC-038). Raises ValidationError for a bad limit."""
        require_order(limit, "limit")
        now = format_time(self._wall())
        return await self._readers.run(
            lambda connection: tuple(record(row) for row in connection.execute(PENDING, (now, limit)))
        )

    async def mark_processed(self, record_id: int, outcome: str = "applied") -> None:
        """End a record; one that has ended stays as it is (AC-034). Raises NotFoundError."""

        def unit(connection: sqlite3.Connection) -> None:
            now = format_time(self._wall())
            changed = connection.execute(_PROCESSED, (now, outcome, now, record_id)).rowcount
            if not changed:
                _require(connection, record_id)

        await self._writer.run(unit)

    async def mark_failed(self, record_id: int, error: str) -> None:
        """Count a refusal; a record that has ended, or is dead, stays as it is. Raises NotFoundError."""

        def unit(connection: sqlite3.Connection) -> None:
            _require(connection, record_id)
            fail(connection, record_id, error, self._wall(), self._retry)

        await self._writer.run(unit)

    async def pending_count(self) -> int:
        """Records not processed, dead letters left aside."""
        return (await self.stats()).pending

    async def stats(self) -> OutboxStats:
        """The backlog at a glance."""
        return await self._readers.run(read_stats)

    async def attempts(self) -> int:
        """Refusals of all records that are not finished, dead letters included."""
        return await self._readers.run(lambda connection: int(connection.execute(_ATTEMPTS).fetchone()[0]))

    async def get(self, record_id: int) -> OutboxRecord:
        """A record. Raises NotFoundError."""
        return await self._readers.run(lambda connection: _require(connection, record_id))

    async def last_refused(self) -> OutboxRecord | None:
        """The unfinished record that the server refused last; None where there is none."""

        def read(connection: sqlite3.Connection) -> OutboxRecord | None:
            row = connection.execute(_LAST_REFUSED).fetchone()
            return None if row is None else record(row)

        return await self._readers.run(read)

    async def list(
        self, *, status: OutboxStatus = "pending", limit: int = 100, after: OutboxRecord | None = None
    ) -> tuple[OutboxRecord, ...]:
        """Records by what is to become of them; a page goes on behind the record that the one before ended with."""
        sql, bound = _LISTS[status].page(after)
        return await self._readers.run(
            lambda connection: tuple(record(row) for row in connection.execute(sql, (*bound, limit)))
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
        """End dead letters unsent; answers how many. A record that is no dead letter stays."""

        def unit(connection: sqlite3.Connection) -> int:
            now = format_time(self._wall())
            sql = f"{_PROCESSED} AND failed_at IS NOT NULL"
            return sum(connection.execute(sql, (now, "discarded", now, each)).rowcount for each in record_ids)

        return await self._writer.run(unit)


def record(row: Sequence[Any]) -> OutboxRecord:
    """The record of a row selected in the struct's order."""
    values = dict(zip(OutboxRecord.__struct_fields__, row, strict=True))
    for name in ("created_at", "updated_at", "processed_at", "next_attempt_at", "failed_at"):
        if values[name] is not None:
            values[name] = parse_time(values[name])
    values["entity_type"] = EntityType(values["entity_type"])
    values["operation"] = Operation(values["operation"])
    values["payload"] = msgspec.Raw(values["payload"])
    return OutboxRecord(**values)


def read_stats(connection: sqlite3.Connection) -> OutboxStats:
    """The backlog's counts, in the connection's present snapshot."""
    unprocessed, oldest, retrying, failed, next_attempt = connection.execute(_STATS).fetchone()
    return OutboxStats(
        pending=unprocessed - failed,
        oldest_pending_at=None if oldest is None else parse_time(oldest),
        retrying=retrying,
        failed=failed,
        next_attempt_at=None if next_attempt is None else parse_time(next_attempt),
    )


def fail(
    connection: sqlite3.Connection,
    record_id: int,
    error: str,
    now: datetime,
    retry: RetryPolicy,
    *,
    dead: bool = False,
) -> bool:
    """Count a refusal: the next attempt backed off, or a dead letter at the last, or at once if ``dead``.

    Part of a unit. Answers whether the record is a dead letter now; one that has ended stays as it is.
    """
    row = connection.execute("SELECT attempts, failed_at FROM outbox WHERE id = ?", (record_id,)).fetchone()
    if row is None:
        return False
    attempt = row[0] + 1
    stamp = format_time(now)
    if dead or attempt >= retry.max_attempts:
        retry_at, failed_at = None, stamp
    else:
        retry_at, failed_at = format_time(now + timedelta(seconds=retry.delay(attempt))), None
    values = (escape(redact(error))[:MAX_ERROR_CHARS], stamp, retry_at, failed_at, record_id)
    return connection.execute(_FAILED, values).rowcount > 0 and failed_at is not None


def _require(connection: sqlite3.Connection, record_id: int) -> OutboxRecord:
    sql = f"SELECT {_COLUMNS} FROM outbox WHERE id = ?"  # noqa: S608
    row = connection.execute(sql, (record_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no outbox record {record_id}", hint="see `acode-tui db outbox list`")
    return record(row)


def _by_entity(connection: sqlite3.Connection, kind: EntityType, entity_id: str) -> Any:
    # Keys begin with kind and id, and end with the stamp: their index finds an entity's newest record.
    start = f"{kind.value}:{entity_id}:"
    sql = f"""
        SELECT {_COLUMNS} FROM outbox WHERE idempotency_key >= ? AND idempotency_key < ?
        ORDER BY idempotency_key DESC LIMIT 1
    """  # noqa: S608
    return connection.execute(sql, (start, start + "~")).fetchone()
