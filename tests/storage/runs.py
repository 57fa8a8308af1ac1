"""Runs with every kind of row, and values that databases are known to reject or change."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

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
from acode_tui.domain.ids import idempotency_key
from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState, WorkState
from acode_tui.storage.delivery_protocol import ApplyRow
from tests.domain.graphs import strip_children

T0 = datetime(2026, 1, 5, 18, 23, 45, 123456, tzinfo=UTC)
E = TypeVar("E", bound=Entity)

AWKWARD_JSON: dict[str, Any] = {
    "b": [1, 1.0, 100.0, 1e23, 0.1, -0.0, 1e-7, 2**63, True, None, "", "ü", "\u2028", "'; DROP TABLE sessions; --"],
    "": {"nested": {"z": 1, "a": 2}},
    "a": "x" * 300,
}


def make_run(
    workspace_id: str,
    *,
    description: str = "Add input validation",
    calls: int = 2,
    at: datetime = T0,
    user: str | None = "ada",
    state: SessionState = SessionState.EXECUTING,
) -> SessionGraph:
    """A session with an event, a task with its prompt, a step with its reasoning, and calls with an artifact each."""
    session_id = str(uuid.uuid4())
    task_id, step_id = str(uuid.uuid4()), str(uuid.uuid4())
    times: dict[str, Any] = {"created_at": at, "updated_at": at}

    def artifact(
        type_: ArtifactType, name: str, content: bytes, step_id: str | None = None, call_id: str | None = None
    ) -> Artifact:
        return Artifact(
            id=str(uuid.uuid4()),
            session_id=session_id,
            task_id=task_id,
            step_id=step_id,
            tool_call_id=call_id,
            type=type_,
            name=name,
            content_hash=digest(content),
            content_type="text/plain",
            size=len(content),
            content=content,
            **times,
        )

    made = []
    for order in range(calls):
        call_id = str(uuid.uuid4())
        content = f"content {order}\x00".encode()
        read = artifact(ArtifactType.FILE_CONTENT, f"login-{order}.ts", content, step_id, call_id)
        made.append(
            ToolCallGraph(
                id=call_id,
                session_id=session_id,
                step_id=step_id,
                tool_name="read_file",
                parameters=AWKWARD_JSON if order == 0 else None,
                state=ToolCallState.SUCCEEDED,
                order=order,
                completed_at=at + timedelta(microseconds=1),
                result=[1, "two"] if order == 0 else None,
                artifacts=(read,),
                **times,
            )
        )
    step = StepGraph(
        id=step_id,
        session_id=session_id,
        task_id=task_id,
        name="Read the login form",
        state=WorkState.IN_PROGRESS,
        order=0,
        artifacts=(artifact(ArtifactType.REASONING, "reasoning", b"The form trusts its input.", step_id),),
        tool_calls=tuple(made),
        **times,
    )
    task = TaskGraph(
        id=task_id,
        session_id=session_id,
        title="Analyse",
        description="",
        state=WorkState.IN_PROGRESS,
        order=0,
        metadata={},
        artifacts=(artifact(ArtifactType.USER_PROMPT, "prompt", b"Please validate every field."),),
        steps=(step,),
        **times,
    )
    event = SessionEvent(
        id=str(uuid.uuid4()),
        session_id=session_id,
        from_state=SessionState.CREATED,
        to_state=SessionState.PLANNING,
        reason="start",
        timestamp=at,
        **times,
    )
    return SessionGraph(
        id=session_id,
        task_description=description,
        state=state,
        metadata=AWKWARD_JSON,
        user_id=user,
        workspace_id=workspace_id,
        tasks=(task,),
        events=(event,),
        **times,
    )


def run_of_tasks(workspace_id: str, steps: Iterable[int]) -> SessionGraph:
    """A run with a task for each number, of so many steps with a call each. Later rows are older by their ids."""
    run = make_run(workspace_id, calls=1)
    task = run.tasks[0]
    count = iter(range(1_000))

    def step(task_id: str, order: int) -> StepGraph:
        one = task.steps[0]
        step_id, call_id = str(uuid.uuid4()), str(uuid.uuid4())

        def moved(artifact: Artifact, owner: str | None) -> Artifact:
            at = T0 + timedelta(seconds=next(count))
            return replace(
                artifact,
                id=str(uuid.uuid4()),
                task_id=task_id,
                step_id=step_id,
                tool_call_id=owner,
                created_at=at,
                updated_at=at,
            )

        call = replace(
            one.tool_calls[0],
            id=call_id,
            step_id=step_id,
            artifacts=tuple(moved(each, call_id) for each in one.tool_calls[0].artifacts),
        )
        own = tuple(moved(each, None) for each in one.artifacts)
        return replace(one, id=step_id, task_id=task_id, order=order, artifacts=own, tool_calls=(call,))

    def of(number: int, order: int) -> TaskGraph:
        task_id = str(uuid.uuid4())
        own = tuple(replace(each, id=str(uuid.uuid4()), task_id=task_id) for each in task.artifacts)
        made = tuple(step(task_id, at) for at in range(number))
        return replace(task, id=task_id, order=order, artifacts=own, steps=made)

    return replace(run, tasks=tuple(of(number, order) for order, number in enumerate(steps)))


def plain(graph: SessionGraph) -> list[Entity]:
    """The run's rows, parents first."""
    return strip_children(graph.entities())


def session_of(entity: Entity) -> str:
    return getattr(entity, "session_id", entity.id)


def records(entities: Iterable[Entity], *, start: int = 1) -> list[ApplyRow]:
    """Outbox records of these rows, each based on its own ``sync_version``."""
    return [
        ApplyRow(
            record_id=number,
            idempotency_key=idempotency_key(entity.kind, entity.id, entity.updated_at),
            session_id=session_of(entity),
            entity=entity,
            base=getattr(entity, "sync_version", 0),
        )
        for number, entity in enumerate(entities, start)
    ]


def edited(entity: E, *, seconds: float = 1, **changes: Any) -> E:
    """The same row with changes and a later stamp."""
    moved = entity.updated_at + timedelta(seconds=seconds)
    return msgspec.structs.replace(entity, updated_at=moved, **changes)
