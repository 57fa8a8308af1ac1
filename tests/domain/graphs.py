"""Hypothesis strategies for whole runs: every field filled with well-formed but hostile values."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from acode_tui.domain.codec import digest
from acode_tui.domain.entities import (
    Artifact,
    Entity,
    SessionEvent,
    SessionGraph,
    StepGraph,
    TaskGraph,
    ToolCallGraph,
)
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState, WorkState
from acode_tui.storage.ports import SessionPart

HOSTILE = (
    "'; DROP TABLE sessions; --",
    '" OR "1"="1',
    "[/bold][link=javascript:alert(1)]x[/link]",
    "\x1b]0;owned\x07\x1b[31m",
    "\u202eevil\u2066",
    "line\r\nline\u2028line\u2029",
    "\ue0000000",
    "café e\u0301 \U0001f469\u200d\U0001f4bb",
    "%s %(x)s {0} ${HOME} `id`",
    "?1 :name @name $name",
    "\ufeff\ufffe\uffff",
    " leading and trailing ",
)
"""Texts that have broken databases, terminals or templates; each of them may be recorded."""

text = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=40),
)
filled = text.filter(lambda value: bool(value.strip()))
moments = st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))
ids = st.uuids().map(str)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        text,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=6,
)
objects = st.one_of(st.none(), st.dictionaries(text, json_values, max_size=3))


@st.composite
def _times(draw: st.DrawFn) -> dict[str, Any]:
    created, updated = sorted((draw(moments), draw(moments)))
    return {"created_at": created, "updated_at": updated}


@st.composite
def artifacts(
    draw: st.DrawFn, session_id: str, task_id: str, step_id: str | None = None, call_id: str | None = None
) -> Artifact:
    content = draw(st.binary(max_size=40))
    return Artifact(
        id=draw(ids),
        session_id=session_id,
        task_id=task_id,
        step_id=step_id,
        tool_call_id=call_id,
        type=draw(st.sampled_from(ArtifactType)),
        name=draw(filled),
        content_hash=digest(content),
        content_type="application/octet-stream",
        size=len(content),
        content=content,
        **draw(_times()),
    )


@st.composite
def calls(draw: st.DrawFn, session_id: str, task_id: str, step_id: str, order: int) -> ToolCallGraph:
    call_id, times = draw(ids), draw(_times())
    return ToolCallGraph(
        id=call_id,
        session_id=session_id,
        step_id=step_id,
        tool_name=draw(filled),
        parameters=draw(json_values),
        state=draw(st.sampled_from(ToolCallState)),
        order=order,
        completed_at=draw(st.sampled_from([None, times["updated_at"]])),
        result=draw(json_values),
        error_message=draw(st.one_of(st.none(), text)),
        artifacts=tuple(draw(st.lists(artifacts(session_id, task_id, step_id, call_id), max_size=2))),
        **times,
    )


@st.composite
def steps(draw: st.DrawFn, session_id: str, task_id: str, order: int) -> StepGraph:
    step_id = draw(ids)
    return StepGraph(
        id=step_id,
        session_id=session_id,
        task_id=task_id,
        name=draw(filled),
        description=draw(st.one_of(st.none(), text)),
        state=draw(st.sampled_from(WorkState)),
        order=order,
        metadata=draw(objects),
        artifacts=tuple(draw(st.lists(artifacts(session_id, task_id, step_id), max_size=1))),
        tool_calls=tuple(draw(calls(session_id, task_id, step_id, n)) for n in range(draw(st.integers(0, 2)))),
        **draw(_times()),
    )


@st.composite
def tasks(draw: st.DrawFn, session_id: str, order: int) -> TaskGraph:
    task_id = draw(ids)
    return TaskGraph(
        id=task_id,
        session_id=session_id,
        title=draw(filled),
        description=draw(st.one_of(st.none(), text)),
        state=draw(st.sampled_from(WorkState)),
        order=order,
        metadata=draw(objects),
        artifacts=tuple(draw(st.lists(artifacts(session_id, task_id), max_size=1))),
        steps=tuple(draw(steps(session_id, task_id, n)) for n in range(draw(st.integers(0, 2)))),
        **draw(_times()),
    )


@st.composite
def events(draw: st.DrawFn, session_id: str) -> SessionEvent:
    return SessionEvent(
        id=draw(ids),
        session_id=session_id,
        from_state=draw(st.sampled_from(SessionState)),
        to_state=draw(st.sampled_from(SessionState)),
        reason=draw(text),
        timestamp=draw(moments),
        **draw(_times()),
    )


@st.composite
def graphs(draw: st.DrawFn) -> SessionGraph:
    """A run that the store accepts."""
    session_id = draw(ids)
    return SessionGraph(
        id=session_id,
        task_description=draw(filled),
        state=draw(st.sampled_from(SessionState)),
        metadata=draw(objects),
        user_id=draw(st.one_of(st.none(), text)),
        workspace_id=str(UUID(int=7)),
        sync_version=draw(st.integers(0, 2**40)),
        tasks=tuple(draw(tasks(session_id, n)) for n in range(draw(st.integers(0, 2)))),
        events=tuple(draw(st.lists(events(session_id), max_size=2))),
        **draw(_times()),
    )


def strip_children(entities: Iterable[Entity]) -> list[Entity]:
    """The same entities as plain rows: graph nodes reduced to their own columns."""
    rows = []
    for entity in entities:
        own = TABLES[entity.kind].entity
        rows.append(own(**{name: getattr(entity, name) for name in own.__struct_fields__}))
    return rows


def part_of(graph: SessionGraph, steps: int, *, from_end: bool) -> SessionPart:
    """What ``RunStateReader.get_part`` returns of a run."""
    way = -1 if from_end else 1
    kept: list[TaskGraph] = []
    left = steps
    for task in graph.tasks[::way][:steps]:
        found = task.steps[::way][:left]
        if task.steps and not found:
            break
        left -= len(found)
        kept.append(msgspec.structs.replace(task, steps=found[::way]))
        if len(found) < len(task.steps):
            break
    part = msgspec.structs.replace(graph, tasks=tuple(kept[::way]))
    whole = [*part.entities()] == [*graph.entities()]
    return SessionPart(graph=part, whole=whole)
