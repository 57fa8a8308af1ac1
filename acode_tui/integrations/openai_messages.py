"""Reads what the OpenAI Agents SDK keeps of a model call: items of the Responses API, or a chat's messages."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from acode_tui.integrations.conversations import field, text_of

_HOSTED = ("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call")
"""Calls that the model's server made itself: no span of their own tells of them."""

_NOT_PARAMETERS = ("id", "type", "status", "name", "arguments", "output", "error", "result", "results", "outputs")


class Hosted(msgspec.Struct, frozen=True):
    """A call that the model's server made, with its outcome."""

    name: str
    parameters: Any
    result: Any
    error: str | None


class Said(msgspec.Struct, frozen=True):
    """What a model answered: texts, the functions that it asks for with their arguments, calls of its server."""

    answer: str
    reasoning: str
    asked: tuple[tuple[str, Any], ...]
    hosted: tuple[Hosted, ...]


def prompt_of(given: Any) -> str:
    """What the user said last: the user's messages at the end of a model's input."""
    if isinstance(given, str):
        return given
    if not isinstance(given, Sequence):
        return ""
    texts: list[str] = []
    for item in reversed(given):
        role = field(item, "role")
        if role in ("system", "developer"):
            continue
        if role != "user":
            break
        texts.append(text_of(field(item, "content")))
    return "\n\n".join(text for text in reversed(texts) if text)


def said(outputs: Any) -> Said:
    """What a model answered, from a response, its items or a chat completion's messages."""
    answers: list[str] = []
    thoughts: list[str] = []
    asked: list[tuple[str, Any]] = []
    hosted: list[Hosted] = []
    for item in _items(outputs):
        kind = field(item, "type")
        if kind == "reasoning":
            thoughts += [text_of(field(item, "summary")), text_of(field(item, "content"))]
        elif kind in ("function_call", "custom_tool_call"):
            given = field(item, "arguments") if kind == "function_call" else field(item, "input")
            asked.append((str(field(item, "name")), arguments(given)))
        elif kind in _HOSTED:
            hosted.append(_hosted(str(kind), item))
        elif field(item, "role") == "assistant":
            answers.append(text_of(field(item, "content")))
            thoughts.append(text_of(field(item, "reasoning_content")))
            for call in field(item, "tool_calls") or ():
                function = field(call, "function")
                asked.append((str(field(function, "name")), arguments(field(function, "arguments"))))
    return Said(_joined(answers), _joined(thoughts), tuple(asked), tuple(hosted))


def arguments(given: Any) -> Any:
    """A call's arguments: the value of their JSON, or the text where it is none."""
    if not isinstance(given, str):
        return {} if given is None else given
    try:
        return json.loads(given) if given.strip() else {}
    except (ValueError, RecursionError):
        return {"input": given}


def tokens(usage: Any) -> dict[str, int]:
    """The tokens of a model call, as ``Step.usage`` takes them: its input is without what the cache gave or took."""
    details = field(usage, "input_tokens_details")
    cached, written = _count(field(details, "cached_tokens")), _count(field(details, "cache_write_tokens"))
    return {
        "input": max(0, _count(field(usage, "input_tokens")) - cached - written),
        "output": _count(field(usage, "output_tokens")),
        "cache_read": cached,
        "cache_write": written,
    }


def _items(outputs: Any) -> Iterator[Any]:
    """The items of a response, a list of items, a list of responses, or a list of messages."""
    if outputs is None or isinstance(outputs, (str, bytes)):
        return
    nested = field(outputs, "output")
    if isinstance(nested, (list, tuple)) and field(outputs, "type") is None:
        yield from nested
    elif isinstance(outputs, (list, tuple)):
        for each in outputs:
            inner = field(each, "output")
            if isinstance(inner, (list, tuple)) and field(each, "type") is None:
                yield from inner
            else:
                yield each


def _hosted(kind: str, item: Any) -> Hosted:
    plain = item if isinstance(item, dict) else item.model_dump(exclude_none=True)
    given = {key: value for key, value in plain.items() if key not in _NOT_PARAMETERS}
    if kind == "mcp_call":
        given["arguments"] = arguments(plain.get("arguments"))
    results = [value for key in ("output", "result", "results", "outputs") if (value := plain.get(key)) is not None]
    error = plain.get("error")
    name = str(plain.get("name") or kind.removesuffix("_call"))
    return Hosted(name, given, results[0] if results else None, None if error is None else str(error))


def _joined(texts: list[str]) -> str:
    return "\n\n".join(text for text in texts if text)


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0
