"""Reading goes on after any line: bad lines are counted with their numbers, and every value can be stored."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from acode_tui.domain.entities import Artifact, SessionGraph
from acode_tui.domain.validation import (
    Limits,
    is_storable,
    require_content,
    require_json,
    require_metadata,
    require_text,
    unescape,
)
from acode_tui.ingest.format import Parsed
from tests.ingest.builders import Claude, Codex, calls_of, graph_of, read, steps_of, story, texts_of

LIMITS = Limits()
TEXT = st.text(st.characters(), max_size=12)
KEYWORDS = st.sampled_from(
    [
        *("user", "assistant", "system", "progress", "summary", "compact_boundary", "permission-mode"),
        *("text", "tool_use", "tool_result", "thinking", "image", "server_tool_use"),
        *("response_item", "event_msg", "session_meta", "turn_context", "compacted", "message", "reasoning"),
        *("function_call", "function_call_output", "custom_tool_call", "web_search_call", "tool_search_output"),
        *("user_message", "task_started", "task_complete", "turn_aborted", "token_count", "error"),
        *("Task", "Edit", "Write", "Read", "ExitPlanMode", "plan", "c1", "c2", "m1", "2026-01-05T12:00:00Z"),
        *("[Request interrupted", "<command-name>/x</command-name>", "completed", "User rejected tool use"),
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | KEYWORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | KEYWORDS, inner, max_size=4),
    max_leaves=8,
)


def fields(names: str, values: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return dict.fromkeys(names.split(), values)


ANY = VALUES | KEYWORDS
BLOCK = st.fixed_dictionaries({"type": ANY}, optional=fields("id tool_use_id name input content text is_error", ANY))
BLOCKS = st.lists(BLOCK | VALUES, max_size=3)
MESSAGE = st.fixed_dictionaries({}, optional={"content": BLOCKS | ANY, **fields("id model usage", ANY)})
CLAUDE_LINES = st.fixed_dictionaries(
    {"type": ANY},
    optional={
        "message": MESSAGE | VALUES,
        **fields("uuid sessionId timestamp cwd version requestId isMeta toolUseResult data subtype", ANY),
        **fields("summary leafUuid permissionMode agentId compactMetadata isApiErrorMessage isSidechain", ANY),
    },
)
PAYLOAD = st.fixed_dictionaries(
    {"type": ANY},
    optional={
        **fields("role content name arguments input call_id output status action message reason", ANY | BLOCKS),
        **fields("info turn_id id git model error tools images timestamp", ANY),
    },
)
CODEX_LINES = st.fixed_dictionaries({"type": ANY}, optional={"payload": PAYLOAD | VALUES, "timestamp": ANY})


def assert_storable(parsed: Parsed) -> None:
    for graph in parsed.graphs:
        ids = [entity.id for entity in graph.entities()]
        assert len(ids) == len(set(ids))
        for entity in graph.entities():
            assert entity.updated_at >= entity.created_at
            for name in ("title", "name", "tool_name", "reason", "task_description"):
                if hasattr(entity, name):
                    require_text(getattr(entity, name), name)
            for name in ("description", "error_message", "user_id"):
                assert is_storable(getattr(entity, name, None) or "")
            for name in ("parameters", "result"):
                require_json(getattr(entity, name, None), name)
            if hasattr(entity, "metadata"):
                require_metadata(entity.metadata, "metadata", LIMITS)
            if isinstance(entity, Artifact):
                assert entity.content is not None
                require_content(entity.content, "content", LIMITS)
            else:
                msgspec.json.encode(getattr(entity, "parameters", None))


@settings(max_examples=50, deadline=None)
@given(st.lists(CLAUDE_LINES, max_size=6))
def test_no_claude_line_raises_and_its_entities_can_be_stored(lines: list[dict[str, Any]]) -> None:
    assert_storable(read([json.dumps(line).encode() for line in lines], format="claude-code"))


@settings(max_examples=50, deadline=None)
@given(st.lists(CODEX_LINES, max_size=6))
def test_no_codex_line_raises_and_its_entities_can_be_stored(lines: list[dict[str, Any]]) -> None:
    assert_storable(read([json.dumps(line).encode() for line in lines], format="codex"))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=6), st.sampled_from(["claude-code", "codex"]))
def test_garbage_is_counted_not_raised(lines: list[bytes], format: str) -> None:
    parsed = read([line.replace(b"\n", b"") for line in lines], format=format)
    assert parsed.skipped.count <= len(lines)


def test_bad_lines_are_counted_and_named_by_number_and_blank_ends_are_not() -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.raw(b"{broken")
    transcript.raw(b"")
    transcript.raw(b"42")
    transcript.raw(b"null")
    transcript.raw(b"\xff\xfe")
    transcript.says("m1", "Done")
    transcript.raw(b"   ")
    parsed = read(transcript)
    assert parsed.skipped.count == 5
    assert parsed.skipped.named == [
        (2, "not valid JSON"),
        (3, "blank line"),
        (4, "not a JSON object"),
        (5, "not a JSON object"),
        (6, "not valid JSON"),
    ]
    assert parsed.counts.steps == 1


def test_many_bad_lines_are_all_counted_and_the_first_are_named() -> None:
    parsed = read([b"?"] * 100, format="claude-code")
    assert parsed.skipped.count == 100
    assert len(parsed.skipped.named) == 20


@pytest.mark.parametrize("depth", [80, 500, 5_000, 200_000])
def test_deep_nesting_is_cut_or_counted(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    transcript = Claude()
    transcript.user("Go")
    call = b'{"type":"tool_use","id":"c1","name":"Bash","input":{"x":' + nested + b"}}"
    transcript.raw(b'{"type":"assistant","sessionId":"s","message":{"id":"m1","content":[' + call + b"]}}")
    transcript.says("m2", "Done")
    parsed = read(transcript)
    assert_storable(parsed)
    assert parsed.counts.steps + parsed.skipped.count == 2


@pytest.mark.ac("AC-059")
def test_nul_and_lone_surrogates_survive() -> None:
    text = "a\x00b\ud800c\ue000d"
    transcript = Claude(cwd="/x\x00y")
    transcript.user(f"Prompt {text}")
    transcript.calls("m1", "c1", f"Tool{text}", {f"key{text}": [text]})
    transcript.result("c1", text, is_error=True)
    transcript.says("m2", text)
    parsed = read(transcript)
    assert_storable(parsed)
    graph = parsed.graphs[0]
    assert unescape(graph.task_description) == f"Prompt {text}"
    (call,) = calls_of(graph)
    assert unescape(call.tool_name) == f"Tool{text}"
    assert {unescape(key): [unescape(item) for item in value] for key, value in call.parameters.items()} == {
        f"key{text}": [text]
    }
    assert unescape(call.error_message or "") == text
    contents = [call.artifacts[0].content, *texts_of(graph)]
    assert contents == [text.encode("utf-8", "surrogatepass")] * 2


def test_nul_in_codex_arguments_survives() -> None:
    transcript = Codex()
    transcript.prompt("Go")
    transcript.calls("c1", arguments=json.dumps({"command": "a\x00b"}))
    (call,) = calls_of(graph_of(transcript))
    assert unescape(call.parameters["command"]) == "a\x00b"
    assert is_storable(call.parameters["command"])


def test_huge_numbers_stay_exact() -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.calls("m1", "c1", "Bash", {"n": 2**80, "ok": 7})
    (call,) = calls_of(graph_of(transcript))
    assert call.parameters == {"n": str(2**80), "ok": 7}


@pytest.mark.parametrize("digits", ["9" * 10_000, "-" + "9" * 10_000, "1e400", "-2.5e9999"])
def test_a_number_beyond_a_double_is_kept_as_text(digits: str) -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.calls("m1", "c1", "Bash", {"n": "here", "ok": 7})
    transcript.lines[-1] = transcript.lines[-1].replace(b'"here"', digits.encode())
    parsed = read(transcript)
    (call,) = calls_of(parsed.graphs[0])
    assert call.parameters == {"n": digits, "ok": 7}
    assert parsed.skipped.count == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_line_in_another_encoding_is_skipped(encoding: str) -> None:
    transcript = Claude()
    transcript.user("Go")
    (line,) = transcript.lines
    transcript.raw(line.decode().replace("Go", "Stop").encode(encoding).replace(b"\n", b""))
    transcript.raw(b"\xef\xbb\xbf" + line.replace(b"Go", b"On"))
    parsed = read(transcript)
    assert [task.title for task in parsed.graphs[0].tasks] == ["Go", "On"]
    assert parsed.skipped.named == [(2, "not valid JSON")]


def test_two_prompts_under_one_id_are_both_kept_and_a_replay_is_not() -> None:
    transcript = Claude()
    for text in ("First", "First", "Second", "First", "Second"):
        transcript.user(text, uuid="same")
        transcript.says(f"m{len(transcript.lines)}", f"On {text}")
    graph = graph_of(transcript)
    assert [task.title for task in graph.tasks] == ["First", "Second"]
    assert len({task.id for task in graph.tasks}) == 2


def test_a_wrong_type_in_one_field_loses_only_that_field() -> None:
    transcript = Claude(cwd=["not", "a", "path"], version=3)
    transcript.user("Go", timestamp={"at": 1})
    transcript.assistant("m1", {"type": "text", "text": 5}, {"type": "tool_use", "id": 5, "name": None, "input": 5})
    transcript.record("user", message="error")
    graph: SessionGraph = graph_of(transcript)
    assert len(steps_of(graph)) == 1
    (call,) = calls_of(graph)
    assert (call.tool_name, call.parameters) == ("(unnamed tool)", 5)


@pytest.mark.parametrize("kind", [[], {}, ["text"], 5, None, True])
def test_a_block_whose_type_is_not_text_is_ignored(kind: Any) -> None:
    transcript = Claude()
    transcript.user([{"type": kind, "text": "Go"}, {"type": kind, "tool_use_id": "c1"}])
    transcript.assistant("m1", {"type": kind, "text": "x"}, {"type": "text", "text": "Done"})
    assert read(transcript).counts.steps == 1
    rollout = Codex()
    rollout.prompt("Go")
    rollout.item(kind, call_id="c1", name="shell")
    rollout.event(kind, message="x")
    rollout.says("Done")
    assert read(rollout).counts.steps == 1


def _codex_story() -> Codex:
    transcript = Codex()
    transcript.prompt("Go")
    transcript.calls("c1")
    transcript.output("c1", json.dumps({"output": "a\nb", "metadata": {"exit_code": 0}}))
    transcript.tokens(20, 10)
    transcript.says("Done")
    return transcript


_STORIES = {"claude-code": story().data, "codex": _codex_story().data}
_PIECES = st.sampled_from(
    [b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"\\", b"\\ud800", b"1e999", b"9" * 400, b"\n"]
)
_EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 30), _PIECES | st.binary(max_size=6)), min_size=1, max_size=8
)


def _damaged(data: bytes, edits: list[tuple[float, int, bytes]]) -> list[bytes]:
    for place, length, piece in edits:
        at = int(place * len(data))
        data = data[:at] + piece + data[at + length :]
    return data.split(b"\n")


@given(st.sampled_from(sorted(_STORIES)), _EDITS)
@example("codex", [(0.9375, 0, b"\\ud800")])
@example("codex", [(0.5, 15, b""), (0.5, 0, b"\\ud800")])
def test_no_damaged_transcript_raises(format: str, edits: list[tuple[float, int, bytes]]) -> None:
    assert_storable(read(_damaged(_STORIES[format], edits), format=format))


@pytest.mark.soak
@settings(max_examples=1_000)
@given(st.sampled_from(sorted(_STORIES)), _EDITS)
def test_no_damaged_transcript_raises_in_a_long_run(format: str, edits: list[tuple[float, int, bytes]]) -> None:
    assert_storable(read(_damaged(_STORIES[format], edits), format=format))
