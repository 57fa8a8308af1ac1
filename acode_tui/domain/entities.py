"""The six entities of a run and the graph they form. Immutable; equality and hash are by kind and id.

A graph node is a subclass of its entity that adds the children, so ``graph.state`` and ``graph.tasks`` are both plain
attributes, and its JSON nests as the hierarchy does.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from acode_tui.domain.states import (
    ArtifactType,
    EntityType,
    SessionState,
    ToolCallState,
    WorkState,
)

Json = dict[str, Any]
"""A JSON object."""

TRANSCRIPT, DELETED = "transcript", "deleted"
"""The metadata of a session, and of its tasks, of whose transcript its prompts alone are left."""


class Entity(msgspec.Struct, frozen=True, kw_only=True, rename="camel", eq=False, gc=False):
    """The fields that every row has. Times are aware UTC datetimes; ids are UUID strings."""

    kind: ClassVar[EntityType]

    id: str
    created_at: datetime
    updated_at: datetime

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entity) and self.kind is other.kind and self.id == other.id

    def __hash__(self) -> int:
        return hash((self.kind, self.id))


class Session(Entity, frozen=True, kw_only=True, rename="camel", eq=False, gc=False):
    """One run of an agent. ``sync_version`` is the row's version in PostgreSQL when the two were last equal."""

    kind: ClassVar[EntityType] = EntityType.SESSION

    task_description: str
    state: SessionState
    metadata: Json | None = None
    user_id: str | None = None
    workspace_id: str
    sync_version: int = 0


class SessionEvent(Entity, frozen=True, kw_only=True, rename="camel", eq=False, gc=False):
    """One change of a session's state, with its reason. Append-only."""

    kind: ClassVar[EntityType] = EntityType.SESSION_EVENT

    session_id: str
    from_state: SessionState
    to_state: SessionState
    reason: str
    timestamp: datetime


class SessionTask(Entity, frozen=True, kw_only=True, rename="camel", eq=False, gc=False):
    """One request within a session. ``order`` counts from 0 among siblings."""

    kind: ClassVar[EntityType] = EntityType.SESSION_TASK

    session_id: str
    title: str
    description: str | None = None
    state: WorkState
    order: int
    metadata: Json | None = None
    sync_version: int = 0


class Step(Entity, frozen=True, kw_only=True, rename="camel", eq=False, gc=False):
    """One step of the agent within a task."""

    kind: ClassVar[EntityType] = EntityType.STEP

    session_id: str
    task_id: str
    name: str
    description: str | None = None
    state: WorkState
    order: int
    metadata: Json | None = None
    sync_version: int = 0


class ToolCall(Entity, frozen=True, kw_only=True, rename="camel", eq=False, gc=False):
    """One call of a tool. ``parameters`` and ``result`` are JSON values."""

    kind: ClassVar[EntityType] = EntityType.TOOL_CALL

    session_id: str
    step_id: str
    tool_name: str
    parameters: Any
    state: ToolCallState
    order: int
    completed_at: datetime | None = None
    result: Any = None
    error_message: str | None = None
    sync_version: int = 0


class Artifact(Entity, frozen=True, kw_only=True, rename="camel", eq=False, gc=False):
    """A piece of content: a prompt, a model's own words, or what a tool call read or produced. Immutable.

    It hangs on a task, on one of the task's steps, or on one of the step's tool calls: ``step_id`` and ``tool_call_id``
    are None where they do not apply. ``content`` is None unless it was loaded: reads return the metadata, and
    ``RunStateReader.get_artifact_content`` reads the content. ``size`` is in bytes; ``content_hash`` is ``sha256:`` and
    64 hex digits.
    """

    kind: ClassVar[EntityType] = EntityType.ARTIFACT

    session_id: str
    task_id: str
    step_id: str | None = None
    tool_call_id: str | None = None
    type: ArtifactType
    name: str
    content_hash: str
    content_type: str
    size: int
    content: bytes | None = None


class ToolCallGraph(ToolCall, frozen=True, kw_only=True, rename="camel", eq=False, gc=False):
    """A tool call with its artifacts, in insertion order."""

    artifacts: tuple[Artifact, ...] = ()


class StepGraph(Step, frozen=True, kw_only=True, rename="camel", eq=False, gc=False):
    """A step with its own artifacts, in insertion order, and its tool calls, by ``order``."""

    artifacts: tuple[Artifact, ...] = ()
    tool_calls: tuple[ToolCallGraph, ...] = ()


class TaskGraph(SessionTask, frozen=True, kw_only=True, rename="camel", eq=False, gc=False):
    """A task with its own artifacts, in insertion order, and its steps, by ``order``."""

    artifacts: tuple[Artifact, ...] = ()
    steps: tuple[StepGraph, ...] = ()


class SessionGraph(Session, frozen=True, kw_only=True, rename="camel", eq=False, gc=False):
    """A whole run: the session, its tasks by ``order``, its events by time."""

    tasks: tuple[TaskGraph, ...] = ()
    events: tuple[SessionEvent, ...] = ()

    def entities(self) -> Iterator[Entity]:
        """Every entity of the run, each parent before its children, a row's own artifacts before its other children."""
        yield self
        yield from self.events
        for task in self.tasks:
            yield task
            yield from task.artifacts
            for step in task.steps:
                yield step
                yield from step.artifacts
                for call in step.tool_calls:
                    yield call
                    yield from call.artifacts


class SessionSummary(Session, frozen=True, kw_only=True, rename="camel", eq=False, gc=False):
    """A session as lists show it. ``sync`` is ``local``, ``pending``, ``retrying``, ``failed`` or ``synced``.

    ``child_count`` counts the stored runs that this run started, such as subagents. ``current_tool`` is the tool call
    that has begun last and not ended, of a run that is at work. ``last_reason`` is why its state changed last.
    """

    task_count: int = 0
    tasks_done: int = 0
    tool_call_count: int = 0
    failed_calls: int = 0
    artifact_count: int = 0
    child_count: int = 0
    current_tool: str | None = None
    current_tool_at: datetime | None = None
    last_reason: str | None = None
    sync: str = "local"
