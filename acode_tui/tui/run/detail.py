"""The text of the detail panel and of the panes beside the tree: state, times, parameters, results, events. Pure."""

import re
from datetime import tzinfo
from typing import Any

from textual.content import Content

from acode_tui.domain.entities import Artifact, SessionEvent, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.quantities import counted, duration, number, size
from acode_tui.tui.run.nodes import Node, artifacts_of, last_change, tool_call_count
from acode_tui.tui.style.palette import ARTIFACT, CONTENT_STYLE, SESSION, TOOL_CALL, WORK, Mark
from acode_tui.tui.style.text import block, labelled, pretty_json, styled
from acode_tui.tui.style.times import clock, date, stamp

MAX_JSON_CHARS = 4_000
MAX_EVENTS = 300
MAX_REASON = 160
_INFERRED_NOTE = re.compile(r"\s*\[inferred=true[^\]]*\]\Z")


def describe(node: Node, zone: tzinfo | None) -> Content:
    """All that is recorded of a node, except the content of an artifact."""
    if isinstance(node, TaskGraph):
        return _lines(
            _state(WORK[node.state]), *_times(node, zone), _text(node.description), _json("metadata", node.metadata)
        )
    if isinstance(node, StepGraph):
        return _lines(_state(WORK[node.state]), *_times(node, zone), _text(node.name), _text(node.description))
    if isinstance(node, ToolCallGraph):
        return _tool_call(node, zone)
    return _artifact(node, zone)


def kind_of(node: Node) -> str:
    """The kind of a node, for the title of the detail panel."""
    if isinstance(node, Artifact):
        return ARTIFACT[node.type].word
    return {TaskGraph: "Task", StepGraph: "Step", ToolCallGraph: "Tool call"}[type(node)]


def timeline(events: tuple[SessionEvent, ...], graph: SessionGraph, zone: tzinfo | None) -> Content:
    """The events of a session, oldest first, each with the time since the previous one; at most the newest MAX_EVENTS.

    In a run of several days each day has a heading: the time of day alone does not distinguish them.
    """
    if not events:
        return styled("No change of state was recorded; the session was saved in one piece.", "$foreground-muted")
    rows: list[Content] = []
    if len(events) > MAX_EVENTS:
        rows.append(styled(f"… {number(len(events) - MAX_EVENTS)} earlier events", "$foreground-muted"))
    before, day = graph.created_at, ""
    days = {date(moment, zone) for moment in (graph.created_at, *(event.timestamp for event in events))}
    for event in events[-MAX_EVENTS:]:
        mark = SESSION[event.to_state]
        since = f"+{duration(event.timestamp - before)}"
        row = Content.assemble(
            (f"{clock(event.timestamp, zone)} ", "$foreground-muted"),
            (f"{mark.glyph} ", CONTENT_STYLE[mark.role]),
        )
        if event.from_state is event.to_state:
            row = Content.assemble(row, styled(_reason(event) or str(event.to_state), "$foreground"))
        else:
            row = Content.assemble(row, (f"{SESSION[event.from_state].word} → {mark.word}", "$foreground"))
            if reason := _reason(event):
                row = Content.assemble(row, "  ", styled(reason, "$foreground-muted"))
        if len(days) > 1 and day != (day := date(event.timestamp, zone)):
            rows.append(styled(day, "bold $text-primary"))
        rows.append(Content.assemble(row, (f"  {since}", "$foreground-muted")))
        before = event.timestamp
    return Content("\n").join(rows)


def about(graph: SessionGraph, zone: tzinfo | None) -> Content:
    """The session itself: user, workspace, times, counts and metadata."""
    artifacts = artifacts_of(graph)
    return _lines(
        block(graph.task_description, "bold"),
        _state(SESSION[graph.state]),
        _pair("id", graph.id),
        _pair("who", graph.user_id or "unknown"),
        _pair("space", graph.workspace_id),
        _pair("start", stamp(graph.created_at, zone)),
        _pair("last", stamp(graph.updated_at, zone)),
        _pair("took", duration(graph.updated_at - graph.created_at)),
        _pair(
            "holds", f"{counted(len(graph.tasks), 'task')}, {counted(sum(len(t.steps) for t in graph.tasks), 'step')},"
        ),
        _pair("", f"{counted(tool_call_count(graph), 'tool call')}, {counted(len(artifacts), 'artifact')}"),
        _pair("", f"{size(sum(artifact.size for artifact in artifacts))} of content"),
        _json("metadata", graph.metadata) or styled("No metadata was recorded.", "$foreground-muted"),
    )


def _reason(event: SessionEvent) -> str:
    """The reason of an event. The note of an importer that it inferred the event is shortened to ``(inferred)``."""
    reason = _INFERRED_NOTE.sub(" (inferred)", event.reason)
    return reason if len(reason) <= MAX_REASON else reason[: MAX_REASON - 1] + "…"


def _tool_call(call: ToolCallGraph, zone: tzinfo | None) -> Content:
    parts = [
        Content.assemble(styled(call.tool_name, "bold"), "   ", _state(TOOL_CALL[call.state])),
        *_times(call, zone),
    ]
    if call.error_message:
        parts += [_heading("error"), block(call.error_message, "$text-error", max_chars=MAX_JSON_CHARS)]
    parts.append(_json("parameters", call.parameters))
    if call.result is not None:
        parts.append(_json("result", call.result))
    return _lines(*parts)


def _artifact(artifact: Artifact, zone: tzinfo | None) -> Content:
    return _lines(
        styled(artifact.name, "bold"),
        _pair("type", f"{ARTIFACT[artifact.type].word}, {artifact.content_type}"),
        _pair("size", size(artifact.size)),
        _pair("hash", artifact.content_hash),
        _pair("time", stamp(artifact.created_at, zone)),
    )


def _times(node: TaskGraph | StepGraph | ToolCallGraph, zone: tzinfo | None) -> list[Content]:
    rows = [_pair("start", stamp(node.created_at, zone))]
    end = node.completed_at if isinstance(node, ToolCallGraph) else last_change(node)
    if end is not None and end > node.created_at:
        word = "end" if isinstance(node, ToolCallGraph) else "last"
        rows.append(_pair(word, stamp(end, zone)))
        rows.append(_pair("took", duration(end - node.created_at)))
    return rows


def _json(title: str, value: Any) -> Content:
    if value in (None, {}, []):
        return Content("")
    text = pretty_json(value)
    shown = _highlighted_json(text[:MAX_JSON_CHARS])
    if len(text) > MAX_JSON_CHARS:
        note = f"\n… {number(len(text) - MAX_JSON_CHARS)} more characters"
        shown = Content.assemble(shown, (note, "$text-warning"))
    return Content.assemble(_heading(title), "\n", shown)


def _highlighted_json(text: str) -> Content:
    if not text.startswith(("{", "[")):
        return Content(text)
    from textual.highlight import highlight

    return highlight(text, language="json").rstrip()


def _text(value: str | None) -> Content:
    return Content.assemble("\n", block(value, max_chars=MAX_JSON_CHARS)) if value else Content("")


def _heading(title: str) -> Content:
    return Content.assemble("\n", (title, "bold $text-primary"))


def _state(mark: Mark) -> Content:
    return styled(mark.label, CONTENT_STYLE[mark.role])


def _pair(name: str, value: str) -> Content:
    return labelled(name, value, width=6)


def _lines(*parts: Content) -> Content:
    return Content("\n").join([part for part in parts if part])
