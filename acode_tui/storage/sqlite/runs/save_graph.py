"""Saving a run's graph: insert what is new, update what differs, queue only that, delete nothing.

An unchanged graph writes nothing. A row with the stored content is written again only where the graph's
``updated_at`` is later. A session's ``updated_at`` is its last activity, so it is never behind that of a row that is
written below it; every other row keeps the stamp that it comes with.

An older copy of a transcript takes nothing back: what is stored of the same run from a source that goes on for longer
stays, row by row.
"""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import chain
from time import perf_counter
from typing import Any

import msgspec

from acode_tui.domain.clock import MonotonicClock, format_time, parse_time, stamp_after
from acode_tui.domain.entities import TRANSCRIPT, SessionGraph, SessionTask
from acode_tui.domain.errors import NotFoundError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType, Operation
from acode_tui.logs import enabled
from acode_tui.storage.ports import SaveResult
from acode_tui.storage.run_writes import TextChange, is_without_transcript, stamp_to_save, superseded
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.runs import outbox_writes, row_writes
from acode_tui.storage.sqlite.runs.prepare import (
    ACTIVITY,
    CONTENT,
    UPDATED,
    VERSION,
    WIDTH,
    PreparedRun,
    Tables,
    rows_of,
    session_id,
    tables,
)
from acode_tui.storage.sqlite.runs.read_graph import read_graph
from acode_tui.storage.sqlite.search.notes import note_changes
from acode_tui.storage.sqlite.writer import Writer

_JSON_COLUMNS = {
    kind: frozenset(i for i, column in enumerate(table.columns) if column.kind == "json")
    for kind, table in TABLES.items()
}
_TEXTS = {
    kind: [index for index, column in enumerate(table.columns) if column.kind in ("text", "json")]
    for kind, table in TABLES.items()
}
_CREATED = {kind: table.column_names.index("created_at") for kind, table in TABLES.items()}
_CALL_STATE = TABLES[EntityType.TOOL_CALL].column_names.index("state")
_STORED = {
    kind: f"SELECT {rows.COLUMNS[kind] if table.mutable else 'id'} FROM {table.name}"  # noqa: S608
    " WHERE id IN (SELECT value FROM json_each(?))"
    for kind, table in TABLES.items()
}


_SESSION = EntityType.SESSION
_SESSION_METADATA = TABLES[EntityType.SESSION].column_names.index("metadata")
_TASK_SESSION = TABLES[EntityType.SESSION_TASK].column_names.index("session_id")
_TASKS_OF = (
    f"SELECT {rows.COLUMNS[EntityType.SESSION_TASK]} FROM {TABLES[EntityType.SESSION_TASK].name}"  # noqa: S608
    " WHERE session_id = ?"
)


def _is_without_transcript(metadata: str | None) -> bool:
    # Nearly all metadata is decided without decoding it.
    return metadata is not None and TRANSCRIPT in metadata and is_without_transcript(msgspec.json.decode(metadata))


def _last_time(metadata: str | None) -> str:
    """The time of the last record that a session was read from; empty where it was not read from a transcript."""
    found = msgspec.json.decode(metadata) if metadata is not None else None
    last = found.get("lastTime") if isinstance(found, dict) else None
    return last if isinstance(last, str) else ""


def save_graph(connection: sqlite3.Connection, graph: SessionGraph, clock: MonotonicClock) -> SaveResult:
    """See ``RunStateStore.save``. Part of a unit of work; the graph has been validated."""
    return _save(connection, rows_of(graph), _stored_session(connection, graph.id), clock)


