"""What newer versions of Codex record beside items and outputs: how calls ended, prompts, forks, rollbacks."""

import json
from typing import Any

import pytest

from acode_tui.domain.states import ArtifactType, ToolCallState, WorkState
from tests.ingest.builders import Codex, call_named, calls_of, graph_of, read, stamp, steps_of

ORIGIN = "01aaaaaa-2222-4333-8444-555555555555"


def completed(transcript: Codex, type_: str, **item: Any) -> None:
    transcript.event("item_completed", item={"type": type_, **item})


def started() -> Codex:
    found = Codex()
    found.prompt("Go")
    return found


@pytest.mark.parametrize(
    ("output", "state"),
    [
        ("Script failed\nWall time 1 s\nOutput:\nReferenceError", ToolCallState.FAILED),
        ("Err: tool call error: no such server", ToolCallState.FAILED),
        ("apply_patch verification failed: no such lines", ToolCallState.FAILED),
        ("exec_command failed for `rm`: Rejected(rejected by user)", ToolCallState.FAILED),
        ("write_stdin failed: unknown process", ToolCallState.FAILED),
        ("unsupported call: dream", ToolCallState.FAILED),
        ("patch rejected by user", ToolCallState.CANCELLED),
        ("aborted by user after 3 s", ToolCallState.CANCELLED),
        ({"content": "x", "success": False}, ToolCallState.FAILED),
        ("it printed: write_stdin failed" + " " * 400, ToolCallState.FAILED),
        ("Wall time: 1 s\nOutput:\nScript failed", ToolCallState.SUCCEEDED),
    ],
)
def test_the_head_of_an_output_says_that_a_call_failed(output: Any, state: ToolCallState) -> None:
    transcript = started()
    transcript.calls("c1", "exec")
    transcript.output("c1", output)
    (call,) = calls_of(graph_of(transcript))
    assert call.state is state


@pytest.mark.parametrize("is_first", [True, False])
def test_the_record_of_a_command_decides_whatever_its_output_says(is_first: bool) -> None:
    transcript = started()
    transcript.calls("c1", "exec")
    if not is_first:
        transcript.output("c1", "Script completed")
    completed(
        transcript,
        "CommandExecution",
        id="exec-c1",
        status="failed",
        exit_code=7,
        aggregated_output="boom",
        duration={"secs": 2, "nanos": 500_000_000},
    )
    if is_first:
        transcript.output("c1", "Script completed")
    (call,) = calls_of(graph_of(transcript))
    assert call.state is ToolCallState.FAILED
    assert (call.error_message or "").startswith("exit code 7: ")
    assert ((call.result or {})["exitCode"], (call.result or {})["durationSeconds"]) == (7, 2.5)


def test_one_failed_command_of_several_fails_the_call() -> None:
    transcript = started()
    transcript.calls("c1", "exec")
    for code in (0, 2, 0):
        completed(transcript, "CommandExecution", id=f"exec-c1-{code}", exit_code=code)
    transcript.output("c1", "done")
    (call,) = calls_of(graph_of(transcript))
    assert (call.state, (call.result or {})["exitCode"]) == (ToolCallState.FAILED, 2)


@pytest.mark.parametrize(
    ("fields", "state", "types"),
    [
        ({"status": "completed"}, ToolCallState.SUCCEEDED, [ArtifactType.FILE_DIFF, ArtifactType.COMMAND_OUTPUT]),
        ({"status": "failed", "stderr": "no"}, ToolCallState.FAILED, [ArtifactType.COMMAND_OUTPUT]),
        ({"status": "declined"}, ToolCallState.CANCELLED, [ArtifactType.COMMAND_OUTPUT]),
    ],
)
def test_a_diff_is_kept_of_changes_that_were_made_alone(
    fields: dict[str, Any], state: ToolCallState, types: list[ArtifactType]
) -> None:
    transcript = started()
    transcript.calls("c1", "apply_patch", '{"input":"*** Begin Patch"}')
    changes = {"/src/a.py": {"type": "add", "content": "one\ntwo\n"}}
    completed(transcript, "FileChange", id="f", changes=changes, **fields)
    transcript.output("c1", "{}")
    (call,) = calls_of(graph_of(transcript))
    assert (call.state, [found.type for found in call.artifacts]) == (state, types)
    if state is ToolCallState.SUCCEEDED:
        assert call.artifacts[0].content == b"--- /dev/null\n+++ /src/a.py\n@@ -0,0 +1,2 @@\n+one\n+two\n"


