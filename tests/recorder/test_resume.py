"""A session that goes on: by its id or by a key, in any process, after a pause, a wait for approval or a crash."""

import asyncio
import threading
from pathlib import Path

import pytest

from acode_tui import recorder
from acode_tui.domain.errors import ValidationError
from acode_tui.workspace import open_workspace
from tests.conftest import PLAIN_SETTINGS
from tests.recorder.conftest import Recorded, states
from tests.recorder.test_presence import crash


def turn(folder: Path, name: str, resume: str | None, *, fails: bool = False, approval: bool = False) -> recorder.Run:
    """One turn of a conversation, in a run that is left open unless it fails."""
    run = recorder.session("Chat", folder, metadata={"app": "chat"}, resume=resume)
    with run, run.task(name) as task, task.step("Answer") as step:
        step.usage(model="m", input=10, output=1, cost=0.5)
        if fails:
            run.fail("the model is gone")
        else:
            run.leave_open("the turn is answered", approval=approval)
    return run


def test_a_key_goes_on_with_its_session_and_its_sums(folder: Path, recorded: Recorded) -> None:
    ids = {turn(folder, f"turn {number}", "thread-1").id for number in range(2)}
    recorder.close()
    ids.add(turn(folder, "turn 2", "thread-1").id)
    other = turn(folder, "other", "thread-2").id
    assert len(ids) == 1
    graphs = {graph.id: graph for graph in recorded()}
    assert graphs.keys() == {*ids, other}
    graph = graphs[ids.pop() or ""]
    assert states(graph)["Chat"] == "Paused"
    assert [(task.title, str(task.state)) for task in graph.tasks] == [(f"turn {n}", "Completed") for n in range(3)]
    assert [str(event.to_state) for event in graph.events] == [
        "Planning", "Executing", "Paused", "Executing", "Paused", "Executing", "Paused",
    ]  # fmt: skip
    tokens = {"input": 30, "output": 3, "cacheRead": 0, "cacheWrite": 0}
    assert graph.metadata == {"app": "chat", "models": ["m"], "tokens": tokens, "cost": 1.5}


def test_a_session_goes_on_by_its_id_after_an_approval(folder: Path, recorded: Recorded) -> None:
    first = turn(folder, "ask", None, approval=True)
    assert states(recorded()[0])["Chat"] == "AwaitingApproval"
    with recorder.session("Chat", folder, resume=first.id) as second, second.task("do"):
        assert second.id == first.id
    (graph,) = recorded()
    assert states(graph) == {
        "Chat": "Completed", "task ask": "Completed", "step Answer": "Completed", "task do": "Completed",
    }  # fmt: skip
    assert graph.metadata is not None
    assert graph.metadata["tokens"]["input"] == 10


def test_an_ended_session_stays_and_the_next_one_names_it(folder: Path, recorded: Recorded) -> None:
    """By its key, by its id, and again: a key's sessions are a chain that every process finds."""
    first = turn(folder, "turn 1", "thread", fails=True)
    second = turn(folder, "turn 2", "thread")
    assert turn(folder, "turn 3", "thread", fails=True).id == second.id
    third = turn(folder, "turn 4", "thread")
    by_id = turn(folder, "by id", first.id)
    chain = {graph.id: (graph.metadata or {}).get("continues") for graph in recorded()}
    assert chain == {first.id: None, second.id: first.id, third.id: second.id, by_id.id: first.id}
    assert sorted(str(graph.state) for graph in recorded()) == ["Failed", "Failed", "Paused", "Paused"]


def test_a_run_that_a_crash_cut_short_goes_on_and_can_complete(folder: Path, recorded: Recorded) -> None:
    with crash(folder):
        pass
    (cut,) = [graph for graph in recorded() if graph.task_description == "Cut short"]
    with recorder.session("Again", folder, resume=cut.id) as run, run.task("The rest"):
        pass
    (again,) = [graph for graph in recorded() if graph.id == cut.id]
    assert states(again) == {
        "Cut short": "Completed", "task Work": "Skipped", "step Think": "Skipped", "call bash": "Cancelled",
        "task The rest": "Completed",
    }  # fmt: skip
    assert [str(event.to_state) for event in again.events[-3:]] == ["Paused", "Executing", "Completed"]


def test_a_run_that_was_left_open_is_not_paused_by_a_later_crash(folder: Path, recorded: Recorded) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom acode_tui import recorder\n"
        "run = recorder.session('Asked', sys.argv[1])\n"
        "with run, run.task('t'):\n    run.leave_open('may I?', approval=True)\n"
        "open_ = recorder.session('Open', sys.argv[1]).start()\nopen_.task('t').__enter__()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", code, str(folder)], timeout=60, check=False)
    with recorder.session("Next", folder):
        pass
    found = {graph.task_description: str(graph.state) for graph in recorded()}
    assert found == {"Asked": "AwaitingApproval", "Open": "Paused", "Next": "Completed"}


def test_started_blocks_neither_wait_nor_become_the_current_one(folder: Path, recorded: Recorded) -> None:
    """Begun in one thread, ended in another, as callbacks do."""
    run = recorder.session("Callbacks", folder).start()
    task = run.task("t").start()
    step = task.step("s").start()
    call = step.tool("c", {"a": 1}).start()

    @recorder.tool
    def outside() -> int:
        return 1

    assert outside() == 1

    def end() -> None:
        call.result(2)
        for block in (call, step, task, run):
            block.end()
            block.end()

    thread = threading.Thread(target=end)
    thread.start()
    thread.join()
    recorder.close()
    assert run.lost == 0
    assert states(recorded()[0]) == {
        "Callbacks": "Completed", "task t": "Completed", "step s": "Completed", "call c": "Succeeded",
    }  # fmt: skip


def test_turns_that_nothing_waits_for_keep_their_order(folder: Path, recorded: Recorded) -> None:
    """Each goes on where the one before ended, though that is not on disk yet."""
    for number in range(6):
        run = recorder.session("Chat", folder, resume="thread").start()
        run.task(f"turn {number}").start().end()
        if number == 3:
            run.fail("the model is gone")
        else:
            run.leave_open()
        run.end()
    recorder.close()
    found = [(str(graph.state), [task.title for task in graph.tasks]) for graph in recorded()]
    assert found == [("Failed", [f"turn {n}" for n in range(4)]), ("Paused", ["turn 4", "turn 5"])]


def test_a_sessions_own_id_is_a_uuid_that_no_session_has(tmp_path: Path) -> None:
    async def create() -> None:
        own = "0190d6a1-0000-5000-8000-000000000000"
        async with open_workspace(tmp_path, settings=PLAIN_SETTINGS) as workspace:
            assert (await workspace.store.create_session("a", session_id=own)).id == own
            for bad in (own, "thread-1"):
                with pytest.raises(ValidationError, match="session_id"):
                    await workspace.store.create_session("b", session_id=bad)

    asyncio.run(create())


def test_siblings_that_nothing_waits_for_keep_their_order(folder: Path, recorded: Recorded) -> None:
    """Those that wait for the workspace and for the row above, and those that come when both are there."""
    run = recorder.session("Chat", folder).start()
    task = run.task("t").start()
    steps = [task.step(f"{number:03}").start() for number in range(50)]
    while steps[0].id is None and len(steps) < 900:
        steps.append(task.step(f"{len(steps):03}").start())
    for block in (*steps, task, run):
        block.end()
    recorder.close()
    names = [step.name for step in recorded()[0].tasks[0].steps]
    assert names == sorted(names)
