"""What a Claude Code session leaves besides text: reasoning, large outputs, plans, todo lists, hooks, answers."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState
from acode_tui.ingest.format import Parsed
from acode_tui.ingest.registry import format_named
from acode_tui.ingest.usage import Claims
from tests.ingest.builders import SESSION, Claude, calls_of, context_for, graph_of, read, steps_of
from tests.ingest.claude.test_prompts import notes

OTHER = "99999999-2222-4333-8444-555555555555"


def begun() -> Claude:
    transcript = Claude(version="2.1.258")
    transcript.user("Go")
    return transcript


def test_reasoning_is_an_artifact_of_its_step() -> None:
    transcript = begun()
    transcript.assistant("m1", {"type": "thinking", "thinking": "First the tests.", "signature": "s"})
    transcript.assistant("m1", {"type": "thinking", "thinking": "", "signature": "s"})
    transcript.assistant("m1", {"type": "redacted_thinking", "data": "x"})
    transcript.says("m1", "I begin.")
    parsed = read(transcript)
    (step,) = steps_of(parsed.graphs[0])
    assert [(found.type, found.content) for found in step.artifacts] == [
        (ArtifactType.REASONING, b"First the tests."),
        (ArtifactType.MODEL_RESPONSE, b"I begin."),
    ]
    assert step.name == "I begin."
    assert parsed.unknown == {}


def test_images_of_a_result_are_images() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"\x89PNG").decode()}
    transcript = begun()
    transcript.calls("m1", "c1", "Read", {"file_path": "a.png"})
    named = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    transcript.result("c1", [{"type": "image", "source": source}, named])
    (call,) = calls_of(graph_of(transcript))
    assert [(found.type, found.content) for found in call.artifacts[1:]] == [
        (ArtifactType.IMAGE, b"\x89PNG"),
        (ArtifactType.IMAGE, b""),
    ]


def large_output(folder: Path, named: Path, **details: Any) -> SessionGraph:
    """The run of a session in ``folder`` whose call's output is in the file ``named``."""
    transcript = begun()
    transcript.calls("m1", "c1", "Bash", {"command": "make"})
    saved = f"Output too large (9KB). Full output saved to: {named}"
    text = f"<persisted-output>\n{saved}\n\nPreview:\nbegin\n</persisted-output>"
    fields: dict[str, Any] = {"toolUseResult": details} if details else {}
    transcript.result("c1", text, **fields)
    path = transcript.write(folder / f"{SESSION}.jsonl")
    (graph,) = format_named("claude-code").read(enumerate(transcript.lines, 1), context_for(path)).graphs
    return graph


def test_an_output_in_a_file_of_its_own_is_read_from_there(tmp_path: Path) -> None:
    file = tmp_path / SESSION / "tool-results" / "c1.txt"
    file.parent.mkdir(parents=True)
    file.write_text("begin\n" + "line\n" * 2_000)
    moved = Path("/home/other/.claude/projects/-src-shop") / SESSION / "tool-results" / "c1.txt"
    for named in (file, moved):
        (call,) = calls_of(large_output(tmp_path, named))
        assert call.artifacts[0].content == file.read_bytes()
        assert (call.result or {})["outputFile"] == "c1.txt"
        assert (call.result or {})["outputWhole"] is True
    (call,) = calls_of(large_output(tmp_path, Path("x"), persistedOutputPath=str(file), stdout="begin"))
    assert call.artifacts[0].content == file.read_bytes()


def test_an_output_whose_file_is_gone_keeps_its_beginning_and_says_so(tmp_path: Path) -> None:
    (call,) = calls_of(large_output(tmp_path, tmp_path / SESSION / "tool-results" / "c1.txt"))
    assert b"begin" in (call.artifacts[0].content or b"")
    assert (call.result or {})["outputWhole"] is False


@pytest.mark.parametrize("way", ["elsewhere", "beside", "link", "folder"])
def test_no_file_outside_the_project_s_own_outputs_is_read(tmp_path: Path, way: str) -> None:
    project = tmp_path / "project"
    outputs = project / SESSION / "tool-results"
    outputs.mkdir(parents=True)
    secret = tmp_path / "tool-results" / "secret.txt"
    secret.parent.mkdir()
    secret.write_text("SECRET")
    named = {"elsewhere": secret, "beside": project / "secret.txt", "link": outputs / "c1.txt", "folder": outputs}[way]
    if way == "beside":
        named.write_text("SECRET")
    elif way == "link":
        named.symlink_to(secret)
    graph = large_output(project, named)
    assert b"SECRET" not in repr(graph).encode()
    assert (calls_of(graph)[0].result or {})["outputWhole"] is False


