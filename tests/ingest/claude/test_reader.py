"""Which lines of a Claude Code session become tasks, steps, calls and artifacts."""

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from acode_tui.domain.ids import imported_id
from acode_tui.domain.states import ArtifactType, ToolCallState, WorkState
from acode_tui.domain.validation import Limits
from acode_tui.ingest.format import Parsed
from acode_tui.ingest.usage import Claims
from tests.ingest.builders import (
    SESSION,
    Claude,
    call_named,
    calls_of,
    graph_of,
    read,
    stamp,
    steps_of,
    story,
    texts_of,
)

OTHER = "99999999-2222-4333-8444-555555555555"


def test_the_same_lines_give_the_same_run_on_every_machine() -> None:
    here, there = graph_of(story()), graph_of(story(), path=f"/elsewhere/{SESSION}.jsonl")
    assert [entity.id for entity in here.entities()] == [entity.id for entity in there.entities()]
    assert here.metadata == there.metadata
    assert here.id == imported_id("claude-code", SESSION)


def test_ids_in_a_run_are_unique() -> None:
    ids = [entity.id for entity in graph_of(story()).entities()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    "text",
    [
        "<local-command-stdout>done</local-command-stdout>",
        "<task-notification>\n<task-id>1</task-id>",
        "<bash-input>ls</bash-input>",
        "Caveat: The messages below were generated",
        "[Request interrupted by user]",
        "This session is being continued from a previous conversation",
        "   ",
    ],
)
def test_text_that_only_looks_like_a_prompt_is_not_a_task(text: str) -> None:
    transcript = Claude()
    transcript.user("The real one")
    transcript.user(text)
    transcript.user([{"type": "text", "text": text}])
    assert read(transcript).counts.tasks == 1


_odd = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
_agent_id = st.one_of(_odd, st.just("a93ccab"))
_LINK = {
    "type": "progress",
    "timestamp": stamp(9),
    "data": {"type": "agent_progress", "agentId": "a93ccab"},
    "parentToolUseID": "c1",
}
_data = st.one_of(
    _odd, st.fixed_dictionaries({"type": st.sampled_from(["agent_progress", "hook_progress", 1]), "agentId": _agent_id})
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["progress", "user", 1]), "timestamp": st.sampled_from([stamp(9), "never", 1])},
            optional={"data": _data, "parentToolUseID": st.sampled_from(["c1", "c2", 1]), "message": st.just({})},
        ),
        max_size=6,
    )
)
@example([_LINK])
@example([_LINK | {"timestamp": 1}])
def test_a_progress_line_is_read_the_same_by_both_decoders(lines: list[dict[str, Any]]) -> None:
    def parsed(separators: tuple[str, str] | None) -> Parsed:
        transcript = Claude()
        transcript.user("Ask around")
        transcript.calls("m1", "c1", "Task", {"prompt": "look"})
        for line in lines:
            transcript.raw(json.dumps(line, separators=separators).encode())
        return read(transcript)

    found = parsed((",", ":"))
    assert found == parsed(None)
    if _LINK in lines:
        assert calls_of(found.graphs[0])[0].result["agentId"] == "a93ccab"


def test_meta_and_compact_summaries_are_no_tasks() -> None:
    transcript = Claude()
    transcript.user("Base directory for this skill", isMeta=True)
    transcript.user("A summary", isCompactSummary=True)
    transcript.user("The real one")
    graph = graph_of(transcript)
    assert [task.title for task in graph.tasks] == ["The real one"]
    assert any("summary after compaction: A summary" in event.reason for event in graph.events)


def test_a_slash_command_counts_only_if_the_model_answers() -> None:
    command = "<command-name>/review</command-name>\n<command-args>src</command-args>"
    unanswered = Claude()
    unanswered.user(command)
    unanswered.user("A prompt")
    unanswered.says("m1", "Yes")
    assert [task.title for task in graph_of(unanswered).tasks] == ["A prompt"]

    answered = Claude()
    answered.user(command)
    answered.says("m1", "Reviewing")
    assert [task.title for task in graph_of(answered).tasks] == ["/review src"]


