"""The local half of a delivery: which records go next, and what the server's results change here.

Records go oldest first. Of several records of one row only the newest is sent, at the oldest one's position in its
lane, so a parent still precedes its child; the others end as superseded. A batch's results are written in one
transaction that also checks the lease: a worker that lost it may not acknowledge, so its work comes back as
duplicates.

Claiming and acknowledging take a fixed number of statements for any batch, since the user's own writes wait for
them.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, overload

import msgspec

from acode_tui.domain.clock import MonotonicClock
from acode_tui.domain.codec import decode_payload, same_content
from acode_tui.domain.entities import Artifact, Entity
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import ApplyResult, ApplyRow
from acode_tui.storage.ports import ClaimedRecord, RecordKey
from acode_tui.storage.sqlite.contents import unpack
from acode_tui.storage.sqlite.sync import records
from acode_tui.storage.sqlite.sync.adopt import adopt, pending_among
from acode_tui.storage.sqlite.sync.conflicts import insert_conflict

SCAN = 8
"""How many records a batch may end, as a multiple of its rows: it bounds the memory that a row with a million records
takes."""

# A key ends in its stamp, so the later records of a row are the rest of its range of the unique index.
_NEWER = """
SELECT asked.key, o.id, o.idempotency_key, o.payload FROM json_each(?) AS asked
CROSS JOIN outbox AS o ON o.idempotency_key > asked.value ->> 0 AND o.idempotency_key < asked.value ->> 1
WHERE o.processed_at IS NULL AND o.id < asked.value ->> 2
ORDER BY asked.key, o.idempotency_key
"""
_VERSIONS = {
    kind: f"SELECT id, sync_version FROM {table.name} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
    for kind, table in TABLES.items()
    if table.mutable
}
_CONTENTS = "SELECT id, content, size FROM artifacts WHERE id IN (SELECT value FROM json_each(?))"
_SET_VERSION = {
    kind: f"UPDATE {table.name} SET sync_version = ? WHERE id = ? AND sync_version < ?"  # noqa: S608
    for kind, table in TABLES.items()
    if table.mutable
}

_KINDS = {kind.value: kind for kind in EntityType}
_ARTIFACT = EntityType.ARTIFACT.value


class _Ancestors(Sequence[Entity]):
    """Older versions of a row, newest first. Decoded only when they are read: there may be thousands, and only a
    conflict needs them."""

    def __init__(self, kind: EntityType, payloads: Sequence[str]) -> None:
        self._kind = kind
        self._payloads = payloads

    def __len__(self) -> int:
        return len(self._payloads)

    def __iter__(self) -> Iterator[Entity]:
        return (decode_payload(self._kind, payload) for payload in reversed(self._payloads))

    @overload
    def __getitem__(self, index: int) -> Entity: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entity]: ...
    def __getitem__(self, index: int | slice) -> Entity | Sequence[Entity]:
        return tuple(self)[index]


class _Version(NamedTuple):
    id: int
    key: str
    payload: str


class _Chosen(NamedTuple):
    kind: EntityType
    entity_id: str
    session_id: str
    versions: list[_Version]


class _Sized(msgspec.Struct):
    size: int = 0


def claim(
    connection: sqlite3.Connection,
    *,
    now: str,
    max_records: int,
    max_bytes: int,
    beside: Sequence[ClaimedRecord] = (),
) -> tuple[ClaimedRecord, ...]:
    """The next batch: at most ``max_records`` rows and about ``max_bytes`` of payload and content, at least one.

    Claiming writes nothing: a crash before the acknowledgement leaves every record pending. ``beside`` is a batch in
    flight: its records are left out, and the new batch ends before the first further record of one of its rows, since
    the version that such a record is based on is not known yet.
    """
    blocked = dict(connection.execute(records.BLOCKED_LANES, (now,)))
    rows_in_flight = {(record.row.kind.value, record.row.entity.id) for record in beside}
    in_flight = {record.row.record_id for record in beside}
    in_flight.update(older.id for record in beside for older in record.superseded)
    chosen: dict[tuple[str, str], _Chosen] = {}
    size, last = 0, 0
    limit = max_records * SCAN + len(in_flight)
    for record_id, key, session_id, kind, entity_id, payload in connection.execute(
        records.DUE_FOR_DELIVERY, (now, limit)
    ):
        if record_id in in_flight:
            continue
        row = (kind, entity_id)
        if row in rows_in_flight:
            break
        known = chosen.get(row)
        if known is not None:
            known.versions.append(_Version(record_id, key, payload))
            continue
        cost = len(payload)
        if kind == _ARTIFACT:
            cost += msgspec.json.decode(payload, type=_Sized).size
        if chosen and (len(chosen) >= max_records or size + cost > max_bytes):
            break
        size += cost
        last = record_id
        chosen[row] = _Chosen(_KINDS[kind], entity_id, session_id, [_Version(record_id, key, payload)])
    if not chosen:
        return ()
    _add_later_versions(connection, list(chosen.values()), blocked, before=last + max_records * SCAN)
    bases, contents = _bases(connection, chosen.values()), _contents(connection, chosen.values())
    return tuple(_claimed(each, bases, contents) for each in chosen.values())


def _add_later_versions(
    connection: sqlite3.Connection, chosen: list[_Chosen], blocked: dict[str, int], *, before: int
) -> None:
    """Add each row's later records: those before the first blocked one of their lane, and before the id ``before``."""
    asked = {
        str(position): (
            each.versions[-1].key,
            f"{each.kind.value}:{each.entity_id}:~",
            min(before, blocked.get(each.session_id, before)),
        )
        for position, each in enumerate(chosen)
        if TABLES[each.kind].mutable
    }
    for position, *version in connection.execute(_NEWER, (json.dumps(asked),)):
        chosen[int(position)].versions.append(_Version(*version))


