"""The local half of a delivery: which records go next, and what their answers change here.

Records go oldest first. Of several records of one row only the newest is sent, at the oldest one's place in its lane,
so a parent still precedes its child; the others end as superseded. An answer is written in one transaction that also
proves that the lease is still held: a worker that lost it may not acknowledge, and its work comes back as duplicates.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from acode_tui.domain.clock import MonotonicClock
from acode_tui.domain.codec import decode_payload
from acode_tui.domain.entities import Artifact, Entity
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.postgres.apply import ApplyResult, ApplyRow
from acode_tui.storage.sqlite.adoption import adopt, has_pending
from acode_tui.storage.sqlite.conflicts import insert_conflict

SameContent = Callable[[Entity, Entity], bool]

_BLOCKED = """
SELECT session_id, min(id) FROM outbox
WHERE processed_at IS NULL AND attempts > 0 AND (failed_at IS NOT NULL OR next_attempt_at > ?)
GROUP BY session_id
"""
# The two orders are one: ids and stamps are given out in the same transaction. Lanes that wait are few, so they
# are listed once rather than looked up a row.
_DUE = """
SELECT o.id, o.idempotency_key, o.session_id, o.entity_type, o.entity_id, o.payload FROM outbox AS o
LEFT JOIN blocked AS b ON b.session_id = o.session_id
WHERE o.processed_at IS NULL AND (b.first IS NULL OR o.id < b.first)
ORDER BY o.created_at, o.id
"""
_CLAIM = f"WITH blocked (session_id, first) AS MATERIALIZED ({_BLOCKED}) {_DUE}"

# A key ends in its stamp, so the later records of a row are the rest of its range of the unique index.
_NEWER = """
SELECT id, idempotency_key, payload FROM outbox
WHERE idempotency_key > ? AND idempotency_key < ? AND processed_at IS NULL ORDER BY idempotency_key
"""
_VERSION = {
    kind: f"SELECT sync_version FROM {table.name} WHERE id = ?"  # noqa: S608
    for kind, table in TABLES.items()
    if table.mutable
}
_SET_VERSION = {
    kind: f"UPDATE {table.name} SET sync_version = ? WHERE id = ? AND sync_version < ?"  # noqa: S608
    for kind, table in TABLES.items()
    if table.mutable
}
_CONTENT = "SELECT content FROM artifacts WHERE id = ?"
_DONE = "UPDATE outbox SET processed_at = ?, outcome = ?, updated_at = ? WHERE id = ? AND processed_at IS NULL"


class ClaimedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record to send, the older ones that it stands for, and the version its row was last in step with."""

    row: ApplyRow
    superseded: tuple[int, ...] = ()
    size: int = 0


def claim(connection: sqlite3.Connection, *, now: str, max_records: int, max_bytes: int) -> tuple[ClaimedRecord, ...]:
    """The next batch: at most ``max_records`` rows and about ``max_bytes`` of payload and content, at least one.

    Claiming writes nothing. A crash before the answer leaves everything as it was, to be sent again.
    """
    blocked = dict(connection.execute(_BLOCKED, (now,)))
    chosen: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
    lanes: dict[tuple[str, str], str] = {}
    size = 0
    for record_id, key, session_id, kind, entity_id, payload in connection.execute(_CLAIM, (now,)):
        entity_key = (kind, entity_id)
        known = chosen.get(entity_key)
        if known is not None:
            known.append((record_id, key, payload))
            continue
        cost = len(payload)
        if kind == EntityType.ARTIFACT:
            cost += msgspec.json.decode(payload, type=_Sized).size
        if chosen and (len(chosen) >= max_records or size + cost > max_bytes):
            break
        size += cost
        chosen[entity_key] = [(record_id, key, payload)]
        lanes[entity_key] = session_id
    return tuple(
        _claimed(connection, EntityType(kind), entity_id, lanes[kind, entity_id], found, blocked)
        for (kind, entity_id), found in chosen.items()
    )


class _Sized(msgspec.Struct):
    size: int = 0


def _claimed(
    connection: sqlite3.Connection,
    kind: EntityType,
    entity_id: str,
    session_id: str,
    found: list[tuple[int, str, str]],
    blocked: dict[str, int],
) -> ClaimedRecord:
    versions = found + _newer(connection, kind, entity_id, found[-1][1], blocked.get(session_id))
    record_id, key, payload = versions[-1]
    entity: Entity = decode_payload(kind, payload)
    base = 0
    if TABLES[kind].mutable:
        stored = connection.execute(_VERSION[kind], (entity_id,)).fetchone()
        base = 0 if stored is None else int(stored[0])
    elif isinstance(entity, Artifact):
        content = connection.execute(_CONTENT, (entity_id,)).fetchone()
        entity = msgspec.structs.replace(entity, content=b"" if content is None else content[0])
    row = ApplyRow(
        record_id=record_id,
        idempotency_key=key,
        session_id=session_id,
        entity=entity,
        base=base,
        ancestors=tuple(decode_payload(kind, older) for _, _, older in versions[:-1]),
    )
    return ClaimedRecord(row=row, superseded=tuple(each[0] for each in versions[:-1]), size=len(payload))


def _newer(
    connection: sqlite3.Connection, kind: EntityType, entity_id: str, key: str, first_blocked: int | None
) -> list[tuple[int, str, str]]:
    """A row's later records, as far as their lane is free."""
    if not TABLES[kind].mutable:
        return []
    found = connection.execute(_NEWER, (key, f"{kind.value}:{entity_id}:~")).fetchall()
    return [each for each in found if first_blocked is None or each[0] < first_blocked]


def acknowledge(
    connection: sqlite3.Connection,
    clock: MonotonicClock,
    claimed: Sequence[ClaimedRecord],
    results: Sequence[ApplyResult],
    *,
    now: str,
    same_content: SameContent,
) -> int:
    """Write what became of a batch; part of a unit that has proved the lease. Answers how many conflicts are new."""
    done: list[Any] = []
    conflicts = 0
    for record, result in zip(claimed, results, strict=True):
        done.append((now, result.outcome, now, record.row.record_id))
        done += [(now, "superseded", now, older) for older in record.superseded]
    # First the records, so that "is there a pending one?" below means one that came after this batch was claimed.
    connection.executemany(_DONE, done)
    for record, result in zip(claimed, results, strict=True):
        if result.conflict is not None:
            conflicts += insert_conflict(connection, result.conflict)
        if result.remote is not None:
            clock.raise_to(result.remote.updated_at)
        _settle(connection, record.row.entity, result, same_content)
    return conflicts


def _settle(connection: sqlite3.Connection, sent: Entity, result: ApplyResult, same_content: SameContent) -> None:
    """Bring the local row in step with the central one, never over an edit that came after it was sent."""
    if not TABLES[sent.kind].mutable:
        return
    edited_since = has_pending(connection, sent.kind, sent.id)
    remote = result.remote
    if remote is None or not edited_since:
        if remote is None or remote.updated_at < sent.updated_at:
            # The central row is what was sent: that is what the local row, edited since or not, grew out of.
            _set_version(connection, sent, result.sync_version)
        else:
            adopt(connection, remote)
        return
    # A later local edit knew nothing of a central row that says something else: its base stays behind, so that
    # the next delivery sees the conflict.
    if same_content(sent, remote):
        _set_version(connection, sent, result.sync_version)


def _set_version(connection: sqlite3.Connection, entity: Entity, version: int) -> None:
    connection.execute(_SET_VERSION[entity.kind], (version, entity.id, version))
