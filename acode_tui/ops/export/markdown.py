"""One run as Markdown that nothing recorded can break out of: fences are longer than any run of backticks in them, and
everything else recorded is escaped, HTML and mentions included."""

import re
from collections.abc import Iterator

from acode_tui.domain.entities import Artifact, SessionEvent, ToolCall
from acode_tui.domain.quantities import number, size
from acode_tui.ops.export.report import (
    Report,
    StepNode,
    TaskNode,
    TextRole,
    clean_line,
    clean_lines,
    describe_missing,
    format_moment,
    is_diff,
    language,
    render,
)

_SPECIAL = re.compile(r"([\\`*_\[\]|~#!$(){}=+-])")
_INDENT = re.compile("^ +")
_BACKTICKS = re.compile("`+")
_WITHIN_A_WORD = re.compile(r"(?<=\w)\\([_-])(?=\w)")


def render_markdown(report: Report) -> Iterator[str]:
    """The page, piece by piece."""
    return render(report, MarkdownPage())


class MarkdownPage:
    """See ``Page``. Pictures are named only: a Markdown viewer would load them from somewhere."""

    def begin(self, report: Report) -> str:
        session = report.session
        facts = [
            ("state", f"**{session.state.value}**"),
            ("session", f"`{session.id}`"),
            ("user", inline(session.user_id or "-", 200)),
            ("began", format_moment(session.created_at)),
            ("last activity", format_moment(session.updated_at)),
            *((name, value) for name, value in report.numbers),
            ("tools", ", ".join(f"{inline(name)} {number(count)}" for name, count in report.tools) or "-"),
        ]
        whole = quote(session.task_description) + "\n\n" if len(session.task_description) > 200 else ""
        table = "".join(f"| {name} | {value} |\n" for name, value in facts)
        return f"# {inline(session.task_description, 200)}\n\n{whole}| | |\n|---|---|\n{table}"

    def timeline(self, events: list[SessionEvent]) -> str:
        rows = "".join(
            f"| {format_moment(event.timestamp)} | {event.from_state.value} | {event.to_state.value} "
            f"| {inline(event.reason, 500)} |\n"
            for event in events
        )
        return f"\n## Timeline\n\n| time | from | to | reason |\n|---|---|---|---|\n{rows}"

    def begin_tasks(self, count: int) -> str:
        return "\n## Tasks\n" + ("" if count else "\nNo tasks were recorded.\n")

    def begin_task(self, node: TaskNode) -> str:
        return f"\n### {node.task.order + 1}. {inline(node.task.title, 200)} ({node.task.state.value})\n"

    def end_task(self) -> str:
        return ""

    def begin_step(self, node: StepNode) -> str:
        return f"\n#### {inline(node.step.name, 200)} ({node.step.state.value})\n"

    def end_step(self) -> str:
        return ""

    def begin_call(self, call: ToolCall, took: str) -> str:
        state = call.state.value + (f", {took}" if took else "")
        return f"\n**{inline(call.tool_name, 100)}** ({state})\n"

    def end_call(self) -> str:
        return ""

    def text(self, text: str, role: TextRole) -> str:
        return f"\n{_quoted(text)}\n"

    def code(self, title: str, text: str, language: str) -> str:
        return "\n" + details(title, fence(text, language))

    def artifact(self, artifact: Artifact, text: str) -> str:
        return "\n" + details(_title(artifact), fence(text, language(artifact)), is_open=is_diff(artifact))

    def image(self, artifact: Artifact) -> str | None:
        return None

    def missing(self, artifact: Artifact) -> str:
        return f"\n{_title(artifact)}: {describe_missing(artifact)}\n"

    def end_tasks(self) -> str:
        return ""

    def metadata(self, text: str) -> str:
        return "\n" + details("Metadata", fence(text, "json"))

    def end(self, report: Report, redaction: str) -> str:
        about = report.about
        return f"\n---\n\nMade by acode-tui {about.program_version} on {about.created_at}. {redaction}\n"


def _title(artifact: Artifact) -> str:
    return f"{inline(artifact.name, 200)} ({artifact.type.value}, {size(artifact.size)})"


def inline(text: str, most: int | None = None) -> str:
    """Recorded text within a line."""
    return _WITHIN_A_WORD.sub(r"\1", _escaped(clean_line(text, most)))


def quote(text: str) -> str:
    """Recorded text as a quotation, line by line."""
    return _quoted(clean_lines(text))


def _quoted(text: str) -> str:
    lines = [_INDENT.sub(lambda found: "\u00a0" * len(found.group()), line) for line in text.split("\n")]
    parts = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        # A backslash at the end of a line keeps Markdown from joining the next one to it.
        parts.append(f"> {_escaped(line).rstrip()}" + ("\\" if line.strip() and following.strip() else ""))
    return "\n".join(parts)


def fence(text: str, language: str = "") -> str:
    """A code block that its content cannot close."""
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}{language}\n{text}\n{marks}"


def details(title: str, body: str, *, is_open: bool = False) -> str:
    """A part that folds; the title is Markdown already."""
    return f"<details{' open' if is_open else ''}><summary>{title}</summary>\n\n{body}\n\n</details>\n"


def _escaped(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    return _SPECIAL.sub(r"\\\1", text).replace("&\\#64;", "&#64;")
