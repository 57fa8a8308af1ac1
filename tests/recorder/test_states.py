"""What an agent says of its run while it goes on: approvals, pauses, model calls, words, files and changes."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acode_tui import recorder
from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.transitions import SESSION_TARGETS
from acode_tui.recorder.files import MAX_COMPARED_LINES, unified_diff
from tests.recorder.conftest import Recorded

TOKENS = {"input": 10, "output": 5, "cacheRead": 3, "cacheWrite": 1}


def moves(graph: SessionGraph) -> list[tuple[str, str]]:
    return [(str(event.to_state), event.reason) for event in graph.events]


def test_an_approval_is_awaited_and_given(folder: Path, recorded: Recorded) -> None:
    with recorder.session("Tidy up", folder) as run:
        run.await_approval("may build/ be deleted?")
        run.approve("yes, by ada")
        run.approve("a second answer changes nothing")
    [graph] = recorded()
    assert [to for to, _ in moves(graph)] == [
        "Planning",
        "Executing",
        "AwaitingApproval",
        "Executing",
        "Completed",
    ]
    assert ("AwaitingApproval", "may build/ be deleted?") in moves(graph)
    assert run.lost == 0


def test_a_refusal_ends_the_run_as_cancelled(folder: Path, recorded: Recorded) -> None:
    with recorder.session("Tidy up", folder) as run, run.task("Delete"):
        run.await_approval()
        run.reject("no: it is somebody else's")
    [graph] = recorded()
    assert moves(graph)[-2:] == [
        ("AwaitingApproval", "approval is awaited"),
        ("Cancelled", "no: it is somebody else's"),
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_that_ends_paused_ends_as_its_block_says(folder: Path, recorded: Recorded, fails: bool) -> None:
    with recorder.session("Wait", folder) as run:
        run.pause("at the weekend")
        run.resume()
        with run.task("Work"):
            run.pause("at night")
        if fails:
            run.fail("the disk was gone")
    [graph] = recorded()
    states = [to for to, _ in moves(graph)]
    assert states == [
        "Planning",
        "Paused",
        "Planning",
        "Executing",
        "Paused",
        "Executing",
        "Failed" if fails else "Completed",
    ]
    assert run.lost == 0


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=st.lists(st.sampled_from(["await_approval", "approve", "pause", "resume", "task", "reject"]), max_size=8))
def test_any_order_of_these_is_recorded_without_a_loss(folder: Path, recorded: Recorded, steps: list[str]) -> None:
    """Each is taken where the rules allow it and does nothing elsewhere; the run always reaches its end."""
    before = len(recorded())
    with recorder.session("Any order", folder) as run:
        for step in steps:
            if step == "task":
                with run.task("Work"):
                    pass
            else:
                getattr(run, step)()
    assert run.lost == 0
    graph = recorded()[before]
    assert not SESSION_TARGETS[graph.state]


def test_model_calls_add_up_in_their_step_and_in_the_run(folder: Path, recorded: Recorded) -> None:
    with recorder.session("Count", folder, metadata={"agent": "mine"}) as run, run.task("Ask") as task:
        with task.step("first", metadata={"turn": 1}) as step:
            step.usage(model="small", input=4, output=2, cost=0.25)
            step.usage(model="large", input=6, output=3, cache_read=3, cache_write=1, cost=0.5)
        with task.step("second") as step:
            step.usage(output=7)
            step.usage(model="small", input=-1, output=True, cost=float("nan"))
        with task.step("third"):
            pass
    [graph] = recorded()
    first, second, third = graph.tasks[0].steps
    assert first.metadata == {"turn": 1, "model": "large", "tokens": TOKENS, "cost": 0.75}
    assert second.metadata == {"model": "small", "tokens": {**dict.fromkeys(TOKENS, 0), "output": 7}}
    assert third.metadata is None
    assert graph.metadata == {
        "agent": "mine",
        "models": ["small", "large"],
        "tokens": {**TOKENS, "output": 12},
        "cost": 0.75,
    }


def test_facts_for_which_metadata_has_no_room_are_left_out(folder: Path, recorded: Recorded) -> None:
    full = {"note": "x" * (64 * 1024 - 20)}
    with (
        recorder.session("Full", folder, metadata=full) as run,
        run.task("Ask") as task,
        task.step("ask", metadata=full) as step,
    ):
        step.usage(model="large", input=1)
    [graph] = recorded()
    assert (graph.state, run.lost) == ("Completed", 0)
    assert graph.metadata == full
    assert graph.tasks[0].steps[0].metadata == full


def test_words_files_and_changes_are_artifacts(folder: Path, recorded: Recorded) -> None:
    source = folder / "login.py"
    source.write_text("print(1)\n")
    with recorder.session("Words", folder) as run:
        run.say(prompt="Do *it*.")
        with run.step("Answer") as step:
            step.say(answer="Done.", reasoning="It is easy.")
            with step.tool("edit", {"path": "login.py"}) as call:
                call.file(source)
                call.diff("login.py", "print(1)\n", "print(2)")
                call.diff("login.py", "same", "same")
                call.file(folder / "missing.py")
                call.file(folder)
    [graph] = recorded()
    task = graph.tasks[0]
    assert [(a.type, a.name) for a in task.artifacts] == [("UserPrompt", "prompt")]
    assert [(a.type, a.name) for a in task.steps[0].artifacts] == [
        ("Reasoning", "reasoning"),
        ("ModelResponse", "answer"),
    ]
    content, change = task.steps[0].tool_calls[0].artifacts
    assert (content.type, content.name, content.content_type) == ("FileContent", str(source), "text/x-python")
    assert (change.type, change.content_type) == ("FileDiff", "text/x-diff")
    assert run.lost == 2, "a file that is not there and a folder are counted as lost"


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with recorder.session("Pipe", folder) as run, run.task("Read") as task:
        task.file(folder / "pipe")
    assert run.lost == 1


def test_a_change_says_where_a_last_line_does_not_end() -> None:
    assert unified_diff("a", "x\n", "y").splitlines() == [
        "--- a/a",
        "+++ b/a",
        "@@ -1 +1 @@",
        "-x",
        "+y",
        "\\ No newline at end of file",
    ]
    assert unified_diff("a", "", "y\n").startswith("--- /dev/null\n")
    assert unified_diff("a", "y\n", "").splitlines()[1] == "+++ /dev/null"


def test_a_change_of_a_very_long_text_is_one_replacement() -> None:
    before = "".join(f"{number}\n" for number in range(MAX_COMPARED_LINES))
    change = unified_diff("a", before, "y\n").splitlines()
    assert change[2] == f"@@ -1,{MAX_COMPARED_LINES} +1,1 @@"
    assert len(change) == 3 + MAX_COMPARED_LINES + 1


def test_work_in_the_recorders_pool_belongs_to_the_block_that_submitted_it(folder: Path, recorded: Recorded) -> None:
    @recorder.tool
    def double(number: int) -> int:
        return 2 * number

    with recorder.executor(2) as pool, recorder.session("Pool", folder) as run, run.task("Double") as task:
        with task.step("all"):
            assert list(pool.map(double, range(3))) == [0, 2, 4]
        assert pool.submit(double, number=5).result() == 10
    [graph] = recorded()
    assert [len(step.tool_calls) for step in graph.tasks[0].steps] == [3, 1]
