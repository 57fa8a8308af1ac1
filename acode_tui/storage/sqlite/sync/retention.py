"""The outbox as a whole: deleting old records, queueing rows that were never sent.

Each function is one unit over one page, so that none of the user's writes waits long for it.
"""

import json
import sqlite3
from collections.abc import Sequence

from acode_tui.domain.clock import MonotonicClock, format_time
from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import Operation
from acode_tui.storage.ports import ExpiredRecord, LocalCounts, QueuedPage
from acode_tui.storage.sqlite import meta, rows
from acode_tui.storage.sqlite.payloads import is_copy, reference_to_copy
from acode_tui.storage.sqlite.runs import outbox_writes
from acode_tui.storage.sqlite.runs.read_graph import read_graph

_EXPIRED = """
SELECT id, session_id, idempotency_key, outcome FROM outbox
WHERE processed_at IS NOT NULL AND processed_at < ? AND id > ? ORDER BY id LIMIT ?
"""
_DELETE = "DELETE FROM outbox WHERE id = ?"
_SESSIONS = "SELECT id FROM sessions WHERE id > ? ORDER BY id LIMIT ?"
_WAITING_SESSIONS = """
SELECT DISTINCT session_id FROM outbox WHERE processed_at IS NULL AND session_id > ? ORDER BY session_id LIMIT ?
"""
_QUEUED_BEFORE = "SELECT payload FROM outbox WHERE idempotency_key = ?"
_KNOWN = "SELECT 1 FROM outbox WHERE idempotency_key = ?"
_FORGET = "DELETE FROM outbox WHERE idempotency_key = ? AND processed_at IS NOT NULL"
_FORGET_VERSIONS = tuple(
    f"UPDATE {table.name} SET sync_version = 0 WHERE {table.session_column} = ?"  # noqa: S608
    for kind, table in TABLES.items()
    if table.mutable
)
# The ledger of a server that was reset no longer holds the keys that were delivered to it before.
_OUTDATE = """
UPDATE outbox SET outcome = 'superseded'
WHERE idempotency_key >= ? AND idempotency_key < ? AND processed_at IS NOT NULL AND outcome <> 'discarded'
"""
_RECORD = """idempotency_key, session_id, entity_type, entity_id, operation, payload, created_at, updated_at,
    attempts, next_attempt_at, failed_at, last_error"""
_WAITING = "session_id = ? AND processed_at IS NULL"
_LANE = f"SELECT {_RECORD} FROM outbox WHERE {_WAITING} ORDER BY id"  # noqa: S608
_CLAIMED = """
SELECT o.idempotency_key FROM outbox_claims AS c CROSS JOIN outbox AS o ON o.id = c.record_id WHERE o.session_id = ?
"""
_RELEASE = f"DELETE FROM outbox_claims WHERE record_id IN (SELECT id FROM outbox WHERE {_WAITING})"  # noqa: S608
_CLAIM = "INSERT INTO outbox_claims SELECT id FROM outbox WHERE idempotency_key = ?"
_EMPTY_LANE = f"DELETE FROM outbox WHERE {_WAITING}"  # noqa: S608
_FILL_LANE = f"INSERT INTO outbox ({_RECORD}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608


def expired(connection: sqlite3.Connection, *, before: str, after_id: int, limit: int) -> tuple[ExpiredRecord, ...]:
    """One page of records that were processed before a moment, by id."""
    found = connection.execute(_EXPIRED, (before, after_id, limit))
    return tuple(
        ExpiredRecord(
            id=record_id,
            session_id=session_id,
            idempotency_key=key,
            needs_ledger=outcome not in ("superseded", "discarded"),
        )
        for record_id, session_id, key, outcome in found
    )


def delete_records(connection: sqlite3.Connection, ids: Sequence[int]) -> int:
    """Delete records; returns how many."""
    return sum(connection.execute(_DELETE, (each,)).rowcount for each in ids)


def queue_unsent(
    connection: sqlite3.Connection,
    clock: MonotonicClock,
    *,
    after: str,
    limit: int,
    everything: bool,
    new_incarnation: bool = False,
    waiting: bool = False,
    queued: frozenset[str] = frozenset(),
    kept_since: str | None = None,
) -> QueuedPage:
    """Queue, for one page of sessions by id, every row that was never synced; with ``everything``, every row.

    ``kept_since``: since when every record of the outbox was kept. A row that was written later and has no record was
    taken over from another replica.

    A session is queued whole, so a run that is interrupted and repeated leaves none of its rows out. ``waiting``: only
    sessions with a record in the outbox. Those in ``queued`` are left out.

    In a ``new_incarnation`` of the server the versions of the former one are void: if the rows were still based on
    them, an edit that another replica sent to the restored server could be overwritten without a conflict.
    """
    page = connection.execute(_WAITING_SESSIONS if waiting else _SESSIONS, (after, limit)).fetchall()
    sessions = [each for each in page if each[0] not in queued]
    if new_incarnation:
        for forget in _FORGET_VERSIONS:
            connection.executemany(forget, sessions)
    made = sum(
        _queue_session(connection, clock, session_id, everything=everything, kept_since=kept_since)
        for (session_id,) in sessions
    )
    return QueuedPage(made, page[-1][0] if len(page) == limit else None, tuple(each for (each,) in sessions))