def save_runs(connection: sqlite3.Connection, runs: Sequence[PreparedRun], clock: MonotonicClock) -> list[SaveResult]:
    """The same for runs whose rows are prepared, in their order.

    Nothing is compared where a session is new. Such runs are inserted together, behind the others: the fewer rows a
    statement has, the more each costs.
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
            results.append(_save(connection, tables(run), session, clock, whole=run[2]))
    _insert_all(connection, fresh, clock)
    return results


def _insert_all(connection: sqlite3.Connection, fresh: dict[str, PreparedRun], clock: MonotonicClock) -> None:
    """Insert runs of new sessions, parents before children, and forget them."""
    if not fresh:
        return
    started = perf_counter()
    now = format_time(clock.tick())
    for index, kind in enumerate(TABLES):
        values = list(chain.from_iterable(run[0][index] for run in fresh.values()))
        rows.insert_values(connection, rows.INSERT[kind], values, WIDTH[kind])
    records = list(chain.from_iterable(run[1] for run in fresh.values()))
    outbox_writes.enqueue_prepared(connection, records, now)
    if enabled("debug"):
        for entity_id, run in fresh.items():
            enqueued = sum(len(values) // WIDTH[kind] for kind, values in zip(TABLES, run[0], strict=True))
            row_writes.log_write(EntityType.SESSION, "save", entity_id, enqueued=enqueued, started=started)
    fresh.clear()


def _stored_session(connection: sqlite3.Connection, session_id: str) -> rows.Row | None:
    found: rows.Row | None = connection.execute(rows.SELECT[EntityType.SESSION], (session_id,)).fetchone()
    return found


def _save(
    connection: sqlite3.Connection,
    run: Tables,
    session: rows.Row | None,
    clock: MonotonicClock,
    *,
    whole: bool = False,
) -> SaveResult:
    save = _Save(connection, run, session, clock)
    save.compare(whole=whole)
    return save.write()


class _Save:
    """Compares a run with what is stored (``session`` is its stored row), and writes the differences."""

    def __init__(
        self, connection: sqlite3.Connection, run: Tables, session: rows.Row | None, clock: MonotonicClock
    ) -> None:
        self._connection = connection
        self._run = run
        self._session = session
        self._clock = clock
        self._ticked: str | None = None
        self._inserts: dict[EntityType, list[rows.Row]] = {kind: [] for kind in TABLES}
        self._updates: dict[EntityType, list[rows.Row]] = {kind: [] for kind in TABLES}
        self._texts: dict[tuple[EntityType, TextChange], list[str]] = {}
        self._unchanged = 0
        self._whole = False
        self._is_older: bool | None = None

    def compare(self, *, whole: bool) -> None:
        """Plan the writes of the whole run; the session last, so that its stamp is not behind one written below it.

        Where the run is all that its session holds now (``whole``), or takes the place of one made of the prompts of a
        deleted transcript, the other stored tasks are marked as superseded.
        """
        latest = ""
        self._whole = whole
        for kind in reversed(TABLES):
            if not (given := self._run[kind]):
                continue
            if TABLES[kind].mutable:
                self._compare(kind, given, earliest=latest if kind is EntityType.SESSION else "")
            else:
                self._append_only(kind, given)
            if kind in ACTIVITY:
                written = chain(self._inserts[kind], self._updates[kind])
                latest = max(chain([latest], (row[UPDATED[kind]] for row in written)))
            if kind is EntityType.SESSION_TASK and self._session is not None and (whole or self._replaces_prompts()):
                latest = max(latest, self._supersede_others(given))

    def write(self) -> SaveResult:
        """Write what ``compare`` planned."""
        if not any(self._inserts.values()) and not any(self._updates.values()):
            return SaveResult(unchanged=self._unchanged)
        started = perf_counter()
        now = self._now()
        records: list[rows.Row] = []
        queued = 0
        for kind in TABLES:
            if new := self._inserts[kind]:
                rows.insert_many(self._connection, rows.INSERT[kind], new)
                records += [outbox_writes.outbox_row(kind, row, Operation.INSERT, now) for row in new]
                queued += len(new)
            if changed := self._updates[kind]:
                made = [outbox_writes.outbox_row(kind, row, Operation.UPDATE, now) for row in changed]
                records += outbox_writes.folded(self._connection, kind, made, now)
                self._connection.executemany(rows.UPDATE[kind], [(*row[1:], row[0]) for row in changed])
                queued += len(changed)
        outbox_writes.enqueue_rows(self._connection, records)
        for (kind, change), ids in self._texts.items():
            note_changes(self._connection, kind, ids, change)
        if enabled("debug"):
            entity_id = self._run[EntityType.SESSION][0][0]
            row_writes.log_write(EntityType.SESSION, "save", entity_id, enqueued=queued, started=started)
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

    def _after(self, stamp: datetime) -> datetime:
        """A stamp of this moment that follows another one."""
        return stamp_after(stamp, parse_time(self._now()))

    def _after_text(self, stamp: str) -> str:
        return format_time(self._after(parse_time(stamp)))

    def _compare(self, kind: EntityType, given: Sequence[rows.Row], *, earliest: str) -> None:
        """Plan the writes of mutable rows, none of them under a stamp before ``earliest``."""
        at, version = UPDATED[kind], VERSION[kind]
        existing = self._existing(kind)
        inserts, updates = self._inserts[kind], self._updates[kind]
        for row in given:
            stored = existing.get(row[0])
            stamp: str = max(row[at], earliest)
            if stored is None:
                inserts.append(_with(row, {at: stamp, version: 0}) if row[at] != stamp or row[version] else row)
                continue
            same = _same(kind, row, stored)
            written = stamp_to_save(stamp, stored[at], same=same, after=self._after_text)
            if written is None or (not same and stamp <= stored[at] and self._is_older_copy()):
                self._unchanged += 1
                continue
            updates.append(_with(stored if same else row, {at: written, version: stored[version]}))
            if not same and (change := _text_change(kind, row, stored)) != "none":
                self._texts.setdefault((kind, change), []).append(row[0])

    def _is_older_copy(self) -> bool:
        """Whether the run ends before what is stored of it: it was read from another source, which is behind.

        A file that was rewritten may end earlier, too, and is what its session holds now.
        """
        if self._is_older is None:
            stored = _last_time(self._session[_SESSION_METADATA]) if self._session is not None else ""
            given = _last_time(self._run[EntityType.SESSION][0][_SESSION_METADATA])
            self._is_older = not self._whole and "" < given < stored
        return self._is_older

    def _replaces_prompts(self) -> bool:
        """Whether the stored session is made of prompts alone, and this run is read from its transcript."""
        given = self._run[EntityType.SESSION][0]
        return (
            self._session is not None
            and _is_without_transcript(self._session[_SESSION_METADATA])
            and not _is_without_transcript(given[_SESSION_METADATA])
        )

    def _supersede_others(self, given: Sequence[rows.Row]) -> str:
        """Mark the stored tasks that are none of those given. Returns the stamp of that, or an empty text."""
        kind = EntityType.SESSION_TASK
        kept = {row[0] for row in given}
        latest = ""
        for row in self._connection.execute(_TASKS_OF, (given[0][_TASK_SESSION],)).fetchall():
            task = rows.from_row(kind, row)
            assert isinstance(task, SessionTask)
            marked = None if task.id in kept else superseded(task, behind=len(given), after=self._after)
            if marked is not None:
                latest = format_time(marked.updated_at)
                self._updates[kind].append(rows.to_row(marked))
        return latest

    def _append_only(self, kind: EntityType, given: Sequence[rows.Row]) -> None:
        """Plan the insertion of events or artifacts that are not stored yet."""
        existing, inserts = self._existing(kind), self._inserts[kind]
        for row in given:
            if row[0] in existing:
                self._unchanged += 1
                continue
            if kind is EntityType.ARTIFACT and row[CONTENT] is None:
                raise NotFoundError(
                    f"artifact {row[0]} has no content to store", hint="load it with get_artifact_content first"
                )
            inserts.append(row)

    def _existing(self, kind: EntityType) -> dict[str, rows.Row]:
        """Those of the run's rows of a kind that are stored, by id; nothing is read for a new session."""
        if self._session is None:
            return {}
        if kind is EntityType.SESSION:
            return {self._session[0]: self._session}
        # By id, so that a part of a run costs what the part has, however much of the run is stored.
        ids = msgspec.json.encode([row[0] for row in self._run[kind]]).decode()
        return {row[0]: row for row in self._connection.execute(_STORED[kind], (ids,))}


