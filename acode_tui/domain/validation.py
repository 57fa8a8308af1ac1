"""Validation of values and of whole graphs before they are stored, and an escape for text that cannot be stored.

Errors name the field and what is allowed; they never quote the value.
"""

import math
import re
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from acode_tui.domain.clock import LAST_DAY, require_utc
from acode_tui.domain.codec import digest, encode_plain
from acode_tui.domain.entities import Artifact, Entity, Session, SessionEvent, SessionGraph, SessionTask, Step, ToolCall
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.quantities import number
from acode_tui.domain.schema import TABLES

MAX_DESCRIPTION_CHARS = 1_000
MAX_METADATA_BYTES = 64 * 1024
MAX_METADATA_DEPTH = 10
MAX_ARTIFACT_BYTES = 10 * 1024 * 1024
MAX_JSON_DEPTH = 100
"""Largest depth of tool parameters and results; PostgreSQL's own limit for jsonb is far larger."""

MAX_INTEGER_BITS = 8_192
"""About 2,500 digits. Integers of more than 4,300 digits can be encoded, but Python's decoders refuse them."""

MARK = "\ue000"
"""Begins an escape: four hex digits of the escaped character follow."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_ESCAPABLE = re.compile("[\x00\ud800-\udfff\ue000]")
_ESCAPED = re.compile(MARK + "([0-9a-f]{4})")


def is_storable(text: str) -> bool:
    """Whether both databases can store the text unchanged."""
    # isascii() reads a flag of the string. In ASCII text only NUL is refused, and finding it takes a tenth of the time.
    return "\x00" not in text if text.isascii() else _UNSTORABLE.search(text) is None


def require_storable(text: str, field: str) -> None:
    """Raise ValidationError with the field's name if the text contains NUL or a lone surrogate."""
    if is_storable(text):
        return
    found = _UNSTORABLE.search(text)
    if found is not None:
        what = "NUL" if found.group() == "\x00" else f"the lone surrogate U+{ord(found.group()):04X}"
        raise ValidationError(field, f"contains {what}, which database text cannot contain", hint="remove or encode it")


def escape(text: str) -> str:
    """Any text as storable text; ``unescape`` is the inverse."""
    if ("\x00" not in text) if text.isascii() else (_ESCAPABLE.search(text) is None):
        return text
    return _ESCAPABLE.sub(lambda found: f"{MARK}{ord(found.group()):04x}", text)


def unescape(text: str) -> str:
    """The original of a text that ``escape`` returned."""
    if MARK not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)), text)


def escape_json(value: Any) -> Any:
    """A JSON value with every string in it escaped, keys included."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {escape(str(key)): escape_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [escape_json(item) for item in value]
    return value


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits that configuration may change (``limits.*``), in bytes."""

    max_artifact_bytes: int = MAX_ARTIFACT_BYTES
    max_metadata_bytes: int = MAX_METADATA_BYTES


def require_text(value: str, field: str, *, max_chars: int | None = None) -> str:
    """A required string: not blank, storable, at most ``max_chars`` characters."""
    if not isinstance(value, str):
        raise ValidationError(field, f"must be a string, not {type(value).__name__}")
    if not value.strip():
        raise ValidationError(field, "must not be blank")
    if max_chars is not None and len(value) > max_chars:
        raise ValidationError(field, f"has {number(len(value))} characters; at most {number(max_chars)} are allowed")
    require_storable(value, field)
    return value


def optional_text(value: str | None, field: str) -> str | None:
    """An optional string: storable unless it is None."""
    if value is not None:
        if not isinstance(value, str):
            raise ValidationError(field, f"must be a string or None, not {type(value).__name__}")
        require_storable(value, field)
    return value


def require_reason(value: str) -> str:
    """A reason: storable, may be empty. Which transitions need a reason is checked in ``transitions``."""
    if not isinstance(value, str):
        raise ValidationError("reason", f"must be a string, not {type(value).__name__}")
    require_storable(value, "reason")
    return value


def require_json(value: Any, field: str, *, max_depth: int = MAX_JSON_DEPTH) -> Any:
    """A JSON value that both databases can store: plain types, no NaN or infinity, storable strings, limited depth.

    Depth counts containers: that of ``{}`` is 1, that of ``{"a": []}`` is 2.
    """
    _walk_json(value, field, max_depth, max_depth)
    return value