def test_a_plan_is_kept_with_the_call_that_proposes_it_and_with_the_prompt_that_carries_it_out() -> None:
    transcript = begun()
    transcript.calls("m1", "c1", "ExitPlanMode", {"plan": "# Plan\nFirst a test."})
    transcript.result("c1", "approved", toolUseResult={"plan": "# Plan\nFirst a test."})
    transcript.calls("m2", "c2", "ExitPlanMode", {})
    transcript.result("c2", "approved", toolUseResult={"plan": "# Other plan", "filePath": "/plans/a.md"})
    transcript.user("Implement the plan", planContent="# Other plan")
    graph = graph_of(transcript)
    plans = [[found.content for found in call.artifacts if found.name == "plan"] for call in calls_of(graph)]
    assert plans == [[b"# Plan\nFirst a test."], [b"# Other plan"]]
    assert [found.content for found in graph.tasks[1].artifacts] == [b"Implement the plan", b"# Other plan"]


def test_the_session_has_the_last_todo_list() -> None:
    transcript = begun()
    for number, states in enumerate([["pending", "pending"], ["completed", "in_progress"]]):
        todos = [{"content": f"Part {index}", "status": state} for index, state in enumerate(states)]
        transcript.calls("m1", f"c{number}", "TodoWrite", {"todos": todos})
    assert (graph_of(transcript).metadata or {})["todos"] == [
        {"content": "Part 0", "status": "completed"},
        {"content": "Part 1", "status": "in_progress"},
    ]


def test_the_todo_list_of_newer_releases_is_made_item_by_item() -> None:
    transcript = begun()
    for number, subject in ((1, "Draw"), (2, "Print"), (3, "Sell")):
        transcript.calls("m1", f"c{number}", "TaskCreate", {"subject": subject, "description": "all of it"})
        transcript.result(f"c{number}", f"Task #{number} created successfully: {subject}")
    changes: list[dict[str, Any]] = [
        {"taskId": "1", "status": "completed"},
        {"taskId": 2, "status": "in_progress", "subject": "Print twice"},
        {"taskId": "3", "status": "deleted"},
        {"taskId": "9", "status": "completed"},
    ]
    for number, change in enumerate(changes):
        transcript.calls("m2", f"u{number}", "TaskUpdate", change)
        transcript.result(f"u{number}", "Updated task", is_error=number == 3)
    transcript.calls("m3", "c9", "TaskCreate", {"subject": "Never made"})
    assert (graph_of(transcript).metadata or {})["todos"] == [
        {"id": "1", "content": "Draw", "status": "completed"},
        {"id": "2", "content": "Print twice", "status": "in_progress"},
    ]


@pytest.mark.parametrize(
    ("kind", "fields", "note"),
    [
        (
            "hook_blocking_error",
            {"blockingError": {"blockingError": "no tabs", "command": "lint"}},
            "hook blocked (PreToolUse:Edit): no tabs",
        ),
        (
            "hook_non_blocking_error",
            {"stderr": "uv: not found", "exitCode": 127},
            "hook failed with exit code 127 (PreToolUse:Edit): uv: not found",
        ),
        ("hook_success", {"stdout": "formatted", "exitCode": 0}, "hook (PreToolUse:Edit): formatted"),
        ("hook_success", {"stdout": "{}", "content": ""}, None),
        (
            "hook_additional_context",
            {"content": ["Mind the style."]},
            "context of a hook (PreToolUse:Edit): Mind the style.",
        ),
    ],
)
def test_results_of_hooks_are_events(kind: str, fields: dict[str, Any], note: str | None) -> None:
    transcript = begun()
    transcript.attach(kind, hookName="PreToolUse:Edit", hookEvent="PreToolUse", **fields)
    assert [found.split(" [")[0] for found in notes(graph_of(transcript))] == ([note] if note else [])


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        (
            {"subtype": "stop_hook_summary", "hookErrors": ["uv: not found"], "preventedContinuation": False},
            "stop hook: uv: not found",
        ),
        ({"subtype": "stop_hook_summary", "hookErrors": [], "preventedContinuation": False}, None),
        (
            {"subtype": "api_error", "error": {"status": 529, "message": "overloaded"}, "retryAttempt": 2},
            "API error, attempt 2: overloaded (status 529)",
        ),
        (
            {"subtype": "away_summary", "content": "You built a shop."},
            "summary for the user's return: You built a shop.",
        ),
        ({"subtype": "compact_boundary", "compactMetadata": {"trigger": "auto"}}, "context compacted (auto)"),
        ({"subtype": "turn_duration", "durationMs": 7}, None),
    ],
)
def test_system_lines_are_events_where_they_say_something(fields: dict[str, Any], note: str | None) -> None:
    transcript = begun()
    transcript.record("system", **fields)
    assert [found.split(" [")[0] for found in notes(graph_of(transcript))] == ([note] if note else [])


def test_other_attachments_are_events_with_their_text() -> None:
    transcript = begun()
    transcript.attach("skill_listing", content="- deploy: builds and copies", skillCount=1)
    transcript.attach("plan_file_reference", planFilePath="/plans/a.md", planContent="# Plan")
    transcript.attach("task_reminder", content=[], itemCount=0)
    found = [note.split(" [")[0] for note in notes(graph_of(transcript))]
    assert found == ["list of skills: - deploy: builds and copies", "plan: # Plan"]


