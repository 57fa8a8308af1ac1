"""Outbox payloads: the reference that a waiting record consists of, and the entity that it stands for.

A waiting record would repeat its row, so its payload is the row's id and the stamp of the write, and the entity is
rebuilt from the row when it is read. A write that changes a row while its record is claimed stores the entity in that
record first: see ``outbox_writes``. ``docs/decisions/0017-one-waiting-record-a-row.md`` has the numbers.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from acode_tui.domain.codec import decode_payload, encode_plain
from acode_tui.domain.entities import Entity
from acode_tui.domain.errors import IntegrityError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite import rows

STAMP_CHARS = len("2026-01-05T18:23:45.123456Z")
"""Length of a stamp, which is how an idempotency key ends."""

_ROWS = {
    kind: f"SELECT {rows.COLUMNS[kind]} FROM {table.name} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
    for kind, table in TABLES.items()
}
_UPDATED = {kind: names.index("updated_at") for kind, names in rows.STORED_NAMES.items()}
_TEXTS = {
    kind: [rows.STORED_NAMES[kind].index(column.name) for column in table.columns if column.kind in ("text", "json")]
    for kind, table in TABLES.items()
}
_OTHER_BYTES = 256
"""About what a row has beside its texts: ids, states and times."""

ROW_IS_GONE = "its row is not in the workspace file any more"
ROW_CHANGED = "its row has changed since"
PAYLOAD_UNREADABLE = "its payload cannot be read"
ROW_UNREADABLE = "its row cannot be read"
CONTENT_DAMAGED = "its content is damaged"


class StoredPayload(NamedTuple):
    """What a record's payload is read from."""

    key: str
    kind: EntityType
    entity_id: str
    payload: str

    @property
    def stamp(self) -> str:
        return self.key[-STAMP_CHARS:]


def reference(entity_id: str, stamp: str) -> str:
    """The payload of a record whose entity is the row with this id and this ``updated_at``."""
    return f'{{"id":"{entity_id}","updatedAt":"{stamp}"}}'


_COPY = ',"copy":true}'


def reference_to_copy(entity_id: str, stamp: str) -> str:
    """The same for a row that was taken over from another replica and is sent again as it is."""
    return reference(entity_id, stamp)[:-1] + _COPY


def is_copy(entity_id: str, payload: str) -> bool:
    """Whether a payload is such a reference. A write that folds into the record replaces it."""
    return payload.endswith(_COPY) and is_reference(entity_id, payload)


def is_reference(entity_id: str, payload: str) -> bool:
    """Whether a payload is a reference. In an entity's own JSON another field follows the id."""
    return payload.startswith(f'{{"id":"{entity_id}","updatedAt":')


def explained(payload: StoredPayload, why: str) -> bytes:
    """A reference, for people, with the reason why there is no entity to show."""
    return encode_plain({"id": payload.entity_id, "updatedAt": payload.stamp, "note": why})


class ReadPayload(NamedTuple):
    """An entity, an artifact's without content, and about how many bytes it has; or why there is none."""

    entity: Entity | None
    size: int = 0
    why: str = ""


def read_payloads(connection: sqlite3.Connection, payloads: Iterable[StoredPayload]) -> dict[str, ReadPayload]:
    """What each payload stands for, by its key. One statement for each kind that occurs."""
    found: dict[str, ReadPayload] = {}
    referring: defaultdict[EntityType, list[StoredPayload]] = defaultdict(list)
    for each in payloads:
        if is_reference(each.entity_id, each.payload):
            referring[each.kind].append(each)
            continue
        found[each.key] = read_own(each.kind, each.payload)
    for kind, records in referring.items():
        wanted = json.dumps([each.entity_id for each in records])
        there = {row[0]: row for row in connection.execute(_ROWS[kind], (wanted,))}
        for each in records:
            found[each.key] = read_referred(kind, each.stamp, there.get(each.entity_id))
    return found


def read_own(kind: EntityType, payload: str) -> ReadPayload:
    """The entity of a payload that is no reference."""
    try:
        return ReadPayload(decode_payload(kind, payload), len(payload))
    except msgspec.DecodeError:
        return ReadPayload(None, why=PAYLOAD_UNREADABLE)


def read_referred(kind: EntityType, stamp: str, row: Sequence[Any] | None) -> ReadPayload:
    """The entity of a reference with this stamp, given its row, None where there is none, in the order of
    ``rows.COLUMNS``.
    """
    if row is None:
        return ReadPayload(None, why=ROW_IS_GONE)
    if row[_UPDATED[kind]] != stamp:
        return ReadPayload(None, why=ROW_CHANGED)
    try:
        entity = rows.from_row(kind, row)
    except IntegrityError:
        return ReadPayload(None, why=ROW_UNREADABLE)
    size = _OTHER_BYTES
    for index in _TEXTS[kind]:
        if row[index] is not None:
            size += len(row[index])
    return ReadPayload(entity, size)
