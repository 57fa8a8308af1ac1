"""A run as a tree to look at: what stands below what, and what each node is called. Pure.

An importer hangs texts that no tool made (a model's answer, a long prompt) under carrier calls. Those calls are not
shown: their texts stand in their place.
"""

from collections.abc import Sequence

from acode_tui.domain.entities import Artifact, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.tui.style.palette import ARTIFACT_GLYPH, TOOL_CALL, WORK, Role
from acode_tui.tui.style.times import duration, size

Node = TaskGraph | StepGraph | ToolCallGraph | Artifact
Label = list[tuple[str, Role]]
"""Pieces of recorded text with their roles."""

_SHOWN_PARAMETERS = ("command", "file_path", "path", "pattern", "query", "url", "description", "prompt", "input")
_MAX_HINT = 160


def is_carrier(call: ToolCallGraph) -> bool:
    """Whether nobody made this call: it only holds texts."""
    return isinstance(call.parameters, dict) and call.parameters.get("carrier") is True


def children(node: SessionGraph | Node) -> Sequence[Node]:
    """What stands below a node."""
    if isinstance(node, SessionGraph):
        return node.tasks
    if isinstance(node, TaskGraph):
        return node.steps
    if isinstance(node, StepGraph):
        below: list[Node] = []
        for call in node.tool_calls:
            below.extend(call.artifacts if is_carrier(call) else (call,))
        return below
    if isinstance(node, ToolCallGraph):
        return node.artifacts
    return ()


def label(node: Node) -> Label:
    """What a node is called."""
    if isinstance(node, TaskGraph):
        mark = WORK[node.state]
        count = len(node.steps)
        return [
            (f"{mark.glyph} ", mark.role),
            (node.title, "plain"),
            (f"  {count} step{'' if count == 1 else 's'}", "quiet"),
        ]
    if isinstance(node, StepGraph):
        mark = WORK[node.state]
        return [(f"{mark.glyph} ", mark.role), (node.name, "plain"), *_said_by_first_call(node)]
    if isinstance(node, ToolCallGraph):
        return _call_label(node)
    return [
        (f"{ARTIFACT_GLYPH.get(node.type, '·')} ", "busy"),
        (short_path(node.name), "plain"),
        (f"  {size(node.size)}", "quiet"),
    ]


def parameter_hint(parameters: object) -> str:
    """The one parameter that says most, for a label: a command, a path, a pattern."""
    if not isinstance(parameters, dict):
        return parameters[:_MAX_HINT] if isinstance(parameters, str) else ""
    for name in _SHOWN_PARAMETERS:
        value = parameters.get(name)
        if isinstance(value, str) and value:
            return short_path(value[:_MAX_HINT])
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            return " ".join(value)[:_MAX_HINT]
    return next((value[:_MAX_HINT] for value in parameters.values() if isinstance(value, str) and value), "")


def node_count(graph: SessionGraph) -> int:
    """How many nodes the whole tree has."""
    return sum(1 for _ in graph.entities())


def tool_call_count(graph: SessionGraph) -> int:
    """Calls that somebody made, carriers left out."""
    return sum(not is_carrier(call) for task in graph.tasks for step in task.steps for call in step.tool_calls)


def short_path(text: str) -> str:
    """A long absolute path by its end, which is what tells files apart; other text as it is."""
    parts = text.split("/")
    if text.startswith("/") and len(parts) > 4 and " " not in text:
        return "…/" + "/".join(parts[-2:])
    return text


def _said_by_first_call(step: StepGraph) -> Label:
    """What a step without words of its own is about: it is named after its tools, so its first call's hint is added."""
    first = next((call for call in step.tool_calls if not is_carrier(call)), None)
    if first is None or not step.name.startswith(first.tool_name):
        return []
    return [(f"  {hint}", "quiet")] if (hint := parameter_hint(first.parameters)) else []


def _call_label(call: ToolCallGraph) -> Label:
    mark = TOOL_CALL[call.state]
    parts: Label = [(f"{mark.glyph} ", mark.role), (call.tool_name, "busy")]
    if hint := parameter_hint(call.parameters):
        parts.append((f" {hint}", "quiet"))
    if call.completed_at is not None:
        parts.append((f"  {duration(call.completed_at - call.created_at)}", "quiet"))
    return parts
