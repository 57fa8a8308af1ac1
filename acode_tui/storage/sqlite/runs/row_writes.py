"""The write primitives of every unit of work: a row and its outbox record, always together (AC-005).

Plain functions of the connection; the transaction is the writer's. Each row that is written is a line of the log at
debug; the transaction that holds it may still be rolled back.
"""

import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache
from time import perf_counter
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from acode_tui.domain.clock import TICK, format_time, parse_time
from acode_tui.domain.codec import encode_plain
from acode_tui.domain.entities import Artifact, Entity, Session, SessionTask, Step, ToolCall
from acode_tui.domain.errors import NotFoundError, ValidationError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType, Operation
from acode_tui.domain.validation import is_storable, require_id, require_json
from acode_tui.logs import enabled, get_logger
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.search.notes import TextChange, note_change
from acode_tui.storage.sqlite.writer import Writer

E = TypeVar("E", bound=Entity)

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

_SESSION_STAMP = "SELECT updated_at FROM sessions WHERE id = ?"


log = get_logger("acode_tui.storage.sqlite")


def _payload_maker(kind: EntityType) -> Callable[[rows.Row], Any]:
    """A function from a row to its payload, ready to be encoded."""
    columns = TABLES[kind].columns
    payload = msgspec.defstruct("Payload", [(column.json, Any) for column in columns], gc=False)
    json_columns = [index for index, column in enumerate(columns) if column.kind == "json"]
    content = [index for index, column in enumerate(columns) if column.kind == "bytes"]

    def make(row: rows.Row) -> Any:
        values = list(row)
        for index in json_columns:
            if values[index] is not None:
                # Stored JSON goes into the payload as it is.
                values[index] = msgspec.Raw(values[index])
        for index in content:
            values[index] = None
        return payload(*values)

    return make


_PAYLOAD = {kind: _payload_maker(kind) for kind in TABLES}
_UPDATED = {kind: table.column_names.index("updated_at") for kind, table in TABLES.items()}


def require(connection: sqlite3.Connection, kind: EntityType, entity_id: str) -> Entity:
    """The stored row. Raises NotFoundError."""
    found = rows.fetch(connection, kind, require_id(entity_id))
    if found is None:
        raise NotFoundError(f"there is no {kind.value.replace('_', ' ')} {entity_id[:64]!r}")
    return found


def load(connection: sqlite3.Connection, entity: type[E], entity_id: str) -> E:
    """The same as ``require``, by the entity's type. Raises NotFoundError."""
    return cast(E, require(connection, entity.kind, entity_id))


def prepared_records(kind: EntityType, given: Iterable[rows.Row]) -> list[Any]:
    """The outbox records of new rows, without the moment of the write: ``_PREPARED`` values each, in one flat list.

    Payloads are made from the stored values, so nothing is formatted twice; they equal ``codec.encode_payload``.
    Raises ValidationError where a text holds what PostgreSQL cannot store.
    """
    name, make, updated = kind.value, _PAYLOAD[kind], _UPDATED[kind]
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
        records += (f"{name}:{entity_id}:{row[updated]}", row[session], name, entity_id, payload.decode())
    return records


def outbox_row(kind: EntityType, row: rows.Row, operation: Operation, now: str) -> rows.Row:
    """The outbox record of a written row (as ``rows.to_row`` made it), in the order of the outbox's insert.

    Raises what ``prepared_records`` raises.
    """
    key, session_id, name, entity_id, payload = prepared_records(kind, [row])
    return (key, session_id, name, entity_id, str(operation), payload, now, now)


def enqueue(connection: sqlite3.Connection, entity: Entity, operation: Operation, now: datetime) -> None:
    """Queue an entity as it is; ``now`` is the moment of the write, from its own transaction (AC-033)."""
    connection.execute(ENQUEUE, outbox_row(entity.kind, rows.to_row(entity), operation, format_time(now)))


def enqueue_rows(connection: sqlite3.Connection, records: list[rows.Row]) -> None:
    """Queue many records, each made by ``outbox_row``."""
    rows.insert_many(connection, ENQUEUE, records)


def enqueue_prepared(connection: sqlite3.Connection, values: list[Any], now: str) -> None:
    """Queue many records made by ``prepared_records``, written at ``now``."""
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


def stamped(entity: E, now: datetime) -> E:
    """The entity with a later ``updated_at``: now, or just after its own where that lies in the future."""
    stamp = now if now > entity.updated_at else entity.updated_at + TICK
    return msgspec.structs.replace(entity, updated_at=stamp)


def insert(connection: sqlite3.Connection, entity: E, now: datetime) -> E:
    """Insert a row and queue it."""
    row = rows.to_row(entity)
    _write(connection, entity.kind, row, rows.INSERT[entity.kind], row, Operation.INSERT, now)
    return entity


def update(connection: sqlite3.Connection, entity: E, now: datetime, *, text: TextChange = "rewritten") -> E:
    """Replace a row by the same entity's new state and queue it. ``text`` is what that does to its searched text."""
    row = rows.to_row(entity)
    _write(connection, entity.kind, row, rows.UPDATE[entity.kind], (*row[1:], row[0]), Operation.UPDATE, now)
    note_change(connection, entity.kind, entity.id, text)
    return entity


def _write(
    connection: sqlite3.Connection,
    kind: EntityType,
    row: rows.Row,
    statement: str,
    parameters: rows.Row,
    operation: Operation,
    now: datetime,
) -> None:
    started = perf_counter()
    connection.execute(statement, parameters)
    connection.execute(ENQUEUE, outbox_row(kind, row, operation, format_time(now)))
    if enabled("debug"):
        log_write(kind, str(operation), row[0], enqueued=1, started=started)


def log_write(kind: EntityType, operation: str, entity_id: str, *, enqueued: int, started: float) -> None:
    """The line of a write; ``started`` is the ``perf_counter`` before it. Ask ``enabled("debug")`` first."""
    log.debug(
        "row.write",
        database="sqlite",
        table=TABLES[kind].name,
        operation=operation,
        entity_id=entity_id,
        duration_ms=(perf_counter() - started) * 1e3,
        outbox_enqueued=enqueued,
    )


class _Touch(NamedTuple):
    """A write below a session: the stamp of the written row, that of the session as the unit saw it, and the moment."""

    stamp: datetime
    seen: datetime
    now: datetime


def touch_session(writer: Writer, connection: sqlite3.Connection, entity: Entity, now: datetime) -> None:
    """Let the session above a written row follow it: a session's ``updated_at`` is its last activity. Part of a unit.

    The session is written and queued once a transaction, after its units: see ``Writer.before_commit``. A session's own
    row and its events touch nothing.
    """
    if not isinstance(entity, (SessionTask, Step, ToolCall, Artifact)):
        return
    (seen,) = connection.execute(_SESSION_STAMP, (entity.session_id,)).fetchone()
    writer.before_commit(_stamp_session, entity.session_id, _Touch(entity.updated_at, parse_time(seen), now))


def _stamp_session(connection: sqlite3.Connection, session_id: str, touches: list[_Touch]) -> None:
    """Stamp and queue a touched session, unless one of the transaction's units wrote it itself after the last touch."""
    session = load(connection, Session, session_id)
    latest = max(touch.stamp for touch in touches)
    if session.updated_at < latest:
        stamp = latest
    elif session.updated_at == touches[-1].seen:
        # The stamp lies in the future, from another machine or an import. It moves on all the same.
        stamp = session.updated_at + TICK
    else:
        return
    update(connection, msgspec.structs.replace(session, updated_at=stamp), touches[-1].now, text="none")


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
