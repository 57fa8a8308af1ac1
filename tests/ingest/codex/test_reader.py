"""Which lines of a Codex rollout become tasks, steps, calls and artifacts."""

import json

import msgspec
import pytest

from acode_tui.domain.display import session_name
from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState, WorkState
from tests.ingest.builders import SESSION, Codex, call_named, calls_of, graph_of, read, steps_of


def turn(text: str = "Go") -> Codex:
    transcript = Codex()
    transcript.prompt(text)
    return transcript


def test_a_prompt_that_is_both_item_and_event_is_one_task() -> None:
    transcript = Codex()
    transcript.item("message", role="user", content=[{"type": "input_text", "text": "<environment_context>"}])
    transcript.prompt("First")
    transcript.says("One")
    transcript.prompt("Second")
    transcript.says("Two")
    parsed = read(transcript)
    assert [task.title for task in parsed.graphs[0].tasks] == ["First", "Second"]
    assert parsed.counts.artifacts == 4


def test_a_turn_s_prompt_may_precede_its_start_and_further_ones_are_steering() -> None:
    transcript = Codex()
    transcript.event("task_started", turn_id="t1")
    transcript.event("user_message", message="First")
    transcript.calls("c1")
    transcript.event("user_message", message="not that file")
    transcript.output("c1", "x")
    transcript.says("Done")
    transcript.event("task_complete", turn_id="t1")
    transcript.event("user_message", message="Second")
    transcript.event("task_started", turn_id="t2")
    transcript.says("Done too")
    transcript.event("task_complete", turn_id="t2")
    graph = graph_of(transcript)
    assert [task.title for task in graph.tasks] == ["First", "Second"]
    assert any(event.reason.startswith("steering: not that file") for event in graph.events)
    assert graph.state is SessionState.COMPLETED


def test_a_step_is_the_first_output_after_an_input() -> None:
    transcript = turn()
    transcript.item("reasoning", summary=[], encrypted_content="x")
    transcript.calls("c1")
    transcript.calls("c2")
    transcript.output("c1", "a")
    transcript.output("c2", "b")
    transcript.item("reasoning", summary=[])
    transcript.says("Done")
    graph = graph_of(transcript)
    assert len(steps_of(graph)) == 2
    assert [call.tool_name for call in steps_of(graph)[0].tool_calls] == ["shell", "shell"]


@pytest.mark.parametrize("turns", [False, True])
def test_a_prompt_that_is_only_an_event_begins_a_step_too(turns: bool) -> None:
    transcript = Codex()
    for said in ("First", "Second", "Third"):
        if turns:
            transcript.event("task_started", turn_id=said)
        transcript.event("user_message", message=said)
        transcript.says(f"{said} done")
        if turns:
            transcript.event("task_complete", turn_id=said)
    graph = graph_of(transcript)
    assert [[step.name for step in task.steps] for task in graph.tasks] == [
        ["First done"],
        ["Second done"],
        ["Third done"],
    ]
    assert {task.state for task in graph.tasks} == {WorkState.COMPLETED}


def test_arguments_are_parsed_from_their_string() -> None:
    transcript = turn()
    transcript.calls("c1", arguments='{"command":["ls","-la"]}')
    transcript.calls("c2", arguments="not json")
    first, second = calls_of(graph_of(transcript))
    assert first.parameters == {"command": ["ls", "-la"]}
    assert second.parameters == {"input": "not json"}


@pytest.mark.parametrize(
    ("output", "state", "text"),
    [
        (json.dumps({"output": "a", "metadata": {"exit_code": 0}}), ToolCallState.SUCCEEDED, "a"),
        (json.dumps({"output": "b", "metadata": {"exit_code": 2}}), ToolCallState.FAILED, "b"),
        ("Wall time: 1\nProcess exited with code 0\nOutput:\nexecution error: no", ToolCallState.SUCCEEDED, None),
        ("Wall time: 1\nProcess exited with code 3\nOutput:\n", ToolCallState.FAILED, None),
        ("failed in sandbox: denied", ToolCallState.FAILED, None),
        ("execution error: Io(..)", ToolCallState.FAILED, None),
        ("patch rejected by user", ToolCallState.CANCELLED, None),
        ([{"type": "input_text", "text": "a\n"}], ToolCallState.SUCCEEDED, "a\n"),
        ({"content": "x", "success": False}, ToolCallState.FAILED, "x"),
        ({"output": "y", "metadata": {"exit_code": 1}}, ToolCallState.FAILED, "y"),
        ("plain", ToolCallState.SUCCEEDED, "plain"),
        (None, ToolCallState.SUCCEEDED, ""),
    ],
)
def test_failure_is_derived_from_the_output(output: object, state: ToolCallState, text: str | None) -> None:
    transcript = turn()
    transcript.calls("c1")
    transcript.output("c1", output)
    (call,) = calls_of(graph_of(transcript))
    assert call.state is state
    (artifact,) = call.artifacts
    if text is not None:
        assert artifact.content == text.encode()


def test_an_applied_patch_is_a_diff() -> None:
    transcript = turn()
    transcript.item("custom_tool_call", name="apply_patch", input="*** Begin Patch", call_id="c1", status="completed")
    transcript.item("custom_tool_call_output", call_id="c1", output='{"output":"ok","metadata":{"exit_code":0}}')
    (call,) = calls_of(graph_of(transcript))
    assert (call.artifacts[0].type, call.artifacts[0].content) == (ArtifactType.FILE_DIFF, b"*** Begin Patch")