def _bases(connection: sqlite3.Connection, chosen: Iterable[_Chosen]) -> dict[str, int]:
    """The ``sync_version`` of each mutable row, by id."""
    ids: defaultdict[EntityType, list[str]] = defaultdict(list)
    for each in chosen:
        if TABLES[each.kind].mutable:
            ids[each.kind].append(each.entity_id)
    found: dict[str, int] = {}
    for kind, wanted in ids.items():
        found.update(connection.execute(_VERSIONS[kind], (json.dumps(wanted),)))
    return found


def _contents(connection: sqlite3.Connection, chosen: Iterable[_Chosen]) -> dict[str, bytes]:
    """The content of each artifact, by id."""
    wanted = [each.entity_id for each in chosen if each.kind is EntityType.ARTIFACT]
    found = connection.execute(_CONTENTS, (json.dumps(wanted),)) if wanted else ()
    return {entity_id: unpack(stored, size) for entity_id, stored, size in found}


def _claimed(each: _Chosen, bases: dict[str, int], contents: dict[str, bytes]) -> ClaimedRecord:
    *past, newest = each.versions
    entity: Entity = decode_payload(each.kind, newest.payload)
    if isinstance(entity, Artifact):
        entity = msgspec.structs.replace(entity, content=contents.get(each.entity_id, b""))
    row = ApplyRow(
        record_id=newest.id,
        idempotency_key=newest.key,
        session_id=each.session_id,
        entity=entity,
        base=bases.get(each.entity_id, 0),
        ancestors=_Ancestors(each.kind, [version.payload for version in past]) if past else (),
    )
    return ClaimedRecord(row=row, superseded=tuple(RecordKey(version.id, version.key) for version in past))


def acknowledge(
    connection: sqlite3.Connection,
    clock: MonotonicClock,
    claimed: Sequence[ClaimedRecord],
    results: Sequence[ApplyResult],
    *,
    now: str,
) -> int:
    """Write the results of a batch; part of a unit that has checked the lease. Returns how many conflicts are new."""
    outcomes: list[tuple[RecordKey, str]] = []
    for record, result in zip(claimed, results, strict=True):
        outcomes.append((RecordKey(record.row.record_id, record.row.idempotency_key), result.outcome))
        outcomes += [(older, "superseded") for older in record.superseded]
    # The records first, so that a record that is pending below was queued after this batch was claimed.
    records.mark_processed(connection, outcomes, now=now)
    mutable = [record.row.entity for record in claimed if TABLES[record.row.kind].mutable]
    edited = pending_among(connection, [(entity.kind, entity.id) for entity in mutable])
    conflicts = 0
    versions: defaultdict[EntityType, list[tuple[int, str, int]]] = defaultdict(list)
    for record, result in zip(claimed, results, strict=True):
        if result.conflict is not None:
            conflicts += insert_conflict(connection, result.conflict)
        if result.remote is not None:
            clock.raise_to(result.remote.updated_at)
        sent = record.row.entity
        if not TABLES[sent.kind].mutable:
            continue
        match _settlement(sent, result, edited_since=(sent.kind, sent.id) in edited):
            case Entity() as remote:
                adopt(connection, remote)
            case int(version):
                versions[sent.kind].append((version, sent.id, version))
    for kind, raised in versions.items():
        connection.executemany(_SET_VERSION[kind], raised)
    return conflicts


def _settlement(sent: Entity, result: ApplyResult, *, edited_since: bool) -> Entity | int | None:
    """How the local row comes into step with the central one: by adopting that row, by taking its version, or not yet.

    A row that was edited after it was sent is never overwritten.
    """
    remote = result.remote
    if remote is None or not edited_since:
        if remote is None or remote.updated_at < sent.updated_at:
            # The central row is what was sent, so the local row is based on it, edited since or not.
            return result.sync_version
        return remote
    # The later local edit was made without a central row that says something else: its base version stays behind, so
    # that the next delivery sees the conflict.
    return result.sync_version if same_content(sent, remote) else None
