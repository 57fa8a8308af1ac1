"""A run's graph, whole or in part, from PostgreSQL. The content of artifacts is not loaded."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from acode_tui.domain.entities import (
    Session,
    SessionEvent,
    SessionGraph,
    StepGraph,
    TaskGraph,
    ToolCallGraph,
)
from acode_tui.domain.schema import TABLES, parent_of
from acode_tui.domain.states import EntityType
from acode_tui.storage.ports import SessionPart
from acode_tui.storage.postgres.identifiers import Connection
from acode_tui.storage.postgres.rows import entity_from_row, entity_values, has_known_names, select_list

_Nodes = dict[str, list[Any]]
"""Graph nodes by their parent's id, in order."""

_OLDEST_FIRST = "ORDER BY created_at, id"
_IN_ORDER = 'ORDER BY "order", created_at, id'
_FROM_END = 'ORDER BY "order" DESC, created_at DESC, id DESC'
_NODES: dict[EntityType, Any] = {
    EntityType.SESSION_TASK: TaskGraph,
    EntityType.STEP: StepGraph,
    EntityType.TOOL_CALL: ToolCallGraph,
}


async def read_graph(connection: Connection, schema: str, session: Session) -> SessionGraph:
    """The whole run of a session, with one query a table."""

    async def read(kind: EntityType, order: str) -> Sequence[Any]:
        return await _rows(connection, schema, kind, f"WHERE session_id = $1 {order}", session.id)

    artifacts = await read(EntityType.ARTIFACT, _OLDEST_FIRST)
    calls = await read(EntityType.TOOL_CALL, _IN_ORDER)
    steps = await read(EntityType.STEP, _IN_ORDER)
    tasks = await read(EntityType.SESSION_TASK, _IN_ORDER)
    return _graph(session, tasks, steps, calls, artifacts, await read_events(connection, schema, session.id))


async def read_part(
    connection: Connection, schema: str, session: Session, count: int, *, from_end: bool
) -> SessionPart:
    """The first or the last ``count`` steps of a session, and at most as many tasks."""
    order = _FROM_END if from_end else _IN_ORDER

    async def read(kind: EntityType, rest: str, *arguments: object) -> Sequence[Any]:
        return await _rows(connection, schema, kind, f"WHERE session_id = $1 {rest}", session.id, *arguments)

    tasks = await read(EntityType.SESSION_TASK, f"{order} LIMIT {count + 1}")
    whole, tasks = len(tasks) <= count, tasks[:count]
    places = {task["id"]: place for place, task in enumerate(tasks)}
    steps = await read(
        EntityType.STEP,
        "AND task_id = ANY($2::uuid[]) "
        f"{order.replace('BY', 'BY array_position($2::uuid[], task_id),')} LIMIT {count + 1}",
        list(places),
    )
    if len(steps) > count:
        whole, left_out = False, places[steps[count]["task_id"]]
        steps = steps[:count]
        continued = bool(steps) and places[steps[-1]["task_id"]] == left_out
        tasks = tasks[: left_out + continued]
    if from_end:
        tasks, steps = tasks[::-1], steps[::-1]
    step_ids = [step["id"] for step in steps]
    calls = await read(EntityType.TOOL_CALL, f"AND step_id = ANY($2::uuid[]) {_IN_ORDER}", step_ids)
    artifacts = await read(
        EntityType.ARTIFACT,
        f"AND (step_id = ANY($2::uuid[]) OR (step_id IS NULL AND task_id = ANY($3::uuid[]))) {_OLDEST_FIRST}",
        step_ids,
        [task["id"] for task in tasks],
    )
    events = await read_events(connection, schema, session.id)
    return SessionPart(graph=_graph(session, tasks, steps, calls, artifacts, events), whole=whole)


async def read_events(connection: Connection, schema: str, session_id: str) -> tuple[SessionEvent, ...]:
    """A session's events, oldest first."""
    kind = EntityType.SESSION_EVENT
    found = await _rows(connection, schema, kind, "WHERE session_id = $1 ORDER BY timestamp, id", session_id)
    return tuple(
        SessionEvent(**entity_values(TABLES[kind].columns, row)) for row in found if has_known_names(kind, row)
    )


async def _rows(connection: Connection, schema: str, kind: EntityType, rest: str, *arguments: object) -> Sequence[Any]:
    table = TABLES[kind]
    found: Sequence[Any] = await connection.fetch(
        f"SELECT {select_list(table)} FROM {schema}.{table.name} {rest}",  # noqa: S608
        *arguments,
    )
    return found


def _graph(
    session: Session,
    tasks: Iterable[Any],
    steps: Iterable[Any],
    calls: Iterable[Any],
    artifacts: Iterable[Any],
    events: tuple[SessionEvent, ...],
) -> SessionGraph:
    hanging = _by_holder(artifacts)
    below_steps = _by_parent(EntityType.TOOL_CALL, calls, {"artifacts": hanging})
    below_tasks = _by_parent(EntityType.STEP, steps, {"artifacts": hanging, "tool_calls": below_steps})
    below = _by_parent(EntityType.SESSION_TASK, tasks, {"artifacts": hanging, "steps": below_tasks})
    own = {name: getattr(session, name) for name in Session.__struct_fields__}
    return SessionGraph(**own, tasks=tuple(below.get(session.id, ())), events=events)


def _by_holder(found: Iterable[Any]) -> _Nodes:
    """Artifacts by the id of the row that each hangs on, in order."""
    grouped: _Nodes = {}
    for row in filter(partial(has_known_names, EntityType.ARTIFACT), found):
        artifact = entity_from_row(EntityType.ARTIFACT, row)
        holder = parent_of(artifact)
        assert holder is not None
        grouped.setdefault(holder[1], []).append(artifact)
    return grouped


def _by_parent(kind: EntityType, found: Iterable[Any], below: dict[str, _Nodes]) -> _Nodes:
    """Rows of one kind by their parent's id, in order, each with its children by field."""
    table = TABLES[kind]
    ((parent, _),) = table.parents
    grouped: _Nodes = {}
    for row in filter(partial(has_known_names, kind), found):
        values = entity_values(table.columns, row)
        children: dict[str, Any] = {field: tuple(nodes.get(values["id"], ())) for field, nodes in below.items()}
        grouped.setdefault(values[parent], []).append(_NODES[kind](**values, **children))
    return grouped
