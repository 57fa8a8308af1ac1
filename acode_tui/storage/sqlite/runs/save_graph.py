"""Bringing a stored run to a given graph: insert what is new, update what differs, queue only that, delete nothing.

An unchanged graph writes nothing. Stamps decide nothing by themselves: a row whose content is as stored is written
again only where the graph's ``updated_at`` is later (a session's last activity moved on).
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, TypeAlias

import msgspec

from acode_tui.domain.clock import TICK, MonotonicClock, format_time, parse_time
from acode_tui.domain.entities import Entity, SessionGraph
from acode_tui.domain.errors import NotFoundError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType, Operation
from acode_tui.storage.ports import SaveResult
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.rows import DUMP, Row
from acode_tui.storage.sqlite.runs import row_writes as entity_writes
from acode_tui.storage.sqlite.runs.reader import read_graph
from acode_tui.storage.sqlite.runs.row_writes import prepared_records
from acode_tui.storage.sqlite.writer import Writer

PreparedRun: TypeAlias = Sequence[Any]
"""The values of the run's rows, a list for each kind in the order of ``TABLES``; and those of their outbox records, in
one list, which is empty where the rows may have to be changed before they are written.
"""

Tables: TypeAlias = Mapping[EntityType, Sequence[Row]]
"""A run's rows by kind, parents before children, as ``rows.to_row`` makes them and in the graph's order."""

WIDTH = {kind: len(table.columns) for kind, table in TABLES.items()}
UPDATED = {kind: table.column_names.index("updated_at") for kind, table in TABLES.items()}
VERSION = {kind: table.column_names.index("sync_version") for kind, table in TABLES.items() if table.mutable}
CONTENT = TABLES[EntityType.ARTIFACT].column_names.index("content")

# An event is no change of what it belongs to: it moves no stamp.
PARENT: Mapping[EntityType, tuple[int, EntityType]] = {
    kind: (table.column_names.index(table.parent[0]), table.parent[1])
    for kind, table in TABLES.items()
    if table.parent is not None and kind is not EntityType.SESSION_EVENT
}
"""For each kind whose stamps count above it: where its rows name their parent, and the parent's kind."""


def prepare_run(graph: SessionGraph, new: bool) -> PreparedRun:
    """``new``: the session is likely not stored yet, so that every row's outbox record will be wanted.

    Raises ValidationError where a text of a new run holds what the team's database never could.
    """
    found = rows_of(graph)
    records: list[Any] = []
    if new and _is_settled(found):
        for kind, made in found.items():
            records += prepared_records(kind, made)
    return [[list(chain.from_iterable(made)) for made in found.values()], records]


def rows_of(graph: SessionGraph) -> Tables:
    """The graph's rows."""
    tasks = graph.tasks
    steps = [step for task in tasks for step in task.steps]
    calls = [call for step in steps for call in step.tool_calls]
    found: dict[EntityType, Iterable[Entity]] = {
        EntityType.SESSION: (graph,),
        EntityType.SESSION_EVENT: graph.events,
        EntityType.SESSION_TASK: tasks,
        EntityType.STEP: steps,
        EntityType.TOOL_CALL: calls,
        EntityType.ARTIFACT: (artifact for call in calls for artifact in call.artifacts),
    }
    return {kind: list(map(DUMP[kind], found[kind])) for kind in TABLES}


def tables(run: PreparedRun) -> Tables:
    """The run's rows."""
    made: dict[EntityType, list[Row]] = {}
    for kind, values in zip(TABLES, run[0], strict=True):
        width = WIDTH[kind]
        made[kind] = [tuple(values[start : start + width]) for start in range(0, len(values), width)]
    return made


def session_id(run: PreparedRun) -> str:
    """The id of the run's session."""
    return str(run[0][0][0])