def test_one_step_for_each_message_however_many_lines_it_has() -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.says("m1", "First")
    transcript.calls("m1", "c1", "Bash")
    transcript.result("c1")
    transcript.calls("m1", "c2", "Bash")
    transcript.says("m2", "Second")
    graph = graph_of(transcript)
    assert [step.name for step in steps_of(graph)] == ["First", "Second"]
    assert [call.order for call in steps_of(graph)[0].tool_calls] == [0, 1]
    assert [step.order for step in steps_of(graph)] == [0, 1]


def test_a_late_result_finds_its_call() -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.calls("m1", "c1", "Bash")
    transcript.says("m2", "Meanwhile")
    transcript.user("Another thing")
    transcript.says("m3", "Sure")
    transcript.result("c1", "late output")
    (call,) = calls_of(graph_of(transcript))
    assert call.state is ToolCallState.SUCCEEDED
    assert call.artifacts[0].content == b"late output"
    assert call.completed_at is not None
    assert call.completed_at > call.created_at


def test_a_result_before_its_call_is_attached_as_well() -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.says("m1", "Hm")
    transcript.result("c1", "early", is_error=True)
    transcript.calls("m1", "c1", "Bash")
    graph = graph_of(transcript)
    (call,) = calls_of(graph)
    assert (call.tool_name, call.state, call.error_message) == ("Bash", ToolCallState.FAILED, "early")
    assert [(artifact.name, artifact.content) for artifact in call.artifacts] == [("Bash result", b"early")]
    (step,) = steps_of(graph)
    assert [artifact.content for artifact in step.artifacts] == [b"Hm"]
    assert step.metadata == {"messageId": "m1", "model": "claude-a"}


def test_a_result_without_its_call_is_kept_by_its_step_with_its_facts() -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.says("m1", "Hm")
    transcript.result("elsewhere", "Exit code 1\nred", is_error=True, toolUseResult={"backgroundTaskId": "b7"})
    transcript.result("there", "green")
    parsed = read(transcript)
    assert (parsed.counts.tool_calls, parsed.counts.artifacts) == (0, 4)
    (step,) = steps_of(parsed.graphs[0])
    assert step.tool_calls == ()
    assert [artifact.content for artifact in step.artifacts] == [b"Hm", b"Exit code 1\nred", b"green"]
    assert {(artifact.step_id, artifact.tool_call_id) for artifact in step.artifacts} == {(step.id, None)}
    assert (step.metadata or {})["unclaimedResults"] == [
        {
            "callId": "elsewhere",
            "state": "Failed",
            "result": {"characters": 15, "backgroundTaskId": "b7"},
            "errorMessage": "Exit code 1\nred",
        },
        {"callId": "there", "state": "Succeeded", "result": {"characters": 5}},
    ]
    assert step.state is WorkState.FAILED
    assert step.updated_at == step.artifacts[-1].created_at


def test_two_results_without_their_calls_are_two_artifacts_also_where_they_are_equal() -> None:
    transcript = Claude()
    at = transcript.now
    for key in ("c1", "c2", "c1"):
        transcript.result(key, "ok", timestamp=at)
    parsed = read(transcript)
    (step,) = steps_of(parsed.graphs[0])
    assert [artifact.content for artifact in step.artifacts] == [b"ok", b"ok"]
    assert (step.name, step.state, parsed.counts.steps) == ("(result)", WorkState.COMPLETED, 0)


@given(st.integers(0, 60), st.integers(1, 900), st.integers(60, 4_000))
def test_facts_of_results_without_calls_stay_within_the_limit_of_metadata(count: int, size: int, limit: int) -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.says("m1", "Hm")
    for index in range(count):
        transcript.result(f"c{index}", "x" * size, is_error=True)
    limits = Limits(max_metadata_bytes=limit, max_artifact_bytes=300)
    (step,) = steps_of(graph_of(transcript, limits=limits))
    metadata = step.metadata or {}
    assert len(msgspec.json.encode(metadata)) <= limit
    assert len(step.artifacts) == count + 1
    for name, expected in (("unclaimedResults", count), ("cutOff", count if size > 300 else 0)):
        kept = metadata.get(name, [])
        if name in metadata:
            assert len(kept) + metadata.get(f"{name}LeftOut", 0) == expected
        if limit > 3_000 and count < 3:
            assert len(kept) == expected


