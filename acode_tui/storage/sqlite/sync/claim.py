"""The first half of a delivery: which records go next, and what they stand for.

Records go oldest first. Of several records of one row only the newest is sent, at the oldest one's position in its
lane, so a parent still precedes its child; the others end as superseded.

A claimed record may have been sent, and stays claimed until it ends, also beyond a crash: no write folds into it, so
that what the server may have is still known here. Claiming takes a fixed number of statements for any batch, since the
user's own writes wait for it. The rows are read afterwards, where nothing waits: a row that changes meanwhile leaves
what was claimed in the record (``outbox_writes``).
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, overload

import msgspec

from acode_tui.domain.clock import format_time, parse_time
from acode_tui.domain.codec import decode_payload
from acode_tui.domain.entities import Artifact, Entity
from acode_tui.domain.errors import IntegrityError
from acode_tui.domain.redaction import Redact, unchanged
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import ApplyRow
from acode_tui.storage.ports import ClaimedRecord, RecordKey
from acode_tui.storage.sqlite.contents import unpack
from acode_tui.storage.sqlite.payloads import (
    CONTENT_DAMAGED,
    ROW_UNREADABLE,
    STAMP_CHARS,
    ReadPayload,
    is_copy,
    is_reference,
    read_own,
    read_referred,
    reference,
)
from acode_tui.storage.sqlite.rows import STORED_NAMES, quoted
from acode_tui.storage.sqlite.sync import records
from acode_tui.storage.sqlite.sync.records import RetryPolicy

SCAN = 8
"""How many records are looked at for a batch, as a multiple of its rows: a row has more than one only where a claim of
it was never acknowledged."""

# A key ends in its stamp, so the later records of a row are the rest of its range of the unique index.
_NEWER = """
SELECT asked.key, o.id, o.idempotency_key FROM json_each(?) AS asked
CROSS JOIN outbox AS o ON o.idempotency_key > asked.value ->> 0 AND o.idempotency_key < asked.value ->> 1
WHERE o.processed_at IS NULL AND o.failed_at IS NULL AND (o.next_attempt_at IS NULL OR o.next_attempt_at <= ?)
ORDER BY asked.key, o.idempotency_key
"""
_PAYLOADS = "SELECT id, payload FROM outbox WHERE id IN (SELECT value FROM json_each(?))"
# A record and its row together, in one statement for each kind.
_RECORDS = {
    kind: f"SELECT o.id, o.payload, {quoted(STORED_NAMES[kind], 't.')} FROM json_each(?) AS asked "  # noqa: S608
    f"CROSS JOIN outbox AS o ON o.id = asked.value LEFT JOIN {table.name} AS t ON t.id = o.entity_id"
    for kind, table in TABLES.items()
}
_VERSION = {kind: STORED_NAMES[kind].index("sync_version") for kind, table in TABLES.items() if table.mutable}
_STAMP = {kind: f"SELECT updated_at FROM {table.name} WHERE id = ?" for kind, table in TABLES.items()}  # noqa: S608
_OTHER = "SELECT 1 FROM outbox WHERE idempotency_key = ? AND id <> ?"
_REFER = "UPDATE outbox SET idempotency_key = ?, payload = ? WHERE id = ? AND idempotency_key = ?"
_FORMER = """
SELECT idempotency_key FROM outbox WHERE idempotency_key > ? AND idempotency_key < ? AND processed_at IS NOT NULL
AND outcome <> 'discarded' ORDER BY idempotency_key DESC LIMIT 100
"""
"""What a restored server lacks are the last versions of a row, so the last hundred are enough."""
_CONTENTS = "SELECT id, content, size FROM artifacts WHERE id IN (SELECT value FROM json_each(?))"
_KINDS = {kind.value: kind for kind in EntityType}
_FIRST_READ = 64
"""Rows that are read at once first; twice as many each time, while they are small."""


class _Ancestors(Sequence[Entity]):
    """Older versions of a row, newest first. Decoded only when they are read: there may be thousands, and only a
    conflict needs them."""

    def __init__(self, kind: EntityType, payloads: Sequence[str], redact: Redact[Entity]) -> None:
        self._kind = kind
        self._payloads = payloads
        self._redact = redact

    def __len__(self) -> int:
        return len(self._payloads)

    def __iter__(self) -> Iterator[Entity]:
        return (self._redact(decode_payload(self._kind, payload)) for payload in reversed(self._payloads))

    @overload
    def __getitem__(self, index: int) -> Entity: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entity]: ...
    def __getitem__(self, index: int | slice) -> Entity | Sequence[Entity]:
        return tuple(self)[index]


class Claim(NamedTuple):
    """A row to deliver, and its records from the oldest to the newest."""

    kind: EntityType
    entity_id: str
    session_id: str
    versions: list[RecordKey]


class Unsendable(NamedTuple):
    """A claimed record without the entity that it stands for, and why."""

    record: RecordKey
    kind: EntityType
    entity_id: str
    reason: str


def claim(
    connection: sqlite3.Connection, *, now: str, max_records: int, beside: Sequence[ClaimedRecord] = ()
) -> list[Claim]:
    """Claim the next at most ``max_records`` rows. Writes only claims, and none where nothing is due.

    ``beside`` is a batch in flight: its records are left out, and the new batch ends before the first further record of
    one of its rows, since the version that such a record is based on is not known yet.
    """
    chosen = select(connection, now=now, max_records=max_records, beside=beside)
    # Events and artifacts are written once, so nothing ever folds into their records.
    mutable = [version.id for each in chosen if TABLES[each.kind].mutable for version in each.versions]
    if mutable:
        records.claim(connection, mutable)
    return chosen


def select(
    connection: sqlite3.Connection, *, now: str, max_records: int, beside: Sequence[ClaimedRecord] = ()
) -> list[Claim]:
    """What ``claim`` would claim."""
    rows_in_flight = {(record.row.kind.value, record.row.entity.id) for record in beside}
    in_flight = {record.row.record_id for record in beside}
    in_flight.update(older.id for record in beside for older in record.superseded)
    chosen: dict[tuple[str, str], Claim] = {}
    limit = max_records * SCAN + len(in_flight)
    for record_id, key, session_id, kind, entity_id in connection.execute(records.DUE_FOR_DELIVERY, (now, limit)):
        if record_id in in_flight:
            continue
        row = (kind, entity_id)
        if row in rows_in_flight:
            break
        known = chosen.get(row)
        if known is not None:
            known.versions.append(RecordKey(record_id, key))
            continue
        if len(chosen) >= max_records:
            break
        chosen[row] = Claim(_KINDS[kind], entity_id, session_id, [RecordKey(record_id, key)])
    if chosen:
        _add_later_versions(connection, list(chosen.values()), now)
    return list(chosen.values())


def _add_later_versions(connection: sqlite3.Connection, chosen: list[Claim], now: str) -> None:
    """Add all of each row's later records, also those behind a record of the lane that waits.

    They may have been sent together before a crash. An older version that is sent by itself then would meet its own
    successor, and be taken for a conflict.
    """
    asked = {
        str(position): (each.versions[-1].key, f"{each.kind.value}:{each.entity_id}:~")
        for position, each in enumerate(chosen)
        if TABLES[each.kind].mutable
    }
    for position, record_id, key in connection.execute(_NEWER, (json.dumps(asked), now)):
        chosen[int(position)].versions.append(RecordKey(record_id, key))


def load(
    connection: sqlite3.Connection,
    claims: Sequence[Claim],
    *,
    max_bytes: int,
    redact: Redact[Any] = unchanged,
    with_former: bool = False,
) -> tuple[tuple[ClaimedRecord, ...], list[Unsendable]]:
    """The claimed rows as a batch of about ``max_bytes`` of payload and content, at least one row, each redacted.

    What does not fit stays claimed, and is claimed again. The batch ends before the first record that has no entity to
    send; the second part of the answer is those that were seen.
    """
    batch: list[_Loaded] = []
    lost: list[Unsendable] = []
    size, start, step = 0, 0, _FIRST_READ
    while start < len(claims) and size < max_bytes and not lost:
        part = claims[start : start + step]
        read = _read(connection, part)
        for each in read:
            claim, (entity, length, why), *_ = each
            size += length + (entity.size if isinstance(entity, Artifact) else 0)
            if entity is None:
                lost.append(Unsendable(claim.versions[-1], claim.kind, claim.entity_id, why))
            elif not lost and (not batch or size <= max_bytes):
                batch.append(each)
        if len(read) < len(part):
            break
        start += step
        if size < max_bytes // 4:
            step *= 2
    claimed = _claimed(_with_contents(connection, batch, lost), redact)
    return tuple(_with_former(connection, claimed) if with_former else claimed), lost


class _Loaded(NamedTuple):
    """A row to deliver, its entity, the version that this is based on, its older payloads from the oldest on, and
    whether it was taken over from another replica.
    """

    claim: Claim
    read: ReadPayload
    base: int
    past: Sequence[str]
    is_copy: bool


def _read(connection: sqlite3.Connection, claims: Sequence[Claim]) -> list[_Loaded]:
    """What the records of each row stand for, up to the first row of which a record is gone.

    Such a record was queued under another id by another worker: this one has lost its lease.
    """
    ids: defaultdict[EntityType, list[int]] = defaultdict(list)
    older: list[int] = []
    for each in claims:
        ids[each.kind].append(each.versions[-1].id)
        if len(each.versions) > 1:
            older += [version.id for version in each.versions[:-1]]
    found: dict[int, tuple[Any, ...]] = {}
    for kind, wanted in ids.items():
        for row in connection.execute(_RECORDS[kind], (json.dumps(wanted),)):
            found[row[0]] = row
    payloads = dict(connection.execute(_PAYLOADS, (json.dumps(older),))) if older else {}
    made: list[_Loaded] = []
    for each in claims:
        kind, entity_id, _, versions = each
        newest = versions[-1]
        if newest.id not in found:
            break
        past: Sequence[str] = ()
        if len(versions) > 1:
            past = [payloads[version.id] for version in versions[:-1] if version.id in payloads]
            if len(past) < len(versions) - 1:
                break
        _, payload, *row = found[newest.id]
        if is_reference(entity_id, payload):
            read = read_referred(kind, newest.key[-STAMP_CHARS:], row if row[0] is not None else None)
        else:
            read = read_own(kind, payload)
        base = row[_VERSION[kind]] or 0 if kind in _VERSION else 0
        made.append(_Loaded(each, read, base, past, is_copy(entity_id, payload)))
    return made


def repair(connection: sqlite3.Connection, lost: Sequence[Unsendable], *, now: datetime, retry: RetryPolicy) -> None:
    """Let records whose rows something else than this program changed follow their rows as they are.

    A record whose row is gone, or damaged, becomes a dead letter: there is nothing to send, and a person should
    know.
    """
    for each in lost:
        row = connection.execute(_STAMP[each.kind], (each.entity_id,)).fetchone()
        if row is None or each.reason in (ROW_UNREADABLE, CONTENT_DAMAGED):
            records.mark_failed(connection, each.record.id, each.reason, now=now, retry=retry, dead=True)
            continue
        key = f"{each.kind.value}:{each.entity_id}:{row[0]}"
        if connection.execute(_OTHER, (key, each.record.id)).fetchone() is not None:
            records.mark_processed(connection, [(each.record, "superseded")], now=format_time(now))
        else:
            connection.execute(_REFER, (key, reference(each.entity_id, row[0]), *each.record))


def _claimed(batch: Iterable[_Loaded], redact: Redact[Any]) -> Iterator[ClaimedRecord]:
    for (kind, entity_id, session_id, versions), (entity, _, _), base, past, is_copied in batch:
        # A version that was overwritten by something else than this program is not known any more.
        known = [payload for payload in past if not is_reference(entity_id, payload)]
        sent = redact(entity)
        original: Any = None if sent is entity else entity
        if isinstance(original, Artifact):
            original = msgspec.structs.replace(original, content=None)
        row = ApplyRow(
            record_id=versions[-1].id,
            idempotency_key=versions[-1].key,
            session_id=session_id,
            entity=sent,
            base=base,
            ancestors=_Ancestors(kind, known, redact) if known else (),
            original=original,
            is_copy=is_copied,
        )
        yield ClaimedRecord(row=row, superseded=tuple(versions[:-1]))


def _with_former(connection: sqlite3.Connection, claimed: Iterable[ClaimedRecord]) -> list[ClaimedRecord]:
    """The same with the stamps that were sent before of each row that the server does not know yet."""
    made = []
    for each in claimed:
        row = each.row
        if row.base == 0 and TABLES[row.kind].mutable:
            start = f"{row.kind.value}:{row.entity.id}:"
            keys = [key for (key,) in connection.execute(_FORMER, (start, start + "~"))]
            former = tuple(parse_time(key[-STAMP_CHARS:]) for key in keys)
            each = ClaimedRecord(row=msgspec.structs.replace(row, former=former), superseded=each.superseded)
        made.append(each)
    return made


def _with_contents(
    connection: sqlite3.Connection, batch: Sequence[_Loaded], lost: list[Unsendable]
) -> Sequence[_Loaded]:
    """The batch with the content of its artifacts, up to the first damaged one, which is added to ``lost``."""
    wanted = [each.claim.entity_id for each in batch if each.claim.kind is EntityType.ARTIFACT]
    if not wanted:
        return batch
    stored = connection.execute(_CONTENTS, (json.dumps(wanted),))
    contents = {entity_id: (content, size) for entity_id, content, size in stored}
    complete: list[_Loaded] = []
    for each in batch:
        claim = each.claim
        if claim.kind is not EntityType.ARTIFACT:
            complete.append(each)
            continue
        try:
            content = unpack(*contents[claim.entity_id])
        except IntegrityError:
            lost.append(Unsendable(claim.versions[-1], claim.kind, claim.entity_id, CONTENT_DAMAGED))
            break
        assert each.read.entity is not None
        whole = msgspec.structs.replace(each.read.entity, content=content)
        complete.append(each._replace(read=each.read._replace(entity=whole)))
    return complete
