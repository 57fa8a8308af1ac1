"""Every transition of the table is allowed under its guards, and no other. The table is repeated here independently."""

import pytest

from acode_tui.domain.errors import TransitionError
from acode_tui.domain.states import SessionState, ToolCallState, WorkState
from acode_tui.domain.transitions import (
    check_session,
    check_step,
    check_task,
    check_tool_call,
    session_targets,
)

SESSION_TABLE = """
Created          -> Planning Paused Failed Cancelled
Planning         -> AwaitingApproval Executing Paused Failed Cancelled
AwaitingApproval -> Executing Paused Failed Cancelled
Executing        -> AwaitingApproval Paused Completed Failed Cancelled
Paused           -> Cancelled
Completed        ->
Failed           ->
Cancelled        ->
"""
WORK_TABLE = """
Pending    -> InProgress Failed Skipped
InProgress -> Completed Failed Skipped
Completed  ->
Failed     ->
Skipped    ->
"""
CALL_TABLE = """
Pending   -> Executing
Executing -> Succeeded Failed Cancelled
Succeeded ->
Failed    ->
Cancelled ->
"""
RESUMES = {"Created": "Planning", "Planning": "Planning", "AwaitingApproval": "AwaitingApproval"}
RESUMES["Executing"] = "Executing"


def _table(text: str) -> dict[str, set[str]]:
    rows = (line.partition("->") for line in text.strip().splitlines())
    return {name.strip(): set(targets.split()) for name, _, targets in rows}


SESSIONS, WORK, CALLS = _table(SESSION_TABLE), _table(WORK_TABLE), _table(CALL_TABLE)


def test_the_tables_of_this_test_name_every_state() -> None:
    assert set(SESSIONS) == {str(state) for state in SessionState}
    assert set(WORK) == {str(state) for state in WorkState}
    assert set(CALLS) == {str(state) for state in ToolCallState}


@pytest.mark.parametrize("target", SessionState, ids=str)
@pytest.mark.parametrize("current", SessionState, ids=str)
def test_a_session_allows_exactly_the_transitions_of_the_table(current: SessionState, target: SessionState) -> None:
    """All 64 pairs with every guard satisfied. Paused was entered from Executing and may return to it."""
    allowed = SESSIONS[current] | ({"Executing"} if current is SessionState.PAUSED else set())

    def attempt() -> None:
        check_session(
            current,
            target,
            task_states=[WorkState.COMPLETED],
            reason="because",
            paused_from=SessionState.EXECUTING,
        )

    if target in allowed:
        attempt()
        return
    with pytest.raises(TransitionError) as refused:
        attempt()
    assert refused.value.code == "ACODE-SESSION-001"
    assert current in refused.value.message
    assert target in refused.value.message
    for name in allowed:
        assert name in refused.value.hint


@pytest.mark.parametrize(("before", "resumed"), RESUMES.items())
def test_paused_resumes_only_the_state_held_before(before: str, resumed: str) -> None:
    targets = session_targets(SessionState.PAUSED, SessionState(before))
    assert set(targets) == {SessionState(resumed), SessionState.CANCELLED}


def test_paused_with_an_unknown_past_resumes_as_planning() -> None:
    assert session_targets(SessionState.PAUSED)[0] is SessionState.PLANNING


def test_the_error_says_that_a_final_state_is_final() -> None:
    with pytest.raises(TransitionError) as refused:
        check_session(SessionState.FAILED, SessionState.PLANNING, task_states=[], reason="")
    assert "none, Failed is final" in refused.value.hint


@pytest.mark.parametrize("target", [SessionState.EXECUTING, SessionState.AWAITING_APPROVAL])
def test_a_session_without_tasks_neither_executes_nor_awaits_approval(target: SessionState) -> None:
    with pytest.raises(TransitionError, match="without a task"):
        check_session(SessionState.PLANNING, target, task_states=[], reason="")
    check_session(SessionState.PLANNING, target, task_states=[WorkState.PENDING], reason="")