def _same(kind: EntityType, row: rows.Row, stored: rows.Row) -> bool:
    """Whether two rows are equal in everything but stamp and version.

    Which file a session was read from is no difference: its agent moves the file, and a copy has another name.
    """
    skip = (UPDATED[kind], VERSION[kind])
    for index, (ours, theirs) in enumerate(zip(row, stored, strict=True)):
        if ours == theirs or index in skip:
            continue
        # Another program may have written the same JSON with other spacing or another order of keys.
        if index not in _JSON_COLUMNS[kind] or not _same_json(ours, theirs, read=kind is _SESSION):
            return False
    return True


def _text_change(kind: EntityType, row: rows.Row, stored: rows.Row) -> TextChange:
    """What replacing ``stored`` by ``row`` does to the text that a search finds."""
    changed = [stored[index] for index in _TEXTS[kind] if row[index] != stored[index]]
    if changed:
        return "added" if all(text is None for text in changed) else "rewritten"
    # A failed call's result is an error, and the figures of a day follow the time.
    looked_at = (_CREATED[kind], _CALL_STATE) if kind is EntityType.TOOL_CALL else (_CREATED[kind],)
    return "none" if all(row[index] == stored[index] for index in looked_at) else "added"


def _same_json(ours: str | None, theirs: str | None, *, read: bool) -> bool:
    """Whether two texts hold the same JSON. ``read``: it may be the metadata of a run that was read from a file."""
    if ours is None or theirs is None:
        return False
    pair = [msgspec.json.decode(ours), msgspec.json.decode(theirs)]
    for value in pair:
        if read and isinstance(value, dict) and value.get("nativeId"):
            value.pop("file", None)
    return bool(pair[0] == pair[1])


def _with(row: Sequence[Any], changes: dict[int, Any]) -> rows.Row:
    changed = list(row)
    for index, value in changes.items():
        changed[index] = value
    return tuple(changed)


Choose = Callable[[SessionGraph, SessionGraph], SessionGraph]
"""A function of the given run and the stored one to the run to store. An exception undoes the whole save."""


class SqliteRunImport:
    """``RunImport`` over the workspace file."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def import_run(self, graph: SessionGraph, choose: Choose, *, dry_run: bool = False) -> SaveResult:
        """Save the run, or ``choose(run, stored run)`` where it is stored already. A dry run is rolled back."""

        def unit(connection: sqlite3.Connection) -> SaveResult:
            try:
                wanted = choose(graph, read_graph(connection, graph.id))
            except NotFoundError:
                wanted = graph
            result = save_graph(connection, wanted, self._writer.clock)
            if dry_run:
                raise _DryRun(result)
            return result

        try:
            return await self._writer.run(unit)
        except _DryRun as dry:
            return dry.result


class _DryRun(Exception):
    """Carries a result out of a unit of work that is rolled back."""

    def __init__(self, result: SaveResult) -> None:
        super().__init__()
        self.result = result
