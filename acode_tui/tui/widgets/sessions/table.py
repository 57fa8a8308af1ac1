"""The table of sessions, its columns by width."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from textual.binding import BindingType

from acode_tui.domain.entities import SessionSummary
from acode_tui.tui.bindings import key
from acode_tui.tui.palette import ROW_SYNC, SESSION, Mark
from acode_tui.tui.state import Source
from acode_tui.tui.times import ago, number, short_number
from acode_tui.tui.widgets.keyed_table import Column, KeyedTable, Row

_STATE = Column("state", "state", 11)
_TASK = Column("task", "task")
_TASKS = Column("tasks", "tasks", 7, right=True)
_TOOLS = Column("tools", "tools", 6, right=True)
_ARTIFACTS = Column("artifacts", "artifacts", 9, right=True)
_UPDATED = Column("updated", "updated", 10, right=True)
_CREATED = Column("created", "created", 10, right=True)
_AGENT = Column("agent", "agent", 12)
_BRANCH = Column("branch", "branch", 18)
_SYNC = Column("sync", "sync", 10)
_SYNC_GLYPH = Column("sync_glyph", " ", 1)

_NARROW = (_STATE, _TASK, _TASKS, _TOOLS, _UPDATED, _SYNC_GLYPH)
_NORMAL = (_STATE, _TASK, _TASKS, _TOOLS, _ARTIFACTS, _UPDATED, _SYNC)
_WIDE = (_STATE, _TASK, _AGENT, _BRANCH, _TASKS, _TOOLS, _ARTIFACTS, _CREATED, _UPDATED, _SYNC)
_USER = Column("user_short", "user", 16)

_TEAM_NARROW = (_STATE, _TASK, Column("user_short", "user", 12), _TASKS, _UPDATED)
_TEAM_NORMAL = (_STATE, _TASK, _USER, _TASKS, _TOOLS, _ARTIFACTS, _UPDATED)
_TEAM_WIDE = (
    _STATE,
    _TASK,
    Column("user", "user", 28),
    _AGENT,
    _BRANCH,
    _TASKS,
    _TOOLS,
    _ARTIFACTS,
    _CREATED,
    _UPDATED,
)
_UNKNOWN = Mark("?", "unknown", "quiet")
_COLUMNS: dict[Source, tuple[tuple[Column, ...], ...]] = {
    "local": (_NARROW, _NORMAL, _WIDE),
    "team": (_TEAM_NARROW, _TEAM_NORMAL, _TEAM_WIDE),
}


class SessionTable(KeyedTable):
    """Sessions, newest activity first. Of the team's, who ran them is told instead of whether they were sent."""

    source: Source = "local"

    BINDINGS: ClassVar[list[BindingType]] = [
        key("open", "enter", "select_cursor", "open", "Open the session under the cursor", shown_as="enter"),
    ]

    def columns_for(self, width: int) -> tuple[Column, ...]:
        narrow, normal, wide = _COLUMNS[self.source]
        if width < 100:
            return narrow
        return normal if width < 160 else wide

    def show_sessions(self, sessions: Sequence[SessionSummary], now: datetime) -> None:
        self.show([(session.id, session_row(session, now)) for session in sessions])


def session_row(session: SessionSummary, now: datetime) -> Row:
    """Every column's cell of one session."""
    state = SESSION.get(session.state, _UNKNOWN)
    sync = ROW_SYNC.get(session.sync, _UNKNOWN)
    metadata = session.metadata or {}
    done = session.task_count and session.tasks_done == session.task_count
    return {
        "state": (state.label, state.role),
        "task": (session.task_description, "plain"),
        "tasks": (
            f"{short_number(session.tasks_done)}/{short_number(session.task_count)}" if session.task_count else "–",
            "quiet" if done or not session.task_count else "plain",
        ),
        "tools": (short_number(session.tool_call_count), "plain" if session.tool_call_count else "quiet"),
        "artifacts": (number(session.artifact_count), "plain" if session.artifact_count else "quiet"),
        "updated": (ago(session.updated_at, now), "plain"),
        "created": (ago(session.created_at, now), "quiet"),
        "agent": (_first(metadata, "agent", "source"), "quiet"),
        "branch": (_first(metadata, "gitBranch", "git_branch", "branch"), "quiet"),
        "user": (session.user_id or "–", "quiet"),
        "user_short": ((session.user_id or "–").partition("@")[0], "quiet"),
        "sync": (sync.label, sync.role),
        "sync_glyph": (sync.glyph, sync.role),
    }


def _first(metadata: dict[str, object], *names: str) -> str:
    for name in names:
        value = metadata.get(name)
        if isinstance(value, str) and value:
            return value
    return "–"
