"""Preparing a run's graph to be saved: its rows and their outbox records, as plain values.

The process that reads transcripts does this too, and loads nothing of the workspace file's connections for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

from acode_tui.domain.entities import Entity, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.rows import Row
from acode_tui.storage.sqlite.runs.outbox_writes import prepared_records_of

PreparedRun: TypeAlias = Sequence[Any]
"""The values of the run's rows, one flat list a kind in the order of ``TABLES``; the values of their outbox records,
one flat list, which is empty where the rows may have to be changed before they are written; and whether the run is all
that its session holds now.
"""

Tables: TypeAlias = Mapping[EntityType, Sequence[Row]]
"""A run's rows by kind, parents before children, as ``rows.to_row`` makes them and in the graph's order."""

WIDTH = {kind: len(table.columns) for kind, table in TABLES.items()}
UPDATED = {kind: table.column_names.index("updated_at") for kind, table in TABLES.items()}
VERSION = {kind: table.column_names.index("sync_version") for kind, table in TABLES.items() if table.mutable}
CONTENT = TABLES[EntityType.ARTIFACT].column_names.index("content")

ACTIVITY = frozenset(TABLES) - {EntityType.SESSION, EntityType.SESSION_EVENT}
"""The kinds whose writes touch their session. An event is part of the session's own change."""


def prepare_run(graph: SessionGraph, new: bool, whole: bool = False) -> PreparedRun:
    """The run in the form that ``save_runs`` takes.

    ``new``: the session is likely not stored yet, so that every row needs its outbox record. ``whole``: tasks that are
    stored and not in the run were removed from its transcript, and are marked as superseded. Raises ValidationError
    where a text of a new run holds what PostgreSQL cannot store.
    """
    times: dict[int, str] = {}
    found = {kind: rows.to_columns(kind, entities, times) for kind, entities in _entities(graph).items()}
    records: list[Any] = []
    if new and _is_insertable(found):
        for kind, columns in found.items():
            records += prepared_records_of(kind, columns)
    return [[rows.interleaved(columns) for columns in found.values()], records, whole]


def rows_of(graph: SessionGraph) -> Tables:
    """The graph's rows."""
    return {kind: list(map(rows.DUMP[kind], entities)) for kind, entities in _entities(graph).items()}


def _entities(graph: SessionGraph) -> dict[EntityType, Sequence[Entity]]:
    """The graph's entities by kind, in the order of ``TABLES`` and in the graph's."""
    tasks = graph.tasks
    steps = [step for task in tasks for step in task.steps]
    calls = [call for step in steps for call in step.tool_calls]
    holders: Iterable[TaskGraph | StepGraph | ToolCallGraph] = chain(tasks, steps, calls)
    found: dict[EntityType, Sequence[Entity]] = {
        EntityType.SESSION: (graph,),
        EntityType.SESSION_EVENT: graph.events,
        EntityType.SESSION_TASK: tasks,
        EntityType.STEP: steps,
        EntityType.TOOL_CALL: calls,
        EntityType.ARTIFACT: [artifact for holder in holders for artifact in holder.artifacts],
    }
    return {kind: found[kind] for kind in TABLES}


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


def _is_insertable(found: Mapping[EntityType, Sequence[Sequence[Any]]]) -> bool:
    """Whether the rows of a new session are inserted unchanged: its stamp is the latest, and none has a version."""
    if any(any(found[kind][version]) for kind, version in VERSION.items()):
        return False
    (stamp,) = found[EntityType.SESSION][UPDATED[EntityType.SESSION]]
    if any(max(found[kind][UPDATED[kind]], default="") > stamp for kind in ACTIVITY):
        return False
    return None not in found[EntityType.ARTIFACT][CONTENT]
