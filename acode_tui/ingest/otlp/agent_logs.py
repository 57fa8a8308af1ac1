"""Claude Code and Codex report a run as log records. Each that tells of it becomes the span that it describes.

A record is written when what it tells of has ended, so the span begins by its duration earlier.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from acode_tui.ingest.otlp.names import CONVERSATION, first_count, first_text
from acode_tui.ingest.otlp.records import Span

PROMPT = "user_prompt"
_REDACTED = ("<REDACTED>", "[REDACTED]")

_AGENTS = ("claude_code.", "codex.", "gemini_cli.")
_TOLD = {
    "user_prompt": None,
    "api_request": "chat",
    "api_error": "chat",
    "sse_event": "chat",
    "tool_result": "execute_tool",
}
_MILLISECOND = 1_000_000


def taken(record: Span) -> Span | None:
    """A log record as a part of a run: an event of a span, or a span of its own. None for one that tells of no run."""
    event = _event_of(record)
    if event is None:
        is_message = record.name.startswith("gen_ai.") and record.trace and record.parent
        return record if is_message else None
    attributes = dict(record.attributes)
    conversation = first_text(attributes, CONVERSATION)
    if not conversation or not _tells(event, attributes):
        return None
    operation = _TOLD[event]
    if operation is not None:
        attributes["gen_ai.operation.name"] = operation
    if event == PROMPT and attributes.get("prompt") in _REDACTED:
        attributes["prompt"] = ""
    error = first_text(attributes, ("error", "error.message"))
    failed = event == "api_error" or str(attributes.get("success", "")).lower() == "false"
    duration = first_count(attributes, ("duration_ms",)) * _MILLISECOND
    return Span(
        # All records of a session are one trace: their order in time says which prompt they belong to.
        blake2b(conversation.encode("utf-8", "replace"), digest_size=16).hexdigest(),
        record.id,
        "",
        event,
        max(record.start - duration, 0) if operation is not None else record.start,
        record.end,
        attributes,
        status=2 if failed else 0,
        message=error,
        scope=record.scope,
        resource=record.resource,
    )


def _event_of(record: Span) -> str | None:
    """The name of the event without that of its agent; None where it is none of an agent's that tells of a run."""
    for name in (record.name, first_text(record.attributes, ("event.name",))):
        for agent in _AGENTS:
            if name.startswith(agent) and name.removeprefix(agent) in _TOLD:
                return name.removeprefix(agent)
    scope = f"{record.scope} {record.resource.get('service.name', '')}"
    # Claude Code names its events without a prefix, and itself in the scope.
    is_claude = "claude-code" in scope or "claude_code" in scope
    return record.name if is_claude and record.name in _TOLD else None


def _tells(event: str, attributes: Mapping[str, Any]) -> bool:
    """Whether the event adds to the run: Codex reports every piece of a stream, and the tokens with the last one."""
    if event == "sse_event":
        return attributes.get("event.kind") == "response.completed"
    if event == "api_request":
        return "input_tokens" in attributes or "output_tokens" in attributes
    return True
