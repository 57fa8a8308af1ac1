"""Keeping the outbox small and whole: retention, compaction, and queueing what was never sent.

Each function is one unit over one page, so that no write of the user's waits long behind it.
"""

import sqlite3
from collections.abc import Sequence

import msgspec

from acode_tui.domain.clock import MonotonicClock
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType, Operation
from acode_tui.domain.times import format_time
from acode_tui.storage.sqlite import entity_writes, rows
from acode_tui.storage.sqlite.run_state_reader import read_graph

_EXPIRED = """
SELECT id, session_id, idempotency_key, outcome FROM outbox
WHERE processed_at IS NOT NULL AND processed_at < ? AND id > ? ORDER BY id LIMIT ?
"""
_PAGE_OF_PENDING = """
SELECT id, idempotency_key, entity_type, entity_id, payload, updated_at FROM outbox
WHERE processed_at IS NULL AND id > ? ORDER BY id LIMIT ?
"""
_LATER = """
SELECT id, idempotency_key, payload, updated_at FROM outbox
WHERE idempotency_key > ? AND idempotency_key < ? AND processed_at IS NULL ORDER BY idempotency_key
"""
_FOLD = "UPDATE outbox SET idempotency_key = ?, payload = ?, updated_at = ? WHERE id = ?"
_DELETE = "DELETE FROM outbox WHERE id = ?"
_SESSIONS = "SELECT id, sync_version FROM sessions WHERE id > ? ORDER BY id LIMIT ?"
_RECORD = "SELECT id, processed_at FROM outbox WHERE idempotency_key = ?"


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """A delivered record past its keeping. ``needs_ledger``: it may only go if the ledger holds its key."""

    id: int
    session_id: str
    idempotency_key: str
    needs_ledger: bool


def expired(connection: sqlite3.Connection, *, before: str, after_id: int, limit: int) -> tuple[Expired, ...]:
    """One page of delivered records from before a moment, by id."""
    found = connection.execute(_EXPIRED, (before, after_id, limit))
    return tuple(
        Expired(
            id=record_id,
            session_id=session_id,
            idempotency_key=key,
            needs_ledger=outcome not in ("superseded", "discarded"),
        )
        for record_id, session_id, key, outcome in found
    )


def delete_records(connection: sqlite3.Connection, ids: Sequence[int]) -> int:
    """Remove records; answers how many there were."""
    return sum(connection.execute(_DELETE, (each,)).rowcount for each in ids)


def compact(connection: sqlite3.Connection, *, after_id: int, limit: int) -> tuple[int, int | None]:
    """Fold one page of pending records into one a row: the newest payload at the oldest place.

    The place matters: a parent must still come before its children. Only for a workspace that has nowhere to send to.
    Answers how many records went, and the id to go on after; None at the end.
    """
    page = connection.execute(_PAGE_OF_PENDING, (after_id, limit)).fetchall()
    gone: set[int] = set()
    for record_id, key, kind, entity_id, _, _ in page:
        if record_id in gone or not TABLES[EntityType(kind)].mutable:
            continue
        later = connection.execute(_LATER, (key, f"{kind}:{entity_id}:~")).fetchall()
        if not later:
            continue
        _, newest_key, payload, updated_at = later[-1]
        gone.update(each[0] for each in later)
        connection.executemany(_DELETE, [(each[0],) for each in later])
        connection.execute(_FOLD, (newest_key, payload, updated_at, record_id))
    return len(gone), page[-1][0] if len(page) == limit else None


def queue_unsent(
    connection: sqlite3.Connection, clock: MonotonicClock, *, after: str, limit: int, everything: bool
) -> tuple[int, str | None]:
    """Queue, for one page of sessions by id, every row that was never synced; with ``everything``, every row.

    A session is queued whole, so a run that is broken off and repeated leaves none of its rows out. Answers how many
    records were made, and the session id to go on after; None at the end.
    """
    sessions = connection.execute(_SESSIONS, (after, limit)).fetchall()
    made = 0
    for session_id, _ in sessions:
        graph = read_graph(connection, session_id)
        for entity in graph.entities():
            version = getattr(entity, "sync_version", None)
            if version is None:
                # Events and artifacts carry no version: they were sent if the rest of their session was.
                version = graph.sync_version
            if version == 0 or everything:
                row = rows.to_row(entity)
                made += _queue(connection, entity.kind, row, clock, again=everything)
    return made, sessions[-1][0] if len(sessions) == limit else None


def _queue(
    connection: sqlite3.Connection, kind: EntityType, row: rows.Row, clock: MonotonicClock, *, again: bool
) -> int:
    record = entity_writes.outbox_row(kind, row, Operation.INSERT, format_time(clock.tick()))
    standing = connection.execute(_RECORD, (record[0],)).fetchone()
    if standing is not None:
        if not again or standing[1] is None:
            return 0
        connection.execute(_DELETE, (standing[0],))
    entity_writes.enqueue_rows(connection, [record])
    return 1
