"""Entering and leaving a block makes the transitions of its row, in sync and in async code."""

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

import acode_tui
from acode_tui import ArtifactType, SessionState
from acode_tui.recorder import channel
from acode_tui.recorder.channel import Place
from acode_tui.storage.sqlite.writer import Writer
from tests.clocks import GUARD_SECONDS
from tests.recorder.conftest import Recorded, states


class Boom(Exception):
    pass


def sync_run(folder: Path) -> None:
    with acode_tui.recorder.session("Add validation", folder, metadata={"cwd": "."}) as run:
        with run.task("Analyse", "all of it") as task, task.step("Read") as step:
            with step.tool("read_file", {"path": "login.ts"}) as call:
                call.artifact(ArtifactType.FILE_CONTENT, "login.ts", b"export {}", "text/plain")
                call.result({"lines": 1})
            assert call.id is not None
        assert run.id is not None
    assert run.lost == 0


async def async_run(folder: Path) -> None:
    async with acode_tui.recorder.session("Add validation", path=folder, metadata={"cwd": "."}) as run:
        async with run.task("Analyse", "all of it") as task, task.step("Read") as step:
            async with step.tool("read_file", {"path": "login.ts"}) as call:
                call.artifact(ArtifactType.FILE_CONTENT, "login.ts", b"export {}", "text/plain")
                call.result({"lines": 1})
            assert call.id is not None
        assert run.id is not None
    assert run.lost == 0


