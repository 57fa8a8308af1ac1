"""The rows of the outbox: which of them are due, which end, which are refused. Each function is a part of a unit.

The lane of a record is its session. A record waits while an earlier one of its lane is unfinished, so a parent always
precedes its child; other lanes go on.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from acode_tui.domain.clock import format_time, parse_time
from acode_tui.domain.errors import NotFoundError
from acode_tui.domain.secrets.known import redact
from acode_tui.domain.states import EntityType, Operation
from acode_tui.domain.validation import escape
from acode_tui.storage.ports import OutboxRecord, OutboxStats, RecordKey

MAX_ERROR_CHARS = 1_000
COLUMNS = ", ".join(f'"{name}"' for name in OutboxRecord.__struct_fields__)

# A lane is blocked from its first record that is backing off or dead; what came before that record may go.
# The index by name: without statistics the planner would walk the whole backlog in the order of its lanes.
BLOCKED_LANES = """
SELECT session_id, min(id) FROM outbox INDEXED BY outbox_refused
WHERE processed_at IS NULL AND attempts > 0 AND (failed_at IS NOT NULL OR next_attempt_at > ?)
GROUP BY session_id
"""
# The two orders are one: ids and stamps are given out in the same transaction. Blocked lanes are few, so they are
# listed once rather than looked up for each row.
_DUE = f"""
WITH blocked (session_id, first) AS MATERIALIZED ({BLOCKED_LANES})
SELECT %s FROM outbox AS o LEFT JOIN blocked AS b ON b.session_id = o.session_id
WHERE o.processed_at IS NULL AND (b.first IS NULL OR o.id < b.first)
ORDER BY o.created_at, o.id LIMIT ?
"""  # noqa: S608
DUE_RECORDS = _DUE % ", ".join(f'o."{name}"' for name in OutboxRecord.__struct_fields__)
DUE_FOR_DELIVERY = _DUE % "o.id, o.idempotency_key, o.session_id, o.entity_type, o.entity_id, o.payload"
_OLDEST_DUE = _DUE % "o.created_at"

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
_BY_ID = f"SELECT {COLUMNS} FROM outbox WHERE id = ?"  # noqa: S608
# By key as well as by id: a record that was folded into a newer one meanwhile is not the one that was sent.
_PROCESSED = """
UPDATE outbox SET processed_at = ?, outcome = ?, updated_at = ?
WHERE id = ? AND idempotency_key = ? AND processed_at IS NULL
"""
_FAILED = """
UPDATE outbox SET attempts = attempts + 1, last_error = ?, updated_at = ?, next_attempt_at = ?, failed_at = ?
WHERE id = ? AND processed_at IS NULL AND failed_at IS NULL
"""


class RetryPolicy(NamedTuple):
    """``delay`` returns the seconds to wait after refusal n (AC-040); the ``max_attempts``-th is the last (AC-041)."""

    delay: Callable[[int], float]
    max_attempts: int = 10


def to_record(row: Sequence[Any]) -> OutboxRecord:
    """The record of a row that was selected in the order of ``COLUMNS``."""
    values = dict(zip(OutboxRecord.__struct_fields__, row, strict=True))
    for name in ("created_at", "updated_at", "processed_at", "next_attempt_at", "failed_at"):
        if values[name] is not None:
            values[name] = parse_time(values[name])
    values["entity_type"] = EntityType(values["entity_type"])
    values["operation"] = Operation(values["operation"])
    values["payload"] = msgspec.Raw(values["payload"])
    return OutboxRecord(**values)


def find(connection: sqlite3.Connection, record_id: int) -> OutboxRecord | None:
    """A record by its id; None if there is none."""
    row = connection.execute(_BY_ID, (record_id,)).fetchone()
    return None if row is None else to_record(row)


def require(connection: sqlite3.Connection, record_id: int) -> OutboxRecord:
    """A record by its id. Raises NotFoundError."""
    found = find(connection, record_id)
    if found is None:
        raise NotFoundError(f"there is no outbox record {record_id}", hint="see `acode-tui db outbox list`")
    return found


def due(connection: sqlite3.Connection, *, now: str, limit: int) -> Iterator[OutboxRecord]:
    """Records that may be sent at ``now``, oldest first (AC-038)."""
    return (to_record(row) for row in connection.execute(DUE_RECORDS, (now, limit)))


def oldest_due(connection: sqlite3.Connection, *, now: str) -> str | None:
    """When the oldest record that may be sent at ``now`` was created; None if none is due."""
    found = connection.execute(_OLDEST_DUE, (now, 1)).fetchone()
    return None if found is None else str(found[0])


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


def mark_processed(connection: sqlite3.Connection, outcomes: Iterable[tuple[RecordKey, str]], *, now: str) -> None:
    """End records with their outcomes; one that has ended stays as it is (AC-034)."""
    connection.executemany(_PROCESSED, [(now, outcome, now, key.id, key.key) for key, outcome in outcomes])


def mark_failed(
    connection: sqlite3.Connection,
    record_id: int,
    error: str,
    *,
    now: datetime,
    retry: RetryPolicy,
    dead: bool = False,
) -> bool:
    """Count a refusal: the next attempt backed off, or a dead letter at the last, or at once if ``dead``.

    Returns whether the record is a dead letter now; one that has ended stays as it is. Raises NotFoundError.
    """
    attempt = require(connection, record_id).attempts + 1
    stamp = format_time(now)
    if dead or attempt >= retry.max_attempts:
        retry_at, failed_at = None, stamp
    else:
        retry_at, failed_at = format_time(now + timedelta(seconds=retry.delay(attempt))), None
    values = (escape(redact(error))[:MAX_ERROR_CHARS], stamp, retry_at, failed_at, record_id)
    return connection.execute(_FAILED, values).rowcount > 0 and failed_at is not None
