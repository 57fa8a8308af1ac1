"""The names of attributes, old and new ones, by what they say. The first one that a span has counts.

``gen_ai.*`` are OpenTelemetry's conventions for generative AI, ``llm.*`` and ``openinference.*`` are OpenInference's,
``traceloop.*`` are OpenLLMetry's. The rest are what Claude Code, Codex and Pydantic AI add.
"""

import json
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any


class Kind(Enum):
    """What a span is in a run."""

    PROMPT = auto()
    AGENT = auto()
    TURN = auto()
    TOOL = auto()
    OTHER = auto()


_OPERATIONS = {
    "chat": Kind.TURN,
    "text_completion": Kind.TURN,
    "generate_content": Kind.TURN,
    "invoke_agent": Kind.AGENT,
    "invoke_workflow": Kind.AGENT,
    "create_agent": Kind.OTHER,
    "embeddings": Kind.OTHER,
    "execute_tool": Kind.TOOL,
    "retrieval": Kind.TOOL,
}
_KINDS = {
    # OpenInference
    "LLM": Kind.TURN,
    "AGENT": Kind.AGENT,
    "CHAIN": Kind.AGENT,
    "TOOL": Kind.TOOL,
    "RETRIEVER": Kind.TOOL,
    "EMBEDDING": Kind.OTHER,
    "RERANKER": Kind.OTHER,
    "GUARDRAIL": Kind.OTHER,
    "EVALUATOR": Kind.OTHER,
    # OpenLLMetry
    "WORKFLOW": Kind.AGENT,
    "TASK": Kind.OTHER,
}
_SPANS = {
    "claude_code.interaction": Kind.AGENT,
    "claude_code.llm_request": Kind.TURN,
    "claude_code.tool": Kind.TOOL,
    "user_prompt": Kind.PROMPT,
}

CONVERSATION = (
    "gen_ai.conversation.id",
    "session.id",
    "conversation.id",
    "traceloop.association.properties.session_id",
)
MODEL = (
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.response.model",
    "llm.model_name",
    "llm.request.model",
    "model",
)
PROVIDER = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
AGENT_NAME = ("gen_ai.agent.name", "agent.name", "agent_name", "graph.node.id", "traceloop.entity.name")
TOOL_NAME = ("gen_ai.tool.name", "tool.name", "tool_name", "traceloop.entity.name")
CALL_ID = ("gen_ai.tool.call.id", "tool_call.id", "tool_use_id", "call_id")
ARGUMENTS = (
    "gen_ai.tool.call.arguments",
    "tool_arguments",
    "tool.parameters",
    "tool_parameters",
    "tool_input",
    "input.value",
    "traceloop.entity.input",
    "arguments",
)
RESULT = (
    "gen_ai.tool.call.result",
    "tool_response",
    "output.value",
    "traceloop.entity.output",
    "output",
)
INPUT_TOKENS = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.usage.prompt_tokens",
    "llm.token_count.prompt",
    "input_tokens",
    "input_token_count",
)
OUTPUT_TOKENS = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.usage.completion_tokens",
    "llm.token_count.completion",
    "output_tokens",
    "output_token_count",
)
CACHE_READ = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.details.cache_read_tokens",
    "llm.token_count.prompt_details.cache_read",
    "cache_read_tokens",
    "cached_token_count",
)
CACHE_WRITE = (
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.details.cache_write_tokens",
    "llm.token_count.prompt_details.cache_write",
    "cache_creation_tokens",
    "cache_write_token_count",
)
COST = ("gen_ai.usage.cost", "operation.cost", "llm.cost.total", "cost_usd")
ERROR = ("error", "error.message", "exception.message")

