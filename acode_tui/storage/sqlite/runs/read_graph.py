"""A run's graph, whole or in part, in a connection's snapshot. The content of artifacts is not loaded."""

import json
import sqlite3
from collections.abc import Iterable
from itertools import chain
from typing import Any, TypeAlias, cast

from acode_tui.domain.entities import (
    SessionEvent,
    SessionGraph,
    StepGraph,
    TaskGraph,
    ToolCallGraph,
)
from acode_tui.domain.errors import NotFoundError
from acode_tui.domain.schema import TABLES, parent_of
from acode_tui.domain.states import EntityType
from acode_tui.domain.validation import require_id
from acode_tui.storage.ports import SessionPart
from acode_tui.storage.sqlite import rows

_EVENTS = (
    f"SELECT {rows.COLUMNS[EntityType.SESSION_EVENT]} FROM session_events WHERE session_id = ? ORDER BY timestamp, id"  # noqa: S608
)

_LOAD = {
    EntityType.SESSION_TASK: rows.loader(EntityType.SESSION_TASK, TaskGraph, "artifacts", "steps"),
    EntityType.STEP: rows.loader(EntityType.STEP, StepGraph, "artifacts", "tool_calls"),
    EntityType.TOOL_CALL: rows.loader(EntityType.TOOL_CALL, ToolCallGraph, "artifacts"),
}
_LOAD_SESSION = rows.loader(EntityType.SESSION, SessionGraph, "tasks", "events")
_PARENT = {kind: TABLES[kind].column_names.index(TABLES[kind].parents[0][0]) for kind in _LOAD}
"""The index of the parent's id in a row."""

_ALL = {kind: f'{rows.SELECT_SESSION_ROWS[kind]} ORDER BY "order", rowid' for kind in _LOAD}
_ALL_ARTIFACTS = f"{rows.SELECT_SESSION_ROWS[EntityType.ARTIFACT]} ORDER BY rowid"


def _below(kind: EntityType, holder: str, more: str = "") -> str:
    """The statement for the rows below some parents, whose ids it takes as a JSON array."""
    order = "rowid" if kind is EntityType.ARTIFACT else '"order", rowid'
    return (
        f"SELECT {rows.COLUMNS[kind]} FROM {TABLES[kind].name} "  # noqa: S608
        f"WHERE {holder} IN (SELECT value FROM json_each(?)){more} ORDER BY {order}"
    )


_CALLS_OF = _below(EntityType.TOOL_CALL, "step_id")
_ARTIFACTS_OF_STEPS = _below(EntityType.ARTIFACT, "step_id")
_ARTIFACTS_OF_TASKS = _below(EntityType.ARTIFACT, "task_id", " AND step_id IS NULL")


def _edge(kind: EntityType, parent: str) -> dict[bool, str]:
    """The statements for the first (False) and the last (True) rows of a parent, from the edge inwards."""
    select = f'SELECT {rows.COLUMNS[kind]} FROM {TABLES[kind].name} WHERE {parent} = ? ORDER BY "order"'  # noqa: S608
    return {False: f"{select}, rowid LIMIT ?", True: f"{select} DESC, rowid DESC LIMIT ?"}


_TASKS_AT_EDGE = _edge(EntityType.SESSION_TASK, "session_id")
_STEPS_AT_EDGE = _edge(EntityType.STEP, "task_id")


def read_graph(connection: sqlite3.Connection, session_id: str) -> SessionGraph:
    """A whole run in the connection's snapshot. Raises NotFoundError."""
    row = _session(connection, session_id)

    def all_of(kind: EntityType) -> Iterable[rows.Row]:
        return connection.execute(_ALL[kind], (session_id,))

    artifacts = _by_holder(connection.execute(_ALL_ARTIFACTS, (session_id,)))
    calls = _by_parent(EntityType.TOOL_CALL, all_of(EntityType.TOOL_CALL), artifacts)
    steps = _by_parent(EntityType.STEP, all_of(EntityType.STEP), artifacts, calls)
    tasks = _by_parent(EntityType.SESSION_TASK, all_of(EntityType.SESSION_TASK), artifacts, steps)
    graph = _LOAD_SESSION((*row, tuple(tasks.get(session_id, ())), read_events(connection, session_id)))
    return cast(SessionGraph, graph)


