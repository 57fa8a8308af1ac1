"""What a hook's JSON is understood as, and the queue that it waits in."""

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.hooks.events import READERS, HookEvent, claude_code_event, codex_event
from acode_tui.hooks.queue import MAX_BYTES, QUEUE, done, is_empty, put, take

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ("hook_event_name", "type", "session_id", "transcript_path", "cwd", "message", "notification_type")


def event(number: int = 0) -> HookEvent:
    return HookEvent("claude-code", "Stop", f"session {number}", "/t.jsonl", "/shop", "")


@pytest.mark.parametrize(
    ("fields", "waits_for"),
    [
        ({"hook_event_name": "PermissionRequest", "tool_name": "Bash"}, "consent to Bash"),
        ({"hook_event_name": "PermissionRequest"}, "consent to a call"),
        (
            {"hook_event_name": "Notification", "notification_type": "permission_prompt", "message": "may I?"},
            "may I?",
        ),
        ({"hook_event_name": "Notification", "message": "Claude needs your permission to use Bash"}, ...),
        ({"hook_event_name": "Notification", "message": "Claude is waiting for your input"}, ""),
        ({"hook_event_name": "Notification", "notification_type": "idle_prompt", "message": "permission?"}, ""),
        ({"hook_event_name": "PreToolUse", "tool_name": "Bash"}, ""),
    ],
)
def test_what_claude_code_waits_for(fields: dict[str, str], waits_for: object) -> None:
    expected = fields.get("message", "") if waits_for is ... else waits_for
    assert claude_code_event(json.dumps(fields)).waits_for == expected


def test_the_transcript_of_a_subagent_is_its_own() -> None:
    fields = {"hook_event_name": "SubagentStop", "transcript_path": "/a.jsonl", "agent_transcript_path": "/b.jsonl"}
    assert claude_code_event(json.dumps(fields)).transcript == "/b.jsonl"


def test_codex_names_its_thread() -> None:
    text = json.dumps({"type": "agent-turn-complete", "thread-id": "0199", "cwd": "/shop"})
    assert codex_event(text) == HookEvent("codex", "agent-turn-complete", "0199", "", "/shop", "")


@pytest.mark.parametrize("agent", sorted(READERS))
@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "\x00", "[" * 100_000, '{"hook_event_name": 7}', b"\xff{"])
def test_what_is_no_event_is_refused(agent: str, text: str | bytes) -> None:
    with pytest.raises(ValueError):
        READERS[agent](text)


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_any_values_are_an_event_or_are_refused(fields: dict[str, object]) -> None:
    for read in READERS.values():
        try:
            found = read(json.dumps(fields))
        except ValueError:
            continue
        assert all(isinstance(field, str) for field in found)


def test_events_are_taken_in_order_and_again_after_a_crash(tmp_path: Path) -> None:
    put(tmp_path, event(1))
    put(tmp_path, event(2))
    assert [each.session for each in take(tmp_path)] == ["session 1", "session 2"]
    put(tmp_path, event(3))
    assert [each.session for each in take(tmp_path)] == ["session 1", "session 2"], "they were not worked on"
    done(tmp_path)
    assert [each.session for each in take(tmp_path)] == ["session 3"]
    done(tmp_path)
    assert take(tmp_path) == []
    assert is_empty(tmp_path)


def test_no_event_is_lost_between_two_files(tmp_path: Path) -> None:
    """Four threads put while one takes: each event is taken once."""
    threads = [
        threading.Thread(target=lambda first=first: [put(tmp_path, event(first + n)) for n in range(50)])
        for first in range(0, 200, 50)
    ]
    for thread in threads:
        thread.start()
    taken: list[str] = []
    while any(thread.is_alive() for thread in threads) or not is_empty(tmp_path):
        taken += [each.session for each in take(tmp_path)]
        done(tmp_path)
    assert sorted(taken) == sorted(f"session {number}" for number in range(200))


def test_a_queue_that_nobody_reads_stays_small(tmp_path: Path) -> None:
    (tmp_path / QUEUE).write_bytes(b"x" * (MAX_BYTES + 1))
    assert not put(tmp_path, event())
    assert take(tmp_path) == [], "what is no event is passed over"


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("")
    (tmp_path / QUEUE).symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        put(tmp_path, event())
    assert victim.read_text() == ""