@pytest.mark.parametrize(
    ("content", "fields", "state"),
    [
        ("fine", {}, ToolCallState.SUCCEEDED),
        ("Exit code 2", {"is_error": True}, ToolCallState.FAILED),
        ("nothing said", {"toolUseResult": "Error: no such file"}, ToolCallState.FAILED),
        ("no", {"toolUseResult": "User rejected tool use", "is_error": True}, ToolCallState.CANCELLED),
        (
            "The user doesn't want to proceed with this tool use. The tool use was rejected",
            {"is_error": True},
            ToolCallState.CANCELLED,
        ),
        ("x", {"toolDenialKind": "user-rejected"}, ToolCallState.CANCELLED),
        ("half", {"toolUseResult": {"stdout": "half", "interrupted": True}}, ToolCallState.CANCELLED),
    ],
)
def test_results_decide_the_call_s_state(content: str, fields: dict[str, object], state: ToolCallState) -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.calls("m1", "c1", "Bash")
    transcript.result("c1", content, **fields)  # type: ignore[arg-type]
    (call,) = calls_of(graph_of(transcript))
    assert call.state is state
    assert (call.error_message is None) == (state is ToolCallState.SUCCEEDED)
    assert call.completed_at is not None


def test_every_result_gives_an_artifact_of_its_tool_s_type() -> None:
    graph = graph_of(story())
    assert {call.tool_name: call.artifacts[0].type for call in calls_of(graph)} == {
        "Read": ArtifactType.FILE_CONTENT,
        "Bash": ArtifactType.COMMAND_OUTPUT,
        "Edit": ArtifactType.FILE_DIFF,
    }
    assert call_named(graph, "Read").artifacts[0].content == b"const a"
    assert call_named(graph, "Edit").artifacts[0].content == b"--- a.ts\n+++ a.ts\n@@ @@\n-x\n+y\n"


def test_an_edit_s_hunks_become_a_unified_diff_and_the_original_file_is_dropped() -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.calls("m1", "c1", "Edit", {"file_path": "a.py"})
    hunk = {"oldStart": 3, "oldLines": 1, "newStart": 3, "newLines": 2, "lines": ["-a", "+b", "+c"]}
    transcript.result(
        "c1", "ok", toolUseResult={"filePath": "a.py", "structuredPatch": [hunk], "originalFile": "SECRET"}
    )
    (call,) = calls_of(graph_of(transcript))
    assert call.artifacts[0].content == b"--- a.py\n+++ a.py\n@@ -3,1 +3,2 @@\n-a\n+b\n+c\n"
    assert b"SECRET" not in repr(call).encode()


def test_text_belongs_to_its_step() -> None:
    parsed = read(story())
    assert texts_of(parsed.graphs[0]) == [b"I will read the form.", b"Done.", b"Finished."]
    assert parsed.counts.tool_calls == len(calls_of(parsed.graphs[0])) == 3
    assert parsed.counts.steps == 5
    assert parsed.counts.tasks == 3
    assert parsed.counts.artifacts == 9


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["one", "two", "two"], ["response", "response 2", "response 3"]),
        (["one", " ", "two"], ["response", "response 2"]),
        ([" ", "two"], ["response", "response 2"]),
    ],
)
def test_pieces_of_text_of_one_message_are_numbered(texts: list[str], names: list[str]) -> None:
    transcript = Claude()
    transcript.user("Go")
    for text in texts:
        transcript.says("m1", text)
    (step,) = steps_of(graph_of(transcript))
    assert [artifact.name for artifact in step.artifacts] == names