def _is_settled(found: Tables) -> bool:
    """Whether a session that is not stored yet would be written just so: no stamp behind one below it, no version."""
    below: dict[str, str] = {}
    for kind in reversed(TABLES):
        at, version, parent = UPDATED[kind], VERSION.get(kind), PARENT.get(kind)
        for row in found[kind]:
            stamp = row[at]
            if version is not None and (row[version] or below.get(row[0], "") > stamp):
                return False
            if parent is not None and below.get(row[parent[0]], "") < stamp:
                below[row[parent[0]]] = stamp
    return all(row[CONTENT] is not None for row in found[EntityType.ARTIFACT])


_JSON_COLUMNS = {
    kind: frozenset(i for i, column in enumerate(table.columns) if column.kind == "json")
    for kind, table in TABLES.items()
}
_STORED_IDS = {
    kind: f"SELECT id FROM {table.name} WHERE session_id = ?"  # noqa: S608
    for kind, table in TABLES.items()
    if not table.mutable
}

_Written: TypeAlias = tuple[rows.Row, str]
"""A row that will be written, and its stamp."""


def save_graph(connection: sqlite3.Connection, graph: SessionGraph, clock: MonotonicClock) -> SaveResult:
    """See ``RunStateStore.save``. Part of a unit of work; the graph has been validated."""
    return _bring(connection, rows_of(graph), _stored_session(connection, graph.id), clock)


