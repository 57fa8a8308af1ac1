"""Pydantic AI itself with its models for tests, recorded through OpenTelemetry."""

import asyncio
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

from acode_tui.domain.states import SessionState, ToolCallState
from tests.ingest.builders import calls_of, steps_of

pytest.importorskip("pydantic_ai", reason="needs acode-tui[pydantic-ai]")

from pydantic_ai import Agent, ModelMessage, ModelResponse, RequestUsage, TextPart, ThinkingPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from acode_tui.integrations import pydantic_ai as integration
from acode_tui.integrations.opentelemetry import RunSpanProcessor
from acode_tui.integrations.pydantic_ai import record_pydantic_ai
from tests.receiver.client import graphs

EXAMPLE = Path(__file__).parents[2] / "examples" / "pydantic_ai_agent.py"


@pytest.fixture
def processor(tmp_path: Path) -> Iterator[RunSpanProcessor]:
    made = record_pydantic_ai(tmp_path)
    yield made
    made.shutdown()
    Agent.instrument_all(False)


def answering(*answers: ModelResponse) -> FunctionModel:
    waiting = list(answers)

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return waiting.pop(0)

    return FunctionModel(answer, model_name="model-a")


def test_an_agent_s_runs_of_one_conversation_are_tasks_of_one_session(
    tmp_path: Path, processor: RunSpanProcessor
) -> None:
    inner = Agent(answering(ModelResponse([TextPart("Three.")])), name="counter")
    outer = Agent(
        answering(
            ModelResponse(
                [ThinkingPart("Where?"), TextPart("I look."), ToolCallPart("read", {"path": "a.py"}, "c1")],
                usage=RequestUsage(input_tokens=50, output_tokens=7, cache_read_tokens=30),
            ),
            ModelResponse([ToolCallPart("count", {}, "c2")]),
            ModelResponse([TextPart("Done.")]),
            ModelResponse([TextPart("Welcome.")]),
        ),
        name="reviewer",
    )

    @outer.tool_plain
    def read(path: str) -> str:
        return f"the content of {path}"

    @outer.tool_plain
    async def count() -> str:
        return (await inner.run("Count them")).output

    async def talk() -> None:
        first = await outer.run("Review a.py")
        await outer.run("Thanks", message_history=first.all_messages())

    asyncio.run(talk())
    assert processor.force_flush()
    (graph,) = asyncio.run(graphs(tmp_path))
    assert graph.state is SessionState.COMPLETED
    assert [task.title for task in graph.tasks] == ["Review a.py", "Thanks"]
    assert [step.name for step in steps_of(graph)] == ["I look.", "count", "Three.", "Done.", "Welcome."]
    assert [(step.metadata or {})["agent"] for step in steps_of(graph)][2] == "counter"
    assert (steps_of(graph)[0].metadata or {})["tokens"] == {"input": 20, "output": 7, "cacheRead": 30, "cacheWrite": 0}
    assert [(call.tool_name, call.parameters) for call in calls_of(graph)] == [
        ("read", {"path": "a.py"}),
        ("count", {}),
    ]
    assert processor.lost == 0


def test_a_tool_that_raises_fails_the_call_and_the_run(tmp_path: Path, processor: RunSpanProcessor) -> None:
    agent = Agent(answering(ModelResponse([ToolCallPart("fail", {}, "c1")])))

    @agent.tool_plain
    def fail() -> str:
        raise ValueError("no such file")

    with pytest.raises(ValueError, match="no such file"):
        asyncio.run(agent.run("Go"))
    assert processor.force_flush()
    (graph,) = asyncio.run(graphs(tmp_path))
    (call,) = calls_of(graph)
    assert (call.state, call.error_message) == (ToolCallState.FAILED, "ValueError: no such file")
    assert graph.state is SessionState.FAILED


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[RunSpanProcessor] = []

    def record(path: str) -> RunSpanProcessor:
        made.append(record_pydantic_ai(path))
        return made[0]

    monkeypatch.setattr(integration, "record_pydantic_ai", record)
    monkeypatch.chdir(tmp_path)
    try:
        runpy.run_path(str(EXAMPLE), run_name="__main__")
        assert made[0].force_flush()
    finally:
        made[0].shutdown()
        # The one that ``run_sync`` has made, and leaves open.
        asyncio.get_event_loop().close()
        asyncio.set_event_loop(None)
        Agent.instrument_all(False)
    (graph,) = asyncio.run(graphs(tmp_path))
    assert [call.tool_name for call in calls_of(graph)] == ["read_file"]
