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
from acode_tui.domain.codec import decode_payload, encode_plain
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
_STAMP = STAMP_CHARS + 1
_NEWER = f"""
SELECT substr(asked.value, 1, length(asked.value) - {_STAMP}), o.id, o.idempotency_key FROM json_each(?) AS asked
CROSS JOIN outbox AS o ON o.idempotency_key > asked.value
    AND o.idempotency_key < substr(asked.value, 1, length(asked.value) - {_STAMP}) || ':~'
WHERE o.processed_at IS NULL AND o.failed_at IS NULL AND (o.next_attempt_at IS NULL OR o.next_attempt_at <= ?)
ORDER BY asked.key, o.idempotency_key
"""  # noqa: S608
_PAYLOADS = "SELECT id, payload FROM outbox WHERE id IN (SELECT value FROM json_each(?))"
# A record and its row together, in one statement for each kind.
_RECORDS = {
    kind: f"SELECT o.id, o.payload, {quoted(STORED_NAMES[kind], 't.')} FROM json_each(?) AS asked "  # noqa: S608
    f"CROSS JOIN outbox AS o ON o.id = asked.value LEFT JOIN {table.name} AS t ON t.id = o.entity_id"
    for kind, table in TABLES.items()
}
_VERSION = {kind: STORED_NAMES[kind].index("sync_version") for kind, table in TABLES.items() if table.mutable}
_UPDATED = {kind: f"SELECT updated_at FROM {table.name} WHERE id = ?" for kind, table in TABLES.items()}  # noqa: S608
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


class Claim(msgspec.Struct, gc=False):
    """A row to deliver: its newest record, and the older ones from the oldest on.

    One object a row that the garbage collector does not look at: tuples and lists of thousands of rows make it run.
    """

    kind: EntityType
    entity_id: str
    session_id: str
    record_id: int
    key: str
    older: list[RecordKey] | None = None

    @property
    def newest(self) -> RecordKey:
        return RecordKey(self.record_id, self.key)

    def add(self, record_id: int, key: str) -> None:
        """Add a newer record."""
        if self.older is None:
            self.older = []
        self.older.append(self.newest)
        self.record_id, self.key = record_id, key


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
    mutable = [each.record_id for each in chosen if each.kind in _VERSION]
    mutable += [version.id for each in chosen if each.older for version in each.older]
    if mutable:
        records.claim(connection, mutable)
    return chosen


def select(
    connection: sqlite3.Connection, *, now: str, max_records: int, beside: Sequence[ClaimedRecord] = ()
) -> list[Claim]:
    """What ``claim`` would claim."""
    # A key without its stamp names the row.
    rows_in_flight = {record.row.idempotency_key[:-_STAMP] for record in beside}
    in_flight = {record.row.record_id for record in beside}
    in_flight.update(older.id for record in beside if record.superseded for older in record.superseded)
    chosen: dict[str, Claim] = {}
    limit = max_records * SCAN + len(in_flight)
    for record_id, key, session_id, kind, entity_id in connection.execute(records.DUE_FOR_DELIVERY, (now, limit)):
        if record_id in in_flight:
            continue
        row = key[:-_STAMP]
        if row in rows_in_flight:
            break
        known = chosen.get(row)
        if known is not None:
            known.add(record_id, key)
            continue
        if len(chosen) >= max_records:
            break
        chosen[row] = Claim(_KINDS[kind], entity_id, session_id, record_id, key)
    if chosen:
        _add_later_versions(connection, chosen, now)
    return list(chosen.values())


def _add_later_versions(connection: sqlite3.Connection, chosen: dict[str, Claim], now: str) -> None:
    """Add all of each row's later records, also those behind a record of the lane that waits.

    They may have been sent together before a crash. An older version that is sent by itself then would meet its own
    successor, and be taken for a conflict.
    """
    mutable = [each.key for each in chosen.values() if each.kind in _VERSION]
    for row, record_id, key in connection.execute(_NEWER, (encode_plain(mutable).decode(), now)):
        chosen[row].add(record_id, key)


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
            entity = each.entity
            size += each.size + (entity.size if isinstance(entity, Artifact) else 0)
            if entity is None:
                lost.append(Unsendable(each.claim.newest, each.claim.kind, each.claim.entity_id, each.why))
            elif not lost and (not batch or size <= max_bytes):
                batch.append(each)
        if len(read) < len(part):
            break
        start += step
        if size < max_bytes // 4:
            step *= 2
    claimed = [_claimed(each, redact) for each in _with_contents(connection, batch, lost)]
    return tuple(_with_former(connection, claimed) if with_former else claimed), lost