def require_metadata(value: Any, field: str, limits: Limits) -> Any:
    """Metadata: None or a JSON object of at most ``limits.max_metadata_bytes`` of JSON and 10 levels."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValidationError(field, "must be a JSON object")
    require_json(value, field, max_depth=MAX_METADATA_DEPTH)
    size = len(encode_plain(value))
    if size > limits.max_metadata_bytes:
        allowed = number(limits.max_metadata_bytes)
        raise ValidationError(field, f"is {number(size)} bytes of JSON; at most {allowed} are allowed")
    return value


def require_content(content: bytes, field: str, limits: Limits) -> bytes:
    """Artifact content as bytes, at most ``limits.max_artifact_bytes``."""
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise ValidationError(field, f"must be bytes, not {type(content).__name__}", hint="encode text first")
    data = bytes(content)
    if len(data) > limits.max_artifact_bytes:
        allowed = number(limits.max_artifact_bytes)
        raise ValidationError(field, f"is {number(len(data))} bytes; at most {allowed} are allowed")
    return data


def require_id(value: str) -> str:
    """An id to look up: any string, because an unknown id is reported as not found."""
    if not isinstance(value, str):
        raise ValidationError("id", f"must be a string, not {type(value).__name__}")
    return value


def require_uuid(value: str, field: str) -> str:
    """A UUID in its canonical lower-case form."""
    try:
        canonical = str(uuid.UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise ValidationError(field, "must be a UUID") from None
    return canonical


def require_order(value: int, field: str) -> int:
    """A position among siblings, or a size: from 0 to the largest integer of both databases."""
    if not isinstance(value, int):
        raise ValidationError(field, f"must be an integer, not {type(value).__name__}")
    if value >= 2**63:
        raise ValidationError(field, "is larger than a database integer can be")
    if value < 0:
        raise ValidationError(field, f"is {value}; the smallest allowed value is 0")
    return value


def require_moment(value: datetime, field: str) -> datetime:
    """An aware moment, in UTC, before the last possible day: every stamp must leave room for a later one."""
    if not isinstance(value, datetime):
        raise ValidationError(field, f"must be a datetime, not {type(value).__name__}")
    moment = require_utc(value, field)
    if moment >= LAST_DAY:
        raise ValidationError(field, f"is on {LAST_DAY:%Y-%m-%d} or later")
    return moment


def require_not_before(later: datetime, earlier: datetime, field: str, than: str) -> None:
    """Raise ValidationError unless both are valid moments and ``later`` is not before ``earlier``."""
    if require_moment(later, field) < require_moment(earlier, than):
        raise ValidationError(field, f"is before {than}")


def _walk_json(value: Any, field: str, left: int, max_depth: int) -> None:
    if type(value) is str:
        # First, since most values are: each test counts where a tool call is recorded.
        require_storable(value, field)
        return
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        if value.bit_length() > MAX_INTEGER_BITS:
            raise ValidationError(field, f"contains an integer of more than {number(MAX_INTEGER_BITS)} bits")
        return
    if isinstance(value, str):
        require_storable(value, field)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValidationError(field, "contains NaN or infinity, which JSON cannot hold")
    elif isinstance(value, (dict, list, tuple)):
        if left == 0:
            raise ValidationError(field, f"is nested deeper than {max_depth} levels")
        if isinstance(value, dict):
            for key, item in value.items():
                if not isinstance(key, str):
                    raise ValidationError(field, "has a key that is not a string")
                require_storable(key, field)
                _walk_json(item, field, left - 1, max_depth)
        else:
            for item in value:
                _walk_json(item, field, left - 1, max_depth)
    else:
        raise ValidationError(field, f"contains a {type(value).__name__}, which JSON cannot hold")


_ENUMS = {
    kind: tuple((column.name, column.enum) for column in table.columns if column.enum is not None)
    for kind, table in TABLES.items()
}
_DIGEST = re.compile("sha256:[0-9a-f]{64}")


def validate_graph(graph: SessionGraph, limits: Limits) -> None:
    """Raise ValidationError with the name of the first field that is not valid."""
    if not isinstance(graph, SessionGraph):
        raise ValidationError("graph", f"must be a SessionGraph, not {type(graph).__name__}")
    _check_fields(graph, limits)
    seen: set[str] = set()
    for entity in graph.entities():
        if entity.id in seen:
            raise ValidationError(f"{entity.kind.value}.id", "occurs twice in the graph")
        seen.add(entity.id)
        if entity is not graph and getattr(entity, "session_id", None) != graph.id:
            raise ValidationError(f"{entity.kind.value}.session_id", "is not the session's id")
        validate_entity(entity, limits)
    _check_parents(graph)


def validate_entity(entity: Entity, limits: Limits) -> None:
    """Raise ValidationError with the name of the first field of one row that is not valid by itself."""
    if require_uuid(entity.id, f"{entity.kind.value}.id") != entity.id:
        raise ValidationError(f"{entity.kind.value}.id", "must be a lower-case UUID")
    require_not_before(entity.updated_at, entity.created_at, "updated_at", "created_at")
    _check_enums(entity)
    _check_fields(entity, limits)


def _check_enums(entity: Entity) -> None:
    """Check states and types: an unknown name could be stored, but never read again."""
    for field, names in _ENUMS[entity.kind]:
        try:
            names(getattr(entity, field))
        except ValueError:
            raise ValidationError(field, f"must be one of {', '.join(names)}") from None


def _check_fields(entity: object, limits: Limits) -> None:
    if isinstance(entity, Session):
        require_uuid(entity.workspace_id, "workspace_id")
        require_text(entity.task_description, "task_description", max_chars=MAX_DESCRIPTION_CHARS)
        require_metadata(entity.metadata, "metadata", limits)
        optional_text(entity.user_id, "user_id")
    elif isinstance(entity, SessionEvent):
        require_reason(entity.reason)
        require_moment(entity.timestamp, "timestamp")
    elif isinstance(entity, SessionTask):
        require_order(entity.order, "order")
        require_text(entity.title, "title")
        optional_text(entity.description, "description")
        require_metadata(entity.metadata, "metadata", limits)
    elif isinstance(entity, Step):
        require_order(entity.order, "order")
        require_text(entity.name, "name")
        optional_text(entity.description, "description")
        require_metadata(entity.metadata, "metadata", limits)
    elif isinstance(entity, ToolCall):
        require_order(entity.order, "order")
        require_text(entity.tool_name, "tool_name")
        require_json(entity.parameters, "parameters")
        require_json(entity.result, "result")
        optional_text(entity.error_message, "error_message")
        if entity.completed_at is not None:
            require_not_before(entity.completed_at, entity.created_at, "completed_at", "created_at")
    elif isinstance(entity, Artifact):
        require_text(entity.name, "name")
        require_text(entity.content_type, "content_type")
        require_order(entity.size, "size")
        if _DIGEST.fullmatch(entity.content_hash) is None:
            raise ValidationError("content_hash", "must be sha256: and 64 hex digits")
        if entity.content is not None:
            content = require_content(entity.content, "content", limits)
            if len(content) != entity.size:
                raise ValidationError("size", f"is {entity.size}; the content has {len(content)} bytes")
            if digest(content) != entity.content_hash:
                raise ValidationError("content_hash", "does not match the content")


def _check_parents(graph: SessionGraph) -> None:
    _check_orders("task", [task.order for task in graph.tasks])
    for task in graph.tasks:
        _check_holders(task.artifacts, task.id, None, None)
        _check_orders("step", [step.order for step in task.steps])
        for step in task.steps:
            if step.task_id != task.id:
                raise ValidationError("task_id", "is not the id of the task that holds the step")
            _check_holders(step.artifacts, task.id, step.id, None)
            _check_orders("tool call", [call.order for call in step.tool_calls])
            for call in step.tool_calls:
                if call.step_id != step.id:
                    raise ValidationError("step_id", "is not the id of the step that holds the tool call")
                _check_holders(call.artifacts, task.id, step.id, call.id)


def _check_holders(artifacts: Sequence[Artifact], task_id: str, step_id: str | None, call_id: str | None) -> None:
    """Check that artifacts name the row that holds them, and those above it."""
    for artifact in artifacts:
        for field, expected in (("task_id", task_id), ("step_id", step_id), ("tool_call_id", call_id)):
            if getattr(artifact, field) != expected:
                place = "must be empty" if expected is None else "is not the id of the row"
                raise ValidationError(field, f"{place} where the artifact is in the graph")


def _check_orders(what: str, orders: Sequence[int]) -> None:
    for expected, order in enumerate(orders):
        require_order(order, "order")
        if order != expected:
            raise ValidationError("order", f"of {what} {expected} is {order}; siblings count from 0 without gaps")
