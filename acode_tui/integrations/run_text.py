"""A run as text for a model: what was asked, thought and answered, and a line a call, with ids to ask further by.

Pure. Everything is bounded, and the lines come one by one, so that a page of a long run needs no more of it.
"""

from collections.abc import Callable, Iterator

import msgspec

from acode_tui.domain.display import clean
from acode_tui.domain.entities import Artifact, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.states import ArtifactType, ToolCallState

SPOKEN = {
    ArtifactType.USER_PROMPT: "user",
    ArtifactType.MODEL_RESPONSE: "assistant",
    ArtifactType.REASONING: "reasoning",
}
MAX_SPOKEN_CHARS = 4_000
MAX_PARAMETER_CHARS = 600
MAX_ERROR_CHARS = 1_000

Content = Callable[[Artifact], str]
"""The text of an artifact; at most its beginning is asked for."""


def heading(graph: SessionGraph) -> str:
    """The run in one line: id, state, agent, project, times."""
    metadata = graph.metadata or {}
    facts = [graph.id, graph.state.value]
    facts += [str(metadata[key]) for key in ("source", "project", "gitBranch") if metadata.get(key)]
    facts.append(f"{graph.created_at:%Y-%m-%d %H:%M} to {graph.updated_at:%Y-%m-%d %H:%M} UTC")
    return clean("run " + " | ".join(facts), max_chars=400)


def run_lines(graph: SessionGraph, content: Content) -> Iterator[str]:
    """The lines of a whole run. ``content`` is asked for what was said, in order, when its line is due."""
    yield heading(graph)
    yield f"task: {clean(graph.task_description, max_chars=MAX_SPOKEN_CHARS)}"
    for task in graph.tasks:
        yield ""
        yield from _task(task, content)


def _task(task: TaskGraph, content: Content) -> Iterator[str]:
    if not any(artifact.type is ArtifactType.USER_PROMPT for artifact in task.artifacts):
        yield f"[user] {_passage(task.description or task.title)}"
    for artifact in task.artifacts:
        yield _artifact(artifact, content)
    for step in task.steps:
        yield from _step(step, content)


def _step(step: StepGraph, content: Content) -> Iterator[str]:
    for artifact in step.artifacts:
        yield _artifact(artifact, content)
    for call in step.tool_calls:
        yield call_line(call)
        for artifact in call.artifacts:
            yield f"    {_named(artifact)}"


def call_line(call: ToolCallGraph) -> str:
    """A call with its parameters and outcome, in one line or, with an error, two."""
    parameters = msgspec.json.encode(call.parameters).decode("utf-8", "replace")
    line = f"[call {call.id}] {call.tool_name} {parameters}"
    line = f"{clean(line, max_chars=MAX_PARAMETER_CHARS)} -> {call.state.value}"
    if call.state is ToolCallState.FAILED and call.error_message:
        line += f"\n    error: {clean(call.error_message, max_chars=MAX_ERROR_CHARS)}"
    return line


def _artifact(artifact: Artifact, content: Content) -> str:
    role = SPOKEN.get(artifact.type)
    if role is None:
        return _named(artifact)
    text = _passage(content(artifact))
    rest = f" (more: get_artifact {artifact.id})" if len(text) >= MAX_SPOKEN_CHARS else ""
    return f"[{role}] {text}{rest}"


def _named(artifact: Artifact) -> str:
    name = clean(artifact.name, max_chars=200)
    return f"[artifact {artifact.id}] {artifact.type.value} {name}, {artifact.size:,} bytes"


def _passage(text: str) -> str:
    return clean(text, max_chars=MAX_SPOKEN_CHARS, keep_newlines=True)