def read_part(connection: sqlite3.Connection, session_id: str, steps: int, *, from_end: bool) -> SessionPart:
    """The first or the last ``steps`` steps of a run, and at most as many tasks. Raises NotFoundError.

    What it takes depends on the part, not on the run.
    """
    row = _session(connection, session_id)
    tasks, whole = _limited(connection.execute(_TASKS_AT_EDGE[from_end], (session_id, steps + 1)), steps)
    kept_tasks: list[rows.Row] = []
    kept_steps: list[rows.Row] = []
    for task in tasks:
        left = steps - len(kept_steps)
        found, complete = _limited(connection.execute(_STEPS_AT_EDGE[from_end], (task[0], left + 1)), left)
        whole = whole and complete
        if not complete and not found:
            break
        kept_tasks.append(task)
        kept_steps += found
        if not complete:
            break
    if from_end:
        kept_tasks.reverse()
        kept_steps.reverse()
    step_ids, task_ids = _ids(kept_steps), _ids(kept_tasks)
    artifacts = _by_holder(
        chain(connection.execute(_ARTIFACTS_OF_TASKS, task_ids), connection.execute(_ARTIFACTS_OF_STEPS, step_ids))
    )
    calls = _by_parent(EntityType.TOOL_CALL, connection.execute(_CALLS_OF, step_ids), artifacts)
    steps_of = _by_parent(EntityType.STEP, kept_steps, artifacts, calls)
    tasks_of = _by_parent(EntityType.SESSION_TASK, kept_tasks, artifacts, steps_of)
    graph = _LOAD_SESSION((*row, tuple(tasks_of.get(session_id, ())), read_events(connection, session_id)))
    return SessionPart(graph=cast(SessionGraph, graph), whole=whole and len(kept_tasks) == len(tasks))


def read_events(connection: sqlite3.Connection, session_id: str) -> tuple[SessionEvent, ...]:
    """A session's events, oldest first."""
    found = [rows.from_row(EntityType.SESSION_EVENT, row) for row in connection.execute(_EVENTS, (session_id,))]
    return tuple(cast(list[SessionEvent], found))


def _session(connection: sqlite3.Connection, session_id: str) -> rows.Row:
    row: rows.Row | None = connection.execute(rows.SELECT[EntityType.SESSION], (require_id(session_id),)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no session {session_id[:64]!r}")
    return row


def _limited(found: Iterable[rows.Row], most: int) -> tuple[list[rows.Row], bool]:
    """At most so many of the rows, and whether those are all."""
    read = list(found)
    return read[:most], len(read) <= most


def _ids(found: Iterable[rows.Row]) -> tuple[str]:
    return (json.dumps([row[0] for row in found]),)


_Children: TypeAlias = dict[str, list[Any]]
"""Nodes by their parent's id, in order."""


def _by_holder(found: Iterable[rows.Row]) -> _Children:
    """Artifacts by the id of the row that each hangs on, in order."""
    grouped: _Children = {}
    for row in found:
        artifact = rows.from_row(EntityType.ARTIFACT, row)
        holder = parent_of(artifact)
        assert holder is not None
        grouped.setdefault(holder[1], []).append(artifact)
    return grouped


def _by_parent(kind: EntityType, found: Iterable[rows.Row], *below: _Children) -> _Children:
    """Rows of one kind by their parent's id, each in order and with its own children of each sort."""
    load, parent = _LOAD[kind], _PARENT[kind]
    grouped: _Children = {}
    for row in found:
        node = load((*row, *(tuple(nodes.get(row[0], ())) for nodes in below)))
        siblings = grouped.get(row[parent])
        if siblings is None:
            grouped[row[parent]] = [node]
        else:
            siblings.append(node)
    return grouped
