"""The nodes of a run: their children, and their labels in the tree. Pure."""

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from acode_tui.domain.entities import Artifact, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.quantities import counted, duration, size
from acode_tui.tui.style.palette import ARTIFACT, TOOL_CALL, WORK, Role

Node = TaskGraph | StepGraph | ToolCallGraph | Artifact
Label = list[tuple[str, Role]]
"""Pieces of recorded text, each with its role."""

_SHOWN_PARAMETERS = ("command", "file_path", "path", "pattern", "query", "url", "description", "prompt", "input")
_MAX_HINT = 160


def children(node: SessionGraph | Node) -> Sequence[Node]:
    """The nodes below a node: its own artifacts, then its steps or tool calls, as an export has them."""
    if isinstance(node, SessionGraph):
        return node.tasks
    if isinstance(node, TaskGraph):
        return (*node.artifacts, *node.steps)
    if isinstance(node, StepGraph):
        return (*node.artifacts, *node.tool_calls)
    if isinstance(node, ToolCallGraph):
        return node.artifacts
    return ()


def label(node: Node) -> Label:
    """The label of a node: glyph, name, and what distinguishes it from others."""
    if isinstance(node, TaskGraph):
        mark = WORK[node.state]
        steps = counted(len(node.steps), "step")
        return [(f"{mark.glyph} ", mark.role), (node.title, "plain"), (f"  {steps}", "quiet")]
    if isinstance(node, StepGraph):
        mark = WORK[node.state]
        return [(f"{mark.glyph} ", mark.role), (node.name, "plain"), *_first_call_hint(node)]
    if isinstance(node, ToolCallGraph):
        return _call_label(node)
    mark = ARTIFACT[node.type]
    return [
        (f"{mark.glyph} ", mark.role),
        (short_path(node.name), "plain"),
        (f"  {size(node.size)}", "quiet"),
    ]


def telling_parameter(parameters: object) -> str:
    """The most telling parameter of a call, whole: a command, a path, a pattern."""
    if not isinstance(parameters, dict):
        return parameters if isinstance(parameters, str) else ""
    for name in _SHOWN_PARAMETERS:
        value = parameters.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            return " ".join(value)
    return next((value for value in parameters.values() if isinstance(value, str) and value), "")


def parameter_hint(parameters: object) -> str:
    """The most telling parameter of a call, short enough for its label."""
    return short_path(telling_parameter(parameters)[:_MAX_HINT])


def path_to(graph: SessionGraph, node: Node) -> list[Node]:
    """The nodes from a task down to a node, which is the last one; empty if the run does not hold it."""
    call_id = node.id if isinstance(node, ToolCallGraph) else node.tool_call_id if isinstance(node, Artifact) else None
    step_id = node.id if isinstance(node, StepGraph) else None if isinstance(node, TaskGraph) else node.step_id
    task_id = None if isinstance(node, ToolCallGraph) else node.id if isinstance(node, TaskGraph) else node.task_id
    for task in graph.tasks:
        if task_id is not None and task.id != task_id:
            continue
        step = next((step for step in task.steps if step.id == step_id), None)
        if step_id is not None and step is None:
            continue
        call = next((call for call in step.tool_calls if call.id == call_id), None) if step is not None else None
        path: list[Node] = [each for each in (task, step, call) if each is not None]
        return path if path[-1].id == node.id else [*path, node]
    return []


def last_path(graph: SessionGraph) -> list[Node]:
    """The nodes from the last task down to the last node of the run, artifacts of calls left out."""
    path: list[Node] = []
    below: Sequence[Node] = graph.tasks
    while below:
        path.append(below[-1])
        below = () if isinstance(path[-1], ToolCallGraph) else children(path[-1])
    return path


def last_change(node: Node) -> datetime:
    """When the node or one below it was last written. A task's or step's own stamp does not follow what is below it."""
    return max([node.updated_at, *map(last_change, children(node))])


def foldable(node: Node) -> bool:
    """Whether enter folds and unfolds this node rather than opening it."""
    return isinstance(node, (TaskGraph, StepGraph))


def node_count(graph: SessionGraph) -> int:
    """The number of nodes in the whole tree."""
    return sum(1 for _ in graph.entities())


def tool_call_count(graph: SessionGraph) -> int:
    """The number of tool calls in the whole run."""
    return sum(len(step.tool_calls) for task in graph.tasks for step in task.steps)


def artifacts_of(graph: SessionGraph, most: int | None = None) -> list[Artifact]:
    """The artifacts of a run, in the order of the tree, ``most`` of them at most."""
    return list(islice((entity for entity in graph.entities() if isinstance(entity, Artifact)), most))


def short_path(text: str) -> str:
    """The last two parts of a long absolute path, which distinguish files; other text unchanged."""
    parts = text.split("/")
    if text.startswith("/") and len(parts) > 4 and " " not in text:
        return "…/" + "/".join(parts[-2:])
    return text


def _first_call_hint(step: StepGraph) -> Label:
    """The hint of a step's first call, for a step without text of its own: such a step is named after its tools."""
    if not step.tool_calls or not step.name.startswith(step.tool_calls[0].tool_name):
        return []
    return [(f"  {hint}", "quiet")] if (hint := parameter_hint(step.tool_calls[0].parameters)) else []


def _call_label(call: ToolCallGraph) -> Label:
    mark = TOOL_CALL[call.state]
    parts: Label = [(f"{mark.glyph} ", mark.role), (call.tool_name, "busy")]
    if hint := parameter_hint(call.parameters):
        parts.append((f" {hint}", "quiet"))
    if call.completed_at is not None:
        parts.append((f"  {duration(call.completed_at - call.created_at)}", "quiet"))
    return parts