def structured(*, attachment: bool = True, order: str = "call first") -> Parsed:
    transcript = Claude(version="2.1.258", entrypoint="sdk-py")
    transcript.user("Review this", promptSource="sdk")
    transcript.says("m1", "I have read it.")
    if order == "result first":
        transcript.result("c1", "Structured output provided successfully")
    transcript.calls("m2", "c1", "StructuredOutput", {"findings": ["a"]})
    if order == "call first":
        transcript.result("c1", "Structured output provided successfully")
    if attachment:
        transcript.attach("structured_output", data={"findings": ["a"]})
    return read(transcript)


@pytest.mark.parametrize("attachment", [True, False])
@pytest.mark.parametrize("order", ["call first", "result first"])
def test_a_structured_output_is_the_answer_and_ends_the_run(attachment: bool, order: str) -> None:
    (graph,) = structured(attachment=attachment, order=order).graphs
    assert graph.state is SessionState.COMPLETED
    answers = [found for step in steps_of(graph) for found in step.artifacts if found.name == "structured output"]
    assert [(found.type, json.loads(found.content or b"")) for found in answers] == [
        (ArtifactType.MODEL_RESPONSE, {"findings": ["a"]})
    ]
    assert [call.state for call in calls_of(graph)] == [ToolCallState.SUCCEEDED]


def test_each_step_has_its_own_usage_and_the_session_the_sum() -> None:
    transcript = begun()
    transcript.says("m1", "a", usage={"input_tokens": 3, "output_tokens": 1}, costUSD=0.25)
    transcript.calls("m1", "c1", "Bash", usage={"input_tokens": 3, "output_tokens": 40}, costUSD=0.25)
    transcript.says(
        "m2", "b", usage={"output_tokens": 2, "cache_read_input_tokens": 100}, costUSD=0.5, model="claude-b"
    )
    graph = graph_of(transcript)
    assert [step.metadata for step in steps_of(graph)] == [
        {
            "messageId": "m1",
            "model": "claude-a",
            "tokens": {"input": 3, "output": 40, "cacheRead": 0, "cacheWrite": 0},
            "cost": 0.25,
        },
        {
            "messageId": "m2",
            "model": "claude-b",
            "tokens": {"input": 0, "output": 2, "cacheRead": 100, "cacheWrite": 0},
            "cost": 0.5,
        },
    ]
    assert (graph.metadata or {})["cost"] == 0.75


def test_a_message_that_another_session_counts_has_no_tokens_here() -> None:
    claims = Claims()
    for native, path in ((SESSION, f"/t/{SESSION}.jsonl"), (OTHER, f"/t/{OTHER}.jsonl")):
        transcript = Claude(native)
        transcript.user("Go")
        transcript.says("m1", "a", usage={"output_tokens": 7}, costUSD=0.5)
        graph = graph_of(transcript, claims=claims, path=path)
    assert "tokens" not in (steps_of(graph)[0].metadata or {})
    assert "cost" not in (graph.metadata or {})


def test_facts_of_the_session_are_kept() -> None:
    transcript = Claude(entrypoint="cli", sessionKind="bg")
    transcript.user("Go", permissionMode="default")
    transcript.record("permission-mode", permissionMode="acceptEdits")
    transcript.add({"type": "ai-title", "aiTitle": "First title", "sessionId": SESSION})
    transcript.add({"type": "ai-title", "aiTitle": "Better title", "sessionId": SESSION})
    transcript.add({"type": "agent-name", "agentName": "builder", "sessionId": SESSION})
    transcript.add({"type": "pr-link", "prUrl": "https://example.org/pr/7", "sessionId": SESSION})
    metadata = graph_of(transcript).metadata or {}
    names = ("entrypoint", "sessionKind", "permissionMode", "title", "agentName", "pullRequest", "gitBranch")
    assert [metadata[name] for name in names] == [
        "cli",
        "bg",
        "acceptEdits",
        "Better title",
        "builder",
        "https://example.org/pr/7",
        "main",
    ]


def test_the_cost_that_the_program_counts_is_kept_where_the_messages_have_none() -> None:
    transcript = begun()
    transcript.says("m1", "a", usage={"output_tokens": 7})
    for cost in (0.25, 0.5, "much"):
        transcript.add({"type": "cost-state", "totalCostUSD": cost, "sessionId": SESSION})
    assert (graph_of(transcript).metadata or {})["cost"] == 0.5


def test_what_is_not_understood_is_counted_by_type() -> None:
    transcript = begun()
    transcript.add({"type": "hologram", "sessionId": SESSION})
    transcript.add({"type": "hologram", "sessionId": SESSION})
    transcript.record("system", subtype="eclipse")
    transcript.attach("crystal_ball")
    transcript.assistant("m1", {"type": "song", "notes": "c d e"})
    transcript.add({"type": "last-prompt", "lastPrompt": "Go", "sessionId": SESSION})
    assert read(transcript).unknown == {
        "hologram": 2,
        "system/eclipse": 1,
        "attachment/crystal_ball": 1,
        "content/song": 1,
    }
