"""What a hook's JSON says, in the few fields that are kept. Pure; the standard library alone, for a fast start."""

import json
from typing import Any, NamedTuple

MAX_INPUT_BYTES = 16 * 1024 * 1024
"""What is read of a hook's input: a tool's answer may be in it."""

_MAX_FIELD = 4096
_CONSENT = ("permission_prompt", "elicitation_dialog")


class HookEvent(NamedTuple):
    """One report of an agent. Empty fields are unknown."""

    agent: str
    name: str
    session: str
    transcript: str
    cwd: str
    waits_for: str
    """What the user is asked for; empty unless the agent waits for them."""


def claude_code_event(text: str | bytes) -> HookEvent:
    """From the JSON that Claude Code gives a hook on standard input. Raises ValueError."""
    fields = _object(text)
    name = _text(fields, "hook_event_name")
    if not name:
        raise ValueError("hook_event_name is missing")
    waits_for = ""
    if name == "PermissionRequest":
        waits_for = f"consent to {_text(fields, 'tool_name') or 'a call'}"
    elif name == "Notification":
        kind, message = _text(fields, "notification_type"), _text(fields, "message")
        # Older versions name no type; their sentence about an idle prompt asks for no consent.
        if kind in _CONSENT or (not kind and "permission" in message.lower()):
            waits_for = message or "consent"
    return HookEvent(
        "claude-code",
        name,
        _text(fields, "session_id"),
        _text(fields, "agent_transcript_path") or _text(fields, "transcript_path"),
        _text(fields, "cwd"),
        waits_for,
    )


def codex_event(text: str | bytes) -> HookEvent:
    """From the JSON that Codex gives its notify program as last argument. Raises ValueError.

    It names no file: the thread's rollout is found by its id.
    """
    fields = _object(text)
    name = _text(fields, "type")
    if not name:
        raise ValueError("type is missing")
    waits_for = "consent" if name == "approval-requested" else ""
    return HookEvent("codex", name, _text(fields, "thread-id"), "", _text(fields, "cwd"), waits_for)


READERS = {"claude-code": claude_code_event, "codex": codex_event}


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def _text(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    return value[:_MAX_FIELD] if isinstance(value, str) else ""
