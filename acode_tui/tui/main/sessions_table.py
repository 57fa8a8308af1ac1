"""The table of sessions: its columns at each width, the most useful first, and the cells of a row."""

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
_COLUMNS = (
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
"""Every column, from left to right."""

_BY_USE: dict[Source, tuple[str, ...]] = {
    "local": (
        *("state", "task", "updated", "sync_glyph", "tasks", "tools", "sync", "artifacts"),
        *("duration", "agent", "tokens", "model", "created", "branch"),
    ),
    "team": (
        *("state", "task", "updated", "user_short", "tasks", "tools", "artifacts"),
        *("duration", "agent", "tokens", "model", "created", "branch"),
    ),
}
"""The columns in the order in which they get room. ``sync`` is shown in place of ``sync_glyph`` if it fits."""

_MIN_TASK = 30
_MIN_TASK_SHARE = 0.36
"""The least width of the task column: this number of columns, and this share of the table's width."""

_UNKNOWN = Mark("?", "unknown", "quiet")
_NOTHING = "–"


class SessionTable(KeyedTable):
    """Sessions. The team's have a column for their user, in place of the one for their sync."""

    BINDINGS: ClassVar[list[BindingType]] = [*SESSIONS]
    HOLDS_ROWS = True

    source: Source = "local"
    sort: SortKey = "updated"

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return columns_for(width, self.source, self.sort)


def columns_for(width: int, source: Source, sort: SortKey = "updated") -> tuple[Column, ...]:
    """The columns that fit into ``width`` terminal columns, while the task keeps its least width.

    The time that the rows are sorted by is among the first.
    """
    known = {column.key: column for column in _COLUMNS}
    left = width - PADDING
    least = max(_MIN_TASK, int(width * _MIN_TASK_SHARE))
    chosen: set[str] = {"task"}
    swapped = {"updated": "created", "created": "updated"} if sort == "created" else {}
    for key in (swapped.get(name, name) for name in _BY_USE[source]):
        cost = known[key].width + PADDING if key != "task" else 0
        if key == "sync":
            cost -= known["sync_glyph"].width + PADDING
        if left - cost < least:
            continue
        left -= cost
        chosen.add(key)
    if "sync" in chosen:
        chosen.discard("sync_glyph")
    return tuple(column for column in _COLUMNS if column.key in chosen)


def session_rows(sessions: Sequence[SessionSummary], now: datetime) -> list[tuple[str, Row]]:
    """The rows of a page, with ages as of ``now``."""
    return [(session.id, session_row(session, now)) for session in sessions]


def session_row(session: SessionSummary, now: datetime) -> Row:
    """The cell of every column for one session."""
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
    """How long a run took: from the first to the last record of its transcript, else until its last change."""
    metadata = session.metadata or {}
    first, last = metadata.get("firstTime"), metadata.get("lastTime")
    if isinstance(first, str) and isinstance(last, str):
        try:
            return parse_time(last) - parse_time(first)
        except ValueError:
            pass  # other metadata under the same names
    return session.updated_at - session.created_at


def _first(metadata: Mapping[str, Any], *names: str) -> str:
    for name in names:
        value = metadata.get(name)
        if isinstance(value, str) and value:
            return value
    return _NOTHING


def _model(metadata: Mapping[str, Any]) -> str:
    """The last model that was used, without ``claude-``."""
    models = metadata.get("models")
    names = [model for model in models if isinstance(model, str)] if isinstance(models, list) else []
    name = names[-1] if names else _first(metadata, "model")
    return name.removeprefix("claude-")


def _tokens(metadata: Mapping[str, Any]) -> str:
    """The tokens of input, cache writes and output; cache reads are not counted."""
    tokens = metadata.get("tokens")
    if isinstance(tokens, Mapping):
        counts = [tokens.get(name) for name in ("input", "cacheWrite", "output")]
        total = sum(count for count in counts if isinstance(count, int))
    else:
        total = tokens if isinstance(tokens, int) else 0
    return short_number(total) if total > 0 else _NOTHING
