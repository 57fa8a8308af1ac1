"""A run with one row of each kind, parents before children."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from acode_tui.domain.codec import digest
from acode_tui.domain.entities import Artifact, SessionEvent, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState, WorkState
from tests.clocks import NOON

WORKSPACE_ID = "0190d6a1-0000-7000-8000-000000000001"


def ident(*parts: object) -> str:
    """An id determined by its parts."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, ":".join(map(str, parts))))


def make_run(
    number: int,
    *,
    description: str = "Add input validation",
    at: datetime = NOON,
    state: SessionState = SessionState.EXECUTING,
    calls: int = 2,
    **session: Any,
) -> SessionGraph:
    """Run ``number``: a task with a step, ``calls`` calls with an artifact each, and two events."""
    sid, task_id, step_id = (ident(number, name) for name in ("session", "task", "step"))
    times: dict[str, Any] = {"created_at": at, "updated_at": at}
    made = []
    for order in range(calls):
        call_id = ident(number, "call", order)
        content = f"content {number}.{order}\x00".encode()
        artifact = Artifact(
            id=ident(number, "artifact", order),
            session_id=sid,
            task_id=task_id,
            step_id=step_id,
            tool_call_id=call_id,
            type=ArtifactType.FILE_CONTENT,
            name=f"login-{order}.ts",
            content=content,
            content_hash=digest(content),
            content_type="text/plain",
            size=len(content),
            **times,
        )
        made.append(
            ToolCallGraph(
                id=call_id,
                session_id=sid,
                step_id=step_id,
                tool_name="read_file",
                parameters={"path": f"login-{order}.ts"},
                state=ToolCallState.SUCCEEDED,
                order=order,
                completed_at=at,
                result={"lines": order},
                artifacts=(artifact,),
                **times,
            )
        )
    step = StepGraph(
        id=step_id,
        session_id=sid,
        task_id=task_id,
        name="Read the form",
        state=WorkState.IN_PROGRESS,
        order=0,
        tool_calls=tuple(made),
        **times,
    )
    task = TaskGraph(
        id=task_id,
        session_id=sid,
        title="Analyse",
        description="as asked",
        state=WorkState.IN_PROGRESS,
        order=0,
        metadata={"n": number},
        steps=(step,),
        **times,
    )
    path = [SessionState.CREATED, SessionState.PLANNING, SessionState.EXECUTING]
    events = tuple(
        SessionEvent(
            id=ident(number, "event", n),
            session_id=sid,
            from_state=path[n],
            to_state=path[n + 1],
            reason="start",
            timestamp=at + timedelta(microseconds=n),
            **times,
        )
        for n in range(2)
    )
    fields: dict[str, Any] = {
        "id": sid,
        "task_description": description,
        "state": state,
        "workspace_id": WORKSPACE_ID,
        "user_id": "ada",
        "tasks": (task,),
        "events": events,
        **times,
        **session,
    }
    return SessionGraph(**fields)
