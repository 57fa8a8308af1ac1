"""The rows of the outbox: which of them are due, which end, which are refused. Each function is a part of a unit.

The lane of a record is its session. A record waits while an earlier one of its lane is unfinished, so a parent always
precedes its child; other lanes go on.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from acode_tui.domain.clock import format_time, parse_time
from acode_tui.domain.codec import encode_payload
from acode_tui.domain.errors import NotFoundError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.secrets.known import redact
from acode_tui.domain.states import EntityType, Operation
from acode_tui.domain.validation import escape
from acode_tui.storage.ports import OutboxRecord, OutboxStats, RecordKey
from acode_tui.storage.sqlite.payloads import StoredPayload, explained, read_payloads

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
DUE_FOR_DELIVERY = _DUE % "o.id, o.idempotency_key, o.session_id, o.entity_type, o.entity_id"
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
# By key as well as by id: a record that stands for another write now is not the one that was sent.
_PROCESSED = """
UPDATE outbox SET processed_at = ?, outcome = ?, updated_at = ?
WHERE id = ? AND idempotency_key = ? AND processed_at IS NULL
"""
_FAILED = """
UPDATE outbox SET attempts = attempts + 1, last_error = ?, updated_at = ?, next_attempt_at = ?, failed_at = ?
WHERE id = ? AND processed_at IS NULL AND failed_at IS NULL
"""
_CLAIM = "INSERT INTO outbox_claims SELECT value FROM json_each(?) WHERE true ON CONFLICT DO NOTHING"
_MUTABLE = ", ".join(f"'{kind.value}'" for kind, table in TABLES.items() if table.mutable)
_CLAIM_WAITING = f"""
INSERT INTO outbox_claims SELECT id FROM outbox WHERE processed_at IS NULL AND entity_type IN ({_MUTABLE})
ON CONFLICT DO NOTHING
"""  # noqa: S608
_RELEASE = "DELETE FROM outbox_claims WHERE record_id IN (SELECT value FROM json_each(?))"
# Only the newest record of the row: an older one may have been sent before a crash, and is kept to be recognised.
_RELEASE_NEWEST = """
DELETE FROM outbox_claims WHERE record_id = (
    SELECT id FROM outbox WHERE idempotency_key >= ?1 AND idempotency_key < ?1 || '~'
    ORDER BY idempotency_key DESC LIMIT 1
)
"""


class RetryPolicy(NamedTuple):
    """``delay`` returns the seconds to wait after refusal n (AC-040); the ``max_attempts``-th is the last (AC-041)."""

    delay: Callable[[int], float]
    max_attempts: int = 10


def read_records(connection: sqlite3.Connection, found: Iterable[Sequence[Any]]) -> tuple[OutboxRecord, ...]:
    """The records of rows that were selected in the order of ``COLUMNS``, each payload an entity's JSON.

    Where the row has changed since, or is gone, the payload is the reference with a note that says so.
    """
    stored = [_to_record(row) for row in found]
    given = {record.id: _payload_of(record) for record in stored}
    read = read_payloads(connection, given.values())
    shown = []
    for record in stored:
        payload = given[record.id]
        entity, _, why = read[payload.key]
        text = explained(payload, why) if entity is None else encode_payload(entity)
        shown.append(msgspec.structs.replace(record, payload=msgspec.Raw(text)))
    return tuple(shown)


def _payload_of(record: OutboxRecord) -> StoredPayload:
    payload = bytes(record.payload).decode()
    return StoredPayload(record.idempotency_key, record.entity_type, record.entity_id, payload)


def _to_record(row: Sequence[Any]) -> OutboxRecord:
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
    return next(iter(read_records(connection, connection.execute(_BY_ID, (record_id,)))), None)


def require(connection: sqlite3.Connection, record_id: int) -> OutboxRecord:
    """A record by its id. Raises NotFoundError."""
    found = find(connection, record_id)
    if found is None:
        raise NotFoundError(f"there is no outbox record {record_id}", hint="see `acode-tui db outbox list`")
    return found


def due(connection: sqlite3.Connection, *, now: str, limit: int) -> tuple[OutboxRecord, ...]:
    """Records that may be sent at ``now``, oldest first (AC-038)."""
    return read_records(connection, connection.execute(DUE_RECORDS, (now, limit)))


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


def claim(connection: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Note that these records may have been sent from now on: no write folds into them until they end."""
    connection.execute(_CLAIM, (json.dumps(list(ids)),))


def claim_waiting(connection: sqlite3.Connection) -> None:
    """Claim every record that waits: in a copy of the file that is put back later, any of them may have been sent."""
    connection.execute(_CLAIM_WAITING)


def mark_processed(connection: sqlite3.Connection, outcomes: Sequence[tuple[RecordKey, str]], *, now: str) -> None:
    """End records with their outcomes, and their claims; one that has ended stays as it is (AC-034)."""
    connection.executemany(_PROCESSED, [(now, outcome, now, key.id, key.key) for key, outcome in outcomes])
    connection.execute(_RELEASE, (json.dumps([key.id for key, _ in outcomes]),))


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

    What was refused did not reach the server, so the row's next write folds into it again. Returns whether the record
    is a dead letter now; one that has ended stays as it is. Raises NotFoundError.
    """
    record = require(connection, record_id)
    attempt = record.attempts + 1
    stamp = format_time(now)
    if dead or attempt >= retry.max_attempts:
        retry_at, failed_at = None, stamp
    else:
        retry_at, failed_at = format_time(now + timedelta(seconds=retry.delay(attempt))), None
    values = (escape(redact(error))[:MAX_ERROR_CHARS], stamp, retry_at, failed_at, record_id)
    if not connection.execute(_FAILED, values).rowcount:
        return False
    connection.execute(_RELEASE_NEWEST, (f"{record.entity_type.value}:{record.entity_id}:",))
    return failed_at is not None
