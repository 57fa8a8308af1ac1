"""Which entries of a pi session become tasks, steps, calls and events."""

import pytest

from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState
from acode_tui.ingest.registry import formats
from acode_tui.ingest.usage import Claims
from tests.ingest.builders import call_named, calls_of, graph_of, read, stamp, steps_of
from tests.ingest.pi.builder import Pi, pi_story


def test_prompts_answers_calls_and_tokens() -> None:
    transcript = Pi()
    transcript.prompt("Look")
    transcript.says("Reading.", {"type": "thinking", "thinking": "Where is it?"})
    transcript.calls("c1", "read", path="notes.txt")
    transcript.result("c1", "hello")
    transcript.says("It says hello.")
    graph = graph_of(transcript)
    assert [task.title for task in graph.tasks] == ["Look"]
    assert len(steps_of(graph)) == 3
    assert {found.type for found in steps_of(graph)[0].artifacts} == {
        ArtifactType.REASONING,
        ArtifactType.MODEL_RESPONSE,
    }
    (artifact,) = call_named(graph, "read").artifacts
    assert (artifact.type, artifact.name, artifact.content) == (ArtifactType.FILE_CONTENT, "notes.txt", b"hello")
    assert graph.state is SessionState.COMPLETED
    assert graph.metadata is not None
    assert graph.metadata["tokens"] == {"input": 30, "output": 6, "cacheRead": 90, "cacheWrite": 0}
    assert graph.metadata["cost"] == 0.03


@pytest.mark.parametrize(
    ("text", "fields", "state", "code"),
    [
        ("ok", {}, ToolCallState.SUCCEEDED, None),
        ("no\n\nCommand exited with code 3", {"isError": True}, ToolCallState.FAILED, 3),
        ("no", {"details": {"exitCode": 4}}, ToolCallState.FAILED, 4),
        ("ENOENT", {"isError": True}, ToolCallState.FAILED, None),
        ("Command aborted", {"isError": True}, ToolCallState.CANCELLED, None),
    ],
)
def test_a_result_fails_by_its_flag_or_its_exit_code(
    text: str, fields: dict[str, object], state: ToolCallState, code: int | None
) -> None:
    transcript = Pi()
    transcript.prompt("Go")
    transcript.calls("c1")
    transcript.result("c1", text, **fields)
    (call,) = calls_of(graph_of(transcript))
    assert (call.state, (call.result or {}).get("exitCode")) == (state, code)


def test_an_edit_is_the_diff_that_was_made_and_none_where_it_failed() -> None:
    transcript = Pi()
    transcript.prompt("Go")
    for key, is_error in (("c1", False), ("c2", True)):
        transcript.calls(key, "edit", path="a.py")
        transcript.result(key, "done", isError=is_error, details={"diff": "-a\n+b\n"})
    made, refused = calls_of(graph_of(transcript))
    assert (made.artifacts[0].type, made.artifacts[0].content) == (ArtifactType.FILE_DIFF, b"-a\n+b\n")
    assert refused.artifacts[0].type is ArtifactType.COMMAND_OUTPUT


def test_an_image_whose_bytes_are_cut_is_still_an_image() -> None:
    found = Pi()
    found.entry(
        "message", message={"role": "user", "content": [{"type": "image", "data": "iVBOR…", "mimeType": "image/png"}]}
    )
    (task,) = graph_of(found).tasks
    image = task.artifacts[1]
    assert (image.type, image.content, image.content_type) == (ArtifactType.IMAGE, b"", "image/png")


def test_every_branch_counts_and_the_one_that_was_left_is_marked() -> None:
    transcript = Pi()
    start = transcript.prompt("Go")
    transcript.says("This way")
    transcript.prompt("No, that way", parent=start)
    transcript.says("That way")
    graph = graph_of(transcript)
    assert [(step.metadata or {}).get("abandoned") for step in steps_of(graph)] == [True, None]
    assert graph.metadata is not None
    assert graph.metadata["tokens"]["input"] == 20


def test_entries_of_another_session_in_the_file_are_no_branch_of_its_own() -> None:
    transcript = Pi()
    transcript.prompt("Go")
    transcript.says("Done")
    transcript.add({"type": "session", "version": 3, "id": "another", "timestamp": transcript.now, "cwd": "/src"})
    transcript.prompt("Look", parent=None)
    transcript.says("Seen")
    tasks = graph_of(transcript).tasks
    assert [(task.metadata or {}).get("nativeSessionId") for task in tasks] == [None, "another"]
    assert not any((task.metadata or {}).get("abandoned") for task in tasks)


def test_a_branched_file_does_not_repeat_what_its_origin_holds() -> None:
    """Its first entries are copies: they are older than its header."""
    origin = Pi()
    origin.prompt("Plan")
    origin.says("A plan")
    branch = Pi(
        "22222222-2222-4333-8444-555555555555", parentSession="/s/2026_11111111-2222-4333-8444-555555555555.jsonl"
    )
    branch.lines[0] = branch.lines[0].replace(stamp(0).encode(), stamp(60).encode())
    branch.lines += origin.lines[1:]
    for _ in range(80):
        branch.entry("thinking_level_change")
    branch.prompt("Write")
    claims = Claims()
    first, second = graph_of(origin, claims=claims), graph_of(branch, claims=claims)
    assert [task.title for task in first.tasks] == ["Plan"]
    assert [task.title for task in second.tasks] == ["Write"]
    assert second.metadata is not None
    assert second.metadata["parentSessionId"] == first.id
    alone = graph_of(branch)
    assert [task.title for task in alone.tasks] == ["Plan", "Write"]


def test_what_the_user_ran_and_what_extensions_say_are_events() -> None:
    transcript = Pi()
    transcript.prompt("Go")
    transcript.entry("message", message={"role": "bashExecution", "command": "ls", "output": "a", "exitCode": 0})
    transcript.entry("custom_message", customType="supervisor", content="Decide " * 200)
    graph = graph_of(transcript)
    reasons = " ".join(event.reason for event in graph.events)
    assert "the user ran ls (exit code 0)" in reasons
    assert "message of supervisor: Decide" in reasons
    assert len(graph.tasks) == 1
    assert graph.tasks[0].artifacts[-1].content == b"Decide " * 200


def test_unknown_types_are_counted_and_known_quiet_ones_are_not() -> None:
    transcript = pi_story()
    transcript.entry("thinking_level_change", thinkingLevel="high")
    transcript.entry("hologram")
    assert read(transcript).unknown == {"hologram": 1}


def test_the_first_record_decides() -> None:
    import json

    records = [json.loads(line) for line in pi_story().lines]
    assert next(found.name for found in formats().values() if found.recognises(records)) == "pi"
