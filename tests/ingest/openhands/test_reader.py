"""Which events of OpenHands become tasks, steps, calls and events of a run."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState
from acode_tui.domain.validation import Limits
from acode_tui.ingest.discover import find
from acode_tui.ingest.file_reader import FileReader
from acode_tui.ingest.openhands.format import OpenHands as OpenHandsFormat
from acode_tui.ingest.usage import Claims
from tests.ingest.builders import WORKSPACE, Transcript, call_named, calls_of, context_for, graph_of, read, steps_of
from tests.ingest.openhands.builder import OldOpenHands, OpenHands, openhands_story


def older_story() -> OldOpenHands:
    """A call and its result in the older generation."""
    found = OldOpenHands()
    found.prompt("Go")
    found.result(found.calls("run", "r1", "execute_bash", command="ls"), "run", "a.py")
    return found


def test_prompts_reasoning_answers_and_calls() -> None:
    transcript = OpenHands()
    transcript.prompt("Look")
    transcript.calls("c1", "r1", "file_editor", "Reading.", command="view", path="notes.txt")
    transcript.calls("c2", "r1", command="ls")
    transcript.result("c1", "hello")
    transcript.result("c2", "notes.txt", exit_code=0)
    transcript.says("It says hello.", "r2", reasoning_content="Simple.")
    graph = graph_of(transcript)
    assert [task.title for task in graph.tasks] == ["Look"]
    assert [step.name for step in steps_of(graph)] == ["Reading.", "It says hello."]
    (artifact,) = call_named(graph, "file_editor").artifacts
    assert (artifact.type, artifact.name, artifact.content) == (ArtifactType.FILE_CONTENT, "notes.txt", b"hello")
    assert [found.type for found in steps_of(graph)[1].artifacts] == [
        ArtifactType.REASONING,
        ArtifactType.MODEL_RESPONSE,
    ]
    assert graph.state is SessionState.COMPLETED


@pytest.mark.parametrize(
    ("observation", "state", "code"),
    [
        ({"exit_code": 0}, ToolCallState.SUCCEEDED, 0),
        ({"exit_code": 3}, ToolCallState.FAILED, 3),
        ({"metadata": {"exit_code": 3}}, ToolCallState.FAILED, 3),
        ({"exit_code": -1}, ToolCallState.SUCCEEDED, None),
        ({"is_error": True}, ToolCallState.FAILED, None),
        ({"timeout": True}, ToolCallState.FAILED, None),
    ],
)
def test_a_call_fails_by_its_flag_or_its_exit_code(
    observation: dict[str, Any], state: ToolCallState, code: int | None
) -> None:
    transcript = OpenHands()
    transcript.prompt("Go")
    transcript.calls("c1", "r1")
    transcript.result("c1", "out", **observation)
    (call,) = calls_of(graph_of(transcript))
    assert (call.state, (call.result or {}).get("exitCode")) == (state, code)


def test_errors_and_refusals_end_a_call() -> None:
    transcript = OpenHands()
    transcript.prompt("Go")
    transcript.calls("c1", "r1")
    transcript.event("AgentErrorEvent", tool_call_id="c1", error="no such argument")
    transcript.calls("c2", "r2")
    transcript.event("UserRejectObservation", "user", tool_call_id="c2", rejection_reason="not that")
    found = [(call.state, call.error_message) for call in calls_of(graph_of(transcript))]
    assert found == [(ToolCallState.FAILED, "no such argument"), (ToolCallState.CANCELLED, "not that")]


def test_the_state_has_the_tokens_by_response_and_the_end() -> None:
    transcript = OpenHands()
    transcript.prompt("Go")
    transcript.calls("c1", "r1", "finish", message="Done")
    transcript.result("c1", "Done")
    usage = {"prompt_tokens": 100, "completion_tokens": 5, "cache_read_tokens": 60, "response_id": "r1"}
    metrics = {"agent": {"accumulated_cost": 0.5, "accumulated_token_usage": usage, "token_usages": [usage]}}
    state = {"stats": {"usage_to_metrics": metrics}, "execution_status": "finished", "agent": {"llm": {"model": "m"}}}
    transcript.add({"id": "x", "workspace": {"working_dir": "/src/shop"}, **state})
    graph = graph_of(transcript)
    expected = {"input": 40, "output": 5, "cacheRead": 60, "cacheWrite": 0}
    assert graph.metadata is not None
    assert graph.metadata["tokens"] == (steps_of(graph)[0].metadata or {})["tokens"] == expected
    assert (graph.metadata["cwd"], graph.metadata["cost"]) == ("/src/shop", 0.5)
    assert graph.state is SessionState.COMPLETED


def test_the_older_generation() -> None:
    transcript = OldOpenHands()
    transcript.event("environment", observation="agent_state_changed", extras={"agent_state": "loading"})
    setup = transcript.event("environment", action="run", args={"command": "setup"})
    transcript.result(setup, "run")
    transcript.prompt("Go")
    transcript.event("user", action="recall", args={"query": "x"})
    first = transcript.calls("run", "r1", "execute_bash", command="make", thought="I build.")
    transcript.result(first, "run", "bad", metadata={"exit_code": 2})
    second = transcript.calls("edit", "r2", "str_replace_editor", path="a.py", command="str_replace")
    transcript.result(second, "edit", "done", path="a.py", diff="-a\n+b\n")
    transcript.event("agent", action="message", args={"content": "Built."})
    graph = graph_of(transcript)
    assert [task.title for task in graph.tasks] == ["Go"]
    assert [step.name for step in steps_of(graph)] == ["I build.", "str_replace_editor", "Built."]
    failed, edited = calls_of(graph)
    assert (failed.state, (failed.result or {})["exitCode"]) == (ToolCallState.FAILED, 2)
    assert (edited.artifacts[0].type, edited.artifacts[0].content) == (ArtifactType.FILE_DIFF, b"-a\n+b\n")
    assert graph.metadata is not None
    assert graph.metadata["tokens"] == {"input": 80, "output": 10, "cacheRead": 120, "cacheWrite": 0}


def test_a_conversation_is_a_folder_and_its_events_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = openhands_story().write(tmp_path / "conversations" / "abc")
    (folder / "events" / ".eventlog-len-9.marker").write_text("")
    (item,) = find([tmp_path])
    assert (item.path, item.format) == (folder, "openhands")
    format_ = OpenHandsFormat()
    before = format_.stat(folder)
    records = list(format_.parts(folder, context_for(folder)))
    assert [number for number, _ in records] == list(range(1, len(openhands_story().lines) + 1))
    (folder / "base_state.json").write_text(json.dumps({"execution_status": "finished"}))
    assert format_.stat(folder) != before


@pytest.mark.parametrize("transcript", [openhands_story(), older_story()])
def test_an_export_that_lists_the_events_in_one_file_is_the_same_run(tmp_path: Path, transcript: Transcript) -> None:
    folder, export = transcript.write(tmp_path / "abc"), tmp_path / "abc.json"
    export.write_bytes(b"[" + b",".join(transcript.lines) + b"]")
    limits, now = Limits(), datetime(2099, 1, 1, tzinfo=UTC)
    reader = FileReader(workspace_id=WORKSPACE, user_id=None, limits=limits, now=now)
    first, second = (
        [
            (row.id, row.updated_at)
            for graph in reader.read(path, None, Claims()).parsed.graphs
            for row in graph.entities()
        ]
        for path in (folder, export)
    )
    assert first == second != []


def test_unknown_kinds_are_counted() -> None:
    transcript = openhands_story()
    transcript.event("HologramEvent")
    assert read(transcript).unknown == {"HologramEvent": 1}


def test_the_images_of_a_prompt_are_kept_in_either_generation() -> None:
    urls = ["data:image/png;base64,aGk=", "https://example.com/a.png"]
    newer = OpenHands()
    content = [{"type": "text", "text": "Look"}, {"type": "image", "image_urls": urls}]
    newer.event("MessageEvent", "user", llm_message={"role": "user", "content": content})
    older = OldOpenHands()
    older.event("user", action="message", args={"content": "Look", "image_urls": urls})
    for transcript in (newer, older):
        (task,) = graph_of(transcript).tasks
        images = [(found.name, found.content) for found in task.artifacts if found.type is ArtifactType.IMAGE]
        assert images == [("image", b"hi"), ("https://example.com/a.png", b"")]
