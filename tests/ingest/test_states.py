"""The session's state as the last lines of a file imply it, and the events that its lines imply."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from acode_tui.domain.states import SessionState, ToolCallState, WorkState
from tests.ingest.builders import Claude, Codex, calls_of, graph_of, read

S = SessionState


def prompt_only(found: Claude) -> None:
    found.user("Go")


def pending(found: Claude) -> None:
    prompt_only(found)
    found.calls("m1", "c1", "Bash")


def answered_call(found: Claude) -> None:
    pending(found)
    found.result("c1")


def answered(found: Claude) -> None:
    answered_call(found)
    found.says("m2", "Done")


def interrupted(found: Claude) -> None:
    pending(found)
    found.user([{"type": "text", "text": "[Request interrupted by user for tool use]"}])


def plan_waits(found: Claude) -> None:
    prompt_only(found)
    found.calls("m1", "c1", "ExitPlanMode", {"plan": "x"})


def question_waits(found: Claude) -> None:
    prompt_only(found)
    found.calls("m1", "c1", "AskUserQuestion")


def planning(found: Claude) -> None:
    prompt_only(found)
    found.calls("m1", "c1", "EnterPlanMode")
    found.result("c1")


def planning_by_mode(found: Claude) -> None:
    found.user("Go", permissionMode="plan")


def api_error(found: Claude) -> None:
    prompt_only(found)
    found.says("m1", "API Error: 500", model="<synthetic>", isApiErrorMessage=True)


def no_prompt(found: Claude) -> None:
    found.user("x", isMeta=True)


@pytest.mark.parametrize(
    ("story", "fresh", "stale"),
    [
        (prompt_only, S.EXECUTING, S.PAUSED),
        (pending, S.EXECUTING, S.PAUSED),
        (answered_call, S.EXECUTING, S.PAUSED),
        (answered, S.COMPLETED, S.COMPLETED),
        (interrupted, S.PAUSED, S.PAUSED),
        (plan_waits, S.AWAITING_APPROVAL, S.AWAITING_APPROVAL),
        (question_waits, S.AWAITING_APPROVAL, S.AWAITING_APPROVAL),
        (planning, S.PLANNING, S.PAUSED),
        (planning_by_mode, S.PLANNING, S.PAUSED),
        (api_error, S.FAILED, S.FAILED),
        (no_prompt, S.CREATED, S.CREATED),
    ],
)
def test_the_end_of_the_file_decides_the_session_s_state(
    story: Callable[[Claude], None], fresh: SessionState, stale: SessionState
) -> None:
    transcript = Claude()
    story(transcript)
    for is_fresh, expected in ((True, fresh), (False, stale)):
        parsed = read(transcript, fresh=is_fresh)
        assert parsed.graphs[0].state is expected
        assert (parsed.until is not None) == (is_fresh and fresh is not stale)
        events = parsed.graphs[0].events
        assert [event.to_state for event in events][-1:] in ([], [expected])


def test_a_call_without_a_result_waits_for_consent_for_a_day_at_most() -> None:
    """A user who is asked answers within the day, or not at all."""
    transcript = Claude()
    pending(transcript)
    for idle, expected in ((timedelta(hours=20), S.AWAITING_APPROVAL), (timedelta(hours=25), S.PAUSED)):
        parsed = read(transcript, idle=idle)
        assert parsed.graphs[0].state is expected
        assert (parsed.until is not None) is (expected is S.AWAITING_APPROVAL)


def test_a_fresh_copy_of_an_old_file_is_not_at_work() -> None:
    """The lines say when the agent worked last, whatever the modification time of the copy says."""
    transcript = Claude()
    prompt_only(transcript)
    parsed = read(transcript, idle=timedelta(days=300), written=timedelta())
    assert parsed.graphs[0].state is S.PAUSED
    assert parsed.until is None


@pytest.mark.parametrize(
    ("line", "file", "state"),
    [(9, 500_000, SessionState.EXECUTING), (11, 0, SessionState.PAUSED), (-60, 0, SessionState.EXECUTING)],
)
def test_the_last_line_decides_whether_a_run_is_idle_unless_its_clock_ran_ahead(
    line: int, file: int, state: SessionState
) -> None:
    found = Claude()
    found.user("Go")
    idle = timedelta(minutes=line)
    (graph,) = read(found, idle=idle, written=timedelta(minutes=file)).graphs
    assert graph.state is state
    if line < 0:
        (graph,) = read(found, idle=idle, written=timedelta(minutes=11)).graphs
        assert graph.state is SessionState.PAUSED


def test_events_form_a_whole_chain_from_created_to_the_present_state() -> None:
    transcript = Claude()
    planning(transcript)
    transcript.calls("m2", "c2", "ExitPlanMode")
    transcript.result("c2", "approved")
    transcript.calls("m3", "c3", "Bash")
    transcript.user("[Request interrupted by user]")
    transcript.user("Go on")
    transcript.says("m4", "Done")
    graph = graph_of(transcript)
    state = S.CREATED
    for event in graph.events:
        assert event.from_state is state
        assert "inferred=true line=" in event.reason
        state = event.to_state
    assert state is graph.state is S.COMPLETED
    assert {S.PLANNING, S.AWAITING_APPROVAL, S.PAUSED} <= {event.to_state for event in graph.events}
    times = [event.timestamp for event in graph.events]
    assert times == sorted(set(times))


def test_an_interrupted_task_failed_and_says_why() -> None:
    transcript = Claude()
    interrupted(transcript)
    transcript.user("Something else")
    transcript.says("m2", "Done")
    first, second = graph_of(transcript).tasks
    assert (first.state, (first.metadata or {})["reason"]) == (WorkState.FAILED, "interrupted")
    assert second.state is WorkState.COMPLETED


def test_a_prompt_without_an_answer_is_skipped() -> None:
    transcript = Claude()
    transcript.user("First thought")
    transcript.user("Second thought")
    transcript.says("m1", "Done")
    assert [task.state for task in graph_of(transcript).tasks] == [WorkState.SKIPPED, WorkState.COMPLETED]


def test_a_call_without_result_is_executing_at_the_end_and_cancelled_before_it() -> None:
    transcript = Claude()
    pending(transcript)
    transcript.calls("m2", "c2", "Bash")
    first, last = calls_of(graph_of(transcript, fresh=True))
    assert (first.state, first.error_message) == (ToolCallState.CANCELLED, "no result followed")
    assert first.completed_at is not None
    assert (last.state, last.completed_at, last.error_message) == (ToolCallState.EXECUTING, None, None)


def test_an_open_turn_of_codex_is_executing_while_fresh_and_paused_after() -> None:
    transcript = Codex()
    transcript.event("task_started", turn_id="t1")
    transcript.event("user_message", message="Go")
    transcript.says("Let me see")
    assert graph_of(transcript, fresh=True).state is S.EXECUTING
    assert graph_of(transcript).state is S.PAUSED
    transcript.event("task_complete", turn_id="t1")
    assert graph_of(transcript).state is S.COMPLETED


def test_a_failed_codex_turn_fails_the_session() -> None:
    transcript = Codex()
    transcript.prompt("Go")
    transcript.event("error", message="stream disconnected")
    assert graph_of(transcript).state is S.FAILED
