"""Asyncio tasks, threads and contexts: each call is recorded in the step in which it was made."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import acode_tui
from acode_tui.domain.states import EntityType
from acode_tui.recorder.rows import WorkRow
from acode_tui.storage.sqlite.writer import Writer
from tests.recorder.conftest import Recorded, states


@acode_tui.tool
async def wait(name: str) -> str:
    await asyncio.sleep(0)
    return name


@acode_tui.tool
def work(name: str) -> str:
    return name


async def test_concurrent_tasks_record_under_their_own_steps(folder: Path, recorded: Recorded) -> None:
    async with acode_tui.recorder.session("run", folder) as run:

        async def branch(name: str) -> None:
            async with run.task(name) as task, task.step(name):
                await asyncio.gather(*(wait(name) for _ in range(5)))

        await asyncio.gather(*(branch(f"b{n}") for n in range(8)))
    assert run.lost == 0
    (graph,) = recorded()
    assert graph.state == "Completed"
    assert sorted(task.title for task in graph.tasks) == [f"b{n}" for n in range(8)]
    assert sorted(task.order for task in graph.tasks) == list(range(8))
    for task in graph.tasks:
        (step,) = task.steps
        assert [call.result for call in step.tool_calls] == [task.title] * 5


async def test_a_thread_that_asyncio_starts_inherits_the_step(folder: Path, recorded: Recorded) -> None:
    async with acode_tui.recorder.session("run", folder) as run, run.task("t") as task, task.step("s"):
        assert await asyncio.to_thread(work, "x") == "x"
    assert [call.result for call in recorded()[0].tasks[0].steps[0].tool_calls] == ["x"]


def test_threads_record_through_the_objects_and_through_a_copied_context(folder: Path, recorded: Recorded) -> None:
    with acode_tui.recorder.session("run", folder) as run, run.task("t") as task:

        def branch(n: int) -> None:
            with task.step(f"s{n}") as step:
                for _ in range(5):
                    with step.tool("c", n) as call:
                        call.result(n)
                work(str(n))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(branch, range(8)))
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work, "copied"))
        thread.start()
        thread.join()
        bare = threading.Thread(target=work, args=("bare",))
        bare.start()
        bare.join()
    assert run.lost == 0
    (graph,) = recorded()
    assert graph.state == "Completed"
    steps = {step.name: step for step in graph.tasks[0].steps}
    assert set(steps) == {"work", *(f"s{n}" for n in range(8))}
    for n in range(8):
        assert [call.result for call in steps[f"s{n}"].tool_calls] == [*[n] * 5, str(n)]
        assert [call.order for call in steps[f"s{n}"].tool_calls] == list(range(6))


def test_threads_that_need_a_task_at_once_share_one(
    folder: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = threading.Barrier(2)

    class Meeting(WorkRow):
        def __init__(self, *args: Any, **keywords: Any) -> None:
            # Met only if two threads make a task each; one alone gives up.
            if args[0] is EntityType.SESSION_TASK:
                with contextlib.suppress(threading.BrokenBarrierError):
                    meeting.wait(0.2)
            super().__init__(*args, **keywords)

    monkeypatch.setattr("acode_tui.recorder.run.WorkRow", Meeting)
    with acode_tui.recorder.session("run", folder) as run, ThreadPoolExecutor(8) as pool:

        def call(n: int) -> None:
            with run.tool(f"c{n}"):
                pass

        list(pool.map(call, range(16)))
    (graph,) = recorded()
    assert len(graph.tasks) == 1
    assert len(graph.tasks[0].steps) == 16


async def test_a_call_that_outlives_its_step_belongs_to_the_block_that_is_still_open(
    folder: Path, recorded: Recorded
) -> None:
    go = asyncio.Event()

    async def late() -> None:
        await go.wait()
        await wait("late")

    async with acode_tui.recorder.session("run", folder) as run, run.task("t") as task:
        async with task.step("s"):
            straggler = asyncio.create_task(late())
        go.set()
        await straggler
    graph = recorded()[0]
    assert [(step.name, str(step.state)) for step in graph.tasks[0].steps] == [
        ("s", "Completed"),
        ("wait", "Completed"),
    ]


def test_a_block_left_in_another_context_than_entered_is_left_all_the_same(folder: Path, recorded: Recorded) -> None:
    block = acode_tui.recorder.session("run", folder)
    contextvars.copy_context().run(block.__enter__)
    contextvars.copy_context().run(block.__exit__, None, None, None)
    assert recorded()[0].state == "Completed"


def test_a_generator_may_hold_a_session(folder: Path, recorded: Recorded) -> None:
    @contextmanager
    def held() -> Iterator[None]:
        with acode_tui.recorder.session("run", folder):
            yield

    with held():
        work("x")
    assert recorded()[0].tasks[0].steps[0].tool_calls[0].result == "x"


def test_two_consecutive_loops_use_one_recorder(folder: Path, recorded: Recorded) -> None:
    async def once(name: str) -> None:
        async with acode_tui.recorder.session(name, folder) as run, run.task("t"):
            await wait(name)

    asyncio.run(once("first"))
    asyncio.run(once("second"))
    assert [str(graph.state) for graph in recorded()] == ["Completed", "Completed"]


def test_a_workspace_is_written_by_the_recorder_s_thread_while_it_is_the_only_one(
    folder: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    transact = Writer._transact

    def noted(writer: Writer, *given: Any) -> Any:
        threads.add(threading.current_thread().name)
        return transact(writer, *given)

    def record(run: acode_tui.recorder.Run) -> set[str]:
        threads.clear()
        with run.tool("read_file") as call:
            call.result(1)
        return set(threads)

    monkeypatch.setattr(Writer, "_transact", noted)
    other = folder / "other"
    (other / ".agent").mkdir(parents=True)
    with acode_tui.recorder.session("run", folder) as run:
        assert record(run) == {"acode-recorder"}
        with acode_tui.recorder.session("another", other) as another:
            assert "acode-recorder" not in record(run) | record(another)
    assert run.lost == another.lost == 0
    assert states(recorded()[0])["call read_file"] == "Succeeded"