@pytest.mark.parametrize("state", WorkState, ids=str)
def test_a_session_completes_only_when_every_task_is_completed_or_skipped(state: WorkState) -> None:
    def attempt() -> None:
        check_session(
            SessionState.EXECUTING, SessionState.COMPLETED, task_states=[WorkState.COMPLETED, state], reason=""
        )

    if state in ("Completed", "Skipped"):
        attempt()
        return
    with pytest.raises(TransitionError, match="1 of 2 tasks have failed or are open"):
        attempt()


def test_a_session_without_tasks_does_not_complete() -> None:
    with pytest.raises(TransitionError, match="without a task"):
        check_session(SessionState.EXECUTING, SessionState.COMPLETED, task_states=[], reason="")


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
def test_a_session_fails_only_with_a_reason(reason: str) -> None:
    with pytest.raises(TransitionError, match="without a reason"):
        check_session(SessionState.CREATED, SessionState.FAILED, task_states=[], reason=reason)
    check_session(SessionState.CREATED, SessionState.CANCELLED, task_states=[], reason=reason)


@pytest.mark.parametrize("target", WorkState, ids=str)
@pytest.mark.parametrize("current", WorkState, ids=str)
@pytest.mark.parametrize("kind", ["task", "step"])
def test_tasks_and_steps_allow_exactly_the_tables_transitions(kind: str, current: WorkState, target: WorkState) -> None:
    def attempt() -> None:
        if kind == "task":
            check_task(current, target, step_states=[])
        else:
            check_step(current, target, call_states=[])

    if target in WORK[current]:
        attempt()
        return
    with pytest.raises(TransitionError) as refused:
        attempt()
    assert all(name in refused.value.hint for name in WORK[current])


@pytest.mark.parametrize("child", WorkState, ids=str)
def test_a_task_completes_when_its_steps_are_completed_or_skipped(child: WorkState) -> None:
    def attempt() -> None:
        check_task(WorkState.IN_PROGRESS, WorkState.COMPLETED, step_states=[WorkState.SKIPPED, child])

    if child in ("Completed", "Skipped"):
        attempt()
    else:
        with pytest.raises(TransitionError, match="1 of 2 steps"):
            attempt()


@pytest.mark.parametrize("child", ToolCallState, ids=str)
def test_a_step_completes_when_its_calls_succeeded_or_were_cancelled(child: ToolCallState) -> None:
    def attempt() -> None:
        check_step(WorkState.IN_PROGRESS, WorkState.COMPLETED, call_states=[ToolCallState.SUCCEEDED, child])

    if child in ("Succeeded", "Cancelled"):
        attempt()
    else:
        with pytest.raises(TransitionError, match="1 of 2 tool calls"):
            attempt()


def test_a_parent_may_fail_or_be_skipped_in_any_states_of_its_children() -> None:
    check_task(WorkState.IN_PROGRESS, WorkState.FAILED, step_states=[WorkState.IN_PROGRESS])
    check_step(WorkState.IN_PROGRESS, WorkState.SKIPPED, call_states=[ToolCallState.EXECUTING])


@pytest.mark.parametrize("target", ToolCallState, ids=str)
@pytest.mark.parametrize("current", ToolCallState, ids=str)
def test_a_tool_call_allows_exactly_the_transitions_of_the_table(current: ToolCallState, target: ToolCallState) -> None:
    if target in CALLS[current]:
        check_tool_call(current, target, error_message="it broke")
        return
    with pytest.raises(TransitionError) as refused:
        check_tool_call(current, target, error_message="it broke")
    assert all(name in refused.value.hint for name in CALLS[current])


@pytest.mark.parametrize("message", [None, "", " \t"])
def test_a_tool_call_fails_only_with_a_message(message: str | None) -> None:
    with pytest.raises(TransitionError, match="without a message"):
        check_tool_call(ToolCallState.EXECUTING, ToolCallState.FAILED, error_message=message)
    check_tool_call(ToolCallState.EXECUTING, ToolCallState.CANCELLED, error_message=message)
