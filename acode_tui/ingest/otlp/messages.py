"""The messages of a span: prompts, answers, reasoning and tool calls, in each of the forms in which they are sent.

Those are: a JSON text or a list in an attribute, attributes with an index in their name, and events.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from acode_tui.ingest.otlp.records import Span
from acode_tui.ingest.records import parse_text, text

MAX_MESSAGES = 5_000
"""So many messages of a span are read."""

_INDEXED_INPUT = re.compile(r"(?:gen_ai\.prompt|llm\.input_messages)\.(\d{1,4})\.(?:message\.)?(.+)")
_INDEXED_OUTPUT = re.compile(r"(?:gen_ai\.completion|llm\.output_messages)\.(\d{1,4})\.(?:message\.)?(.+)")
_INDEXED_CALL = re.compile(r"(?:message\.)?tool_calls\.(\d{1,4})\.(?:tool_call\.)?(.+)")
_INDEXED_PART = re.compile(r"contents\.(\d{1,4})\.message_content\.(.+)")
_ROLE_OF_EVENT = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}


class ToolRequest(NamedTuple):
    """A call that a message of the model asks for. The id may be empty."""

    id: str
    name: str
    arguments: Any


class Message(NamedTuple):
    """One message. ``results`` are pairs of a call's id and what the call returned."""

    role: str
    text: str = ""
    reasoning: str = ""
    requests: tuple[ToolRequest, ...] = ()
    results: tuple[tuple[str, str], ...] = ()


_DETAILS = "gen_ai.client.inference.operation.details"
"""An event of a span with the attributes that are too large for the span."""


def given_to(span: Span) -> list[Message]:
    """What a model was given in a turn: as a rule everything that was said before, so it is read when it is needed."""
    sources = _sources(span)
    found = (
        _first_parsed(sources, "gen_ai.input.messages")
        or _indexed(span.attributes, _INDEXED_INPUT)
        or _of_events(span)[0]
        or _of_content(sources, span, "gen_ai.prompt", "gen_ai.content.prompt", "user")
        or _plain(span.attributes, ("input.value", "traceloop.entity.input"), "user")
    )
    instructions = _first_parsed(sources, "gen_ai.system_instructions")
    return [*(message._replace(role="system") for message in instructions), *found]


def said_in(span: Span) -> list[Message]:
    """What the model said in a turn."""
    sources = _sources(span)
    return (
        _first_parsed(sources, "gen_ai.output.messages")
        or _indexed(span.attributes, _INDEXED_OUTPUT)
        or _of_events(span)[1]
        or _of_content(sources, span, "gen_ai.completion", "gen_ai.content.completion", "assistant")
        or _plain(span.attributes, ("output.value", "traceloop.entity.output"), "assistant")
    )


def _sources(span: Span) -> list[Mapping[str, Any]]:
    return [span.attributes, *(event.attributes for event in span.events if event.name == _DETAILS)]


def asked_of(span: Span) -> str:
    """What an agent was asked, as its own span says it; empty where that says nothing."""
    attributes = span.attributes
    for name in ("gen_ai.input.messages", "pydantic_ai.all_messages", "all_messages_events"):
        asked = last_prompt(parsed(attributes.get(name), "user"))
        if asked:
            return asked
    for name in ("user_prompt", "input.value", "traceloop.entity.input", "prompt"):
        found = plain_text(attributes.get(name))
        if found:
            return found
    return ""


def last_prompt(messages: Iterable[Message]) -> str:
    """The text of the last message of a user, or empty."""
    found = ""
    for message in messages:
        if message.role == "user" and message.text.strip() and not message.results:
            found = message.text
    return found


def parsed(value: Any, role: str) -> list[Message]:
    """The messages in an attribute's value: a JSON text, a list, or one message."""
    if isinstance(value, str):
        decoded = parse_text(value) if value[:1] in ("[", "{") else None
        if decoded is None:
            return [Message(role, value)] if value.strip() else []
        value = decoded
    if isinstance(value, dict):
        value = value.get("messages", value.get("contents", [value]))
    if not isinstance(value, list):
        return []
    if value and all(isinstance(item, dict) and "role" not in item and "type" in item for item in value):
        # Instructions are a list of parts.
        return [_of_parts(role, value)]
    return [message for item in value[:MAX_MESSAGES] if (message := _message(item, role)) is not None]


def _first_parsed(sources: Iterable[Mapping[str, Any]], name: str) -> list[Message]:
    role = "assistant" if "output" in name else "user"
    return next((found for each in sources if (found := parsed(each.get(name), role))), [])


def _message(item: Any, role: str) -> Message | None:
    if isinstance(item, list):
        # LangChain gives a list of conversations.
        found = parsed(item, role)
        return found[-1] if found else None
    if isinstance(item, str):
        return Message(role, item)
    if not isinstance(item, dict):
        return None
    if isinstance(item.get("message"), dict):
        item = item["message"]
    own = text(item.get("role")) or role
    parts = item.get("parts")
    if isinstance(parts, list):
        return _of_parts(own, parts)
    content = item.get("content")
    message = _of_parts(own, content) if isinstance(content, list) else Message(own, plain_text(content))
    requests = (
        [_request(call) for call in item.get("tool_calls") or () if isinstance(call, dict)]
        if isinstance(item.get("tool_calls"), list)
        else []
    )
    if own == "tool":
        key = text(item.get("id")) or text(item.get("tool_call_id"))
        return Message(own, "", message.reasoning, (), ((key, message.text),))
    reasoning = message.reasoning or text(item.get("reasoning_content"))
    return message._replace(requests=(*message.requests, *requests), reasoning=reasoning)


