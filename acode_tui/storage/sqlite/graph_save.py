"""Bringing a stored run to a given graph: insert what is new, update what differs, queue only that, delete nothing.

An unchanged graph writes nothing. Stamps decide nothing by themselves: a row whose content is as stored is written
again only where the graph's ``updated_at`` is later (a session's last activity moved on).
"""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from acode_tui.domain.clock import TICK, MonotonicClock
from acode_tui.domain.entities import Artifact, Entity, SessionGraph
from acode_tui.domain.errors import NotFoundError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType, Operation
from acode_tui.domain.times import format_time, parse_time
from acode_tui.storage.ports import SaveResult
from acode_tui.storage.sqlite import entity_writes, rows

_UPDATED = {kind: table.column_names.index("updated_at") for kind, table in TABLES.items()}
_VERSION = {kind: table.column_names.index("sync_version") for kind, table in TABLES.items() if table.mutable}
_JSON_COLUMNS = {
    kind: frozenset(i for i, column in enumerate(table.columns) if column.kind == "json")
    for kind, table in TABLES.items()
}
_STORED_IDS = {
    kind: f"SELECT id FROM {table.name} WHERE session_id = ?"  # noqa: S608
    for kind, table in TABLES.items()
    if not table.mutable
}


def save_graph(connection: sqlite3.Connection, graph: SessionGraph, clock: MonotonicClock) -> SaveResult:
    """See ``RunStateStore.save``. Part of a unit of work; the graph has been validated."""
    save = _Save(connection, graph.id, clock)
    save.session(graph)
    return save.write()


class _Save:
    """One comparison of a graph with what is stored, and the writes that follow from it."""

    def __init__(self, connection: sqlite3.Connection, session_id: str, clock: MonotonicClock) -> None:
        self._connection = connection
        self._session_id = session_id
        self._clock = clock
        self._ticked: str | None = None
        session = connection.execute(rows.SELECT[EntityType.SESSION], (session_id,)).fetchone()
        self._is_new = session is None
        self._stored: dict[EntityType, dict[str, rows.Row]] = {
            EntityType.SESSION: {} if session is None else {session_id: session}
        }
        self._inserts: dict[EntityType, list[rows.Row]] = {kind: [] for kind in TABLES}
        self._updates: dict[EntityType, list[rows.Row]] = {kind: [] for kind in TABLES}
        self._unchanged = 0

    def session(self, graph: SessionGraph) -> None:
        """Compare the whole graph; children first, so that a parent's stamp is never behind what is below it."""
        latest: str | None = None
        for event in graph.events:
            self._append_only(event)
        for task in graph.tasks:
            below: str | None = None
            for step in task.steps:
                deeper: str | None = None
                for call in step.tool_calls:
                    added = [self._append_only(artifact) for artifact in call.artifacts]
                    deeper = _later(deeper, self._compare(call, _last(added)))
                below = _later(below, self._compare(step, deeper))
            latest = _later(latest, self._compare(task, below))
        self._compare(graph, latest)

    def write(self) -> SaveResult:
        """Do what the comparison found."""
        if not any(self._inserts.values()) and not any(self._updates.values()):
            return SaveResult(unchanged=self._unchanged)
        now = self._now()
        records: list[rows.Row] = []
        for kind in TABLES:
            if new := self._inserts[kind]:
                rows.insert_many(self._connection, rows.INSERT[kind], new)
                records += [entity_writes.outbox_row(kind, row, Operation.INSERT, now) for row in new]
            if changed := self._updates[kind]:
                self._connection.executemany(rows.UPDATE[kind], [(*row[1:], row[0]) for row in changed])
                records += [entity_writes.outbox_row(kind, row, Operation.UPDATE, now) for row in changed]
        entity_writes.enqueue_rows(self._connection, records)
        return SaveResult(
            inserted={kind: len(new) for kind, new in self._inserts.items() if new},
            updated={kind: len(changed) for kind, changed in self._updates.items() if changed},
            unchanged=self._unchanged,
        )

    def _now(self) -> str:
        """The moment of this save: one stamp of the clock, taken when it is first needed."""
        if self._ticked is None:
            self._ticked = format_time(self._clock.tick())
        return self._ticked

    def _compare(self, entity: Entity, below: str | None) -> str | None:
        """Plan a mutable row's write. Answers its stamp if it is written; ``below`` is the latest stamp under it."""
        kind = entity.kind
        row = rows.to_row(entity)
        at, version = _UPDATED[kind], _VERSION[kind]
        stored = self._existing(kind).get(entity.id)
        stamp: str = row[at]
        if stored is None:
            if below is not None and below > stamp:
                stamp = below
            if row[at] != stamp or row[version]:
                row = _with(row, {at: stamp, version: 0})
            self._inserts[kind].append(row)
            return stamp
        known: str = stored[at]
        same = _same(kind, row, stored)
        wanted = max(stamp, below or "")
        if same and wanted <= known:
            self._unchanged += 1
            return None
        if wanted <= known:
            # Changed, yet not later by its own account: it is this moment that changes it.
            wanted = max(self._now(), _next_stamp(known))
        stamp = wanted
        content = stored if same else row
        self._updates[kind].append(_with(content, {at: stamp, version: stored[version]}))
        return stamp

    def _append_only(self, entity: Entity) -> str | None:
        """Plan the insertion of an event or artifact that is not stored yet."""
        if entity.id in self._existing(entity.kind):
            self._unchanged += 1
            return None
        if isinstance(entity, Artifact) and entity.content is None:
            raise NotFoundError(
                f"artifact {entity.id} has no content to store", hint="load it with get_artifact_content first"
            )
        row = rows.to_row(entity)
        self._inserts[entity.kind].append(row)
        return str(row[_UPDATED[entity.kind]])

    def _existing(self, kind: EntityType) -> dict[str, rows.Row]:
        """What the session has of a kind, read once and only for a session that exists."""
        found = self._stored.get(kind)
        if found is None:
            found = {}
            if not self._is_new:
                sql = rows.SELECT_SESSION_ROWS[kind] if TABLES[kind].mutable else _STORED_IDS[kind]
                found = {row[0]: row for row in self._connection.execute(sql, (self._session_id,))}
            self._stored[kind] = found
        return found


def _same(kind: EntityType, row: rows.Row, stored: rows.Row) -> bool:
    """Whether two rows agree in everything but stamp and version."""
    skip = (_UPDATED[kind], _VERSION[kind])
    for index, (ours, theirs) in enumerate(zip(row, stored, strict=True)):
        if ours == theirs or index in skip:
            continue
        # The same JSON may have been written by another program, with other spacing or order.
        if index not in _JSON_COLUMNS[kind] or not _same_json(ours, theirs):
            return False
    return True


def _same_json(ours: str | None, theirs: str | None) -> bool:
    return ours is not None and theirs is not None and msgspec.json.decode(ours) == msgspec.json.decode(theirs)


def _next_stamp(known: str) -> str:
    moment: datetime = parse_time(known) + TICK
    return format_time(moment)


def _with(row: Sequence[Any], changes: dict[int, Any]) -> rows.Row:
    changed = list(row)
    for index, value in changes.items():
        changed[index] = value
    return tuple(changed)


def _later(first: str | None, second: str | None) -> str | None:
    if first is None or second is None:
        return first or second
    return max(first, second)


def _last(stamps: Iterable[str | None]) -> str | None:
    latest: str | None = None
    for stamp in stamps:
        latest = _later(latest, stamp)
    return latest