def test_a_step_of_the_task_at_work_is_completed_by_its_text() -> None:
    said, silent = Claude(), Claude()
    for transcript in (said, silent):
        transcript.user("Go")
    said.says("m1", "I will")
    for transcript in (said, silent):
        transcript.assistant("m1", {"type": "thinking", "thinking": "hm"})
    graphs = [graph_of(transcript, fresh=True) for transcript in (said, silent)]
    assert [graph.tasks[0].state for graph in graphs] == [WorkState.IN_PROGRESS] * 2
    found = [(step.name, step.state) for graph in graphs for step in steps_of(graph)]
    assert found == [("I will", WorkState.COMPLETED), ("(thinking)", WorkState.IN_PROGRESS)]


def test_images_of_a_result_are_kept_as_bytes() -> None:
    transcript = Claude()
    transcript.user("Look")
    transcript.calls("m1", "c1", "Read", {"file_path": "a.png"})
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"\x89PNG").decode()}
    transcript.result("c1", [{"type": "image", "source": source}])
    (call,) = calls_of(graph_of(transcript))
    assert [(found.content, found.content_type) for found in call.artifacts][1] == (b"\x89PNG", "image/png")


def test_a_long_prompt_is_shortened_and_kept_whole_as_an_artifact() -> None:
    prompt = "word " * 400
    transcript = Claude()
    transcript.user(prompt)
    unanswered = graph_of(transcript)
    transcript.says("m1", "Yes")
    answered = graph_of(transcript)
    for graph in (unanswered, answered):
        assert len(graph.task_description) == 1_000
        assert graph.task_description.endswith("…")
        (task,) = graph.tasks
        (artifact,) = task.artifacts
        assert (artifact.type, artifact.name) == (ArtifactType.USER_PROMPT, "prompt")
        assert artifact.content == prompt.encode()
        assert (artifact.task_id, artifact.step_id, artifact.tool_call_id) == (task.id, None, None)
    assert unanswered.tasks[0].artifacts[0].id == answered.tasks[0].artifacts[0].id
    assert (steps_of(unanswered), len(steps_of(answered))) == ([], 1)
    assert (read(transcript).counts.steps, read(transcript).counts.artifacts) == (1, 2)


def test_token_totals_keep_the_largest_usage_of_each_message() -> None:
    transcript = Claude()
    transcript.user("Go")
    usage = {"input_tokens": 3, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 7}
    transcript.says("m1", "a", usage={**usage, "output_tokens": 1})
    transcript.calls("m1", "c1", "Bash", usage={**usage, "output_tokens": 40})
    transcript.says("m2", "b", usage={**usage, "output_tokens": 2})
    metadata = graph_of(transcript).metadata or {}
    assert metadata["tokens"] == {"input": 6, "output": 42, "cacheRead": 200, "cacheWrite": 14}


