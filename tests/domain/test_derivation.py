"""What children imply for their parent, as laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.states import SessionState, ToolCallState, WorkState
from acode_tui.domain.transitions import derive_session_state, derive_step_state, derive_task_state

work = st.sampled_from(WorkState)
call = st.sampled_from(ToolCallState)
session = st.sampled_from(SessionState)

FINAL_WORK = {"Completed", "Failed", "Skipped"}
HELD = {"Paused", "AwaitingApproval", "Completed", "Failed", "Cancelled"}


def _expected(children: list[str], done: set[str], running: str) -> str | None:
    """First match: all done, any failed, any running; None is the parent's own."""
    if all(child in done for child in children):
        return "Completed"
    if "Failed" in children:
        return "Failed"
    return "running" if running in children else None


@given(work, st.lists(call, min_size=1))
def test_a_step_follows_its_calls(own: WorkState, children: list[ToolCallState]) -> None:
    expected = _expected([str(c) for c in children], {"Succeeded", "Cancelled"}, "Executing")
    wanted = own if own in FINAL_WORK or expected is None else expected.replace("running", "InProgress")
    assert derive_step_state(own, children) == wanted


@given(work, st.lists(work, min_size=1))
def test_a_task_follows_its_steps(own: WorkState, children: list[WorkState]) -> None:
    expected = _expected([str(c) for c in children], {"Completed", "Skipped"}, "InProgress")
    wanted = own if own in FINAL_WORK or expected is None else expected.replace("running", "InProgress")
    assert derive_task_state(own, children) == wanted


@given(session, st.lists(work, min_size=1))
def test_a_session_follows_its_tasks(own: SessionState, children: list[WorkState]) -> None:
    expected = _expected([str(c) for c in children], {"Completed", "Skipped"}, "InProgress")
    wanted = own if own in HELD or expected is None else expected.replace("running", "Executing")
    assert derive_session_state(own, children) == wanted


@given(st.sampled_from(sorted(HELD)), st.lists(work))
def test_derivation_never_overrides_a_held_or_final_session(own: str, children: list[WorkState]) -> None:
    assert derive_session_state(SessionState(own), children) == own


@given(session, work)
def test_without_children_a_state_stays(own_session: SessionState, own: WorkState) -> None:
    assert derive_session_state(own_session, []) is own_session
    assert derive_task_state(own, []) is own
    assert derive_step_state(own, []) is own


@given(work, st.lists(call), st.randoms())
def test_the_order_of_children_does_not_matter(own: WorkState, children: list[ToolCallState], random: object) -> None:
    shuffled = list(children)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert derive_step_state(own, children) is derive_step_state(own, shuffled)


@given(session, st.lists(work, min_size=1))
def test_deriving_twice_changes_nothing_more(own: SessionState, children: list[WorkState]) -> None:
    once = derive_session_state(own, children)
    assert derive_session_state(once, children) is once


@pytest.mark.parametrize(
    ("children", "state"),
    [
        ([WorkState.COMPLETED, WorkState.SKIPPED], SessionState.COMPLETED),
        ([WorkState.FAILED, WorkState.IN_PROGRESS], SessionState.FAILED),
        ([WorkState.PENDING, WorkState.IN_PROGRESS], SessionState.EXECUTING),
        ([WorkState.PENDING, WorkState.COMPLETED], SessionState.PLANNING),
    ],
)
def test_the_first_match_decides(children: list[WorkState], state: SessionState) -> None:
    assert derive_session_state(SessionState.PLANNING, children) is state
