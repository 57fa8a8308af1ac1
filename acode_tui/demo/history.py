"""What the demo's team did on the days before: made-up runs as finished graphs, with the times they would have had."""

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from acode_tui.demo.script import Call, Job, Move, Run, Script
from acode_tui.domain.codec import digest
from acode_tui.domain.entities import Artifact, SessionEvent, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.states import SessionState, ToolCallState, WorkState

OPEN = (SessionState.AWAITING_APPROVAL, SessionState.PAUSED, SessionState.EXECUTING)
"""States that the last event of a run may leave it in: it has not ended."""

_USERS = ("ada@example.org", "ada@example.org", "grace@example.org", "alan@example.org")
_SLOWNESS = 25.0
"""A made-up call of the demo takes a second; a real one's minutes are what a history should show."""


def past_runs(count: int, *, workspace_id: str, now: datetime, random: Random) -> Iterator[SessionGraph]:
    """Runs of the last days, the oldest first, the newest an hour or so ago. About one in five has not ended."""
    script = Script(random, pace=_SLOWNESS)
    for number in range(count, 0, -1):
        ended = now - timedelta(minutes=40) - timedelta(minutes=65) * (number + random.uniform(-0.4, 0.4))
        state = random.choice(OPEN) if number % 5 == 1 else None
        user = random.choice(_USERS)
        yield _Past(random, workspace_id, user).graph(script.run(), ended, state)


class _Past:
    """One run in the making: its ids, and a clock that moves with what is made."""

    def __init__(self, random: Random, workspace_id: str, user: str) -> None:
        self._random = random
        self._workspace_id = workspace_id
        self._user = user
        self._id = self._new_id()
        self._now = datetime.min

    def graph(self, run: Run, ended: datetime, state: SessionState | None) -> SessionGraph:
        seconds = sum(call.seconds for job in run.jobs for move in job.moves for call in move.calls)
        born = self._now = ended - timedelta(seconds=seconds)
        path = [SessionState.PLANNING, SessionState.EXECUTING]
        began = [self._event(SessionState.CREATED, path[0], "the request was read")]
        began.append(self._event(path[0], path[1], "the plan was approved"))
        tasks = tuple(self._task(order, job) for order, job in enumerate(run.jobs))
        final = state or _ending(tasks)
        events = tuple(began)
        if final is not SessionState.EXECUTING:
            events = (*began, self._event(path[1], final, _REASONS[final]))
        return SessionGraph(
            id=self._id,
            created_at=born,
            updated_at=self._now,
            task_description=run.description,
            state=final,
            metadata=run.metadata,
            user_id=self._user,
            workspace_id=self._workspace_id,
            tasks=tasks,
            events=events,
        )

    def _task(self, order: int, job: Job) -> TaskGraph:
        own, born = self._new_id(), self._now
        steps = tuple(self._step(own, place, move) for place, move in enumerate(job.moves))
        failed = any(step.state is WorkState.FAILED for step in steps)
        return TaskGraph(
            id=own,
            created_at=born,
            updated_at=self._now,
            session_id=self._id,
            title=job.title,
            state=WorkState.FAILED if failed else WorkState.COMPLETED,
            order=order,
            steps=steps,
        )

    def _step(self, task_id: str, order: int, move: Move) -> StepGraph:
        own, born = self._new_id(), self._now
        calls = tuple(self._call(own, place, call) for place, call in enumerate(move.calls))
        failed = any(call.error for call in move.calls)
        broken = WorkState.SKIPPED if move.given_up else WorkState.FAILED
        return StepGraph(
            id=own,
            created_at=born,
            updated_at=self._now,
            session_id=self._id,
            task_id=task_id,
            name=move.name,
            state=broken if failed else WorkState.COMPLETED,
            order=order,
            tool_calls=calls,
        )

    def _call(self, step_id: str, order: int, call: Call) -> ToolCallGraph:
        own, born = self._new_id(), self._now
        self._now += timedelta(seconds=call.seconds)
        content = call.content
        artifacts: tuple[Artifact, ...] = ()
        if content is not None:
            data = content.text.encode()
            artifact = Artifact(
                id=self._new_id(),
                created_at=self._now,
                updated_at=self._now,
                session_id=self._id,
                tool_call_id=own,
                type=content.type,
                name=content.name,
                content_hash=digest(data),
                content_type=content.content_type,
                size=len(data),
                content=data,
            )
            artifacts = (artifact,)
        return ToolCallGraph(
            id=own,
            created_at=born,
            updated_at=self._now,
            session_id=self._id,
            step_id=step_id,
            tool_name=call.tool,
            parameters=call.parameters,
            state=ToolCallState.FAILED if call.error else ToolCallState.SUCCEEDED,
            order=order,
            completed_at=self._now,
            result=None if call.error else call.result,
            error_message=call.error or None,
            artifacts=artifacts,
        )

    def _event(self, before: SessionState, after: SessionState, reason: str) -> SessionEvent:
        return SessionEvent(
            id=self._new_id(),
            created_at=self._now,
            updated_at=self._now,
            session_id=self._id,
            from_state=before,
            to_state=after,
            reason=reason,
            timestamp=self._now,
        )

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


_REASONS = {
    SessionState.AWAITING_APPROVAL: "the agent asks whether it may push",
    SessionState.PAUSED: "paused for the day",
    SessionState.COMPLETED: "the agent ended",
    SessionState.FAILED: "a tool call failed and the agent gave up",
}


def _ending(tasks: tuple[TaskGraph, ...]) -> SessionState:
    failed = any(task.state is WorkState.FAILED for task in tasks)
    return SessionState.FAILED if failed else SessionState.COMPLETED
