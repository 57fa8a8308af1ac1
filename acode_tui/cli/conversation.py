"""A run as a conversation: what was asked, thought and answered, and one line a tool call with its outcome."""

import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

from acode_tui.cli.output import cell, state_colour
from acode_tui.domain.display import cell_width, clean, fit
from acode_tui.domain.entities import Artifact, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.quantities import counted, duration, size
from acode_tui.domain.states import ArtifactType

SPOKEN = (ArtifactType.USER_PROMPT, ArtifactType.MODEL_RESPONSE, ArtifactType.REASONING)
"""The artifacts whose content is printed; the others are what calls read and made, and are named."""

_MOST_LINES = {ArtifactType.USER_PROMPT: 40, ArtifactType.MODEL_RESPONSE: 200, ArtifactType.REASONING: 2}
_MOST_FAILURE_LINES = 4
_MOST_SUBJECT_CHARS = 400
_SUBJECTS = ("command", "cmd", "file_path", "filePath", "path", "notebook_path", "pattern", "query", "url")
"""The parameters that say what a call acts on, the most telling first."""


def spoken(graph: SessionGraph) -> Iterator[Artifact]:
    """The artifacts whose content ``conversation`` needs."""
    return (each for each in graph.entities() if isinstance(each, Artifact) and each.type in SPOKEN)


def conversation(graph: SessionGraph, contents: Mapping[str, bytes], width: int | None) -> Iterator[str]:
    """The lines, cleaned, and at most ``width`` columns wide where it is not None. ``contents`` is by artifact id."""
    for task in graph.tasks:
        yield from _task(task, contents, width)


def _task(task: TaskGraph, contents: Mapping[str, bytes], width: int | None) -> Iterator[str]:
    if not any(_is_said(each, contents) for each in task.artifacts if each.type is ArtifactType.USER_PROMPT):
        text = clean(task.description or task.title, keep_newlines=True)
        yield from _passage(text, "> ", width, most=_MOST_LINES[ArtifactType.USER_PROMPT], bold=True)
        yield ""
    yield from _artifacts(task.artifacts, contents, width)
    for step in task.steps:
        yield from _step(step, contents, width)


def _step(step: StepGraph, contents: Mapping[str, bytes], width: int | None) -> Iterator[str]:
    yield from _artifacts(step.artifacts, contents, width)
    said = any(_is_said(each, contents) for each in step.artifacts)
    if not said and step.name not in {call.tool_name for call in step.tool_calls}:
        # A step that a program recorded: its name is what is known of it.
        yield from _passage(clean(step.description or step.name, keep_newlines=True), "", width, most=4)
        yield ""
    for call in step.tool_calls:
        yield from _call(call, width)
    if step.tool_calls:
        yield ""


def _artifacts(artifacts: tuple[Artifact, ...], contents: Mapping[str, bytes], width: int | None) -> Iterator[str]:
    for each in artifacts:
        if each.type not in SPOKEN:
            named = f"[{each.type.value} {cell(each.name)}, {size(each.size)}; acode-tui artifact save {each.id} PATH]"
            yield from _passage(named, "", width)
        elif _is_said(each, contents):
            text = clean(contents[each.id].decode("utf-8", "replace").strip(), keep_newlines=True)
            see = f"acode-tui artifact show {each.id} --content"
            most = _MOST_LINES[each.type]
            if each.type is ArtifactType.USER_PROMPT:
                yield from _passage(text, "> ", width, most=most, see=see, bold=True)
            elif each.type is ArtifactType.MODEL_RESPONSE:
                yield from _passage(text, "", width, most=most, see=see)
            else:
                yield from _passage(text, "~ ", width, most=most, dim=True)
        else:
            continue
        yield ""


def _is_said(artifact: Artifact, contents: Mapping[str, bytes]) -> bool:
    return artifact.type in SPOKEN and bool(contents.get(artifact.id, b"").strip())


def _call(call: ToolCallGraph, width: int | None) -> Iterator[str]:
    facts = [call.state.value]
    if call.completed_at is not None and call.completed_at > call.created_at:
        facts.append(duration(call.completed_at - call.created_at))
    facts += [size(each.size) for each in call.artifacts[:1]]
    suffix = "  " + ", ".join(facts)
    text = "  " + "  ".join(filter(None, (cell(call.tool_name), subject(call.parameters))))
    if width is not None:
        text = fit(text, max(width - len(suffix), width // 2))
        suffix = fit(suffix, max(width - cell_width(text), 0))
    yield text + click.style(suffix, fg=state_colour(call.state.value))
    if call.error_message:
        reason = clean(call.error_message.strip(), keep_newlines=True)
        see = f"acode-tui artifact show {call.artifacts[0].id} --content" if call.artifacts else ""
        yield from _passage(reason, "      ", width, most=_MOST_FAILURE_LINES, see=see)


def subject(parameters: Any) -> str:
    """What a call acts on, in one line: its command, file, pattern or address; empty where no parameter says it."""
    if isinstance(parameters, dict):
        named = (parameters[name] for name in _SUBJECTS if parameters.get(name))
        parameters = next(named, next((each for each in parameters.values() if isinstance(each, str) and each), ""))
    if isinstance(parameters, list):
        parameters = " ".join(each for each in parameters if isinstance(each, str))
    return clean(parameters, max_chars=_MOST_SUBJECT_CHARS).strip() if isinstance(parameters, str) else ""


def _passage(
    text: str, mark: str, width: int | None, *, most: int = 1_000, see: str = "", bold: bool = False, dim: bool = False
) -> Iterator[str]:
    """A cleaned text behind a mark, wrapped to the width; of more than ``most`` lines the rest is counted, and ``see``
    is the command that shows it.
    """
    room = None if width is None else max(width - len(mark), 8)
    lines = [part for line in text.split("\n") for part in (_wrapped(line, room) if room else [line])]
    cut = len(lines) - most
    style: Callable[[str], str] = (lambda line: click.style(line, bold=bold, dim=dim)) if bold or dim else str
    for line in lines if cut <= 0 else lines[:most]:
        yield style(f"{mark}{line}".rstrip())
    if cut > 0 and see:
        # The command on a line of its own, so that it can be copied whole.
        for rest in (f"… {counted(cut, 'more line')}; all of them:", see):
            for part in _wrapped(rest, room) if room else [rest]:
                yield click.style(f"{mark}{part}", dim=True)
    elif cut > 0:
        yield style(f"{mark}… {counted(cut, 'more line')}")


def _wrapped(line: str, room: int) -> list[str]:
    """A line in pieces of at most so many columns, between words where that is possible."""
    if cell_width(line) <= room:
        return [line]
    if line.isascii():
        return textwrap.wrap(line, room, break_on_hyphens=False) or [""]
    pieces, piece = [], ""
    for char in line:
        if cell_width(piece + char) > room:
            pieces.append(piece)
            piece = ""
        piece += char
    return [*pieces, piece]