@pytest.mark.parametrize("flavour", ["sync", "async", "sync inside a running loop"])
def test_a_whole_run_is_recorded(flavour: str, folder: Path, recorded: Recorded) -> None:
    async def sync_inside() -> None:
        sync_run(folder)

    if flavour == "sync":
        sync_run(folder)
    else:
        asyncio.run(async_run(folder) if flavour == "async" else sync_inside())
    (graph,) = recorded()
    assert states(graph) == {
        "Add validation": "Completed",
        "task Analyse": "Completed",
        "step Read": "Completed",
        "call read_file": "Succeeded",
    }
    assert [event.to_state for event in graph.events] == ["Planning", "Executing", "Completed"]
    assert graph.metadata == {"cwd": "."}
    assert graph.user_id == "ada@example.org"
    (call,) = graph.tasks[0].steps[0].tool_calls
    assert graph.tasks[0].description == "all of it"
    assert call.parameters == {"path": "login.ts"}
    assert call.result == {"lines": 1}
    assert call.completed_at is not None
    assert [artifact.name for artifact in call.artifacts] == ["login.ts"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_tasks_and_steps_keep_texts_of_their_own(asynchronous: bool, folder: Path, recorded: Recorded) -> None:
    def keep(task: acode_tui.recorder.Task, step: acode_tui.recorder.Step) -> None:
        task.artifact(ArtifactType.USER_PROMPT, "prompt", "Analyse it.\0", "text/markdown")
        step.artifact("Reasoning", "thought", b"Is it blank?")
        step.artifact("ModelResponse", "answer", memoryview(b"It is."), "text/markdown")

    async def run_async() -> None:
        async with acode_tui.recorder.session("a", folder) as run, run.task("b") as task, task.step("c") as step:
            keep(task, step)

    if asynchronous:
        asyncio.run(run_async())
    else:
        with acode_tui.recorder.session("a", folder) as run, run.task("b") as task, task.step("c") as step:
            keep(task, step)
            with pytest.raises(RuntimeError, match="enter the block first"):
                task.step("d").artifact("Reasoning", "too early", "")
        assert run.lost == 0
    (graph,) = recorded()
    task_, step_ = graph.tasks[0], graph.tasks[0].steps[0]
    assert [(each.type, each.name, each.size) for each in task_.artifacts] == [("UserPrompt", "prompt", 12)]
    assert [(each.type, each.name) for each in step_.artifacts] == [
        ("Reasoning", "thought"),
        ("ModelResponse", "answer"),
    ]
    assert step_.tool_calls == ()
    assert states(graph) == {"a": "Completed", "task b": "Completed", "step c": "Completed"}


def test_artifacts_keep_their_order_and_are_on_disk_when_their_block_is_left(folder: Path, recorded: Recorded) -> None:
    names = [f"{number}.txt" for number in range(50)]
    with acode_tui.recorder.session("a", folder) as run, run.task("b") as task, task.step("c") as step:
        with step.tool("d") as call:
            for name in names:
                call.artifact("FileContent", name, name)
        (graph,) = recorded()
        assert [each.name for each in graph.tasks[0].steps[0].tool_calls[0].artifacts] == names
        assert states(graph)["call d"] == "Succeeded"
    assert run.lost == 0


def test_artifacts_and_the_end_of_their_call_share_commits(
    folder: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[int] = []
    submitted: list[Any] = []
    all_submitted = threading.Event()
    real_transact, real_submit = Writer._transact, channel.Channel.submit

    def submit(self: channel.Channel, *given: Any) -> Any:
        submitted.append(given)
        future = real_submit(self, *given)
        if len(submitted) == 7:
            all_submitted.set()
        return future

    def transact(self: Writer, connection: sqlite3.Connection, units: list[Any], attempt: Any) -> Any:
        groups.append(len(units))
        assert all_submitted.wait(GUARD_SECONDS)
        return real_transact(self, connection, units, attempt)

    with acode_tui.recorder.session("a", folder) as run, run.task("b") as task, task.step("c") as step:
        call = step.tool("d").__enter__()
        monkeypatch.setattr(Writer, "_transact", transact)
        monkeypatch.setattr(channel.Channel, "submit", submit)
        for number in range(6):
            call.artifact("FileContent", f"{number}.txt", "x")
        call.__exit__(None, None, None)
    # The first goes alone or with some others; the rest waits for it, and shares one commit.
    assert 7 in (groups[0], groups[0] + groups[1])
    assert run.lost == 0
    assert states(recorded()[0])["call d"] == "Succeeded"


def test_a_text_kept_after_its_block_was_left_is_recorded_still(folder: Path, recorded: Recorded) -> None:
    with acode_tui.recorder.session("a", folder) as run, run.task("b") as task:
        with task.step("c") as step:
            pass
        step.artifact("ModelResponse", "answer", "late")
    assert run.lost == 0
    assert [each.name for each in recorded()[0].tasks[0].steps[0].artifacts] == ["answer"]


def test_an_entered_block_is_on_disk_while_the_agent_works(folder: Path, recorded: Recorded) -> None:
    with acode_tui.recorder.session("a", folder) as run, run.task("b") as task, task.step("c") as step:
        with step.tool("d"):
            (graph,) = recorded()
            assert set(states(graph)) == {"a", "task b", "step c", "call d"}
        (graph,) = recorded()
        assert states(graph)["call d"] == "Succeeded"


def test_a_run_without_tasks_is_completed_all_the_same(folder: Path, recorded: Recorded) -> None:
    with acode_tui.recorder.session("nothing else", folder):
        pass
    (graph,) = recorded()
    assert states(graph) == {"nothing else": "Completed", "task nothing else": "Completed"}


def test_a_call_or_step_of_the_session_gets_a_task_of_its_own(folder: Path, recorded: Recorded) -> None:
    with acode_tui.recorder.session("short", folder) as run:
        with run.tool("ls", ["-l"]) as call:
            call.result("a b")
        with run.step("look") as step, step.tool("cat"):
            pass
    (graph,) = recorded()
    assert states(graph) == {
        "short": "Completed",
        "task short": "Completed",
        "step ls": "Completed",
        "call ls": "Succeeded",
        "step look": "Completed",
        "call cat": "Succeeded",
    }
    assert graph.tasks[0].metadata == {"implicit": True}


@pytest.mark.parametrize("where", ["session", "task", "step", "tool"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_exception_means_failed_and_is_reraised_as_the_same_object(
    where: str, asynchronous: bool, folder: Path, recorded: Recorded
) -> None:
    boom = Boom("what\x00 went \x1b[31mwrong")

    def maybe(here: str) -> None:
        if here == where:
            raise boom

    def sync() -> None:
        with acode_tui.recorder.session("run", folder) as run:
            maybe("session")
            with run.task("t") as task:
                maybe("task")
                with task.step("s") as step:
                    maybe("step")
                    with step.tool("c"):
                        maybe("tool")

    async def not_sync() -> None:
        async with acode_tui.recorder.session("run", folder) as run:
            maybe("session")
            async with run.task("t") as task:
                maybe("task")
                async with task.step("s") as step:
                    maybe("step")
                    async with step.tool("c"):
                        maybe("tool")

    with pytest.raises(Boom) as caught:
        asyncio.run(not_sync()) if asynchronous else sync()
    assert caught.value is boom
    assert boom.__cause__ is None
    assert boom.__context__ is None
    (graph,) = recorded()
    assert set(states(graph).values()) == {"Failed"}
    assert len(states(graph)) == ["session", "task", "step", "tool"].index(where) + 1
    reason = graph.events[-1].reason
    assert reason.startswith("Boom: what")
    assert reason.isprintable()
    if where == "tool":
        assert graph.tasks[0].steps[0].tool_calls[0].error_message == reason


@pytest.mark.parametrize(
    ("error", "session", "task", "call"),
    [
        (KeyboardInterrupt(), "Cancelled", "Failed", "Cancelled"),
        (asyncio.CancelledError(), "Cancelled", "Failed", "Cancelled"),
        (SystemExit(0), "Completed", "Completed", "Succeeded"),
        (SystemExit(3), "Failed", "Failed", "Failed"),
    ],
)
def test_leaving_early_is_distinguished_from_failing(
    error: BaseException, session: str, task: str, call: str, folder: Path, recorded: Recorded
) -> None:
    with (
        pytest.raises(type(error)) as caught,
        acode_tui.recorder.session("run", folder) as run,
        run.task("t") as t,
        t.step("s") as s,
        s.tool("c"),
    ):
        raise error
    assert caught.value is error
    (graph,) = recorded()
    assert states(graph) == {"run": session, "task t": task, "step s": task, "call c": call}


async def test_a_cancelled_task_is_recorded_as_cancelled(folder: Path, recorded: Recorded) -> None:
    inside = asyncio.Event()

    async def agent() -> None:
        async with acode_tui.recorder.session("run", folder) as run, run.task("t"):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(agent())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (graph,) = recorded()
    assert states(graph) == {"run": "Cancelled", "task t": "Failed"}


async def test_a_task_cancelled_while_it_enters_leaves_nothing_at_work(folder: Path, recorded: Recorded) -> None:
    async def agent() -> None:
        async with acode_tui.recorder.session("run", folder):
            raise AssertionError("never got here")

    task = asyncio.create_task(agent())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    acode_tui.recorder.close()
    (graph,) = recorded()
    assert graph.state is SessionState.CANCELLED


def test_a_caught_failure_in_a_step_fails_its_step_task_and_session(folder: Path, recorded: Recorded) -> None:
    with acode_tui.recorder.session("run", folder) as run, run.task("t") as task, task.step("s") as step:
        with pytest.raises(Boom), step.tool("bad"):
            raise Boom
        with step.tool("good"):
            pass
    (graph,) = recorded()
    assert states(graph) == {
        "run": "Failed",
        "task t": "Failed",
        "step s": "Failed",
        "call bad": "Failed",
        "call good": "Succeeded",
    }
    assert "1 of 1 tasks" in graph.events[-1].reason
    assert run.lost == 0


def test_a_step_that_is_skipped_lets_its_task_complete(folder: Path, recorded: Recorded) -> None:
    with acode_tui.recorder.session("run", folder) as run, run.task("t") as task, task.step("s") as step:
        with pytest.raises(Boom), step.tool("bad"):
            raise Boom
        step.skip()
    (graph,) = recorded()
    assert states(graph) == {"run": "Completed", "task t": "Completed", "step s": "Skipped", "call bad": "Failed"}


def test_a_caught_failure_of_a_call_without_a_step_fails_only_the_call(folder: Path, recorded: Recorded) -> None:
    with acode_tui.recorder.session("run", folder) as run, pytest.raises(Boom), run.tool("bad"):
        raise Boom
    (graph,) = recorded()
    assert states(graph) == {"run": "Completed", "task run": "Completed", "step bad": "Skipped", "call bad": "Failed"}


def test_an_agent_may_say_how_a_block_ends(folder: Path, recorded: Recorded) -> None:
    with acode_tui.recorder.session("failed", folder) as run:
        with run.task("skipped") as task:
            task.skip()
        with run.task("t") as task, task.step("s") as step:
            with step.tool("cancelled") as call:
                call.cancel("the user said no")
            with step.tool("wrong") as call:
                call.fail("exit code 1")
            step.fail()
            task.fail()
        run.fail("the tests are red")
    with acode_tui.recorder.session("cancelled", folder) as run:
        run.cancel()
    failed, cancelled = recorded()
    assert states(failed) == {
        "failed": "Failed",
        "task skipped": "Skipped",
        "task t": "Failed",
        "step s": "Failed",
        "call cancelled": "Cancelled",
        "call wrong": "Failed",
    }
    assert failed.events[-1].reason == "the tests are red"
    assert [call.error_message for call in failed.tasks[1].steps[0].tool_calls] == ["the user said no", "exit code 1"]
    assert cancelled.state is SessionState.CANCELLED


def test_a_task_left_unfinished_makes_the_session_failed_and_not_stuck(folder: Path, recorded: Recorded) -> None:
    with acode_tui.recorder.session("run", folder) as run:
        task = run.task("never left")
        task.__enter__()
    (graph,) = recorded()
    assert states(graph) == {"run": "Failed", "task never left": "InProgress"}
    assert run.lost == 0


def test_blocks_are_entered_once_and_from_the_outside_in(folder: Path) -> None:
    run = acode_tui.recorder.session("run", folder)
    with pytest.raises(RuntimeError, match="around this one first"), run.task("t"):
        pass
    with pytest.raises(RuntimeError, match="session first"):
        run.tool("c")
    with run:
        pass
    with pytest.raises(RuntimeError, match="entered once"), run:
        pass


def test_two_runs_of_one_path_share_one_workspace(folder: Path, recorded: Recorded) -> None:
    with (
        acode_tui.recorder.session("outer", folder) as outer,
        acode_tui.recorder.session("inner", str(folder) + "/../" + folder.name),
        outer.task("t"),
    ):
        pass
    shared = channel.channel()
    assert shared.workspace(Place(folder)) is shared.workspace(Place(folder / ".." / folder.name))
    assert [graph.task_description for graph in recorded()] == ["outer", "inner"]
    assert {str(graph.state) for graph in recorded()} == {"Completed"}


def test_recording_goes_on_after_close(folder: Path, recorded: Recorded) -> None:
    with acode_tui.recorder.session("run", folder) as run:
        acode_tui.recorder.close()
        with run.task("t"):
            pass
    assert run.lost == 0
    assert states(recorded()[0]) == {"run": "Completed", "task t": "Completed"}


def test_an_event_loop_that_is_not_asyncio_s_records_as_well(folder: Path, recorded: Recorded) -> None:
    """As under trio: the recorder may not await anything of asyncio."""

    async def agent() -> str:
        async with acode_tui.recorder.session("run", folder) as run:
            async with run.tool("call") as call:
                call.result("done")
            assert run.lost == 0
            return "worked"

    with pytest.raises(StopIteration) as ended:
        agent().send(None)
    assert ended.value.value == "worked"
    assert states(recorded()[0])["call call"] == "Succeeded"
