"""Reads what LangChain hands to callbacks: inputs, messages, answers of models, results of tools."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from acode_tui.integrations.conversations import field, text_of

_QUESTIONS = ("input", "question", "query", "prompt", "text", "topic")
"""Keys under which chains usually take what the user asks."""

_CONVERSATIONS = ("thread_id", "session_id", "conversation_id")
_INTERNAL = ("langgraph_", "ls_", "lc_", "checkpoint", "__", *_CONVERSATIONS)
"""Beginnings of the keys of metadata that the frameworks set themselves."""


class Answer(msgspec.Struct, frozen=True):
    """What a model call gave: texts, and what it cost as ``Step.usage`` takes it."""

    answer: str
    reasoning: str
    model: str | None
    tokens: dict[str, int]


def conversation_of(metadata: Mapping[str, Any] | None) -> str | None:
    """The id of the conversation that a run belongs to."""
    for name in _CONVERSATIONS:
        if (found := (metadata or {}).get(name)) not in (None, ""):
            return str(found)
    return None


def own_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The metadata that the agent's author set."""
    return {key: value for key, value in (metadata or {}).items() if not str(key).startswith(_INTERNAL)}


def prompt_of(inputs: Any) -> str:
    """What the user asks, from a chain's inputs; empty where they do not show it."""
    if isinstance(inputs, str):
        return inputs
    if isinstance(inputs, Mapping):
        for name in _QUESTIONS:
            if isinstance(text := inputs.get(name), str) and text:
                return text
        return last_of_user(inputs.get("messages"))
    if field(inputs, "resume") is not None:
        return f"(answer) {field(inputs, 'resume')}"
    return last_of_user(field(inputs, "messages") or inputs)


def last_of_user(messages: Any) -> str:
    """The user's messages at the end of a list of messages, in any of the forms that LangChain takes."""
    if not isinstance(messages, Sequence) or isinstance(messages, (str, bytes)):
        return text_of(field(messages, "content")) if field(messages, "type") == "human" else ""
    texts: list[str] = []
    for message in reversed(messages):
        role, content = _role_and_content(message)
        if role not in ("user", "human"):
            break
        texts.append(text_of(content))
    return "\n\n".join(text for text in reversed(texts) if text)


def answer_of(response: Any) -> Answer:
    """What a model call gave, from its ``LLMResult``."""
    generations = [each for group in field(response, "generations") or () for each in group]
    texts: list[str] = []
    thoughts: list[str] = []
    usage: Any = None
    model: Any = None
    for generation in generations:
        message = field(generation, "message")
        content = field(generation, "text") if message is None else field(message, "content")
        texts.append(text_of(content))
        thoughts += _thoughts(message)
        usage = usage or field(message, "usage_metadata")
        facts = field(message, "response_metadata") or field(generation, "generation_info") or {}
        model = model or field(facts, "model_name") or field(facts, "model")
    output = field(response, "llm_output") or {}
    usage = usage or field(output, "token_usage") or field(output, "usage")
    model = model or field(output, "model_name") or field(output, "model")
    return Answer(_joined(texts), _joined(thoughts), None if model is None else str(model), _tokens(usage))


def result_of(output: Any) -> tuple[Any, str | None]:
    """A tool's result, and the error that it answered with, if it did."""
    content = field(output, "content")
    if content is None or field(output, "tool_call_id") is None:
        return output, None
    if field(output, "status") == "error":
        return None, text_of(content) or "error"
    return content, None


def is_interrupt(error: BaseException) -> bool:
    """Whether a graph stopped to wait for a person."""
    return any(kind.__name__ == "GraphInterrupt" for kind in type(error).__mro__)


def is_control_flow(error: BaseException) -> bool:
    """Whether an exception is how a graph goes on elsewhere, and no error."""
    return any(kind.__name__ == "GraphBubbleUp" for kind in type(error).__mro__)


def question_of(error: BaseException) -> str:
    """What an interrupted graph waits for."""
    found = error.args[0] if error.args else ()
    values = [field(each, "value") for each in found] if isinstance(found, (list, tuple)) else []
    return "; ".join(str(value)[:500] for value in values) or "an answer"


def _role_and_content(message: Any) -> tuple[Any, Any]:
    if isinstance(message, (list, tuple)) and len(message) == 2:
        return message[0], message[1]
    return field(message, "role") or field(message, "type"), field(message, "content")


def _thoughts(message: Any) -> list[str]:
    found = [field(field(message, "additional_kwargs") or {}, "reasoning_content")]
    content = field(message, "content")
    for part in content if isinstance(content, list) else ():
        if field(part, "type") in ("reasoning", "thinking"):
            summary = text_of(field(part, "summary"))
            found.append(field(part, "reasoning") or field(part, "thinking") or summary)
    return [text for text in found if isinstance(text, str)]


def _tokens(usage: Any) -> dict[str, int]:
    given = field(usage, "input_tokens") or field(usage, "prompt_tokens")
    details = field(usage, "input_token_details")
    read, written = _count(field(details, "cache_read")), _count(field(details, "cache_creation"))
    return {
        "input": max(0, _count(given) - read - written),
        "output": _count(field(usage, "output_tokens") or field(usage, "completion_tokens")),
        "cache_read": read,
        "cache_write": written,
    }


def _joined(texts: list[str]) -> str:
    return "\n\n".join(text for text in texts if text)


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0
