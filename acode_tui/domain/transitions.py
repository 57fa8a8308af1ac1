"""Which state may follow which, and under what guard. Pure: the writer calls these on the row as it is stored.

Every refusal is a TransitionError that names the valid targets; a refusal changes nothing.
"""

from collections.abc import Collection
from enum import StrEnum

from acode_tui.domain.errors import TransitionError
from acode_tui.domain.states import SessionState, ToolCallState, WorkState

_S = SessionState
_W = WorkState
_C = ToolCallState

SESSION_TARGETS: dict[SessionState, tuple[SessionState, ...]] = {
    _S.CREATED: (_S.PLANNING, _S.PAUSED, _S.FAILED, _S.CANCELLED),
    _S.PLANNING: (_S.AWAITING_APPROVAL, _S.EXECUTING, _S.PAUSED, _S.FAILED, _S.CANCELLED),
    _S.AWAITING_APPROVAL: (_S.EXECUTING, _S.PAUSED, _S.FAILED, _S.CANCELLED),
    _S.EXECUTING: (_S.AWAITING_APPROVAL, _S.PAUSED, _S.COMPLETED, _S.FAILED, _S.CANCELLED),
    _S.PAUSED: (_S.CANCELLED,),
    _S.COMPLETED: (),
    _S.FAILED: (),
    _S.CANCELLED: (),
}
"""Targets by state. Paused adds the one active state held before it: see ``session_targets``."""

WORK_TARGETS: dict[WorkState, tuple[WorkState, ...]] = {
    _W.PENDING: (_W.IN_PROGRESS, _W.FAILED, _W.SKIPPED),
    _W.IN_PROGRESS: (_W.COMPLETED, _W.FAILED, _W.SKIPPED),
    _W.COMPLETED: (),
    _W.FAILED: (),
    _W.SKIPPED: (),
}

TOOL_CALL_TARGETS: dict[ToolCallState, tuple[ToolCallState, ...]] = {
    _C.PENDING: (_C.EXECUTING,),
    _C.EXECUTING: (_C.SUCCEEDED, _C.FAILED, _C.CANCELLED),
    _C.SUCCEEDED: (),
    _C.FAILED: (),
    _C.CANCELLED: (),
}

SESSION_TERMINAL = frozenset(state for state, targets in SESSION_TARGETS.items() if not targets)
TOOL_CALL_TERMINAL = frozenset(state for state, targets in TOOL_CALL_TARGETS.items() if not targets)
WORK_DONE = frozenset({_W.COMPLETED, _W.SKIPPED})
TOOL_CALL_DONE = frozenset({_C.SUCCEEDED, _C.CANCELLED})


def session_targets(current: SessionState, paused_from: SessionState | None = None) -> tuple[SessionState, ...]:
    """The states that may follow. ``paused_from`` is the state before the last pause; Created resumes as Planning."""
    if current is not _S.PAUSED:
        return SESSION_TARGETS[current]
    resume = _S.PLANNING if paused_from in (None, _S.CREATED) else paused_from
    assert resume is not None
    return (resume, *SESSION_TARGETS[_S.PAUSED])


def check_session(
    current: SessionState,
    target: SessionState,
    *,
    task_states: Collection[WorkState],
    reason: str,
    paused_from: SessionState | None = None,
) -> None:
    """Raise TransitionError unless a session may go from ``current`` to ``target`` now."""
    _check_table("session", current, target, session_targets(current, paused_from))
    if target in (_S.EXECUTING, _S.AWAITING_APPROVAL) and not task_states:
        raise TransitionError(f"session cannot become {target} without a task", hint="add a task first")
    if target is _S.COMPLETED:
        if not task_states:
            raise TransitionError("session cannot become Completed without a task", hint="add a task first")
        undone = sum(state not in WORK_DONE for state in task_states)
        if undone:
            raise TransitionError(
                f"session cannot become Completed while {undone} of {len(task_states)} tasks have failed or are open",
                hint="complete or skip what is open; beside a failed task it can become Failed or Cancelled",
            )
    if target is _S.FAILED and not reason.strip():
        raise TransitionError("session cannot become Failed without a reason", hint="say why it failed")


def check_task(current: WorkState, target: WorkState, *, step_states: Collection[WorkState]) -> None:
    """Raise TransitionError unless a task may go from ``current`` to ``target`` now."""
    _check_table("task", current, target, WORK_TARGETS[current])
    if target is _W.COMPLETED:
        _check_children("task", "steps", sum(s not in WORK_DONE for s in step_states), len(step_states))


def check_step(current: WorkState, target: WorkState, *, call_states: Collection[ToolCallState]) -> None:
    """Raise TransitionError unless a step may go from ``current`` to ``target`` now."""
    _check_table("step", current, target, WORK_TARGETS[current])
    if target is _W.COMPLETED:
        _check_children("step", "tool calls", sum(s not in TOOL_CALL_DONE for s in call_states), len(call_states))


def check_tool_call(current: ToolCallState, target: ToolCallState, *, error_message: str | None = None) -> None:
    """Raise TransitionError unless a tool call may go from ``current`` to ``target`` now."""
    _check_table("tool call", current, target, TOOL_CALL_TARGETS[current])
    if target is _C.FAILED and not (error_message or "").strip():
        raise TransitionError("tool call cannot become Failed without a message", hint="say what went wrong")


def _check_table(what: str, current: StrEnum, target: StrEnum, targets: Collection[StrEnum]) -> None:
    if target in targets:
        return
    valid = ", ".join(targets) if targets else f"none, {current} is final"
    raise TransitionError(f"{what} cannot go from {current} to {target}", hint=f"valid targets: {valid}")


def _check_children(what: str, children: str, unfinished: int, total: int) -> None:
    if unfinished:
        raise TransitionError(
            f"{what} cannot become Completed while {unfinished} of {total} {children} have failed or are open",
            hint=f"finish its {children} first",
        )


_FINAL_WORK = frozenset({WorkState.COMPLETED, WorkState.FAILED, WorkState.SKIPPED})
_HELD = SESSION_TERMINAL | {SessionState.PAUSED, SessionState.AWAITING_APPROVAL}


def derive_step_state(own: WorkState, calls: Collection[ToolCallState]) -> WorkState:
    """A step's state from its tool calls'."""
    if not calls or own in _FINAL_WORK:
        return own
    if all(state in TOOL_CALL_DONE for state in calls):
        return WorkState.COMPLETED
    if ToolCallState.FAILED in calls:
        return WorkState.FAILED
    if ToolCallState.EXECUTING in calls:
        return WorkState.IN_PROGRESS
    return own


def derive_task_state(own: WorkState, steps: Collection[WorkState]) -> WorkState:
    """A task's state from its steps'."""
    if not steps or own in _FINAL_WORK:
        return own
    if all(state in WORK_DONE for state in steps):
        return WorkState.COMPLETED
    if WorkState.FAILED in steps:
        return WorkState.FAILED
    if WorkState.IN_PROGRESS in steps:
        return WorkState.IN_PROGRESS
    return own


def derive_session_state(own: SessionState, tasks: Collection[WorkState]) -> SessionState:
    """A session's state from its tasks'. Paused, AwaitingApproval and final states stay as they are."""
    if not tasks or own in _HELD:
        return own
    if all(state in WORK_DONE for state in tasks):
        return SessionState.COMPLETED
    if WorkState.FAILED in tasks:
        return SessionState.FAILED
    if WorkState.IN_PROGRESS in tasks:
        return SessionState.EXECUTING
    return own
