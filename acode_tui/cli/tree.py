"""A session as a tree of lines: tasks, their steps, their tool calls, their artifacts."""

from collections.abc import Iterator, Sequence

import click

from acode_tui.cli.output import cell, size, state_colour, terminal_width
from acode_tui.domain.display import fit
from acode_tui.domain.entities import SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.naming import session_name

Node = tuple[str, str, Sequence["Node"]]
"""What a node says, its state ("" for none), its children."""


def session_tree(graph: SessionGraph) -> Iterator[str]:
    """The lines, none wider than the terminal."""
    width = terminal_width()
    yield _styled(cell(session_name(graph)), graph.state.value, width)
    yield from _branches([_task(task) for task in graph.tasks], "", width)


def _branches(nodes: Sequence[Node], indent: str, width: int | None) -> Iterator[str]:
    for place, (text, state, children) in enumerate(nodes):
        last = place == len(nodes) - 1
        stem = indent + ("└─ " if last else "├─ ")
        room = None if width is None else max(width - len(stem), 8)
        yield stem + _styled(text, state, room)
        yield from _branches(children, indent + ("   " if last else "│  "), width)


def _styled(text: str, state: str, room: int | None) -> str:
    if not state:
        return text if room is None else fit(text, room)
    suffix = f"  {state}"
    shown = text if room is None else fit(text, max(room - len(suffix), 4))
    return shown + click.style(suffix, fg=state_colour(state))


def _task(task: TaskGraph) -> Node:
    return cell(task.title), task.state.value, [_step(step) for step in task.steps]


def _step(step: StepGraph) -> Node:
    return cell(step.name), step.state.value, [_call(call) for call in step.tool_calls]


def _call(call: ToolCallGraph) -> Node:
    artifacts: list[Node] = [
        (f"{each.id}  {each.type.value}  {cell(each.name)}  {size(each.size)}", "", []) for each in call.artifacts
    ]
    text = cell(call.tool_name)
    if call.error_message:
        text = f"{text}: {cell(call.error_message)}"
    return text, call.state.value, artifacts