_UNSENT = "SELECT count(*) FROM {table} WHERE sync_version = 0"
_UNSENT_FOLLOWERS = """
SELECT count(*) FROM sessions AS s JOIN {table} AS t ON t.session_id = s.id WHERE s.sync_version = 0
"""


def count_unsent(connection: sqlite3.Connection, *, everything: bool) -> int:
    """How many rows ``queue_unsent`` is about; with ``everything``, all there are."""
    total = 0
    for table in TABLES.values():
        form = "SELECT count(*) FROM {table}" if everything else _UNSENT if table.mutable else _UNSENT_FOLLOWERS
        total += connection.execute(form.format(table=table.name)).fetchone()[0]
    return total


def _queue_session(
    connection: sqlite3.Connection,
    clock: MonotonicClock,
    session_id: str,
    *,
    everything: bool,
    kept_since: str | None,
) -> int:
    """Queue one session's rows. Records that are pending in its lane already are sorted in among them, parents first.

    Otherwise a pending child would stand before a parent that is queued now, be refused because the parent is missing,
    and block the whole lane.
    """
    graph = read_graph(connection, session_id)
    waiting: dict[tuple[str, str], list[rows.Row]] = {}
    for record in connection.execute(_LANE, (session_id,)):
        waiting.setdefault((record[2], record[3]), []).append(record)
    lane: list[rows.Row] = []
    again: list[tuple[str]] = []
    made = 0
    for entity in graph.entities():
        queued = waiting.pop((entity.kind.value, entity.id), None)
        if queued is not None:
            lane += queued
            continue
        # Events and artifacts carry no version: they were sent if the rest of their session was.
        version = getattr(entity, "sync_version", graph.sync_version)
        if version == 0 or everything:
            record = outbox_writes.outbox_row(
                entity.kind, rows.to_row(entity), Operation.INSERT, format_time(clock.tick())
            )
            if everything:
                if _is_copy(connection, entity, record[0], kept_since):
                    record = (*record[:5], reference_to_copy(entity.id, format_time(entity.updated_at)), *record[6:])
                connection.execute(_FORGET, (record[0],))
                start = f"{entity.kind.value}:{entity.id}:"
                connection.execute(_OUTDATE, (start, start + "~"))
                if TABLES[entity.kind].mutable:
                    again.append((record[0],))
            elif connection.execute(_KNOWN, (record[0],)).fetchone() is not None:
                continue
            lane.append((*record, 0, None, None, None))
            made += 1
    if made:
        # One moment for the whole lane, the oldest in it, so that its order is that of its ids.
        oldest = min(record[6] for record in lane)
        claimed = connection.execute(_CLAIMED, (session_id,)).fetchall()
        connection.execute(_RELEASE, (session_id,))
        connection.execute(_EMPTY_LANE, (session_id,))
        connection.executemany(_FILL_LANE, [(*record[:6], oldest, *record[7:]) for record in lane])
        # The records have other ids now. What was sent before, or may have been before a crash, is not folded into: the
        # server may have it, and an edit that is made meanwhile must be known to come after it.
        connection.executemany(_CLAIM, [*claimed, *again])
    return made


def _is_copy(connection: sqlite3.Connection, entity: Entity, key: str, kept_since: str | None) -> bool:
    """Whether a row was surely taken over from another replica as it is."""
    before = connection.execute(_QUEUED_BEFORE, (key,)).fetchone()
    if before is not None:
        return is_copy(entity.id, before[0])
    return kept_since is not None and format_time(entity.updated_at) > kept_since


_WITHOUT = "t.{session} NOT IN (SELECT value FROM json_each(?))"
_DELIVERED = "SELECT count(*) FROM {table} AS t WHERE sync_version > 0"
# Events and artifacts have no version: they are delivered once none of their records waits, if their session is.
_DELIVERED_FOLLOWERS = """
SELECT count(*) FROM {table} AS t JOIN sessions AS s ON s.id = t.session_id WHERE s.sync_version > 0 AND NOT EXISTS (
    SELECT 1 FROM outbox WHERE processed_at IS NULL
    AND idempotency_key >= '{kind}:' || t.id || ':' AND idempotency_key < '{kind}:' || t.id || ':~')
"""


def read_local_counts(connection: sqlite3.Connection, *, without: Sequence[str] = ()) -> LocalCounts:
    """The counts in the connection's present snapshot, those of the sessions ``without`` left out."""
    total, delivered = {}, {}
    given = (json.dumps(without),) if without else ()
    for kind, table in TABLES.items():
        rest = _WITHOUT.format(session=table.session_column) if without else "true"
        every = f"SELECT count(*) FROM {table.name} AS t WHERE {rest}"  # noqa: S608
        total[kind] = int(connection.execute(every, given).fetchone()[0])
        form = (_DELIVERED if table.mutable else _DELIVERED_FOLLOWERS).format(table=table.name, kind=kind.value)
        delivered[kind] = int(connection.execute(f"{form} AND {rest}", given).fetchone()[0])
    cursor = meta.read_pull_cursor(connection)
    return LocalCounts(
        workspace_id=meta.read(connection, meta.WORKSPACE_ID) or "",
        total=total,
        delivered=delivered,
        change_seq=0 if cursor is None else cursor.change_seq,
    )
