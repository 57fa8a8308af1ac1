"""The state that children imply for their parent. First match: all done, any failed, any running, else its own."""

from collections.abc import Collection

from acode_tui.domain.states import SessionState, ToolCallState, WorkState
from acode_tui.domain.transitions import SESSION_TERMINAL, TOOL_CALL_DONE, WORK_DONE

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
