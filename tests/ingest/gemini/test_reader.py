"""Which records of Gemini CLI become tasks, steps, calls and events."""

from pathlib import Path

import pytest

from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState
from acode_tui.ingest.format import Layout
from acode_tui.ingest.gemini.format import Gemini as GeminiFormat
from tests.ingest.builders import call_named, calls_of, context_for, graph_of, read, steps_of
from tests.ingest.gemini.builder import Gemini, call, gemini_story

CHATS = "/home/ada/.gemini/tmp/shop/chats"


def test_prompts_reasoning_answers_calls_and_tokens() -> None:
    transcript = Gemini()
    transcript.prompt("Look")
    thoughts = [{"subject": "Where", "description": "In the notes."}]
    transcript.says("Reading.", call("c1", "read_file", "hello", file_path="notes.txt"), thoughts=thoughts)
    transcript.says("It says hello.")
    for data in ([transcript.document], transcript.lines):
        graph = read(data, format="gemini").graphs[0]
        assert [task.title for task in graph.tasks] == ["Look"]
        first = steps_of(graph)[0]
        assert [found.content for found in first.artifacts] == [b"Where\n\nIn the notes.", b"Reading."]
        (artifact,) = call_named(graph, "read_file").artifacts
        assert (artifact.type, artifact.name, artifact.content) == (ArtifactType.FILE_CONTENT, "notes.txt", b"hello")
        assert graph.state is SessionState.COMPLETED
        assert graph.metadata is not None
        assert graph.metadata["tokens"] == {"input": 80, "output": 14, "cacheRead": 120, "cacheWrite": 0}


def test_the_last_record_of_a_message_counts() -> None:
    """A message is written once without its calls, and once with them."""
    transcript = Gemini()
    transcript.prompt("Go")
    transcript.says("", key="a")
    transcript.says("", call("c1", "glob"), key="a")
    graph = graph_of(transcript)
    assert len(steps_of(graph)) == len(calls_of(graph)) == 1
    assert graph.metadata is not None
    assert graph.metadata["tokens"]["input"] == 40


def test_a_context_that_is_written_again_replaces_nothing() -> None:
    transcript = Gemini()
    prompt = transcript.prompt("Go")
    answer = transcript.says("Yes", call("c1", "glob"))
    again = [
        {"id": prompt, "timestamp": transcript.now, "type": "user", "content": [{"text": "Go"}]},
        {"id": answer, "timestamp": transcript.now, "type": "gemini", "content": "Yes"},
        {"id": "x", "timestamp": transcript.now, "type": "user", "content": [{"functionResponse": {}}]},
    ]
    transcript.add({"$set": {"messages": again}})
    graph = graph_of(transcript)
    assert (len(graph.tasks), len(calls_of(graph))) == (1, 1)
    assert steps_of(graph)[0].metadata == {
        "model": "model-a",
        "tokens": {"input": 40, "output": 7, "cacheRead": 60, "cacheWrite": 0},
    }


@pytest.mark.parametrize(
    ("status", "output", "state"),
    [
        ("success", "fine", ToolCallState.SUCCEEDED),
        ("success", "fine\nExit Code: 0", ToolCallState.SUCCEEDED),
        ("success", "bad\nExit Code: 2\nGroup: 1", ToolCallState.FAILED),
        ("error", "no such tool", ToolCallState.FAILED),
        ("cancelled", "", ToolCallState.CANCELLED),
    ],
)
def test_a_command_fails_by_its_status_or_its_exit_code(status: str, output: str, state: ToolCallState) -> None:
    transcript = Gemini()
    transcript.prompt("Go")
    transcript.says("", call("c1", "run_shell_command", output, status=status, command="x"))
    (made,) = calls_of(graph_of(transcript))
    assert made.state is state


def test_what_the_program_wrote_as_the_user_is_no_prompt() -> None:
    transcript = Gemini()
    for text in ("<session_context>x", "<hook_context>x", "/help", "?", "  "):
        transcript.prompt(text)
    transcript.message("user", [{"functionResponse": {"response": {"output": "x"}}}])
    transcript.prompt("Real")
    assert [task.title for task in graph_of(transcript).tasks] == ["Real"]


def test_what_was_rewound_is_marked() -> None:
    transcript = Gemini()
    transcript.prompt("Keep")
    transcript.says("Kept")
    back = transcript.prompt("Drop")
    transcript.says("Dropped")
    transcript.add({"$rewindTo": back})
    transcript.prompt("Instead")
    graph = graph_of(transcript)
    assert [bool((task.metadata or {}).get("abandoned")) for task in graph.tasks] == [False, True, False]
    assert [bool((step.metadata or {}).get("abandoned")) for step in steps_of(graph)] == [False, True]


def test_a_subagent_names_its_parent_and_its_parent_s_call_names_it() -> None:
    child = Gemini("22222222-2222-4333-8444-555555555555", kind="subagent")
    child.prompt("Find it")
    child.says("", call("c9", "complete_task"))
    parent = Gemini()
    parent.prompt("Go")
    parent.says("", {**call("c1", "invoke_agent"), "agentId": child.header["sessionId"]})
    found = graph_of(child, path=f"{CHATS}/{parent.header['sessionId']}/22222222-2222-4333-8444-555555555555.jsonl")
    graph = graph_of(parent)
    assert found.metadata is not None
    assert found.metadata["parentSessionId"] == graph.id
    assert (calls_of(graph)[0].result or {})["childSessionId"] == found.id
    assert found.state is SessionState.COMPLETED


def test_an_interruption_is_one_and_other_notices_are_events() -> None:
    graph = graph_of(gemini_story())
    assert [task.metadata and task.metadata.get("reason") for task in graph.tasks] == ["interrupted", None]
    transcript = Gemini()
    transcript.prompt("Go")
    transcript.message("warning", "The quota is nearly used up")
    assert any("warning: The quota" in event.reason for event in graph_of(transcript).events)


def test_the_files_of_a_session_are_read_as_one(tmp_path: Path) -> None:
    first, second = Gemini(), Gemini()
    first.prompt("One")
    first.says("1")
    second.message("user", "Two", key="later")
    chats = tmp_path / "chats"
    chats.mkdir()
    (chats / "session-2026-01-01T10-00-11111111.json").write_bytes(first.document)
    path = second.write(chats / "session-2026-01-01T10-30-11111111.jsonl")
    format_ = GeminiFormat()
    assert format_.layout(path) is Layout.PARTS
    context = context_for(path)
    (graph,) = format_.read(format_.parts(path, context), context).graphs
    assert [task.title for task in graph.tasks] == ["One", "Two"]
    assert (graph.metadata or {})["file"] == "session-2026-01-01T10-00-11111111.json"
    assert format_.stat(path).size == sum(file.stat().st_size for file in chats.iterdir())


def test_the_project_s_folder_is_kept_beside_the_chats(tmp_path: Path) -> None:
    project = tmp_path / ".gemini" / "tmp" / "shop"
    path = gemini_story().write(project / "chats" / "session-2026-01-01T10-00-11111111.jsonl")
    (tmp_path / ".gemini" / "projects.json").write_text('{"projects": {"/src/shop": "shop"}}')
    metadata = graph_of(gemini_story(), path=str(path)).metadata
    assert metadata is not None
    assert metadata["cwd"] == "/src/shop"
    (project / ".project_root").write_text("/src/other")
    metadata = graph_of(gemini_story(), path=str(path)).metadata
    assert metadata is not None
    assert metadata["cwd"] == "/src/other"
