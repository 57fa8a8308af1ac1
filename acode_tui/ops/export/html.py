"""One run as a single HTML file: no script, nothing loaded from anywhere, everything recorded escaped."""

from base64 import b64encode
from collections.abc import Iterator
from html import escape
from importlib.resources import files

from acode_tui.domain.entities import Artifact, SessionEvent, ToolCall
from acode_tui.domain.quantities import counted, number, size
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
    render,
)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_DIFF_CLASSES = (("+++", "file"), ("---", "file"), ("@@", "hunk"), ("diff ", "file"), ("+", "add"), ("-", "del"))
_GOOD, _BAD, _BUSY = {"Completed", "Succeeded"}, {"Failed"}, {"Executing", "InProgress", "Planning"}


_CLASSES: dict[TextRole, str] = {
    "description": "prose",
    "error": "error",
    "prompt": "prose prompt",
    "response": "prose response",
}


def render_html(report: Report) -> Iterator[str]:
    """The page, piece by piece."""
    return render(report, HtmlPage())


class HtmlPage:
    """See ``Page``. Pictures are part of the page."""

    def begin(self, report: Report) -> str:
        session = report.session
        title = text(session.task_description, 160)
        style = files("acode_tui.ops.export").joinpath("report.css").read_text(encoding="utf-8")
        whole = ""
        if len(session.task_description) > 160:
            whole = details("The whole description", pre(clean_lines(session.task_description)))
        tools = ""
        if report.tools:
            counts = (f"<span>{text(name)} <b>{number(count)}</b></span>" for name, count in report.tools)
            tools = f'<p class="tools">{" ".join(counts)}</p>\n'
        numbers = "".join(f"<li><b>{value}</b> {name}</li>" for name, value in report.numbers)
        return (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
            f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
            f"<header>\n{badge(session.state.value)}\n<h1>{title}</h1>\n{whole}"
            f'<p class="dim">{text(session.user_id or "", 200)} <time>{format_moment(session.created_at)}</time> '
            f"to <time>{format_moment(session.updated_at)}</time></p>\n"
            f'<ul class="numbers">{numbers}</ul>\n{tools}</header>\n'
        )

    def timeline(self, events: list[SessionEvent]) -> str:
        lines = []
        for event in events:
            reason = f'<span class="reason">{text(event.reason, 500)}</span>' if event.reason else ""
            lines.append(
                f"<li><time>{format_moment(event.timestamp)}</time> {badge(event.to_state.value)} {reason}</li>\n"
            )
        return f'<section>\n<h2>Timeline</h2>\n<ol class="timeline">\n{"".join(lines)}</ol>\n</section>\n'

    def begin_tasks(self, count: int) -> str:
        nothing = "" if count else '<p class="dim">No tasks were recorded.</p>\n'
        return f"<section>\n<h2>Tasks</h2>\n{nothing}"

    def begin_task(self, node: TaskNode) -> str:
        title = f"{badge(node.task.state.value)} <b>{text(node.task.title, 300)}</b>"
        return f'<details class="task" open><summary>{title}</summary>\n'

    def end_task(self) -> str:
        return "</details>\n"

    def begin_step(self, node: StepNode) -> str:
        calls = len(node.calls)
        only_text = bool(node.artifacts) and not calls
        is_open = " open" if node.step.state.value in _BAD | _BUSY or only_text else ""
        count = f'<span class="dim">{counted(calls, "call")}</span>' if calls > 1 else ""
        title = f"{badge(node.step.state.value)} {text(node.step.name, 300)} {count}"
        return f'<details class="step"{is_open}><summary>{title}</summary>\n'

    def end_step(self) -> str:
        return "</details>\n"

    def begin_call(self, call: ToolCall, took: str) -> str:
        name = f"<code>{text(call.tool_name, 100)}</code>"
        return f'<div class="call">\n<p>{name} {badge(call.state.value)} <span class="dim">{took}</span></p>\n'

    def end_call(self) -> str:
        return "</div>\n"

    def text(self, text: str, role: TextRole) -> str:
        return pre(text, _CLASSES[role])

    def code(self, title: str, text: str, language: str) -> str:
        return details(title, pre(text))

    def artifact(self, artifact: Artifact, text: str) -> str:
        return details(_title(artifact), diff(text) if is_diff(artifact) else pre(text), is_open=is_diff(artifact))

    def image(self, artifact: Artifact) -> str | None:
        data = b64encode(artifact.content or b"").decode()
        return details(_title(artifact), f'<img alt="" src="data:{artifact.content_type};base64,{data}">\n')

    def missing(self, artifact: Artifact) -> str:
        return f'<p class="dim">{_title(artifact)}: {text(describe_missing(artifact))}</p>\n'

    def end_tasks(self) -> str:
        return "</section>\n"

    def metadata(self, text: str) -> str:
        return f"<section>\n<h2>Metadata</h2>\n{pre(text)}</section>\n"

    def end(self, report: Report, redaction: str) -> str:
        about = report.about
        return (
            f'<footer class="dim">Session <code>{report.session.id}</code>. Made by acode-tui {about.program_version} '
            f"on {about.created_at}. {redaction}</footer>\n</main>\n</body>\n</html>\n"
        )


def _title(artifact: Artifact) -> str:
    return f'{text(artifact.name, 300)} <span class="dim">{artifact.type.value}, {size(artifact.size)}</span>'


def diff(content: str) -> str:
    """A diff with its lines coloured."""
    lines = []
    for line in content.split("\n"):
        kind = next((name for start, name in _DIFF_CLASSES if line.startswith(start)), "")
        lines.append(f'<span class="{kind}">{escape(line)}\n</span>' if kind else escape(line) + "\n")
    return f'<pre class="diff">{"".join(lines)}</pre>\n'


def text(value: str, most: int | None = None) -> str:
    """Recorded text within a line."""
    return escape(clean_line(value, most))


def pre(content: str, kind: str = "") -> str:
    """Text of several lines, unchanged."""
    # A parser of HTML drops a line break at the very beginning.
    opening = f'<pre class="{kind}">' if kind else "<pre>"
    return f"{opening}\n{escape(content)}</pre>\n"


def details(title: str, body: str, *, is_open: bool = False) -> str:
    """A part that folds; the title is HTML already."""
    return f"<details{' open' if is_open else ''}><summary>{title}</summary>\n{body}</details>\n"


def badge(state: str) -> str:
    """A state by name and colour."""
    kind = "good" if state in _GOOD else "bad" if state in _BAD else "busy" if state in _BUSY else "quiet"
    return f'<span class="badge {kind}">{escape(state)}</span>'
