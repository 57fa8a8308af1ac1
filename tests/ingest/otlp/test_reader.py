"""What spans become, by each of the conventions."""

import json
from typing import Any

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState
from tests.ingest.builders import calls_of, read, steps_of
from tests.ingest.otlp.builder import (
    agent,
    assistant,
    chat,
    event,
    log,
    log_request,
    request,
    returned,
    run,
    span,
    tool,
    user,
)


def graph_of(*spans: dict[str, Any], **resource: Any) -> SessionGraph:
    (graph,) = read([json.dumps(request(*spans, **resource)).encode()], format="otlp").graphs
    return graph


def texts(graph: SessionGraph) -> list[bytes | None]:
    return [found.content for step in steps_of(graph) for found in step.artifacts]


def test_an_agent_s_span_is_a_task_its_model_calls_are_steps_and_its_tools_are_calls() -> None:
    graph = graph_of(*run(), service__version="1.2")
    (task,) = graph.tasks
    assert task.title == "What is here?"
    assert [found.content for found in task.artifacts] == [b"What is here?"]
    first, second = steps_of(graph)
    assert (first.name, second.name) == ("I look.", "One file.")
    assert first.metadata is not None
    assert first.metadata["tokens"] == {"input": 40, "output": 7, "cacheRead": 60, "cacheWrite": 0}
    assert (first.metadata["model"], first.metadata["agent"]) == ("model-a", "bot")
    (call,) = first.tool_calls
    assert (call.tool_name, call.state, call.parameters) == ("shell", ToolCallState.SUCCEEDED, {"command": "ls"})
    assert [found.content for found in call.artifacts] == [b"a.py"]
    assert graph.state is SessionState.COMPLETED
    assert graph.metadata is not None
    assert graph.metadata["nativeId"] == "talk-1"
    assert graph.metadata["tokens"] == {"input": 140, "output": 14, "cacheRead": 60, "cacheWrite": 0}
    assert (graph.metadata["agentName"], graph.metadata["agentVersion"]) == ("shop", "1.2")


def test_traces_of_one_conversation_are_tasks_of_one_session_and_others_are_sessions() -> None:
    def turn(trace: str, start: float, asked: str, **more: Any) -> list[dict[str, Any]]:
        return [
            chat(2, start + 1, given=asked, said="Yes.", parent=1, trace=trace),
            # Ids of spans are unique in their trace alone.
            tool(3, start + 2, parent=1, trace=trace),
            agent(1, start, 3, trace=trace, **more),
        ]

    named = {"gen_ai__conversation__id": "talk-1"}
    spans = [*turn("b" * 32, 20, "Second", **named), *turn("a" * 32, 0, "First", **named), *turn("c" * 32, 5, "Alone")]
    graphs = read([json.dumps(request(*spans)).encode()], format="otlp").graphs
    assert [[task.title for task in graph.tasks] for graph in graphs] == [["Alone"], ["First", "Second"]]
    assert [len(calls_of(graph)) for graph in graphs] == [1, 2]


def test_an_error_of_a_tool_is_that_call_s_and_an_error_of_the_agent_fails_the_run() -> None:
    raised = event("exception", exception__type="ValueError", exception__message="no such file")
    spans = run()
    spans[1] = tool(3, 3, "c1", parent=1, error="failed", events=[raised])
    graph = graph_of(*spans)
    (call,) = calls_of(graph)
    assert (call.state, call.error_message) == (ToolCallState.FAILED, "ValueError: no such file")
    assert graph.state is SessionState.COMPLETED
    spans[3] = agent(1, error="out of budget")
    assert graph_of(*spans).state is SessionState.FAILED


def test_a_span_that_never_ended_leaves_its_run_open() -> None:
    spans = [*run()[:1], tool(3, 3, "c1", parent=1, ended=False), agent(1, ended=False)]
    graph = graph_of(*spans)
    assert graph.state is SessionState.PAUSED
    assert [call.state for call in calls_of(graph)] == [ToolCallState.EXECUTING]


def test_calls_without_spans_are_read_from_the_messages() -> None:
    """Instrumentation of a client library reports the calls of the model and nothing else."""
    asked, calls = [user("List")], assistant("", ("c1", "shell", {"command": "ls"}))
    graph = graph_of(
        chat(1, 1, given=asked, said=[calls]),
        chat(2, 3, given=[*asked, calls, returned("c1", {"files": 2})], said="Two."),
    )
    (call,) = calls_of(graph)
    assert (call.tool_name, call.parameters) == ("shell", {"command": "ls"})
    assert [found.content for found in call.artifacts] == [b'{"files":2}']
    assert call.state is ToolCallState.SUCCEEDED


def test_messages_as_events_of_older_conventions() -> None:
    events = [
        event("gen_ai.system.message", content="Be brief."),
        event("gen_ai.user.message", content="Hello?"),
        event("gen_ai.choice", message='{"role": "assistant", "content": "Yes."}', finish_reason="stop"),
    ]
    graph = graph_of(chat(1, 1, events=events))
    assert (graph.tasks[0].title, texts(graph)) == ("Hello?", [b"Yes."])
    events = [
        event("gen_ai.content.prompt", gen_ai__prompt='[{"role": "user", "content": "Hello?"}]'),
        event("gen_ai.content.completion", gen_ai__completion='[{"role": "assistant", "content": "Yes."}]'),
    ]
    graph = graph_of(chat(1, 1, events=events, gen_ai__system="provider-a", gen_ai__usage__prompt_tokens=5))
    assert (graph.tasks[0].title, texts(graph)) == ("Hello?", [b"Yes."])
    assert graph.metadata is not None
    assert (graph.metadata["providers"], graph.metadata["tokens"]["input"]) == (["provider-a"], 5)


