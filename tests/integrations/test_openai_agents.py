"""The OpenAI Agents SDK itself, with its two kinds of models, against answers that no network gives."""

import asyncio
import json
import logging
import runpy
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acode_tui import recorder
from acode_tui.domain.entities import SessionGraph
from tests.integrations.conftest import Said
from tests.recorder.conftest import Recorded, states

pytest.importorskip("agents", reason="needs acode-tui[openai-agents]")

import httpx2
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    RunState,
    custom_span,
    function_tool,
    input_guardrail,
    set_default_openai_client,
    trace,
)
from agents.tracing import set_trace_processors
from openai import AsyncOpenAI

from acode_tui.integrations import conversations
from acode_tui.integrations.openai_agents import AgentsProcessor, record_openai_agents

EXAMPLE = Path(__file__).parents[2] / "examples" / "openai_agents.py"


@pytest.fixture(autouse=True)
def processors() -> Iterator[None]:
    """Without the SDK's own processor, which sends to OpenAI."""
    set_trace_processors([])
    yield
    set_trace_processors([])


def client(*answers: Any) -> AsyncOpenAI:
    """Answers requests with these, one after the other: outputs of a response, or a chat's message."""
    waiting = list(answers)

    def answer(request: httpx2.Request) -> httpx2.Response:
        content = waiting.pop(0)
        if isinstance(content, int):
            return httpx2.Response(content, json={"error": {"message": "no such model"}})
        if request.url.path.endswith("/chat/completions"):
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **content}}
            usage: dict[str, Any] = {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}
            body: dict[str, Any] = {"object": "chat.completion", "choices": [choice], "usage": usage}
        else:
            details = {"cached_tokens": 20, "cache_write_tokens": 0}
            usage = {
                "input_tokens": 30,
                "input_tokens_details": details,
                "output_tokens": 4,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 34,
            }
            body = {
                "object": "response", "output": content, "usage": usage, "parallel_tool_calls": True,
                "tool_choice": "auto", "tools": [],
            }  # fmt: skip
        return httpx2.Response(200, json={"id": "r1", "created_at": 1, "created": 1, "model": "gpt-test", **body})

    transport = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return AsyncOpenAI(api_key="none", max_retries=0, http_client=transport)


def responses(*answers: Any) -> OpenAIResponsesModel:
    return OpenAIResponsesModel("gpt-test", client(*answers))


def says(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}


def calls(name: str, number: int = 1, **arguments: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": f"f{number}", "call_id": f"c{number}", "name": name,
            "arguments": json.dumps(arguments)}  # fmt: skip


@function_tool
def weather(city: str) -> str:
    """The weather."""
    if city == "nowhere":
        raise ValueError("no such city")
    return f"sun in {city}"


@function_tool
def note(text: str) -> None:
    """Has no result."""


@function_tool(needs_approval=True)
def remove(path: str) -> str:
    """Needs an approval."""
    return f"removed {path}"


def run(agent: Agent[Any], prompt: Any, **config: Any) -> Any:
    return asyncio.run(Runner.run(agent, prompt, run_config=RunConfig(**config)))


def only(graphs: list[SessionGraph]) -> SessionGraph:
    (graph,) = graphs
    return graph


