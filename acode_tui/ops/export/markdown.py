"""One run as Markdown that nothing recorded can break out of: fences are longer than any run of backticks in them, and
everything else recorded is escaped, HTML and mentions included."""

import re
from collections.abc import Iterator

from acode_tui.domain.entities import Artifact
from acode_tui.domain.quantities import duration, number, size
from acode_tui.domain.states import ArtifactType
from acode_tui.ops.export.report import (
    CallNode,
    Report,
    StepNode,
    is_diff,
    language,
    missing,
    moment,
    shown,
    shown_json,
    shown_lines,
    text_of,
)

_SPECIAL = re.compile(r"([\\`*_\[\]|~#!$(){}=+-])")
_INDENT = re.compile("^ +")
_BACKTICKS = re.compile("`+")
_WITHIN_A_WORD = re.compile(r"(?<=\w)\\([_-])(?=\w)")


def render_markdown(report: Report) -> Iterator[str]:
    """The page, part by part."""
    session = report.session
    yield f"# {inline(session.task_description, 200)}\n\n"
    if len(session.task_description) > 200:
        yield quote(session.task_description) + "\n\n"
    yield "| | |\n|---|---|\n"
    facts = [
        ("state", f"**{session.state.value}**"),
        ("session", f"`{session.id}`"),
        ("user", inline(session.user_id or "-", 200)),
        ("began", moment(session.created_at)),
        ("last activity", moment(session.updated_at)),
        *((name, value) for name, value in report.numbers),
        ("tools", ", ".join(f"{inline(name)} {number(count)}" for name, count in report.tools) or "-"),
    ]
    yield "".join(f"| {name} | {value} |\n" for name, value in facts)
    if session.metadata:
        yield "\n" + details("Metadata", fence(shown_json(session.metadata), "json"))
    if report.events:
        yield "\n## Timeline\n\n| time | from | to | reason |\n|---|---|---|---|\n"
        for event in report.events:
            yield (
                f"| {moment(event.timestamp)} | {event.from_state.value} | {event.to_state.value} "
                f"| {inline(event.reason, 500)} |\n"
            )
    yield "\n## Tasks\n"
    if not report.tasks:
        yield "\nNo tasks were recorded.\n"
    for node in report.tasks:
        yield f"\n### {node.task.order + 1}. {inline(node.task.title, 200)} ({node.task.state.value})\n"
        if node.task.description:
            yield "\n" + quote(node.task.description) + "\n"
        for step in node.steps:
            yield from _step(step)
    how = "Secrets were taken out." if report.about.redacted else "Nothing was taken out."
    yield f"\n---\n\nMade by acode-tui {report.about.program_version} on {report.about.created_at}. {how}\n"


def _step(node: StepNode) -> Iterator[str]:
    yield f"\n#### {inline(node.step.name, 200)} ({node.step.state.value})\n"
    if node.step.description:
        yield "\n" + quote(node.step.description) + "\n"
    for call in node.calls:
        yield from _call(call)


def _call(node: CallNode) -> Iterator[str]:
    call = node.call
    if not node.carries:
        took = f", {duration(call.completed_at - call.created_at)}" if call.completed_at else ""
        yield f"\n**{inline(call.tool_name, 100)}** ({call.state.value}{took})\n"
        if call.parameters not in (None, {}, []):
            yield "\n" + details("Parameters", fence(shown_json(call.parameters), "json"))
        if call.error_message:
            yield "\n" + quote(call.error_message) + "\n"
        if call.result is not None:
            yield "\n" + details("Result", fence(shown_json(call.result), "json"))
    for artifact in node.artifacts:
        yield "\n" + _artifact(artifact)


def _artifact(artifact: Artifact) -> str:
    text = text_of(artifact) if artifact.content else None
    if text is not None and artifact.type is ArtifactType.MODEL_RESPONSE:
        return quote(text) + "\n" if text.strip() else ""
    title = f"{inline(artifact.name, 200)} ({artifact.type.value}, {size(artifact.size)})"
    if text is None:
        return f"{title}: {missing(artifact)}\n"
    return details(title, fence(text, language(artifact)), is_open=is_diff(artifact))


def inline(text: str, most: int | None = None) -> str:
    """Recorded text within a line."""
    return _WITHIN_A_WORD.sub(r"\1", _escaped(shown(text, most)))


def quote(text: str) -> str:
    """Recorded text as a quotation, line by line."""
    lines = [_INDENT.sub(lambda found: "\u00a0" * len(found.group()), line) for line in shown_lines(text).split("\n")]
    parts = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        # A backslash at its end keeps a line apart from the next one.
        parts.append(f"> {_escaped(line).rstrip()}" + ("\\" if line.strip() and following.strip() else ""))
    return "\n".join(parts)


def fence(text: str, language: str = "") -> str:
    """A code block that its content cannot close."""
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}{language}\n{text}\n{marks}"


def details(title: str, body: str, *, is_open: bool = False) -> str:
    """A part that folds away."""
    return f"<details{' open' if is_open else ''}><summary>{title}</summary>\n\n{body}\n\n</details>\n"


def _escaped(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    return _SPECIAL.sub(r"\\\1", text).replace("&\\#64;", "&#64;")
