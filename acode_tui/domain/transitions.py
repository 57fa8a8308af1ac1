"""State machines of sessions, tasks, steps and tool calls: valid targets, guards, and a step's state from its calls.

Pure. The writer applies the checks to the stored row, inside the transaction that changes it. A transition that is not
allowed raises TransitionError, which names the valid targets, and changes nothing.
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
"""Valid targets by state. A paused session can also return to the state before the pause: see ``session_targets``."""

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
WORK_DONE = frozenset({_W.COMPLETED, _W.SKIPPED})
TOOL_CALL_DONE = (_C.SUCCEEDED, _C.CANCELLED)
"""A tuple: looking for an enum in a set calls its hash, which is written in Python."""
_COMPLETED = _W.COMPLETED
_WORK_TERMINAL = tuple(state for state, targets in WORK_TARGETS.items() if not targets)


def session_targets(current: SessionState, paused_from: SessionState | None = None) -> tuple[SessionState, ...]:
    """The valid targets.

    ``paused_from`` is the state before the last pause; a session that was paused in Created resumes as Planning.
    """
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
                hint="complete or skip the open tasks; with a failed task the session can become Failed or Cancelled",
            )
    if target is _S.FAILED and not reason.strip():
        raise TransitionError("session cannot become Failed without a reason", hint="give the reason why it failed")


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
        raise TransitionError("tool call cannot become Failed without a message", hint="give an error message")


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


def derive_step_state(own: WorkState, calls: Collection[ToolCallState]) -> WorkState:
    """The state that a step's tool calls imply; ``own`` if it is final, if there are no calls or they imply none."""
    if not calls or own in _WORK_TERMINAL:
        return own
    for state in calls:
        if state not in TOOL_CALL_DONE:
            break
    else:
        return _COMPLETED
    if ToolCallState.FAILED in calls:
        return WorkState.FAILED
    if ToolCallState.EXECUTING in calls:
        return WorkState.IN_PROGRESS
    return own