@pytest.mark.parametrize(
    ("result", "state"),
    [
        ({"Ok": {"content": []}}, ToolCallState.SUCCEEDED),
        ({"Ok": {"isError": True}}, ToolCallState.FAILED),
        ({"Err": "no such tool"}, ToolCallState.FAILED),
    ],
)
def test_the_record_of_an_mcp_call_decides(result: dict[str, Any], state: ToolCallState) -> None:
    transcript = started()
    transcript.calls("c1", "mcp__github__get")
    transcript.output("c1", "text")
    transcript.event("mcp_tool_call_end", call_id="c1", result=result)
    assert [call.state for call in calls_of(graph_of(transcript))] == [state]


def test_a_completed_user_message_is_a_prompt_and_an_injected_one_is_not() -> None:
    """A file that an older version began and a newer one went on with has prompts of both kinds."""
    transcript = started()
    transcript.says("Done")
    transcript.event("task_started", turn_id="t2")
    transcript.item("message", role="user", content=[{"type": "input_text", "text": "Now this"}])
    completed(transcript, "UserMessage", content=[{"type": "text", "text": "Now this"}])
    transcript.item("message", role="user", content=[{"type": "input_text", "text": "<skill>\nsteps</skill>"}])
    passed = {"content_item_kinds": ["skills.injected"]}
    content = [{"type": "input_text", "text": "Steps of a skill"}]
    transcript.item("message", role="user", content=content, internal_chat_message_metadata_passthrough=passed)
    transcript.says("Done too")
    assert [task.title for task in graph_of(transcript).tasks] == ["Go", "Now this"]


def test_a_turn_s_prompt_is_its_item_where_it_has_no_event() -> None:
    transcript = started()
    transcript.says("Done")
    transcript.event("task_started", turn_id="t2")
    transcript.item("message", role="user", content=[{"type": "input_text", "text": "And this"}])
    transcript.says("Done too")
    assert [task.title for task in graph_of(transcript).tasks] == ["Go", "And this"]


def forked(**meta: Any) -> tuple[Codex, Codex]:
    """A session, and one that began with its lines, written at once a minute later."""
    origin = Codex(ORIGIN)
    for turn in range(2):
        origin.event("task_started", turn_id=f"t{turn}")
        origin.prompt(f"Prompt {turn}")
        origin.calls(f"c{turn}")
        origin.output(f"c{turn}", "ok")
        origin.tokens(100 * (turn + 1), 100)
        origin.event("task_complete", turn_id=f"t{turn}")
    copy = Codex(meta=False)
    for line in ({"id": "02bbbbbb-2222-4333-8444-555555555555", **meta}, {"id": ORIGIN}):
        copy.line("session_meta", timestamp=stamp(60), cwd="/src", **line)
    copy.lines += origin.lines[1:]
    at = stamp(60)
    copy.lines = [json.dumps({**json.loads(line), "timestamp": at}).encode() for line in copy.lines]
    for _ in range(60):
        copy.line("turn_context", model="gpt-a")
    del copy.lines[len(origin.lines) + 1 : -10]
    own = Codex(meta=False)
    own.lines = [b""] * 90
    own.event("task_started", turn_id="own")
    own.prompt("My own")
    own.says("Yes")
    own.tokens(250, 50)
    own.event("task_complete", turn_id="own")
    copy.lines += own.lines[90:]
    return origin, copy


@pytest.mark.parametrize(
    ("meta", "relation"),
    [
        ({"forked_from_id": ORIGIN}, "fork"),
        (
            {"source": {"subagent": {"thread_spawn": {"parent_thread_id": ORIGIN, "agent_nickname": "Newton"}}}},
            "subagent",
        ),
    ],
)
def test_what_a_fork_repeats_is_not_read_again(meta: dict[str, Any], relation: str) -> None:
    origin, copy = forked(**meta)
    first, second = graph_of(origin), graph_of(copy)
    assert [task.title for task in second.tasks] == ["My own"]
    assert calls_of(second) == []
    assert second.metadata is not None
    assert second.metadata["tokens"] == {"input": 50, "output": 50, "cacheRead": 0, "cacheWrite": 0}
    assert (second.metadata["parentSessionId"], second.metadata["relation"]) == (first.id, relation)


def test_a_spawned_agent_is_linked_and_one_that_failed_fails_the_wait_for_it() -> None:
    transcript = started()
    transcript.calls("c1", "spawn_agent")
    transcript.output("c1", json.dumps({"agent_id": ORIGIN, "nickname": "Newton"}))
    transcript.calls("c2", "wait_agent")
    transcript.output("c2", json.dumps({"status": {ORIGIN: {"errored": "boom"}}, "timed_out": False}))
    spawn, wait = calls_of(graph_of(transcript))
    assert (spawn.result or {})["childSessionId"] == graph_of(forked()[0]).id
    assert wait.state is ToolCallState.FAILED


