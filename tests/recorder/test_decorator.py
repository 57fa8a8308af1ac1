"""``@acode_tui.tool``: calls are recorded during a recording, and their results and errors are unchanged."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import acode_tui
from acode_tui.domain.entities import ToolCallGraph
from tests.recorder.conftest import Recorded, states


@acode_tui.tool
def read(path: str, *, limit: int = 10, **others: Any) -> dict[str, int]:
    """Reads."""
    return {"lines": limit}


@acode_tui.tool(name="fetch_page")
async def fetch(url: str) -> str:
    await asyncio.sleep(0)
    return f"<{url}>"


class Agent:
    @acode_tui.tool
    def think(self, about: str) -> str:
        return about.upper()

    @classmethod
    @acode_tui.tool
    def plan(cls, *steps: str) -> int:
        return len(steps)

    @staticmethod
    @acode_tui.tool
    def note(text: str) -> None: ...


def calls(recorded: Recorded) -> list[ToolCallGraph]:
    return [call for run in recorded() for task in run.tasks for step in task.steps for call in step.tool_calls]


def test_three_lines_record_an_agent(folder: Path, recorded: Recorded) -> None:
    with acode_tui.recorder.session("Add validation", folder):
        read("login.ts", limit=3, mode="r")
    (call,) = calls(recorded)
    assert call.tool_name == "read"
    assert call.parameters == {"path": "login.ts", "limit": 3, "others": {"mode": "r"}}
    assert call.result == {"lines": 3}
    assert recorded()[0].state == "Completed"


async def test_async_functions_are_recorded_under_their_name(folder: Path, recorded: Recorded) -> None:
    async with acode_tui.recorder.session("run", folder) as run, run.task("t") as task, task.step("s"):
        assert await fetch("https://example.org") == "<https://example.org>"
    (call,) = calls(recorded)
    assert (call.tool_name, call.result) == ("fetch_page", "<https://example.org>")
    assert list(states(recorded()[0]).items())[1:3] == [("task t", "Completed"), ("step s", "Completed")]


def test_methods_are_recorded_without_their_object(folder: Path, recorded: Recorded) -> None:
    with acode_tui.recorder.session("run", folder):
        assert Agent().think("x") == "X"
        assert Agent.plan("a", "b") == 2
        Agent.note("n")
    assert [(call.tool_name, call.parameters, call.result) for call in calls(recorded)] == [
        ("think", {"about": "x"}, "X"),
        ("plan", {"steps": ["a", "b"]}, 2),
        ("note", {"text": "n"}, None),
    ]


def test_outside_a_recording_it_is_just_the_call(folder: Path, recorded: Recorded) -> None:
    assert read("x") == {"lines": 10}
    assert asyncio.run(fetch("u")) == "<u>"
    with acode_tui.recorder.session("run", folder):
        pass
    assert read("x") == {"lines": 10}
    assert calls(recorded) == []


def test_a_tool_keeps_its_name_signature_and_doc() -> None:
    assert read.__name__ == "read"
    assert read.__doc__ == "Reads."
    assert inspect.iscoroutinefunction(fetch)


def test_a_tool_returns_and_raises_the_same_objects(folder: Path) -> None:
    answer, error = object(), ValueError("no")

    @acode_tui.tool
    def give() -> object:
        return answer

    @acode_tui.tool
    def fail() -> None:
        raise error

    with acode_tui.recorder.session("run", folder):
        assert give() is answer
        with pytest.raises(ValueError, match="no") as caught:
            fail()
        assert caught.value is error


def test_wrong_arguments_are_the_functions_own_error(folder: Path, recorded: Recorded) -> None:
    with acode_tui.recorder.session("run", folder), pytest.raises(TypeError, match="missing 1 required"):
        read(limit=3)  # type: ignore[call-arg]
    (call,) = calls(recorded)
    assert call.state == "Failed"
    assert call.parameters == {"args": [], "limit": 3}


def test_a_tool_called_by_a_tool_is_recorded_beside_it(folder: Path, recorded: Recorded) -> None:
    @acode_tui.tool
    def outer() -> None:
        read("x")

    with acode_tui.recorder.session("run", folder):
        outer()
    (step,) = recorded()[0].tasks[0].steps
    assert [call.tool_name for call in step.tool_calls] == ["outer", "read"]
    assert step.state == "Completed"


def test_hostile_arguments_and_results_reach_neither_the_agent_nor_the_database(
    folder: Path, recorded: Recorded
) -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise KeyError("no")

        def __str__(self) -> str:
            raise KeyError("no")

    hostile = Hostile()

    @acode_tui.tool
    def echo(value: Any) -> Any:
        return value

    with acode_tui.recorder.session("run", folder) as run:
        assert echo(hostile) is hostile
        echo({1: float("nan"), "\x00": "\ud800", b"k": ...})
        echo("x" * 1_000_000)
    assert run.lost == 0
    first, second, third = calls(recorded)
    assert first.result == "(Hostile that cannot be printed)"
    assert second.result == {"1": "nan", "\ue0000000": "\ue000d800", "b'k'": "Ellipsis"}
    assert len(third.result) < 70_000
    assert third.result.endswith("… (1,000,000 characters)")


def test_a_function_without_a_single_result_is_refused_by_the_decorator() -> None:
    def generator() -> Iterator[int]:
        yield 1

    async def async_generator() -> AsyncIterator[int]:
        yield 1

    for function in (generator, async_generator, functools.partial(generator)):
        with pytest.raises(TypeError, match="generator function"):
            acode_tui.tool(function)
    with pytest.raises(TypeError, match="records functions"):
        acode_tui.tool(Agent)
    with pytest.raises(TypeError, match="records functions"):
        acode_tui.tool(classmethod(lambda cls: None))  # type: ignore[call-overload]


def test_partials_and_callable_objects_are_recorded(folder: Path, recorded: Recorded) -> None:
    class Search:
        async def __call__(self, term: str) -> int:
            return len(term)

    async def both() -> None:
        async with acode_tui.recorder.session("run", folder):
            assert await acode_tui.tool(Search())("abc") == 3
            assert await acode_tui.tool(functools.partial(fetch, "u"))() == "<u>"

    asyncio.run(both())
    assert [(call.tool_name, call.state) for call in calls(recorded)] == [
        ("Search", "Succeeded"),
        ("fetch", "Succeeded"),
        ("fetch_page", "Succeeded"),
    ]
