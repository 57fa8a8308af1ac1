"""The write primitives of every unit of work: a row and its outbox record, always together (AC-005).

Plain functions of the connection; the transaction is the writer's. Each row that is written is a line of the log at
debug; the transaction that holds it may still be rolled back.
"""

import sqlite3
from datetime import datetime
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

import msgspec

from acode_tui.domain.clock import format_time, parse_time, stamp_after
from acode_tui.domain.entities import Artifact, Entity, SessionTask, Step, ToolCall
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType, Operation
from acode_tui.domain.validation import require_id
from acode_tui.logs import enabled, get_logger
from acode_tui.storage.run_writes import TextChange, not_found
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.runs.outbox_writes import (
    ENQUEUE,
    enqueue_change,
    enqueue_update,
    fold_older_session,
    outbox_row,
)
from acode_tui.storage.sqlite.search.notes import note_change
from acode_tui.storage.sqlite.writer import Writer

E = TypeVar("E", bound=Entity)

_SESSION_STAMP = "SELECT updated_at FROM sessions WHERE id = ?"
_STAMP = rows.update_of(EntityType.SESSION, ("updated_at",))


def session_stamp(session_id: str) -> str:
    """The expression for a session's ``updated_at``; ``session_id`` is the column with the session's id."""
    return f"(SELECT updated_at FROM sessions AS above WHERE above.id = {session_id})"  # noqa: S608


_STAMPS = {kind: "updated_at" if kind is EntityType.SESSION else session_stamp("session_id") for kind in TABLES}
_ROW_AND_STAMP = {kind: select.replace(" FROM ", f", {_STAMPS[kind]} FROM ", 1) for kind, select in rows.SELECT.items()}
"""For each kind the statement for a row, with the stamp of its session behind the row's columns."""

log = get_logger("acode_tui.storage.sqlite")


def require(connection: sqlite3.Connection, kind: EntityType, entity_id: str) -> Entity:
    """The stored row. Raises NotFoundError."""
    found = rows.fetch(connection, kind, require_id(entity_id))
    if found is None:
        raise not_found(kind, entity_id)
    return found


def require_with_session_stamp(connection: sqlite3.Connection, kind: EntityType, entity_id: str) -> tuple[Any, str]:
    """The stored row and the stamp of its session, for ``touch_session``. Raises NotFoundError."""
    found = connection.execute(_ROW_AND_STAMP[kind], (require_id(entity_id),)).fetchone()
    if found is None:
        raise not_found(kind, entity_id)
    return rows.from_row(kind, found[:-1]), found[-1]


def load_with_session_stamp(connection: sqlite3.Connection, entity: type[E], entity_id: str) -> tuple[E, str]:
    """The same as ``require_with_session_stamp``, by the entity's type. Raises NotFoundError."""
    return require_with_session_stamp(connection, entity.kind, entity_id)


def enqueue(connection: sqlite3.Connection, entity: Entity, operation: Operation, now: datetime) -> None:
    """Queue an entity as it is; ``now`` is the moment of the write, from its own transaction (AC-033)."""
    connection.execute(ENQUEUE, outbox_row(entity.kind, rows.to_row(entity), operation, format_time(now)))


def stamped(entity: E, now: datetime) -> E:
    """The entity with a later ``updated_at``: now, or just after its own where that lies in the future."""
    return msgspec.structs.replace(entity, updated_at=stamp_after(entity.updated_at, now))


def insert(connection: sqlite3.Connection, entity: E, now: datetime) -> E:
    """Insert a row and queue it."""
    row = rows.to_row(entity)
    started = perf_counter()
    connection.execute(rows.INSERT[entity.kind], row)
    connection.execute(ENQUEUE, outbox_row(entity.kind, row, Operation.INSERT, format_time(now)))
    if enabled("debug"):
        log_write(entity.kind, str(Operation.INSERT), row[0], enqueued=1, started=started)
    return entity


def update(connection: sqlite3.Connection, entity: E, now: datetime, *, text: TextChange = "rewritten") -> E:
    """Replace a row by the same entity's new state and queue it. ``text`` is what that does to its searched text."""
    row = rows.to_row(entity)
    started = perf_counter()
    enqueue_update(connection, entity.kind, row, format_time(now))
    connection.execute(rows.UPDATE[entity.kind], (*row[1:], row[0]))
    note_change(connection, entity.kind, entity.id, text)
    if enabled("debug"):
        log_write(entity.kind, str(Operation.UPDATE), row[0], enqueued=1, started=started)
    return entity


def change(connection: sqlite3.Connection, before: E, after: E, now: datetime, *, text: TextChange) -> E:
    """Write what differs between a stored row and its new state, and queue the row.

    ``text`` is what that does to its searched text.
    """
    session_id = getattr(after, "session_id", after.id)
    _change(connection, after.kind, after.id, session_id, rows.changed_values(before, after), now)
    note_change(connection, after.kind, after.id, text)
    return after


def _change(
    connection: sqlite3.Connection,
    kind: EntityType,
    entity_id: str,
    session_id: str,
    values: dict[str, Any],
    now: datetime,
) -> None:
    started = perf_counter()
    enqueue_change(connection, kind, entity_id, session_id, values, format_time(now))
    connection.execute(rows.update_of(kind, tuple(values)), (*values.values(), entity_id))
    if enabled("debug"):
        log_write(kind, str(Operation.UPDATE), entity_id, enqueued=1, started=started)


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
    seen: str
    now: datetime


def touch_session(writer: Writer, entity: Entity, seen: str, now: datetime) -> None:
    """Let the session above a written row follow it: a session's ``updated_at`` is its last activity. Part of a unit.

    ``seen`` is the session's stamp as this unit read it. The session is written and queued once a transaction, after
    its units: see ``Writer.before_commit``. A session's own row and its events touch nothing.
    """
    if isinstance(entity, (SessionTask, Step, ToolCall, Artifact)):
        writer.before_commit(_stamp_session, entity.session_id, _Touch(entity.updated_at, seen, now))


def _stamp_session(connection: sqlite3.Connection, session_id: str, touches: list[_Touch]) -> None:
    """Stamp and queue a touched session, unless one of the transaction's units wrote it itself after the last touch."""
    latest = max([touch.stamp for touch in touches])
    stamp, now = format_time(latest), touches[-1].now
    moment = stamp if now is latest else format_time(now)
    started = perf_counter()
    # Nearly always the session is older than what is below it and its record waits: two statements do it then.
    if fold_older_session(connection, session_id, stamp, moment):
        connection.execute(_STAMP, (stamp, session_id))
        if enabled("debug"):
            log_write(EntityType.SESSION, str(Operation.UPDATE), session_id, enqueued=1, started=started)
        return
    updated_at = connection.execute(_SESSION_STAMP, (session_id,)).fetchone()[0]
    if updated_at >= stamp:
        if updated_at != touches[-1].seen:
            return
        # The stamp lies in the future, from another machine or an import. It moves on all the same.
        stamp = format_time(stamp_after(parse_time(updated_at), latest))
    _change(connection, EntityType.SESSION, session_id, session_id, {"updated_at": stamp}, now)