def _of_parts(role: str, parts: list[Any]) -> Message:
    texts, thoughts = [], []
    requests: list[ToolRequest] = []
    results: list[tuple[str, str]] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        if not isinstance(part, dict):
            continue
        kind = text(part.get("type"))
        if kind in ("tool_call", "tool_use", "function_call"):
            requests.append(_request(part))
        elif kind in ("tool_call_response", "tool_result"):
            key = text(part.get("id")) or text(part.get("tool_use_id"))
            given = next((part[name] for name in ("response", "result", "content") if part.get(name) is not None), "")
            results.append((key, plain_text(given)))
        elif kind in ("reasoning", "thinking"):
            thoughts.append(text(part.get("content")) or text(part.get("thinking")) or text(part.get("text")))
        elif kind in ("text", "input_text", "output_text", ""):
            texts.append(text(part.get("content")) or text(part.get("text")))
        else:
            named = text(part.get("uri")) or text(part.get("mime_type")) or text(part.get("media_type"))
            texts.append(f"[{kind} {named}]" if named else f"[{kind}]")
    found = (piece for piece in texts if piece)
    return Message(role, "\n".join(found), "\n".join(filter(None, thoughts)), tuple(requests), tuple(results))


def _request(call: Mapping[str, Any]) -> ToolRequest:
    function = call.get("function")
    inner = function if isinstance(function, dict) else call
    arguments = next((inner[name] for name in ("arguments", "input", "args") if inner.get(name) is not None), None)
    key = text(call.get("id")) or text(call.get("call_id"))
    return ToolRequest(key, text(inner.get("name")) or "(unnamed tool)", value_in(arguments))


def _indexed(attributes: Mapping[str, Any], pattern: re.Pattern[str]) -> list[Message]:
    """Messages whose fields are attributes of their own, such as ``llm.input_messages.0.message.role``."""
    found: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        match = pattern.fullmatch(name)
        if match is not None:
            found.setdefault(int(match[1]), {})[match[2]] = value
    return [_of_fields(found[index]) for index in sorted(found)][:MAX_MESSAGES]


def _of_fields(fields: Mapping[str, Any]) -> Message:
    calls: dict[int, dict[str, Any]] = {}
    parts: dict[int, dict[str, Any]] = {}
    for name, value in fields.items():
        if (match := _INDEXED_CALL.fullmatch(name)) is not None:
            calls.setdefault(int(match[1]), {})[match[2]] = value
        elif (match := _INDEXED_PART.fullmatch(name)) is not None:
            parts.setdefault(int(match[1]), {})[match[2]] = value
    requests = tuple(
        ToolRequest(
            text(call.get("id")),
            text(call.get("function.name")) or text(call.get("name")) or "(unnamed tool)",
            value_in(call.get("function.arguments", call.get("arguments"))),
        )
        for _, call in sorted(calls.items())
    )
    role = text(fields.get("role")) or "user"
    content = _of_parts(role, [part for _, part in sorted(parts.items())]) if parts else None
    said = content.text if content is not None else plain_text(fields.get("content"))
    if role == "tool":
        return Message(role, "", "", (), ((text(fields.get("tool_call_id")), said),))
    return Message(role, said, content.reasoning if content is not None else "", requests)


def _of_events(span: Span) -> tuple[list[Message], list[Message]]:
    given: list[Message] = []
    said: list[Message] = []
    for event in span.events:
        role = _ROLE_OF_EVENT.get(event.name)
        if role is None and event.name != "gen_ai.choice":
            continue
        body = event.attributes.get("body", event.attributes.get("event_body"))
        body = parse_text(body) if isinstance(body, str) and body[:1] == "{" else body
        fields = {**event.attributes, **body} if isinstance(body, dict) else event.attributes
        for name in ("message", "tool_calls", "content"):
            fields = {**fields, name: value_in(fields[name])} if isinstance(fields.get(name), str) else fields
        message = _message({"role": role or "assistant", **fields}, role or "assistant")
        if message is not None:
            (said if role is None else given).append(message)
    return given, said


def _of_content(
    sources: Iterable[Mapping[str, Any]], span: Span, attribute: str, event: str, role: str
) -> list[Message]:
    for source in (*sources, *(found.attributes for found in span.events if found.name == event)):
        found = parsed(source.get(attribute), role)
        if found:
            return found
    return []


def _plain(attributes: Mapping[str, Any], names: Iterable[str], role: str) -> list[Message]:
    return next((found for name in names if (found := parsed(attributes.get(name), role))), [])


def value_in(value: Any) -> Any:
    """What a JSON text holds; the value itself where it is none."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        found = parse_text(value)
        return value if found is None else found
    return value


def plain_text(value: Any) -> str:
    """A value as text: a text itself, anything else as JSON; empty for None."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return str(value)
