"""A run as the rows that will be stored, made before anybody waits for the lock, if need be in another process.

It is made of plain lists, strings, numbers and bytes alone, so that any encoding carries it from one process to
another; values stand one after the other, because a list for each row would cost more to carry than the row. What only
the transaction knows, the moment of the write and what is stored already, is left to ``graph_save``.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

from acode_tui.domain.entities import Entity, SessionGraph
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite.runs.row_writes import prepared_records
from acode_tui.storage.sqlite.runs.rows import DUMP, Row

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