class _Loaded(msgspec.Struct, gc=False):
    """A row to deliver, its entity and about how many bytes it has, or why there is none; the version that it is based
    on, whether it was taken over from another replica, and its older payloads from the oldest on.
    """

    claim: Claim
    entity: Entity | None
    size: int
    why: str
    base: int
    is_copy: bool
    past: Sequence[str] = ()


def _read(connection: sqlite3.Connection, claims: Sequence[Claim]) -> list[_Loaded]:
    """What the records of each row stand for, up to the first row of which a record is gone.

    Such a record was queued under another id by another worker: this one has lost its lease.
    """
    by_kind: defaultdict[EntityType, dict[int, Claim]] = defaultdict(dict)
    for each in claims:
        by_kind[each.kind][each.record_id] = each
    found: dict[int, _Loaded] = {}
    for kind, asked in by_kind.items():
        version = _VERSION.get(kind)
        for record_id, payload, *row in connection.execute(_RECORDS[kind], (encode_plain(list(asked)).decode(),)):
            claim = asked[record_id]
            if is_reference(claim.entity_id, payload):
                read = read_referred(kind, claim.key[-STAMP_CHARS:], row if row[0] is not None else None)
            else:
                read = read_own(kind, payload)
            base = 0 if version is None else row[version] or 0
            found[record_id] = _Loaded(claim, *read, base, is_copy(claim.entity_id, payload))
    older = [version.id for each in claims if each.older for version in each.older]
    payloads = dict(connection.execute(_PAYLOADS, (json.dumps(older),))) if older else {}
    made: list[_Loaded] = []
    for each in claims:
        loaded = found.get(each.record_id)
        if loaded is None:
            break
        if each.older:
            loaded.past = [payloads[version.id] for version in each.older if version.id in payloads]
            if len(loaded.past) < len(each.older):
                break
        made.append(loaded)
    return made


def repair(connection: sqlite3.Connection, lost: Sequence[Unsendable], *, now: datetime, retry: RetryPolicy) -> None:
    """Let records whose rows something else than this program changed follow their rows as they are.

    A record whose row is gone, or damaged, becomes a dead letter: there is nothing to send, and a person should
    know.
    """
    for each in lost:
        row = connection.execute(_UPDATED[each.kind], (each.entity_id,)).fetchone()
        if row is None or each.reason in (ROW_UNREADABLE, CONTENT_DAMAGED):
            records.mark_failed(connection, each.record.id, each.reason, now=now, retry=retry, dead=True)
            continue
        key = f"{each.kind.value}:{each.entity_id}:{row[0]}"
        if connection.execute(_OTHER, (key, each.record.id)).fetchone() is not None:
            records.mark_processed(connection, [(each.record, "superseded")], now=format_time(now))
        else:
            connection.execute(_REFER, (key, reference(each.entity_id, row[0]), *each.record))


def _claimed(loaded: _Loaded, redact: Redact[Any]) -> ClaimedRecord:
    claim, entity = loaded.claim, loaded.entity
    # A version that was overwritten by something else than this program is not known any more.
    known = [payload for payload in loaded.past if not is_reference(claim.entity_id, payload)]
    sent = redact(entity)
    original: Any = None if sent is entity else entity
    if isinstance(original, Artifact):
        original = msgspec.structs.replace(original, content=None)
    row = ApplyRow(
        record_id=claim.record_id,
        idempotency_key=claim.key,
        session_id=claim.session_id,
        entity=sent,
        base=loaded.base,
        ancestors=_Ancestors(claim.kind, known, redact) if known else (),
        original=original,
        is_copy=loaded.is_copy,
    )
    return ClaimedRecord(row=row, superseded=tuple(claim.older or ()))


def _with_former(connection: sqlite3.Connection, claimed: Iterable[ClaimedRecord]) -> list[ClaimedRecord]:
    """The same with the stamps that were sent before of each row.

    Also of a row that is based on a version: the server may have lost it, and have been pushed on by other replicas
    before this one could see that.
    """
    made = []
    for each in claimed:
        row = each.row
        if TABLES[row.kind].mutable:
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
    for position, each in enumerate(batch):
        if each.claim.kind is not EntityType.ARTIFACT:
            continue
        assert each.entity is not None
        try:
            content = unpack(*contents[each.claim.entity_id])
        except IntegrityError:
            lost.append(Unsendable(each.claim.newest, each.claim.kind, each.claim.entity_id, CONTENT_DAMAGED))
            return batch[:position]
        each.entity = msgspec.structs.replace(each.entity, content=content)
    return batch
