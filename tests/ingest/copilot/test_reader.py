"""Which events of Copilot CLI become tasks, steps, calls and events of a run."""

from pathlib import Path
from typing import Any

import pytest

from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState
from tests.ingest.builders import SESSION, call_named, calls_of, graph_of, read, steps_of
from tests.ingest.copilot.builder import Copilot, copilot_story


def test_prompts_reasoning_answers_and_calls() -> None:
    transcript = Copilot()
    transcript.prompt("Look")
    transcript.says("Reading.", reasoningText="Where is it?")
    transcript.calls("c1", "view", path="notes.txt")
    transcript.result("c1", "hello")
    transcript.says("It says hello.")
    graph = graph_of(transcript)
    assert [task.title for task in graph.tasks] == ["Look"]
    assert [found.type for found in steps_of(graph)[0].artifacts] == [
        ArtifactType.REASONING,
        ArtifactType.MODEL_RESPONSE,
    ]
    (artifact,) = call_named(graph, "view").artifacts
    assert (artifact.type, artifact.name, artifact.content) == (ArtifactType.FILE_CONTENT, "notes.txt", b"hello")
    assert graph.state is SessionState.COMPLETED
    assert graph.metadata is not None
    assert (graph.metadata["cwd"], graph.metadata["gitBranch"]) == ("/src/shop", "main")


def test_the_events_of_one_request_are_one_step() -> None:
    """The last of them has the tokens."""
    transcript = Copilot()
    transcript.prompt("Go")
    transcript.says("One", request="r", outputTokens=None)
    transcript.says("Two", request="r", outputTokens=9)
    graph = graph_of(transcript)
    (step,) = steps_of(graph)
    assert [found.content for found in step.artifacts] == [b"One", b"Two"]
    assert (step.metadata or {})["tokens"]["output"] == 9


@pytest.mark.parametrize(
    ("content", "data", "state", "code"),
    [
        ("ok", {}, ToolCallState.SUCCEEDED, None),
        ("no\n<shellId: 4 completed with exit code 3>", {}, ToolCallState.FAILED, 3),
        ("no", {"shellExecution": {"exitCode": 2}}, ToolCallState.FAILED, 2),
        ("", {"success": False, "error": {"message": "no", "code": "failure"}}, ToolCallState.FAILED, None),
        ("", {"success": False, "error": {"message": "no", "code": "denied"}}, ToolCallState.CANCELLED, None),
    ],
)
def test_a_call_fails_by_its_flag_or_its_exit_code(
    content: str, data: dict[str, Any], state: ToolCallState, code: int | None
) -> None:
    transcript = Copilot()
    transcript.prompt("Go")
    transcript.calls("c1")
    transcript.result("c1", content, **data)
    (call,) = calls_of(graph_of(transcript))
    assert (call.state, (call.result or {}).get("exitCode")) == (state, code)


def test_what_others_than_the_user_said_is_an_event() -> None:
    transcript = Copilot()
    transcript.prompt("Real")
    transcript.prompt("Remember the rules", source="system")
    transcript.event("user.message", agent="a1", content="Do this part", source="agent-a1")
    transcript.prompt("", source="instruction-discovery")
    graph = graph_of(transcript)
    assert [task.title for task in graph.tasks] == ["Real"]
    reasons = " ".join(event.reason for event in graph.events)
    assert "message of system: Remember the rules" in reasons
    assert "message of agent-a1: Do this part" in reasons


def test_the_steps_of_a_subagent_are_marked_with_it() -> None:
    transcript = Copilot()
    transcript.prompt("Go")
    transcript.calls("c1", "task")
    transcript.event("subagent.started", agent="c1", toolCallId="c1", agentName="reviewer")
    transcript.says("I look", agent="c1")
    found = [(step.metadata or {}).get("agentName") for step in steps_of(graph_of(transcript))]
    assert found == [None, "reviewer"]


def test_tokens_by_request_where_there_are_records_of_them() -> None:
    transcript = Copilot()
    transcript.prompt("Go")
    usage = {"apiCallId": "r1", "inputTokens": 100, "outputTokens": 7, "cacheReadTokens": 60, "cacheWriteTokens": 10}
    transcript.event("session.usage_record", usage=usage)
    transcript.says("Done", request="r1", outputTokens=None)
    transcript.event("session.shutdown", modelMetrics={"model-a": {"usage": {"inputTokens": 999}}})
    graph = graph_of(transcript)
    expected = {"input": 30, "output": 7, "cacheRead": 60, "cacheWrite": 10}
    assert graph.metadata is not None
    assert graph.metadata["tokens"] == (steps_of(graph)[0].metadata or {})["tokens"] == expected


def test_the_last_shutdown_has_the_totals_of_all() -> None:
    transcript = Copilot()
    for count in (100, 300):
        transcript.prompt("Go")
        transcript.says("Done", outputTokens=4)
        metrics = {"model-a": {"usage": {"inputTokens": count, "outputTokens": 1, "cacheReadTokens": 50}}}
        transcript.event("session.shutdown", accountingSnapshot={"modelMetrics": metrics})
    metadata = graph_of(transcript).metadata
    assert metadata is not None
    assert metadata["tokens"] == {"input": 250, "output": 8, "cacheRead": 50, "cacheWrite": 0}


def test_a_call_that_waits_for_consent_awaits_approval() -> None:
    transcript = Copilot()
    transcript.prompt("Go")
    transcript.calls("c1")
    transcript.event("permission.requested", requestId="q", toolCallId="c1")
    assert graph_of(transcript).state is SessionState.AWAITING_APPROVAL


def test_the_name_that_the_user_gave_is_the_title(tmp_path: Path) -> None:
    path = copilot_story().write(tmp_path / "session-state" / SESSION / "events.jsonl")
    for is_given, expected in (("true", "My session"), ("false", None)):
        path.with_name("workspace.yaml").write_text(f"id: x\nname: My session\nuser_named: {is_given}\n")
        metadata = graph_of(copilot_story(), path=str(path)).metadata
        assert metadata is not None
        assert metadata.get("title") == expected


def test_unknown_events_are_counted() -> None:
    transcript = copilot_story()
    transcript.event("session.hologram")
    transcript.event("tool.dream")
    assert read(transcript).unknown == {"session.hologram": 1, "tool.dream": 1}
