"""Exports of format version 1, made by builds before the first release: their runs in the present form. Pure.

An artifact always belonged to a tool call there. For a model's own words, a long prompt and a result without its call,
a call was made up, and a step where there was none yet. Times and contents stay as they were, and ids but for those of
imported rows that hang elsewhere now (``former_ids``).
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from msgspec.structs import replace

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
from acode_tui.ops.export.former_ids import PresentIds

FORMER_VERSION = 1
_PROMPT = "(prompt)"
_RESPONSE = "(response)"
_MADE_UP = frozenset({_RESPONSE, _PROMPT, "(unclaimed result)"})
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
    ids = PresentIds(run)
    return SessionGraph(**_columns(run), events=run.events, tasks=tuple(_task(task, ids) for task in run.tasks))


def _task(task: FormerTask, ids: PresentIds) -> TaskGraph:
    prompts = []
    for step in task.steps:
        for call in step.tool_calls:
            if call.tool_name == _PROMPT:
                placed = (_placed(each, call, task.id, None, None, ArtifactType.USER_PROMPT) for each in call.artifacts)
                prompts += [replace(each, id=ids.of_prompt(each, call.id)) for each in placed]
    steps = tuple(_step(step, task, ids) for step in task.steps if not _is_placeholder(step))
    return TaskGraph(**_columns(task), artifacts=tuple(prompts), steps=steps)


def _step(step: FormerStep, task: FormerTask, ids: PresentIds) -> StepGraph:
    step_id = ids.of_step(step, next((call.id for call in step.tool_calls if call.tool_name == _PROMPT), None))
    own: list[Artifact] = []
    calls = []
    for call in step.tool_calls:
        if call.tool_name == _PROMPT:
            continue
        held_by = None if call.is_made_up else call.id
        artifacts = [_placed(artifact, call, task.id, step_id, held_by) for artifact in call.artifacts]
        if held_by is not None:
            calls.append(ToolCallGraph(**_columns(call) | {"step_id": step_id}, artifacts=tuple(artifacts)))
        elif call.tool_name == _RESPONSE:
            own += [replace(each, id=ids.of_text(each, call.id, index)) for index, each in enumerate(artifacts)]
        else:
            key = call.parameters.get("callId") if isinstance(call.parameters, dict) else None
            labels = ["result", *(f"image-{index}" for index in range(len(artifacts)))]
            for each in artifacts:
                artifact_id, name = ids.of_result(each, call.id, key, labels)
                own.append(replace(each, id=artifact_id, name=name))
    return StepGraph(**_columns(step) | {"id": step_id}, artifacts=tuple(own), tool_calls=tuple(calls))


def _is_placeholder(step: FormerStep) -> bool:
    """Whether a step was made up to hold the prompt's call and holds nothing else."""
    is_marked = step.name == _PLACEHOLDER and (step.metadata or {}).get("carrier") is True
    return is_marked and all(call.tool_name == _PROMPT for call in step.tool_calls)


def _placed(
    artifact: FormerArtifact,
    held_by: FormerCall,
    task_id: str,
    step_id: str | None,
    call_id: str | None,
    type: ArtifactType | None = None,
) -> Artifact:
    if artifact.tool_call_id != held_by.id:
        raise ValidationError("tool_call_id", "is not the id of the tool call that holds the artifact")
    fields = {name: getattr(artifact, name) for name in artifact.__struct_fields__}
    fields["tool_call_id"] = call_id
    fields["type"] = type or artifact.type
    return Artifact(**fields, task_id=task_id, step_id=step_id)


def _columns(row: Entity) -> dict[str, Any]:
    return {name: getattr(row, name) for name in TABLES[row.kind].entity.__struct_fields__}
