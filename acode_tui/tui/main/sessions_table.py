"""The table of sessions: as many columns as the width has room for, the most useful first."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from textual.binding import BindingType

from acode_tui.domain.clock import parse_time
from acode_tui.domain.display import session_name
from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.quantities import ago, number, short_duration, short_number
from acode_tui.storage.cursors import SortKey
from acode_tui.tui.bindings import SESSIONS
from acode_tui.tui.state import Source
from acode_tui.tui.style.palette import ROW_SYNC, SESSION, Mark
from acode_tui.tui.widgets.keyed_table import PADDING, Column, KeyedTable, Row

_TASK = Column("task", "task")
_ORDERED = (
    Column("state", "state", 11),
    _TASK,
    Column("user_short", "user", 12),
    Column("agent", "agent", 11),
    Column("model", "model", 18),
    Column("branch", "branch", 18),
    Column("tasks", "tasks", 6, right=True),
    Column("tools", "tools", 5, right=True),
    Column("artifacts", "artifacts", 9, right=True),
    Column("tokens", "tokens", 6, right=True),
    Column("duration", "took", 6, right=True),
    Column("created", "created", 10, right=True),
    Column("updated", "updated", 10, right=True),
    Column("sync", "sync", 10),
    Column("sync_glyph", " ", 1),
)
"""Every column, in the order they stand in."""

_USEFUL: dict[Source, tuple[str, ...]] = {
    "local": (
        *("state", "task", "updated", "sync_glyph", "tasks", "tools", "sync", "artifacts"),
        *("duration", "agent", "tokens", "model", "created", "branch"),
    ),
    "team": (
        *("state", "task", "updated", "user_short", "tasks", "tools", "artifacts"),
        *("duration", "agent", "tokens", "model", "created", "branch"),
    ),
}
"""Which columns come first where there is no room for all. The word of a sync takes the place of its glyph."""

_LEAST_TASK = 30
_TASK_SHARE = 0.36
"""What the task has at least: so many columns, and that share of the width."""

_UNKNOWN = Mark("?", "unknown", "quiet")
_NOTHING = "–"


class SessionTable(KeyedTable):
    """Sessions. Of the team's, who ran them is told instead of whether they were sent."""

    BINDINGS: ClassVar[list[BindingType]] = [*SESSIONS]
    HOLDS_ROWS = True

    source: Source = "local"
    sort: SortKey = "updated"

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return columns_for(width, self.source, self.sort)


def columns_for(width: int, source: Source, sort: SortKey = "updated") -> tuple[Column, ...]:
    """The columns for so many terminal columns: each in turn, as long as the task keeps its room.

    The time that rows are in order of is among the first.
    """
    known = {column.key: column for column in _ORDERED}
    left = width - PADDING
    least = max(_LEAST_TASK, int(width * _TASK_SHARE))
    chosen: set[str] = {"task"}
    swapped = {"updated": "created", "created": "updated"} if sort == "created" else {}
    for key in (swapped.get(name, name) for name in _USEFUL[source]):
        cost = known[key].width + PADDING if key != "task" else 0
        if key == "sync":
            cost -= known["sync_glyph"].width + PADDING
        if left - cost < least:
            continue
        left -= cost
        chosen.add(key)
    if "sync" in chosen:
        chosen.discard("sync_glyph")
    return tuple(column for column in _ORDERED if column.key in chosen)


def session_rows(sessions: Sequence[SessionSummary], now: datetime) -> list[tuple[str, Row]]:
    """The rows of a page, as seen at a moment."""
    return [(session.id, session_row(session, now)) for session in sessions]


def session_row(session: SessionSummary, now: datetime) -> Row:
    """Every column's cell of one session."""
    state = SESSION.get(session.state, _UNKNOWN)
    sync = ROW_SYNC.get(session.sync, _UNKNOWN)
    metadata = session.metadata or {}
    done = session.task_count and session.tasks_done == session.task_count
    return {
        "state": (state.label, state.role),
        "task": (session_name(session), "plain"),
        "tasks": (
            f"{short_number(session.tasks_done)}/{short_number(session.task_count)}"
            if session.task_count
            else _NOTHING,
            "quiet" if done or not session.task_count else "plain",
        ),
        "tools": (short_number(session.tool_call_count), "plain" if session.tool_call_count else "quiet"),
        "artifacts": (number(session.artifact_count), "plain" if session.artifact_count else "quiet"),
        "updated": (ago(session.updated_at, now), "plain"),
        "created": (ago(session.created_at, now), "quiet"),
        "duration": (short_duration(duration_of(session)), "quiet"),
        "agent": (_first(metadata, "agent", "source"), "quiet"),
        "model": (_model(metadata), "quiet"),
        "tokens": (_tokens(metadata), "quiet"),
        "branch": (_first(metadata, "gitBranch", "git_branch", "branch"), "quiet"),
        "user_short": ((session.user_id or _NOTHING).partition("@")[0], "quiet"),
        "sync": (sync.label, sync.role),
        "sync_glyph": (sync.glyph, sync.role),
    }


def duration_of(session: SessionSummary) -> timedelta:
    """How long a run took: between the first and last moment of its transcript, else until its last change."""
    metadata = session.metadata or {}
    first, last = metadata.get("firstTime"), metadata.get("lastTime")
    if isinstance(first, str) and isinstance(last, str):
        try:
            return parse_time(last) - parse_time(first)
        except ValueError:
            pass  # somebody's own metadata under the same names
    return session.updated_at - session.created_at


def _first(metadata: Mapping[str, Any], *names: str) -> str:
    for name in names:
        value = metadata.get(name)
        if isinstance(value, str) and value:
            return value
    return _NOTHING


def _model(metadata: Mapping[str, Any]) -> str:
    """The model, of several the last one, without its maker's name in front."""
    models = metadata.get("models")
    told = [model for model in models if isinstance(model, str)] if isinstance(models, list) else []
    name = told[-1] if told else _first(metadata, "model")
    return name.removeprefix("claude-")


def _tokens(metadata: Mapping[str, Any]) -> str:
    """Tokens in and out, what was read from a cache left aside."""
    told = metadata.get("tokens")
    if isinstance(told, Mapping):
        counts = [told.get(name) for name in ("input", "cacheWrite", "output")]
        total = sum(count for count in counts if isinstance(count, int))
    else:
        total = told if isinstance(told, int) else 0
    return short_number(total) if total > 0 else _NOTHING