def save_runs(connection: sqlite3.Connection, runs: Sequence[PreparedRun], clock: MonotonicClock) -> list[SaveResult]:
    """The same of runs whose rows were made before, in their order.

    Nothing is compared where a session is new. Such runs are inserted together, behind the others: a row costs the more
    the fewer of them a statement has.
    """
    results = []
    fresh: dict[str, PreparedRun] = {}
    for run in runs:
        found = session_id(run)
        if found in fresh:
            _insert_all(connection, fresh, clock)
        session = _stored_session(connection, found)
        if session is None and run[1]:
            fresh[found] = run
            counts = [len(values) // WIDTH[kind] for kind, values in zip(TABLES, run[0], strict=True)]
            inserted = {kind: count for kind, count in zip(TABLES, counts, strict=True) if count}
            results.append(SaveResult(inserted=inserted, updated={}))
        else:
            results.append(_bring(connection, tables(run), session, clock))
    _insert_all(connection, fresh, clock)
    return results


def _insert_all(connection: sqlite3.Connection, fresh: dict[str, PreparedRun], clock: MonotonicClock) -> None:
    """Insert runs of new sessions, parents before children, and forget them."""
    if not fresh:
        return
    now = format_time(clock.tick())
    for index, kind in enumerate(TABLES):
        values = list(chain.from_iterable(run[0][index] for run in fresh.values()))
        rows.insert_values(connection, rows.INSERT[kind], values, WIDTH[kind])
    entity_writes.enqueue_prepared(connection, list(chain.from_iterable(run[1] for run in fresh.values())), now)
    fresh.clear()


def _stored_session(connection: sqlite3.Connection, session_id: str) -> rows.Row | None:
    found: rows.Row | None = connection.execute(rows.SELECT[EntityType.SESSION], (session_id,)).fetchone()
    return found


def _bring(connection: sqlite3.Connection, run: Tables, session: rows.Row | None, clock: MonotonicClock) -> SaveResult:
    save = _Save(connection, session, clock)
    save.compare(run)
    return save.write()


class _Save:
    """One comparison of a run with what is stored (``session`` is its row), and the writes that follow from it."""

    def __init__(self, connection: sqlite3.Connection, session: rows.Row | None, clock: MonotonicClock) -> None:
        self._connection = connection
        self._session = session
        self._clock = clock
        self._ticked: str | None = None
        self._inserts: dict[EntityType, list[rows.Row]] = {kind: [] for kind in TABLES}
        self._updates: dict[EntityType, list[rows.Row]] = {kind: [] for kind in TABLES}
        self._unchanged = 0

    def compare(self, run: Tables) -> None:
        """Compare the whole run; children first, so that a parent's stamp is never behind what is below it."""
        below: dict[EntityType, dict[str, str]] = {kind: {} for kind in TABLES}
        for kind in reversed(TABLES):
            if not run[kind]:
                continue
            mutable = TABLES[kind].mutable
            written = self._compare(kind, run[kind], below[kind]) if mutable else self._append_only(kind, run[kind])
            if kind not in PARENT:
                continue
            parent, above_kind = PARENT[kind]
            above = below[above_kind]
            for row, stamp in written:
                if above.get(row[parent], "") < stamp:
                    above[row[parent]] = stamp

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

    def _compare(self, kind: EntityType, given: Sequence[rows.Row], below: dict[str, str]) -> list[_Written]:
        """Plan the writes of mutable rows, and answer them; ``below`` has the latest stamp written under each."""
        at, version = UPDATED[kind], VERSION[kind]
        existing = self._existing(kind)
        inserts, updates = self._inserts[kind], self._updates[kind]
        written: list[_Written] = []
        for row in given:
            stored = existing.get(row[0])
            stamp: str = max(row[at], below.get(row[0], ""))
            if stored is None:
                inserts.append(_with(row, {at: stamp, version: 0}) if row[at] != stamp or row[version] else row)
                written.append((row, stamp))
                continue
            known: str = stored[at]
            same = _same(kind, row, stored)
            if stamp <= known:
                if same:
                    self._unchanged += 1
                    continue
                # Changed, yet not later by its own account: it is this moment that changes it.
                stamp = max(self._now(), _next_stamp(known))
            updates.append(_with(stored if same else row, {at: stamp, version: stored[version]}))
            written.append((row, stamp))
        return written

    def _append_only(self, kind: EntityType, given: Sequence[rows.Row]) -> list[_Written]:
        """Plan the insertion of events or artifacts that are not stored yet."""
        at, existing, inserts = UPDATED[kind], self._existing(kind), self._inserts[kind]
        for row in given:
            if row[0] in existing:
                self._unchanged += 1
                continue
            if kind is EntityType.ARTIFACT and row[CONTENT] is None:
                raise NotFoundError(
                    f"artifact {row[0]} has no content to store", hint="load it with get_artifact_content first"
                )
            inserts.append(row)
        return [(row, row[at]) for row in inserts]

    def _existing(self, kind: EntityType) -> dict[str, rows.Row]:
        """What the session has of a kind; nothing is read for a session that is new."""
        if self._session is None:
            return {}
        if kind is EntityType.SESSION:
            return {self._session[0]: self._session}
        sql = rows.SELECT_SESSION_ROWS[kind] if TABLES[kind].mutable else _STORED_IDS[kind]
        return {row[0]: row for row in self._connection.execute(sql, (self._session[0],))}


def _same(kind: EntityType, row: rows.Row, stored: rows.Row) -> bool:
    """Whether two rows agree in everything but stamp and version."""
    skip = (UPDATED[kind], VERSION[kind])
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


Choose = Callable[[SessionGraph, SessionGraph], SessionGraph]
"""Given the run and the stored one: what is to be stored. What it raises undoes everything."""


class SqliteRunImport:
    """``RunImport`` over the workspace file."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def bring_in(self, graph: SessionGraph, choose: Choose, *, dry_run: bool = False) -> SaveResult:
        """Save the run, or what ``choose`` makes of it and the stored one. A dry run is undone again."""

        def unit(connection: sqlite3.Connection) -> SaveResult:
            try:
                wanted = choose(graph, read_graph(connection, graph.id))
            except NotFoundError:
                wanted = graph
            result = save_graph(connection, wanted, self._writer.clock)
            if dry_run:
                raise _Undone(result)
            return result

        try:
            return await self._writer.run(unit)
        except _Undone as undone:
            return undone.result


class _Undone(Exception):
    """Carries a result out of a unit that is to leave nothing behind."""

    def __init__(self, result: SaveResult) -> None:
        super().__init__()
        self.result = result
