"""Exports of format version 1, made by builds before the first release: their runs in the present form. Pure.

An artifact always belonged to a tool call there. For a model's own words, a long prompt and a result without its call,
a call was made up, and a step where there was none yet. Ids, times and contents stay as they were.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from acode_tui.domain.entities import (
    Artifact,
    Entity,
    Session,
    SessionEvent,
    SessionGraph,
    SessionTask,
    Step,
    StepGraph,
    TaskGraph,
    ToolCall,
    ToolCallGraph,
)
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import ArtifactType, EntityType

FORMER_VERSION = 1
_PROMPT = "(prompt)"
_MADE_UP = frozenset({"(response)", _PROMPT, "(unclaimed result)"})
"""The names of the calls that were made up."""
_PLACEHOLDER = "(no answer yet)"


class FormerArtifact(Entity, frozen=True, kw_only=True, rename="camel", eq=False):
    """An artifact that names its tool call alone."""

    kind: ClassVar[EntityType] = EntityType.ARTIFACT

    session_id: str
    tool_call_id: str
    type: ArtifactType
    name: str
    content_hash: str
    content_type: str
    size: int
    content: bytes | None = None


class FormerCall(ToolCall, frozen=True, kw_only=True, rename="camel", eq=False):
    artifacts: tuple[FormerArtifact, ...] = ()

    @property
    def is_made_up(self) -> bool:
        return self.tool_name in _MADE_UP


class FormerStep(Step, frozen=True, kw_only=True, rename="camel", eq=False):
    tool_calls: tuple[FormerCall, ...] = ()


class FormerTask(SessionTask, frozen=True, kw_only=True, rename="camel", eq=False):
    steps: tuple[FormerStep, ...] = ()


class FormerRun(Session, frozen=True, kw_only=True, rename="camel", eq=False):
    """A whole run as a former export holds it."""

    tasks: tuple[FormerTask, ...] = ()
    events: tuple[SessionEvent, ...] = ()

    def kinds(self) -> Iterator[EntityType]:
        """The kind of every row."""
        yield EntityType.SESSION
        yield from (EntityType.SESSION_EVENT for _ in self.events)
        for task in self.tasks:
            yield EntityType.SESSION_TASK
            for step in task.steps:
                yield EntityType.STEP
                for call in step.tool_calls:
                    yield EntityType.TOOL_CALL
                    yield from (EntityType.ARTIFACT for _ in call.artifacts)


def present_form(run: FormerRun) -> SessionGraph:
    """The run without the calls that were made up: their artifacts hang on the task or the step.

    The orders of the siblings of what goes have gaps then; see ``merge_rules.renumbered``. Raises ValidationError where
    an artifact names another tool call than the one that holds it.
    """
    return SessionGraph(**_columns(run), events=run.events, tasks=tuple(map(_task, run.tasks)))


def _task(task: FormerTask) -> TaskGraph:
    prompts = [
        _placed(artifact, call, task, None, None, ArtifactType.USER_PROMPT)
        for step in task.steps
        for call in step.tool_calls
        if call.tool_name == _PROMPT
        for artifact in call.artifacts
    ]
    steps = tuple(_step(step, task) for step in task.steps if not _is_placeholder(step))
    return TaskGraph(**_columns(task), artifacts=tuple(prompts), steps=steps)


def _step(step: FormerStep, task: FormerTask) -> StepGraph:
    own = [
        _placed(artifact, call, task, step, None)
        for call in step.tool_calls
        if call.is_made_up and call.tool_name != _PROMPT
        for artifact in call.artifacts
    ]
    calls = tuple(
        ToolCallGraph(
            **_columns(call), artifacts=tuple(_placed(each, call, task, step, call) for each in call.artifacts)
        )
        for call in step.tool_calls
        if not call.is_made_up
    )
    return StepGraph(**_columns(step), artifacts=tuple(own), tool_calls=calls)


def _is_placeholder(step: FormerStep) -> bool:
    """Whether a step was made up to hold the prompt's call and holds nothing else."""
    is_marked = step.name == _PLACEHOLDER and (step.metadata or {}).get("carrier") is True
    return is_marked and all(call.tool_name == _PROMPT for call in step.tool_calls)


def _placed(
    artifact: FormerArtifact,
    held_by: FormerCall,
    task: FormerTask,
    step: FormerStep | None,
    call: FormerCall | None,
    type: ArtifactType | None = None,
) -> Artifact:
    if artifact.tool_call_id != held_by.id:
        raise ValidationError("tool_call_id", "is not the id of the tool call that holds the artifact")
    fields = {name: getattr(artifact, name) for name in artifact.__struct_fields__}
    fields["tool_call_id"] = None if call is None else call.id
    fields["type"] = type or artifact.type
    return Artifact(**fields, task_id=task.id, step_id=None if step is None else step.id)


def _columns(row: Entity) -> dict[str, Any]:
    return {name: getattr(row, name) for name in TABLES[row.kind].entity.__struct_fields__}