def test_web_searches_are_identified_by_their_number() -> None:
    transcript = turn()
    for query in ("one", "two"):
        transcript.item("web_search_call", status="completed", action={"type": "search", "query": query})
    calls = calls_of(graph_of(transcript))
    assert [call.parameters["query"] for call in calls] == ["one", "two"]
    assert {call.state for call in calls} == {ToolCallState.SUCCEEDED}


def test_tokens_are_added_whenever_the_total_changes() -> None:
    transcript = turn()
    transcript.tokens(10, 10, cached_input_tokens=4)
    transcript.tokens(10, 10, cached_input_tokens=4)
    transcript.event("token_count", info=None)
    transcript.tokens(25, 15)
    transcript.tokens(5, 5)
    transcript.says("Done")
    tokens = (graph_of(transcript).metadata or {})["tokens"]
    assert tokens == {"input": 26, "output": 30, "cacheRead": 4, "cacheWrite": 0}


def test_the_first_session_meta_identifies_the_file() -> None:
    transcript = turn()
    transcript.line("session_meta", id="another", cwd="/elsewhere", cli_version="9")
    transcript.says("Done")
    metadata = graph_of(transcript).metadata or {}
    assert metadata["nativeId"] == SESSION
    assert metadata["cwd"] == "/src/shop"
    assert metadata["gitBranch"] == "main"


def test_records_from_before_the_wrapper_are_read() -> None:
    transcript = Codex(meta=False)
    transcript.add({"id": SESSION, "timestamp": transcript.now, "instructions": None, "git": {"branch": "dev"}})
    transcript.add({"record_type": "state"})
    prompt = [{"type": "input_text", "text": "Old prompt"}]
    transcript.add({"type": "message", "role": "user", "content": prompt})
    transcript.add({"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c1"})
    transcript.add({"type": "function_call_output", "call_id": "c1", "output": "x"})
    transcript.add({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Old answer"}]})
    parsed = read(transcript)
    graph = parsed.graphs[0]
    assert [task.title for task in graph.tasks] == ["Old prompt"]
    assert (parsed.counts.steps, parsed.counts.tool_calls) == (2, 1)
    assert (graph.metadata or {})["gitBranch"] == "dev"
    assert graph.state is SessionState.COMPLETED


def test_an_aborted_turn_fails_its_task_and_pauses_the_session() -> None:
    transcript = turn()
    transcript.calls("c1")
    transcript.event("turn_aborted", reason="interrupted")
    graph = graph_of(transcript)
    assert graph.state is SessionState.PAUSED
    assert graph.tasks[0].state is WorkState.FAILED
    assert (graph.tasks[0].metadata or {})["reason"] == "interrupted"
    assert call_named(graph, "shell").state is ToolCallState.CANCELLED


def test_compaction_and_another_model_are_noted_and_the_history_is_not_replayed() -> None:
    transcript = turn()
    transcript.line("turn_context", model="gpt-a")
    transcript.says("One")
    history = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Old"}]}]
    transcript.line("compacted", message="", replacement_history=history)
    transcript.line("turn_context", model="gpt-b")
    parsed = read(transcript)
    reasons = [event.reason for event in parsed.graphs[0].events]
    assert any(reason.startswith("context compacted") for reason in reasons)
    assert any("from gpt-a to gpt-b" in reason for reason in reasons)
    assert parsed.counts.tasks == 1


EDITOR = "# Context from my IDE setup:\n\n## Open tabs:\n- a.ts: src/a.ts\n\n## My request for Codex:\n"


def test_a_task_s_title_is_the_request_after_an_editor_s_text() -> None:
    transcript = turn(EDITOR + "\nMake it faster\nand smaller\n")
    transcript.says("One")
    transcript.prompt(EDITOR + "continue\n")
    transcript.says("Two")
    graph = graph_of(transcript)
    assert [task.title for task in graph.tasks] == ["Make it faster", "continue"]
    assert [task.description for task in graph.tasks] == [
        EDITOR + "\nMake it faster\nand smaller\n",
        EDITOR + "continue\n",
    ]
    assert graph.task_description == graph.tasks[0].description
    assert graph.metadata is not None
    assert graph.metadata["request"] == session_name(graph) == "Make it faster and smaller"


@pytest.mark.parametrize("prompt", ["Look at\n" + EDITOR, EDITOR, EDITOR + " \n", EDITOR.partition("\n## My")[0]])
def test_an_editor_s_text_without_a_request_is_the_title_itself(prompt: str) -> None:
    transcript = turn(prompt)
    transcript.says("One")
    transcript.prompt(EDITOR + "Second")
    transcript.says("Two")
    graph = graph_of(transcript)
    assert [task.title for task in graph.tasks] == [prompt.partition("\n")[0], "Second"]
    assert graph.metadata is not None
    assert "request" not in graph.metadata
    assert session_name(graph) == graph.task_description == prompt


def test_only_imported_runs_have_a_request() -> None:
    graph = graph_of(turn("Go"))
    for metadata in ({"request": "x"}, {"request": 3, "source": "codex"}, {"request": " ", "source": "codex"}, None):
        assert session_name(msgspec.structs.replace(graph, metadata=metadata)) == "Go"