def test_openinference_spans() -> None:
    graph = graph_of(
        span(
            2,
            1,
            parent=1,
            openinference__span__kind="LLM",
            llm__model_name="model-b",
            llm__token_count__prompt=10,
            llm__token_count__completion=3,
            more={
                "llm.input_messages.0.message.role": "user",
                "llm.input_messages.0.message.content": "Find it",
                "llm.output_messages.0.message.role": "assistant",
                "llm.output_messages.0.message.content": "I search.",
                "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
                "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "search",
                "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"q": "it"}',
            },
        ),
        span(3, 3, parent=1, openinference__span__kind="TOOL", tool__name="search", output__value="found"),
        span(1, 0, 9, openinference__span__kind="AGENT", session__id="s-1", input__value="Find it"),
    )
    assert [task.title for task in graph.tasks] == ["Find it"]
    (step,) = steps_of(graph)
    assert step.metadata is not None
    assert (step.metadata["model"], step.metadata["tokens"]["input"]) == ("model-b", 10)
    (call,) = step.tool_calls
    assert (call.tool_name, call.parameters) == ("search", {"q": "it"})
    assert [found.content for found in call.artifacts] == [b"found"]
    assert graph.metadata is not None
    assert graph.metadata["nativeId"] == "s-1"


def test_unknown_attributes_are_kept() -> None:
    graph = graph_of(chat(1, 1, given="Go", said="Yes", shop__order=7, vendor__long="x" * 10_000))
    (step,) = steps_of(graph)
    assert step.metadata is not None
    assert step.metadata["attributes"]["shop.order"] == 7
    assert len(step.metadata["attributes"]["vendor.long"]) == 500


def test_log_records_of_claude_code_and_of_codex_tell_a_run() -> None:
    claude = log_request(
        log(1, "claude_code.user_prompt", session__id="s-1", event__name="user_prompt", prompt="Fix it"),
        log(3, "claude_code.api_request", session__id="s-1", model="model-a", input_tokens=5, output_tokens="2",
            cache_read_tokens=90, cost_usd="0.25", duration_ms=1500),
        log(5, "claude_code.tool_result", session__id="s-1", tool_name="Bash", success="false", error="exit 1",
            duration_ms=900, tool_parameters='{"bash_command": "make"}'),
        log(6, "claude_code.api_request", session__id="s-1", model="model-a", input_tokens=1, output_tokens=1),
        log(7, "claude_code.internal_thing", session__id="s-1"),
    )  # fmt: skip
    (graph,) = read([json.dumps(claude).encode()], format="otlp").graphs
    assert [task.title for task in graph.tasks] == ["Fix it"]
    assert len(steps_of(graph)) == 2
    (call,) = calls_of(graph)
    assert (call.tool_name, call.error_message, call.parameters) == ("Bash", "exit 1", {"bash_command": "make"})
    assert graph.metadata is not None
    assert graph.metadata["tokens"] == {"input": 6, "output": 3, "cacheRead": 90, "cacheWrite": 0}
    assert graph.metadata["cost"] == 0.25

    def codex(at: float, name: str, **attributes: Any) -> dict[str, Any]:
        named = {"conversation__id": "c-1", "event__name": f"codex.{name}"}
        return log(at, "", service="codex_cli_rs", **named, **attributes)

    records = log_request(
        codex(1, "user_prompt", prompt="[REDACTED]", prompt_length=12),
        codex(3, "sse_event", event__kind="response.created"),
        codex(4, "sse_event", event__kind="response.completed", input_token_count=50, cached_token_count=40,
              output_token_count=5, model="model-c"),
        codex(6, "tool_result", tool_name="shell", call_id="k", arguments='{"command": "ls"}', output="a.py",
              success="true", duration_ms=10),
    )  # fmt: skip
    (graph,) = read([json.dumps(records).encode()], format="otlp").graphs
    assert [task.title for task in graph.tasks] == ["[a prompt of 12 characters that was not sent]"]
    assert [call.artifacts[0].content for call in calls_of(graph)] == [b"a.py"]
    assert graph.metadata is not None
    assert graph.metadata["tokens"] == {"input": 10, "output": 5, "cacheRead": 40, "cacheWrite": 0}


def test_an_agent_without_model_spans_is_a_step_itself() -> None:
    graph = graph_of(agent(1, input__value="Go", output__value="Done", gen_ai__usage__input_tokens=9))
    assert (graph.tasks[0].title, texts(graph)) == ("Go", [b"Done"])
    assert graph.metadata is not None
    assert graph.metadata["tokens"]["input"] == 9


def test_the_prompt_of_an_agent_within_an_agent_is_kept_with_its_step() -> None:
    spans = run()
    inner = [
        chat(6, 3.2, given="Count the files", said="1", parent=5, gen_ai__agent__name="counter"),
        agent(5, 3.1, 0.8, parent=3, gen_ai__agent__name="counter"),
    ]
    graph = graph_of(*spans[:1], *inner, *spans[1:])
    assert [task.title for task in graph.tasks] == ["What is here?"]
    step = steps_of(graph)[1]
    assert {found.type: found.content for found in step.artifacts} == {
        ArtifactType.USER_PROMPT: b"Count the files",
        ArtifactType.MODEL_RESPONSE: b"1",
    }
    assert step.metadata is not None
    assert step.metadata["agent"] == "counter"