def test_a_run_with_a_failing_tool_a_nested_agent_and_a_handoff(folder: Path, recorded: Recorded, said: Said) -> None:
    record_openai_agents(folder)
    inner = Agent(name="Inner", model=responses([says("inner answer")]))
    spanish = Agent(name="Spanish", model=responses([says("hola")]))
    asked = [
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "Let me look."}]},
        calls("weather", 1, city="nowhere"), calls("weather", 2, city="Rome"), calls("note", 3, text="x"),
        calls("ask_inner", 4, input="hm?"),
    ]  # fmt: skip
    main = Agent(
        name="Main",
        model=responses(asked, [calls("transfer_to_spanish", 5)]),
        tools=[weather, note, inner.as_tool("ask_inner", "asks")],
        handoffs=[spanish],
    )
    assert run(main, "How is it?").final_output == "hola"
    recorder.close()
    graph = only(recorded())
    assert graph.task_description == "Main"
    (task,) = graph.tasks
    assert [(step.name, str(step.state)) for step in task.steps] == [
        ("Main", "Skipped"), ("Inner", "Completed"), ("Main", "Completed"), ("Spanish", "Completed"),
    ]  # fmt: skip
    found = {(call.tool_name, str(call.parameters), str(call.state)): call for call in task.steps[0].tool_calls}
    assert found.keys() == {
        ("weather", "{'city': 'nowhere'}", "Failed"), ("weather", "{'city': 'Rome'}", "Succeeded"),
        ("note", "{'text': 'x'}", "Succeeded"), ("ask_inner", "{'input': 'hm?'}", "Succeeded"),
    }  # fmt: skip
    assert found["weather", "{'city': 'Rome'}", "Succeeded"].result == "sun in Rome"
    (handoff,) = task.steps[2].tool_calls
    assert (handoff.tool_name, handoff.parameters) == ("handoff", {"from": "Main", "to": "Spanish"})
    assert said(graph) == [
        ("UserPrompt", "How is it?"), ("Reasoning", "Let me look."), ("ModelResponse", "inner answer"),
        ("ModelResponse", "hola"),
    ]  # fmt: skip
    tokens = {"input": 40, "output": 16, "cacheRead": 80, "cacheWrite": 0}
    assert str(graph.state) == "Completed"
    assert (graph.metadata or {})["tokens"] == tokens
    assert (graph.metadata or {})["models"] == ["gpt-test"]
    assert (graph.metadata or {})["agent"] == "openai-agents"


def test_a_chat_model_and_turns_of_one_group(folder: Path, recorded: Recorded, said: Said) -> None:
    """Traces of one group are one session, also after the process has closed the workspace; another one is not."""
    record_openai_agents(folder)
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    model = OpenAIChatCompletionsModel(
        "gpt-test", client({"tool_calls": [call]}, {"content": "sunny"}, {"content": "still"}, {"content": "else"})
    )
    agent = Agent(name="Chat", model=model, tools=[weather])
    run(agent, "now?", group_id="g", workflow_name="Talk")
    recorder.close()
    history = [{"role": "user", "content": "now?"}, {"role": "assistant", "content": "sunny"}]
    run(agent, [*history, {"role": "user", "content": "and now?"}], group_id="g", workflow_name="Talk")
    run(agent, "hello", group_id="h")
    recorder.close()
    talk, other = recorded()
    assert (talk.task_description, str(talk.state), str(other.state)) == ("Talk", "Paused", "Paused")
    assert [str(task.state) for task in talk.tasks] == ["Completed", "Completed"]
    assert said(talk) == [
        ("UserPrompt", "now?"), ("ModelResponse", "sunny"), ("UserPrompt", "and now?"), ("ModelResponse", "still"),
    ]  # fmt: skip
    assert (talk.metadata or {})["tokens"]["input"] == 90


def test_a_run_that_waits_for_an_approval_goes_on_in_its_session(folder: Path, recorded: Recorded) -> None:
    record_openai_agents(folder)
    agent = Agent(name="Main", model=responses([calls("remove", path="x")], [says("gone")]), tools=[remove])

    async def waits() -> Any:
        result = await Runner.run(agent, "Remove x.")
        return result.to_state().to_json()

    kept = asyncio.run(waits())
    recorder.close()
    waiting = only(recorded())
    assert str(waiting.state) == "AwaitingApproval"
    assert waiting.events[-1].reason == "the call of remove waits for an approval"
    set_trace_processors([])
    record_openai_agents(folder)  # as another process would

    async def goes_on() -> None:
        state = await RunState.from_json(agent, kept)
        for item in state.get_interruptions():
            state.approve(item)
        assert (await Runner.run(agent, state)).final_output == "gone"

    asyncio.run(goes_on())
    recorder.close()
    graph = only(recorded())
    assert str(graph.state) == "Completed"
    assert [
        (call.tool_name, str(call.state)) for task in graph.tasks for step in task.steps for call in step.tool_calls
    ] == [("remove", "Cancelled"), ("remove", "Succeeded")]


