"""The write primitives that every unit of work is made of: a row and its outbox record, always together (AC-005).

Plain functions of the connection; the transaction is the writer's.
"""

import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from acode_tui.domain.clock import TICK, format_time
from acode_tui.domain.codec import encode_plain
from acode_tui.domain.entities import Entity, SessionTask, Step, ToolCall
from acode_tui.domain.errors import NotFoundError, ValidationError
from acode_tui.domain.schema import TABLES, Column
from acode_tui.domain.states import EntityType, Operation
from acode_tui.domain.validation import is_storable, require_id, require_json
from acode_tui.storage.sqlite.runs import rows

E = TypeVar("E", bound=Entity)

ENQUEUE = (
    "INSERT INTO outbox"
    " (idempotency_key, session_id, entity_type, entity_id, operation, payload, created_at, updated_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)

_ENQUEUE_HEAD = ENQUEUE.rsplit(" VALUES ", 1)[0].replace("INSERT", "INSERT OR ROLLBACK")
"""Of many records at once. A statement that could be undone by itself keeps a copy of each page that it changes; these
records never clash, and if they did, the writer runs the units of their group again, one by one.
"""
_PREPARED = 5
"""Values of a prepared record."""

_INSERTED = str(Operation.INSERT)


def _payload(kind: EntityType) -> Callable[[rows.Row], Any]:
    """What makes a row's payload, ready to be encoded: one struct a kind, made once from the schema."""
    columns = TABLES[kind].columns
    names: dict[str, Any] = {"Raw": msgspec.Raw}
    names["Payload"] = msgspec.defstruct("Payload", [(column.json, Any) for column in columns], gc=False)

    def value(index: int, column: Column) -> str:
        if column.kind == "bytes":
            return "None"
        plain = f"row[{index}]"
        # Stored JSON goes into the payload as it is.
        return f"(None if {plain} is None else Raw({plain}))" if column.kind == "json" else plain

    values = ", ".join(value(index, column) for index, column in enumerate(columns))
    return cast(Callable[[rows.Row], Any], eval(f"lambda row: Payload({values})", names))  # noqa: S307


_PAYLOAD = {kind: _payload(kind) for kind in TABLES}
_STAMP = {kind: table.column_names.index("updated_at") for kind, table in TABLES.items()}


def require(connection: sqlite3.Connection, kind: EntityType, entity_id: str) -> Entity:
    """The row as it is now. Raises NotFoundError."""
    found = rows.fetch(connection, kind, require_id(entity_id))
    if found is None:
        raise NotFoundError(f"there is no {kind.value.replace('_', ' ')} {entity_id[:64]!r}")
    return found


def prepared_records(kind: EntityType, given: Iterable[rows.Row]) -> list[Any]:
    """What new rows' outbox records will say but for the moment: ``_PREPARED`` values each, one after the other.

    Payloads are made from the stored values, so nothing is formatted twice; they equal ``codec.encode_payload``.
    Raises ValidationError where a text holds what the team's database never could.
    """
    name, make, stamp = kind.value, _PAYLOAD[kind], _STAMP[kind]
    session = 0 if kind is EntityType.SESSION else 1
    records: list[Any] = []
    for row in given:
        try:
            payload = encode_plain(make(row))
        except UnicodeEncodeError:
            raise _unstorable(kind, row) from None
        if b"\\u0000" in payload:
            _require_storable(kind, row)
        entity_id = row[0]
        records += (f"{name}:{entity_id}:{row[stamp]}", row[session], name, entity_id, payload.decode())
    return records


def outbox_row(kind: EntityType, row: rows.Row, operation: Operation, now: str) -> rows.Row:
    """The outbox record of a written row (as ``rows.to_row`` made it), in the order of the outbox's insert.

    Raises what ``prepared_records`` raises.
    """
    key, session_id, name, entity_id, payload = prepared_records(kind, [row])
    return (key, session_id, name, entity_id, str(operation), payload, now, now)


def enqueue(connection: sqlite3.Connection, entity: Entity, operation: Operation, now: datetime) -> None:
    """Queue an entity's present state; ``now`` is the moment of the write, from its own transaction (AC-033)."""
    connection.execute(ENQUEUE, outbox_row(entity.kind, rows.to_row(entity), operation, format_time(now)))


def enqueue_rows(connection: sqlite3.Connection, records: list[rows.Row]) -> None:
    """Queue many, each made by ``outbox_row``."""
    rows.insert_many(connection, ENQUEUE, records)


def enqueue_prepared(connection: sqlite3.Connection, values: list[Any], now: str) -> None:
    """Queue many, made by ``prepared_records``, whose values stand one after the other."""
    for start, size in rows.chunks(len(values) // _PREPARED):
        chunk = values[start * _PREPARED : (start + size) * _PREPARED]
        connection.execute(_enqueue_prepared(size), [_INSERTED, now, *chunk])


@cache
def _enqueue_prepared(count: int) -> str:
    # The operation and the moment are one parameter each for all rows, the first two.
    marks = []
    for row in range(count):
        key, session, kind, entity, payload = (f"?{3 + row * _PREPARED + column}" for column in range(_PREPARED))
        marks.append(f"({key}, {session}, {kind}, {entity}, ?1, {payload}, ?2, ?2)")
    return f"{_ENQUEUE_HEAD} VALUES {', '.join(marks)}"


def stamped(entity: E, now: datetime) -> E:
    """The entity with a later ``updated_at``: now, or just after its own where that lies in the future."""
    stamp = now if now > entity.updated_at else entity.updated_at + TICK
    return msgspec.structs.replace(entity, updated_at=stamp)


def insert(connection: sqlite3.Connection, entity: E, now: datetime) -> E:
    """Insert a row and queue it."""
    row = rows.to_row(entity)
    connection.execute(rows.INSERT[entity.kind], row)
    connection.execute(ENQUEUE, outbox_row(entity.kind, row, Operation.INSERT, format_time(now)))
    return entity


def update(connection: sqlite3.Connection, entity: E, now: datetime) -> E:
    """Replace a row by the same entity's new state and queue it."""
    row = rows.to_row(entity)
    connection.execute(rows.UPDATE[entity.kind], (*row[1:], row[0]))
    connection.execute(ENQUEUE, outbox_row(entity.kind, row, Operation.UPDATE, format_time(now)))
    return entity


def touch_ancestors(connection: sqlite3.Connection, entity: Entity, now: datetime) -> None:
    """Bump the ``updated_at`` of everything above: a session's ``updated_at`` is its last activity."""
    parent = _parent(connection, entity)
    while parent is not None:
        update(connection, stamped(parent, now), now)
        parent = _parent(connection, parent)


def _parent(connection: sqlite3.Connection, entity: Entity) -> Entity | None:
    if isinstance(entity, ToolCall):
        return require(connection, EntityType.STEP, entity.step_id)
    if isinstance(entity, Step):
        return require(connection, EntityType.SESSION_TASK, entity.task_id)
    if isinstance(entity, SessionTask):
        return require(connection, EntityType.SESSION, entity.session_id)
    tool_call_id = getattr(entity, "tool_call_id", None)
    if tool_call_id is not None:
        return require(connection, EntityType.TOOL_CALL, tool_call_id)
    return None


def _require_storable(kind: EntityType, row: rows.Row) -> None:
    """Raise unless the ``\\u0000`` in the payload is text that merely looks like an escape."""
    for column, value in zip(TABLES[kind].columns, row, strict=True):
        if not isinstance(value, str):
            continue
        if column.kind == "json":
            require_json(msgspec.json.decode(value), column.name)
        elif not is_storable(value):
            raise _unstorable(kind, row)


def _unstorable(kind: EntityType, row: rows.Row) -> ValidationError:
    columns = zip(TABLES[kind].columns, row, strict=True)
    field = next((c.name for c, value in columns if isinstance(value, str) and not is_storable(value)), kind.value)
    return ValidationError(field, "contains NUL or a lone surrogate, which a database text cannot hold")
