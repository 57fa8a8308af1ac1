"""Whether a whole graph may be stored: the boundary's rules on every entity in it, and that it hangs together."""

import re
from collections.abc import Sequence

from acode_tui.domain.codec import digest
from acode_tui.domain.entities import Artifact, Entity, SessionEvent, SessionGraph, SessionTask, Step, ToolCall
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.validation import (
    MAX_DESCRIPTION_CHARS,
    Limits,
    optional_text,
    require_content,
    require_json,
    require_metadata,
    require_moment,
    require_not_before,
    require_order,
    require_reason,
    require_text,
    require_uuid,
)

_ENUMS = {
    kind: tuple((column.name, column.enum) for column in table.columns if column.enum is not None)
    for kind, table in TABLES.items()
}
_DIGEST = re.compile("sha256:[0-9a-f]{64}")


def validate_graph(graph: SessionGraph, limits: Limits) -> None:
    """Raise ValidationError naming the first field that may not be stored."""
    if not isinstance(graph, SessionGraph):
        raise ValidationError("graph", f"must be a SessionGraph, not {type(graph).__name__}")
    require_uuid(graph.workspace_id, "workspace_id")
    require_text(graph.task_description, "task_description", max_chars=MAX_DESCRIPTION_CHARS)
    require_metadata(graph.metadata, "metadata", limits)
    optional_text(graph.user_id, "user_id")
    seen: set[str] = set()
    for entity in graph.entities():
        if require_uuid(entity.id, f"{entity.kind.value}.id") != entity.id:
            raise ValidationError(f"{entity.kind.value}.id", "must be a lower-case UUID")
        if entity.id in seen:
            raise ValidationError(f"{entity.kind.value}.id", "stands twice in the graph")
        seen.add(entity.id)
        require_not_before(entity.updated_at, entity.created_at, "updated_at", "created_at")
        if entity is not graph and getattr(entity, "session_id", None) != graph.id:
            raise ValidationError(f"{entity.kind.value}.session_id", "is not the session's id")
        _check_names(entity)
        _check(entity, limits)
    _check_links(graph)


def _check_names(entity: Entity) -> None:
    """States and types: a name that no program knows could be stored, but never read again."""
    for field, names in _ENUMS[entity.kind]:
        try:
            names(getattr(entity, field))
        except ValueError:
            raise ValidationError(field, f"must be one of {', '.join(names)}") from None


def _check(entity: object, limits: Limits) -> None:
    if isinstance(entity, SessionEvent):
        require_reason(entity.reason)
        require_moment(entity.timestamp, "timestamp")
    elif isinstance(entity, SessionTask):
        require_text(entity.title, "title")
        optional_text(entity.description, "description")
        require_metadata(entity.metadata, "metadata", limits)
    elif isinstance(entity, Step):
        require_text(entity.name, "name")
        optional_text(entity.description, "description")
        require_metadata(entity.metadata, "metadata", limits)
    elif isinstance(entity, ToolCall):
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
                raise ValidationError("content_hash", "does not fit the content")


def _check_links(graph: SessionGraph) -> None:
    _check_orders("task", [task.order for task in graph.tasks])
    for task in graph.tasks:
        _check_orders("step", [step.order for step in task.steps])
        for step in task.steps:
            if step.task_id != task.id:
                raise ValidationError("task_id", "is not the id of the task that holds the step")
            _check_orders("tool call", [call.order for call in step.tool_calls])
            for call in step.tool_calls:
                if call.step_id != step.id:
                    raise ValidationError("step_id", "is not the id of the step that holds the tool call")
                if any(artifact.tool_call_id != call.id for artifact in call.artifacts):
                    raise ValidationError("tool_call_id", "is not the id of the tool call that holds the artifact")


def _check_orders(what: str, orders: Sequence[int]) -> None:
    for expected, order in enumerate(orders):
        require_order(order, "order")
        if order != expected:
            raise ValidationError("order", f"of {what} {expected} is {order}; siblings count from 0 without gaps")
