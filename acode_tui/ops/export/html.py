"""One run as a single HTML file: no script, nothing loaded from anywhere, everything recorded escaped."""

from base64 import b64encode
from collections.abc import Iterator
from html import escape
from importlib.resources import files

from acode_tui.domain.entities import Artifact
from acode_tui.domain.quantities import counted, duration, number, size
from acode_tui.domain.states import ArtifactType
from acode_tui.ops.export.report import (
    IMAGES,
    CallNode,
    Report,
    StepNode,
    TaskNode,
    is_diff,
    missing,
    moment,
    shown,
    shown_json,
    shown_lines,
    text_of,
)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_DIFF_CLASSES = (("+++", "file"), ("---", "file"), ("@@", "hunk"), ("diff ", "file"), ("+", "add"), ("-", "del"))
_GOOD, _BAD, _BUSY = {"Completed", "Succeeded"}, {"Failed"}, {"Executing", "InProgress", "Planning"}


def render_html(report: Report) -> Iterator[str]:
    """The page, part by part."""
    session = report.session
    title = text(session.task_description, 160)
    style = files("acode_tui.ops.export").joinpath("report.css").read_text(encoding="utf-8")
    yield (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
    )
    yield f"<header>\n{badge(session.state.value)}\n<h1>{title}</h1>\n"
    if len(session.task_description) > 160:
        yield details("The whole description", pre(shown_lines(session.task_description)))
    yield f'<p class="dim">{text(session.user_id or "", 200)} <time>{moment(session.created_at)}</time> '
    yield f"to <time>{moment(session.updated_at)}</time></p>\n"
    yield '<ul class="numbers">' + "".join(f"<li><b>{value}</b> {name}</li>" for name, value in report.numbers)
    yield "</ul>\n"
    if report.tools:
        tools = (f"<span>{text(name)} <b>{number(count)}</b></span>" for name, count in report.tools)
        yield '<p class="tools">' + " ".join(tools)
        yield "</p>\n"
    yield "</header>\n"
    yield from _timeline(report)
    yield "<section>\n<h2>Tasks</h2>\n"
    if not report.tasks:
        yield '<p class="dim">No tasks were recorded.</p>\n'
    for task in report.tasks:
        yield from _task(task)
    yield "</section>\n"
    if session.metadata:
        yield "<section>\n<h2>Metadata</h2>\n" + pre(shown_json(session.metadata)) + "</section>\n"
    how = "Secrets were taken out." if report.about.redacted else "Nothing was taken out."
    yield (
        f'<footer class="dim">Session <code>{session.id}</code>. Made by acode-tui {report.about.program_version} '
        f"on {report.about.created_at}. {how}</footer>\n</main>\n</body>\n</html>\n"
    )


def _timeline(report: Report) -> Iterator[str]:
    if not report.events:
        return
    yield '<section>\n<h2>Timeline</h2>\n<ol class="timeline">\n'
    for event in report.events:
        reason = f'<span class="reason">{text(event.reason, 500)}</span>' if event.reason else ""
        yield f"<li><time>{moment(event.timestamp)}</time> {badge(event.to_state.value)} {reason}</li>\n"
    yield "</ol>\n</section>\n"


def _task(node: TaskNode) -> Iterator[str]:
    state = node.task.state.value
    yield f'<details class="task" open><summary>{badge(state)} <b>{text(node.task.title, 300)}</b></summary>\n'
    if node.task.description:
        yield pre(shown_lines(node.task.description), "prose")
    for step in node.steps:
        yield from _step(step)
    yield "</details>\n"


def _step(node: StepNode) -> Iterator[str]:
    spoken = [call for call in node.calls if call.carries]
    called = [call for call in node.calls if not call.carries]
    is_open = " open" if node.step.state.value in _BAD | _BUSY or (spoken and not called) else ""
    count = f'<span class="dim">{counted(len(called), "call")}</span>' if len(called) > 1 else ""
    name = text(node.step.name, 300)
    yield f'<details class="step"{is_open}><summary>{badge(node.step.state.value)} {name} {count}</summary>\n'
    if node.step.description:
        yield pre(shown_lines(node.step.description), "prose")
    for call in node.calls:
        yield from _call(call)
    yield "</details>\n"


def _call(node: CallNode) -> Iterator[str]:
    call = node.call
    if not node.carries:
        took = duration(call.completed_at - call.created_at) if call.completed_at else ""
        yield (
            f'<div class="call">\n<p><code>{text(call.tool_name, 100)}</code> {badge(call.state.value)} '
            f'<span class="dim">{took}</span></p>\n'
        )
        if call.error_message:
            yield pre(shown_lines(call.error_message), "error")
        if call.parameters not in (None, {}, []):
            yield details("Parameters", pre(shown_json(call.parameters)))
        if call.result is not None:
            yield details("Result", pre(shown_json(call.result)))
    for artifact in node.artifacts:
        yield _artifact(artifact)
    if not node.carries:
        yield "</div>\n"


def _artifact(artifact: Artifact) -> str:
    title = f'{text(artifact.name, 300)} <span class="dim">{artifact.type.value}, {size(artifact.size)}</span>'
    if artifact.content and artifact.content_type in IMAGES:
        data = b64encode(artifact.content).decode()
        return details(title, f'<img alt="" src="data:{artifact.content_type};base64,{data}">\n')
    shown_text = text_of(artifact) if artifact.content else None
    if shown_text is None:
        return f'<p class="dim">{title}: {text(missing(artifact))}</p>\n'
    if artifact.type is ArtifactType.MODEL_RESPONSE:
        return pre(shown_text, "prose response") if shown_text.strip() else ""
    return details(title, diff(shown_text) if is_diff(artifact) else pre(shown_text), is_open=is_diff(artifact))


def diff(content: str) -> str:
    """A diff with its lines coloured."""
    lines = []
    for line in content.split("\n"):
        kind = next((name for start, name in _DIFF_CLASSES if line.startswith(start)), "")
        lines.append(f'<span class="{kind}">{escape(line)}\n</span>' if kind else escape(line) + "\n")
    return f'<pre class="diff">{"".join(lines)}</pre>\n'


def text(value: str, most: int | None = None) -> str:
    """Recorded text within a line."""
    return escape(shown(value, most))


def pre(content: str, kind: str = "") -> str:
    """Text of several lines, as it stands."""
    # A line break at the very beginning would be dropped by whoever reads the page.
    opening = f'<pre class="{kind}">' if kind else "<pre>"
    return f"{opening}\n{escape(content)}</pre>\n"


def details(title: str, body: str, *, is_open: bool = False) -> str:
    """A part that folds away; the title is HTML already."""
    return f"<details{' open' if is_open else ''}><summary>{title}</summary>\n{body}</details>\n"


def badge(state: str) -> str:
    """A state by name and colour."""
    kind = "good" if state in _GOOD else "bad" if state in _BAD else "busy" if state in _BUSY else "quiet"
    return f'<span class="badge {kind}">{escape(state)}</span>'
