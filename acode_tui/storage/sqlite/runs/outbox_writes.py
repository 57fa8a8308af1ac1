"""Queueing what a unit writes: one waiting record a row, into which the later writes of that row fold.

A record that waits keeps its id, its ``created_at`` and with them its place in its lane, so that a parent still
precedes its child; key, payload and ``updated_at`` become those of the newest write. A claimed record may have reached
the server already, so it is left as it is: the next write adds a second record, into which later ones fold, and the
version that the claimed one stands for is stored in it before the row is changed.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec

from acode_tui.domain.clock import format_time
from acode_tui.domain.codec import encode_payload
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.schema import TABLES, Column
from acode_tui.domain.states import EntityType, Operation
from acode_tui.domain.validation import is_storable, require_json
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.payloads import StoredPayload, is_reference, reference

ENQUEUE = (
    "INSERT INTO outbox"
    " (idempotency_key, session_id, entity_type, entity_id, operation, payload, created_at, updated_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)

_ENQUEUE_MANY = ENQUEUE.rsplit(" VALUES ", 1)[0].replace("INSERT", "INSERT OR ROLLBACK")
"""A statement that could be undone by itself keeps a copy of each page that it changes. These records never clash; if
they did, the writer would run the units of their group again, one by one.
"""
_PREPARED = 5
"""Values of a prepared record."""

_INSERT = str(Operation.INSERT)

# A row's stamps only rise, and a key ends in the stamp: the newest record is the last of its range of the unique index.
# Only that one is looked at, since a row may have thousands of records that were sent.
_NEWEST = (
    "(SELECT id FROM outbox WHERE idempotency_key >= {start} AND idempotency_key < {end}"
    " ORDER BY idempotency_key DESC LIMIT 1)"
)
FOLD = f"""
UPDATE outbox SET idempotency_key = ?, payload = ?, updated_at = ? WHERE id = {_NEWEST.format(start="?", end="?")}
AND processed_at IS NULL AND NOT EXISTS (SELECT 1 FROM outbox_claims WHERE record_id = outbox.id)
"""  # noqa: S608
_FOLD_OLDER_SESSION = f"{FOLD} AND EXISTS (SELECT 1 FROM sessions WHERE id = ? AND updated_at < ?)"  # noqa: S608
_FOLD_BY_ID = "UPDATE outbox SET idempotency_key = ?, payload = ?, updated_at = ? WHERE id = ?"
_NEWEST_UNPROCESSED = f"""
SELECT asked.key, o.id, o.idempotency_key, o.payload, EXISTS (SELECT 1 FROM outbox_claims WHERE record_id = o.id)
FROM json_each(?) AS asked
CROSS JOIN outbox AS o ON o.id = {_NEWEST.format(start="asked.value || ':'", end="asked.value || ':~'")}
WHERE o.processed_at IS NULL
"""  # noqa: S608
_KEEP_FORMER = "UPDATE outbox SET payload = ? WHERE id = ?"

_UPDATED = {kind: table.column_names.index("updated_at") for kind, table in TABLES.items()}
_TEXTS = {
    kind: [index for index, column in enumerate(table.columns) if column.kind in ("text", "json")]
    for kind, table in TABLES.items()
}


def prepared_records(kind: EntityType, given: Iterable[rows.Row]) -> list[Any]:
    """The outbox records of new rows, without the moment of the write: ``_PREPARED`` values each, in one flat list.

    Raises ValidationError where a text holds what PostgreSQL cannot store.
    """
    name, updated = kind.value, _UPDATED[kind]
    session = 0 if kind is EntityType.SESSION else 1
    records: list[Any] = []
    for row in given:
        _require_storable(TABLES[kind].columns, row)
        entity_id, stamp = row[0], row[updated]
        records += (f"{name}:{entity_id}:{stamp}", row[session], name, entity_id, reference(entity_id, stamp))
    return records


def prepared_records_of(kind: EntityType, columns: Sequence[Sequence[Any]]) -> list[Any]:
    """The same for rows that are given as ``rows.to_columns`` made them, and whose ids are UUIDs."""
    if not all(_are_storable(columns[index]) for index in _TEXTS[kind]):
        return prepared_records(kind, zip(*columns, strict=True))
    name, ids, stamps = kind.value, columns[0], columns[_UPDATED[kind]]
    named = [name] * len(ids)
    keys = [f"{name}:{entity_id}:{stamp}" for entity_id, stamp in zip(ids, stamps, strict=True)]
    sessions = columns[0 if kind is EntityType.SESSION else 1]
    return rows.interleaved([keys, sessions, named, ids, list(map(reference, ids, stamps))])


def outbox_row(kind: EntityType, row: rows.Row, operation: Operation, now: str) -> rows.Row:
    """The outbox record of a written row (as ``rows.to_row`` made it), in the order of the outbox's insert.

    Raises what ``prepared_records`` raises.
    """
    key, session_id, name, entity_id, payload = prepared_records(kind, [row])
    return (key, session_id, name, entity_id, str(operation), payload, now, now)


def enqueue_rows(connection: sqlite3.Connection, records: list[rows.Row]) -> None:
    """Add many records, each made by ``outbox_row``."""
    rows.insert_many(connection, ENQUEUE, records)


def enqueue_prepared(connection: sqlite3.Connection, values: list[Any], now: str) -> None:
    """Add many records made by ``prepared_records``, written at ``now``."""
    for start, size in rows.chunks(len(values) // _PREPARED):
        chunk = values[start * _PREPARED : (start + size) * _PREPARED]
        connection.execute(_enqueue_prepared(size), [_INSERT, now, *chunk])


@cache
def _enqueue_prepared(count: int) -> str:
    # The operation and the moment are one parameter each for all rows, the first two.
    records = []
    for row in range(count):
        key, session, kind, entity, payload = (f"?{3 + row * _PREPARED + column}" for column in range(_PREPARED))
        records.append(f"({key}, {session}, {kind}, {entity}, ?1, {payload}, ?2, ?2)")
    return f"{_ENQUEUE_MANY} VALUES {', '.join(records)}"


def enqueue_update(connection: sqlite3.Connection, kind: EntityType, row: rows.Row, now: str) -> None:
    """Queue a changed row: folded into the record that waits for it, or as a record of its own.

    Called before the row itself is changed. Raises what ``prepared_records`` raises.
    """
    _fold_or_add(connection, kind, outbox_row(kind, row, Operation.UPDATE, now), now)


def enqueue_change(
    connection: sqlite3.Connection, kind: EntityType, entity_id: str, session_id: str, values: dict[str, Any], now: str
) -> None:
    """The same for a row of which only these columns change, ``updated_at`` among them; ``values`` are as stored."""
    if not _are_storable(values.values()):
        _require_storable([column for column in TABLES[kind].columns if column.name in values], tuple(values.values()))
    key = f"{kind.value}:{entity_id}:{values['updated_at']}"
    payload = reference(entity_id, values["updated_at"])
    record = (key, session_id, kind.value, entity_id, str(Operation.UPDATE), payload, now, now)
    _fold_or_add(connection, kind, record, now)


def _fold_or_add(connection: sqlite3.Connection, kind: EntityType, record: rows.Row, now: str) -> None:
    key, payload, start = record[0], record[5], f"{kind.value}:{record[3]}:"
    if connection.execute(FOLD, (key, payload, now, start, start + "~")).rowcount:
        return
    enqueue_rows(connection, folded(connection, kind, [record], now))


def fold_older_session(connection: sqlite3.Connection, session_id: str, stamp: str, now: str) -> bool:
    """Fold a session's new stamp into the record that waits for it; False where it is not older, or none waits.

    Called before the row itself is changed.
    """
    start = f"{EntityType.SESSION.value}:{session_id}:"
    values = (start + stamp, reference(session_id, stamp), now, start, start + "~", session_id, stamp)
    return connection.execute(_FOLD_OLDER_SESSION, values).rowcount > 0


def folded(connection: sqlite3.Connection, kind: EntityType, records: Sequence[rows.Row], now: str) -> list[rows.Row]:
    """Fold the records of changed rows of a kind; returns those that have to be added.

    Called before the rows themselves are changed.
    """
    asked = json.dumps([f"{kind.value}:{record[3]}" for record in records])
    added = dict(enumerate(records))
    folds: list[tuple[str, str, str, int]] = []
    for position, record_id, key, payload, claimed in connection.execute(_NEWEST_UNPROCESSED, (asked,)).fetchall():
        record = records[position]
        if claimed:
            _keep_former(connection, record_id, StoredPayload(key, kind, record[3], payload))
        else:
            folds.append((record[0], record[5], now, record_id))
            del added[position]
    connection.executemany(_FOLD_BY_ID, folds)
    return list(added.values())


def _keep_former(connection: sqlite3.Connection, record_id: int, claimed: StoredPayload) -> None:
    """Store the row as it is in its claimed record, which refers to it."""
    if not is_reference(claimed.entity_id, claimed.payload):
        return
    former: Any = rows.fetch(connection, claimed.kind, claimed.entity_id)
    # A row with another stamp is not what was claimed: something else than this program changed it.
    if former is not None and claimed.key.endswith(format_time(former.updated_at)):
        connection.execute(_KEEP_FORMER, (encode_payload(former).decode(), record_id))


def _require_storable(columns: Sequence[Column], row: rows.Row) -> None:
    """Raise ValidationError where a text of these columns holds what PostgreSQL cannot store."""
    if _are_storable(row):
        return
    for column, value in zip(columns, row, strict=True):
        if not isinstance(value, str):
            continue
        if not is_storable(value):
            raise ValidationError(column.name, "contains NUL or a lone surrogate, which a database text cannot hold")
        if column.kind == "json":
            require_json(msgspec.json.decode(value), column.name)


def _are_storable(values: Iterable[Any]) -> bool:
    """One look at all texts; only where one is suspect they are looked at column by column.

    The escape of NUL in JSON may as well be text that merely looks like one.
    """
    text = "\n".join([value for value in values if value.__class__ is str])
    return is_storable(text) and "\\u0000" not in text