def test_what_the_cache_keeps_for_an_hour_is_noted_as_a_part_of_what_was_written() -> None:
    transcript = Claude()
    transcript.user("Go")
    for message, hour in (("m1", 5), ("m2", 900), ("m3", None)):
        kept = {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": hour}
        usage = {"input_tokens": 3, "cache_creation_input_tokens": 7, "cache_creation": kept}
        transcript.says(message, "a", usage=usage)
    graph = graph_of(transcript)
    numbers = [(step.metadata or {})["tokens"].get("cacheWrite1h") for step in graph.tasks[0].steps]
    assert numbers == [5, 7, None]
    assert (graph.metadata or {})["tokens"] == {
        "input": 9, "output": 0, "cacheRead": 0, "cacheWrite": 21, "cacheWrite1h": 12
    }  # fmt: skip


def test_a_fork_s_replayed_messages_are_counted_for_the_first_session_only() -> None:
    def session(native: str, *messages: str) -> Claude:
        transcript = Claude(native)
        transcript.user("Go")
        for message in messages:
            transcript.says(message, "x", usage={"output_tokens": 10})
        return transcript

    claims = Claims()
    origin = graph_of(session(SESSION, "m1", "m2"), claims=claims)
    fork = graph_of(session(OTHER, "m1", "m2", "m3"), claims=claims, path=f"/t/{OTHER}.jsonl")
    assert (origin.metadata or {})["tokens"]["output"] == 20
    assert (fork.metadata or {})["tokens"]["output"] == 10
    assert len(steps_of(fork)) == 3
    assert not {entity.id for entity in origin.entities()} & {entity.id for entity in fork.entities()}


def test_a_subagent_s_file_is_a_child_session_linked_both_ways() -> None:
    parent = Claude()
    parent.user("Explore")
    parent.calls("m1", "c1", "Task", {"prompt": "Look around"})
    parent.record("progress", data={"type": "agent_progress", "agentId": "a93ccab"}, parentToolUseID="c1")
    waiting = graph_of(parent)
    parent.result("c1", "Found it", toolUseResult={"status": "completed", "agentId": "a93ccab", "totalTokens": 5})
    child = Claude(agentId="a93ccab", isSidechain=True)
    child.user("Look around")
    child.says("m9", "Found it")
    child_graph = graph_of(child, path=f"/p/{SESSION}/subagents/agent-a93ccab.jsonl")
    metadata = child_graph.metadata or {}
    assert metadata["parentSessionId"] == graph_of(parent).id
    for graph in (waiting, graph_of(parent)):
        (call,) = calls_of(graph)
        assert call.result["childSessionId"] == child_graph.id
    assert calls_of(graph_of(parent))[0].artifacts[0].type is ArtifactType.MODEL_RESPONSE
    assert [task.title for task in child_graph.tasks] == ["Look around"]


@pytest.mark.parametrize("path", ["/p/agent-a93ccab.jsonl", f"/p/{SESSION}/subagents/workflows/w1/agent-a93ccab.jsonl"])
def test_a_subagent_s_file_has_another_identity_than_its_parent(path: str) -> None:
    child = Claude(isSidechain=True)
    child.user("Look around")
    graph = graph_of(child, path=path)
    assert graph.id == imported_id("claude-code", SESSION, "a93ccab")
    assert (graph.metadata or {})["parentSessionId"] == imported_id("claude-code", SESSION)


def test_a_second_result_of_a_call_never_reuses_an_artifact_s_id() -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.calls("m1", "c1", "Bash")
    at = transcript.now
    for said in ("first", "second", "second"):
        transcript.result("c1", said, timestamp=at)
    (call,) = calls_of(graph_of(transcript))
    assert [artifact.content for artifact in call.artifacts] == [b"first", b"second"]


def test_work_before_any_prompt_goes_to_an_implicit_task_that_is_not_counted() -> None:
    transcript = Claude()
    transcript.calls("m1", "c1", "Bash")
    transcript.result("c1")
    transcript.user("Now a prompt")
    transcript.says("m2", "Yes")
    parsed = read(transcript)
    graph = parsed.graphs[0]
    assert [(task.metadata or {}).get("implicit") for task in graph.tasks] == [True, None]
    assert parsed.counts.tasks == 1
    assert graph.task_description == "Now a prompt"


def test_a_subagent_s_prompt_inside_its_parent_s_file_is_not_a_task() -> None:
    transcript = Claude()
    transcript.user("Explore")
    transcript.calls("m1", "c1", "Task", {"prompt": "Look around"})
    transcript.user("Look around", isSidechain=True)
    transcript.says("m2", "Looking", isSidechain=True)
    assert read(transcript).counts.tasks == 1


def test_metadata_names_the_origin_of_the_run() -> None:
    metadata = graph_of(story()).metadata
    assert metadata == {
        "source": "claude-code",
        "nativeId": SESSION,
        "file": f"{SESSION}.jsonl",
        "cwd": "/src/shop",
        "gitBranch": "main",
        "agentVersion": "2.1.39",
        "models": ["claude-a", "claude-b"],
        "tokens": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
        "firstTime": "2026-01-05T12:00:00.000000Z",
        "lastTime": "2026-01-05T12:00:14.000000Z",
    }


def test_metadata_stays_within_its_limit() -> None:
    transcript = Claude(cwd="/" + "x" * 900, gitBranch="y" * 900)
    transcript.user("Go")
    metadata = graph_of(transcript, limits=Limits(max_metadata_bytes=300)).metadata or {}
    assert len(json.dumps(metadata)) <= 300
    assert metadata["nativeId"] == SESSION


def test_an_artifact_beyond_the_limit_is_cut_off_and_marked() -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.calls("m1", "c1", "Bash")
    transcript.result("c1", "ä" * 100)
    (call,) = calls_of(graph_of(transcript, limits=Limits(max_artifact_bytes=51)))
    assert call.artifacts[0].content == ("ä" * 25).encode()
    assert call.artifacts[0].size == 50
    (mark,) = call.result["cutOff"]
    assert mark["size"] == 200
    assert mark["contentHash"].startswith("sha256:")


def test_a_prompt_or_a_text_beyond_the_limit_is_cut_off_and_marked() -> None:
    transcript = Claude()
    transcript.user("p" * 1_200)
    transcript.says("m1", "t" * 1_100)
    (task,) = graph_of(transcript, limits=Limits(max_artifact_bytes=1_000)).tasks
    for holder, size in ((task, 1_200), (task.steps[0], 1_100)):
        (artifact,) = holder.artifacts
        assert artifact.size == len(artifact.content or b"") == 1_000
        (mark,) = (holder.metadata or {})["cutOff"]
        assert (mark["name"], mark["size"]) == (artifact.name, size)


def test_only_a_session_s_own_summaries_are_noted() -> None:
    transcript = Claude()
    transcript.add({"type": "summary", "summary": "Somebody else's", "leafUuid": "nowhere"})
    transcript.add({"type": "summary", "summary": "Mine", "leafUuid": f"{SESSION[:8]}-2"})
    transcript.user("Go")
    reasons = [event.reason for event in graph_of(transcript).events]
    assert any("Mine" in reason for reason in reasons)
    assert not any("Somebody" in reason for reason in reasons)


def test_times_never_run_backwards_within_the_hierarchy() -> None:
    transcript = Claude()
    transcript.user("Go", timestamp="2026-01-05T12:00:30Z")
    transcript.calls("m1", "c1", "Bash", timestamp="2026-01-05T12:00:10Z")
    transcript.result("c1", timestamp="2026-01-05T12:00:05Z")
    transcript.says("m2", "x", timestamp="2026-01-05T11:00:00Z")
    graph = graph_of(transcript)
    for task in graph.tasks:
        assert graph.updated_at >= task.updated_at >= task.created_at >= graph.created_at
        for step in task.steps:
            assert task.updated_at >= step.updated_at >= step.created_at
            for call in step.tool_calls:
                assert step.updated_at >= call.updated_at >= call.created_at
                assert call.completed_at is None or call.completed_at >= call.created_at


@pytest.mark.parametrize("bad", [..., None, 17, "yesterday", "2026-01-05T12:00:00", "9999-12-31T23:59:59Z", ["x"]])
def test_a_line_without_a_usable_time_has_the_time_before_it(bad: object) -> None:
    transcript = Claude()
    transcript.user("Go", timestamp=bad)
    transcript.says("m1", "a")
    transcript.says("m2", "b", timestamp=bad)
    graph = graph_of(transcript)
    first = steps_of(graph)[0].created_at
    assert graph.tasks[0].created_at == first
    assert steps_of(graph)[1].created_at == first


def test_a_transcript_without_any_time_is_dated_to_the_epoch() -> None:
    transcript = Claude()
    transcript.user("Go", timestamp=...)
    assert graph_of(transcript).created_at.year == 1970


def test_unfinished_steps_are_derived_from_their_calls() -> None:
    states = [step.state for step in steps_of(graph_of(story()))]
    assert states == [
        WorkState.COMPLETED,
        WorkState.FAILED,
        WorkState.COMPLETED,
        WorkState.COMPLETED,
        WorkState.COMPLETED,
    ]


def test_a_file_without_messages_gives_no_session() -> None:
    transcript = Claude()
    transcript.add({"type": "file-history-snapshot", "snapshot": {}})
    transcript.add({"type": "summary", "summary": "x", "leafUuid": "y"})
    assert read(transcript).graphs == ()