def test_turns_that_were_rolled_back_are_skipped() -> None:
    transcript = Codex()
    for text in ("Keep", "Drop", "Drop too"):
        transcript.prompt(text)
        transcript.says("Done")
    transcript.event("thread_rolled_back", num_turns=2)
    transcript.prompt("Instead")
    transcript.says("Done")
    graph = graph_of(transcript)
    assert [task.state for task in graph.tasks] == [
        WorkState.COMPLETED,
        WorkState.SKIPPED,
        WorkState.SKIPPED,
        WorkState.COMPLETED,
    ]
    assert any("rolled back 2 turns: Drop, Drop too" in event.reason for event in graph.events)


def test_reasoning_images_names_and_settings_are_kept() -> None:
    transcript = Codex()
    transcript.event("user_message", message="What is it?", images=["data:image/png;base64,aGk=", "/tmp/a.png"])
    transcript.line("turn_context", model="gpt-a", approval_policy="never", sandbox_policy={"type": "read-only"})
    transcript.item("reasoning", summary=[{"type": "summary_text", "text": "A cat, perhaps."}])
    transcript.says("A cat.")
    transcript.event("thread_name_updated", thread_name="Cats")
    graph = graph_of(transcript)
    images = [found for found in graph.tasks[0].artifacts if found.type is ArtifactType.IMAGE]
    assert [(found.name, found.content) for found in images] == [("image", b"hi"), ("/tmp/a.png", b"")]
    assert steps_of(graph)[0].artifacts[0].type is ArtifactType.REASONING
    assert graph.metadata is not None
    found = [graph.metadata[name] for name in ("approvalPolicy", "sandbox", "title")]
    assert found == ["never", "read-only", "Cats"]


def test_each_step_has_its_own_tokens() -> None:
    transcript = started()
    transcript.says("One")
    transcript.tokens(10, 10)
    transcript.prompt("More")
    transcript.says("Two")
    transcript.tokens(30, 20)
    transcript.tokens(30, 20)
    found = [(step.metadata or {})["tokens"]["output"] for step in steps_of(graph_of(transcript))]
    assert found == [10, 20]


def test_what_other_agents_say_and_do_are_events_and_none_is_unknown() -> None:
    transcript = started()
    transcript.calls("c1", "spawn_agent")
    transcript.event("collab_agent_spawn_end", call_id="c1", new_thread_id="agent-1")
    transcript.output("c1", "started")
    transcript.event("sub_agent_activity", kind="started", agent_path="/root/agent-1")
    transcript.item("agent_message", author="/root/agent-1", content=[{"type": "input_text", "text": "Two files."}])
    transcript.event("guardian_assessment", status="in_progress")
    transcript.event("guardian_assessment", status="denied", risk_level="high", rationale="It deletes files.")
    transcript.says("I see.")
    for name in ("Extension", "CollabAgentToolCall", "Sleep"):
        completed(transcript, name)
    transcript.line("inter_agent_communication_metadata")
    graph = graph_of(transcript)
    reasons = [event.reason.partition(" [")[0] for event in graph.events]
    assert {
        "subagent started: /root/agent-1",
        "message of /root/agent-1: Two files.",
        "review of an action: denied: It deletes files.",
    } <= set(reasons)
    assert (call_named(graph, "spawn_agent").result or {})["agentId"] == "agent-1"
    assert read(transcript).unknown == {}


def test_a_tool_of_the_editor_fails_by_its_own_record() -> None:
    transcript = started()
    transcript.calls("c1", "look_up")
    transcript.event("dynamic_tool_call_response", call_id="c1", success=False, error="no such page")
    transcript.output("c1", "")
    assert call_named(graph_of(transcript), "look_up").state is ToolCallState.FAILED


def test_a_search_for_tools_gives_a_search_result() -> None:
    transcript = started()
    transcript.item("tool_search_call", call_id="c1", arguments={"query": "calendar"})
    transcript.item("tool_search_output", call_id="c1", tools=[{"name": "calendar_list"}])
    (artifact,) = call_named(graph_of(transcript), "tool_search").artifacts
    assert (artifact.type, artifact.content) == (ArtifactType.SEARCH_RESULT, b"calendar_list")


def test_unknown_records_are_counted_by_their_types() -> None:
    transcript = started()
    transcript.line("dream")
    transcript.event("dream")
    transcript.item("dream")
    completed(transcript, "Dream")
    transcript.event("agent_message")
    assert read(transcript).unknown == {
        "dream": 1,
        "event_msg/dream": 1,
        "response_item/dream": 1,
        "item_completed/Dream": 1,
    }