_QUIET = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.tool.definitions",
    "gen_ai.operation.name",
    "llm.input_messages",
    "llm.output_messages",
    "llm.tools",
    "llm.prompts",
    "llm.completions",
    "llm.functions",
    "openinference.span.kind",
    "traceloop.span.kind",
    "input.value",
    "input.mime_type",
    "output.value",
    "output.mime_type",
    "logfire.",
    "model_request_parameters",
    "pydantic_ai.all_messages",
    "all_messages_events",
    "events",
    "final_result",
    "body",
    "prompt",
    "acode_tui.",
)
"""Attributes, or beginnings of them, that are content, or that repeat what other fields say."""
_READ = frozenset(
    (
        *CONVERSATION,
        *MODEL,
        *PROVIDER,
        *AGENT_NAME,
        *TOOL_NAME,
        *CALL_ID,
        *ARGUMENTS,
        *RESULT,
        *INPUT_TOKENS,
        *OUTPUT_TOKENS,
        *CACHE_READ,
        *CACHE_WRITE,
        *COST,
        *ERROR,
    )
)
OWN_ARTIFACTS, OWN_STATE, OWN_TASK = "acode_tui.artifacts", "acode_tui.state", "acode_tui.task"
"""What an export of this program adds: further artifacts, a call's state, and that a span is a task's and no step."""
MAX_VALUE = 500
MAX_EXTRA_BYTES = 4_000


def kind_of(name: str, attributes: Mapping[str, Any]) -> Kind:
    """What a span with this name and these attributes is."""
    operation = attributes.get("gen_ai.operation.name")
    if isinstance(operation, str) and operation in _OPERATIONS:
        return _OPERATIONS[operation]
    for key in ("openinference.span.kind", "traceloop.span.kind"):
        kind = attributes.get(key)
        if isinstance(kind, str) and kind.upper() in _KINDS:
            return _KINDS[kind.upper()]
    if name in _SPANS:
        return _SPANS[name]
    if attributes.get("llm.request.type") in ("chat", "completion"):
        return Kind.TURN
    if "gen_ai.tool.name" in attributes or "gen_ai.tool.call.id" in attributes:
        return Kind.TOOL
    if "gen_ai.request.model" in attributes and operation is None:
        return Kind.TURN
    return Kind.AGENT if "gen_ai.agent.name" in attributes and operation is None else Kind.OTHER


def evidence(name: str, attributes: Mapping[str, Any]) -> tuple[str, Any]:
    """The field by which ``kind_of`` tells what a span is, and its value."""
    for key in ("gen_ai.operation.name", "openinference.span.kind", "traceloop.span.kind"):
        if key in attributes:
            return key, attributes[key]
    return "name", name


def first(attributes: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The value of the first of these attributes that the span has, or None."""
    return next((attributes[name] for name in names if attributes.get(name) not in (None, "")), None)


def first_text(attributes: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of them that is a text, or empty."""
    return next((attributes[name] for name in names if isinstance(attributes.get(name), str) and attributes[name]), "")


def first_count(attributes: Mapping[str, Any], names: Sequence[str]) -> int:
    """The first of them that is a count, also as text or as a whole float, or 0."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is int and 0 <= value < 2**53:
            return value
    return 0


def first_amount(attributes: Mapping[str, Any], names: Sequence[str]) -> float | None:
    """The first of them that is a number of at least 0, also as text, or None."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str):
            try:
                value = float(value[:40])
            except ValueError:
                continue
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
            return float(value)
    return None


def extra(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that say something for which there is no field, bounded: at most 4,000 bytes as JSON.

    Long texts are cut; the smallest come first.
    """
    found = {
        name: value[:MAX_VALUE] if isinstance(value, str) else value
        for name, value in attributes.items()
        if name not in _READ and not name.startswith(_QUIET) and value not in (None, "", [], {})
    }
    sizes = {name: len(name) + len(json.dumps(value, default=str)) + 6 for name, value in found.items()}
    kept: dict[str, Any] = {}
    left = MAX_EXTRA_BYTES
    for name in sorted(found, key=lambda each: (sizes[each], each)):
        left -= sizes[name]
        if left < 0:
            break
        kept[name] = found[name]
    return dict(sorted(kept.items()))
