"""A step's state as its tool calls imply it: first match of all done, any failed, any executing, else its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.states import ToolCallState, WorkState
from acode_tui.domain.transitions import derive_step_state

work = st.sampled_from(WorkState)
call = st.sampled_from(ToolCallState)

FINAL = {"Completed", "Failed", "Skipped"}


def _expected(own: WorkState, calls: list[str]) -> str:
    if own in FINAL:
        return own
    if all(state in {"Succeeded", "Cancelled"} for state in calls):
        return "Completed"
    if "Failed" in calls:
        return "Failed"
    return "InProgress" if "Executing" in calls else own


@given(work, st.lists(call, min_size=1))
def test_a_step_follows_its_calls_unless_it_is_final(own: WorkState, calls: list[ToolCallState]) -> None:
    assert derive_step_state(own, calls) == _expected(own, [str(state) for state in calls])


@given(work)
def test_a_step_without_calls_keeps_its_state(own: WorkState) -> None:
    assert derive_step_state(own, []) is own


@given(work, st.lists(call), st.randoms())
def test_the_order_of_calls_does_not_matter(own: WorkState, calls: list[ToolCallState], random: object) -> None:
    shuffled = list(calls)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert derive_step_state(own, calls) is derive_step_state(own, shuffled)


@given(work, st.lists(call, min_size=1))
def test_deriving_twice_changes_nothing_more(own: WorkState, calls: list[ToolCallState]) -> None:
    once = derive_step_state(own, calls)
    assert derive_step_state(once, calls) is once


@pytest.mark.parametrize(
    ("calls", "state"),
    [
        ([ToolCallState.SUCCEEDED, ToolCallState.CANCELLED], WorkState.COMPLETED),
        ([ToolCallState.FAILED, ToolCallState.EXECUTING], WorkState.FAILED),
        ([ToolCallState.PENDING, ToolCallState.EXECUTING], WorkState.IN_PROGRESS),
        ([ToolCallState.PENDING, ToolCallState.SUCCEEDED], WorkState.PENDING),
    ],
)
def test_the_first_match_decides(calls: list[ToolCallState], state: WorkState) -> None:
    assert derive_step_state(WorkState.PENDING, calls) is state