@input_guardrail
async def refuse(context: Any, agent: Any, given: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(output_info="no", tripwire_triggered=True)


def test_what_fails_names_its_reason(folder: Path, recorded: Recorded) -> None:
    record_openai_agents(folder)
    with pytest.raises(Exception, match="no such model"):
        run(Agent(name="Model", model=responses(404)), "x")
    with pytest.raises(InputGuardrailTripwireTriggered):
        run(Agent(name="Guarded", model=responses([says("x")]), input_guardrails=[refuse]), "x")
    endless = Agent(name="Endless", model=responses([calls("weather", city="Rome")]), tools=[weather])
    with pytest.raises(MaxTurnsExceeded):
        asyncio.run(Runner.run(endless, "x", max_turns=1))
    recorder.close()
    found = {graph.task_description: graph for graph in recorded()}
    assert {str(graph.state) for graph in found.values()} == {"Failed"}
    assert "no such model" in found["Model"].events[-1].reason
    assert "refuse" in found["Guarded"].events[-1].reason
    assert states(found["Guarded"])["step Guardrail refuse"] == "Failed"
    assert found["Endless"].events[-1].reason == 'Max turns exceeded: {"max_turns": 1}'
    assert states(found["Endless"])["call weather"] == "Succeeded"


def test_spans_of_ones_own_several_runs_of_a_trace_and_no_sensitive_data(
    folder: Path, recorded: Recorded, said: Said
) -> None:
    record_openai_agents(folder)
    endless: dict[str, Any] = {"bytes": b"\xff" * 100, "long": "x" * 10**6, "\0": object()}
    endless["self"] = endless
    agent = Agent(name="Main", model=responses([calls("weather", city="Rome")], [says("secret")]), tools=[weather])
    with trace("Nightly", metadata={"job": 7}):
        with custom_span("Prepare", endless):
            pass
        run(agent, "secret", trace_include_sensitive_data=False)
    recorder.close()
    graph = only(recorded())
    assert (graph.task_description, str(graph.state)) == ("Nightly", "Completed")
    assert [task.title for task in graph.tasks] == ["Prepare", "Main"]
    assert (graph.metadata or {})["job"] == 7
    assert said(graph) == []
    assert graph.tasks[1].steps[0].tool_calls[0].parameters == {}
    assert "secret" not in str(graph)


def test_a_database_that_fails_and_a_processor_that_errs_harm_no_run(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only or damaged workspace: the run goes on, one line of the log says so."""
    (folder / ".agent" / "workspace.db").write_bytes(b"not a database" * 100)
    processor = record_openai_agents(folder)
    agent = Agent(name="Main", model=responses([calls("weather", city="Rome")], [says("ok")]), tools=[weather])
    assert run(agent, "x").final_output == "ok"
    recorder.close()
    assert [record.levelno for record in caplog.records if record.name == "acode_tui.recorder"] == [logging.ERROR]

    def err(*_: Any) -> None:
        raise ZeroDivisionError("a defect of the integration")

    monkeypatch.setattr(AgentsProcessor, "_begin", err)
    monkeypatch.setattr(conversations, "_reported", threading.Event())
    again = Agent(name="Main", model=responses([says("ok")]))
    assert run(again, "x").final_output == "ok"
    assert "a defect of the integration" in caplog.text
    assert processor._traces == {}


def test_the_example_runs(
    folder: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (folder / "login.ts").write_text("export {}")
    set_default_openai_client(
        client([calls("read_file", path="login.ts")], [says("It is empty.")]), use_for_tracing=False
    )
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # ``run_sync`` would make one and never close it
    try:
        runpy.run_path(str(EXAMPLE))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    assert "It is empty." in capsys.readouterr().out
    recorder.close()
    graph = only(recorded())
    assert states(graph)["call read_file"] == "Succeeded"
