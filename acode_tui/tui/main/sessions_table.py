"""The table of sessions: its columns at each width, the most useful first, and the cells of a row."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from msgspec.structs import replace
from textual.binding import BindingType

from acode_tui.domain.display import session_name
from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.figures import duration_of, tokens_of
from acode_tui.domain.quantities import ago, dollars, short_duration, short_number, span
from acode_tui.domain.search.facts import AT_WORK, facts_of
from acode_tui.domain.states import SessionState
from acode_tui.storage.cursors import SortKey
from acode_tui.tui.bindings import SESSIONS
from acode_tui.tui.run_lines import RunLine
from acode_tui.tui.state import Source
from acode_tui.tui.style.palette import IDLE, ROW_SYNC, Mark, session_mark
from acode_tui.tui.widgets.keyed_table import PADDING, Cell, Column, KeyedTable, Row

_TASK = Column("task", "asked")
_COLUMNS = (
    Column("state", "state", 11),
    _TASK,
    Column("user_short", "user", 12),
    Column("project", "project", 14),
    Column("agent", "agent", 11),
    Column("model", "model", 18),
    Column("branch", "branch", 18),
    Column("now", "now, or how it ended", 24),
    Column("failed", "failed", 7, right=True),
    Column("tools", "tools", 5, right=True),
    Column("tokens", "tokens", 7, right=True),
    Column("cost", "cost", 8, right=True),
    Column("duration", "took", 6, right=True),
    Column("created", "created", 10, right=True),
    Column("updated", "updated", 10, right=True),
    Column("sync", "sync", 10),
    Column("sync_glyph", " ", 1),
)
"""Every column, from left to right."""

_BY_WORTH = (
    *("state", "task", "failed", "updated", "user_short", "sync_glyph", "project", "agent", "duration", "cost"),
    *("now", "model", "tokens", "tools", "sync", "created", "branch"),
)
"""The columns in the order in which they get room. ``sync`` is shown in place of ``sync_glyph`` if it fits."""

SORTS: dict[str, SortKey] = {
    "state": "state", "updated": "updated", "created": "created", "duration": "took", "failed": "failed",
    "tokens": "tokens", "cost": "cost", "tools": "calls",
}  # fmt: skip
"""The order that a column's title chooses, by the column's key."""

_CORE = ("state", "failed", "user_short", "sync_glyph")
_MIN_TASK = 24
_MIN_TASK_SHARE = 0.27
_COMFORTABLE = 40
"""The least width of the task column: beside the core and a time so many columns; beside others enough to read a
sentence, and this share of the table's width.
"""

_UNKNOWN = Mark("?", "unknown", "quiet")
_NOTHING = "–"


class SessionTable(KeyedTable):
    """Sessions. The team's have a column for their user, this workspace's one for their sync if there is a server."""

    BINDINGS: ClassVar[list[BindingType]] = [*SESSIONS]
    HOLDS_ROWS = True

    source: Source = "local"
    sort: SortKey = "updated"
    has_server = False

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return columns_for(width, self.source, self.sort, has_server=self.has_server)


def columns_for(
    width: int, source: Source, sort: SortKey = "updated", *, has_server: bool = True
) -> tuple[Column, ...]:
    """The columns that fit into ``width`` terminal columns, while the task keeps its least width.

    What the rows are ordered by is among the first, and a sign stands behind its title.
    """
    known = {column.key: column for column in _COLUMNS}
    left = width - PADDING
    beside_others = max(_COMFORTABLE, int(width * _MIN_TASK_SHARE))
    chosen: set[str] = {"task"}
    ordered_by = next((key for key, name in SORTS.items() if name == sort), "updated")
    stamp = "created" if sort == "created" else "updated"
    swapped = {"updated": "created", "created": "updated"} if sort == "created" else {}
    left_out = {"user_short"} if source == "local" else {"cost"}
    if source == "team" or not has_server:
        left_out |= {"sync", "sync_glyph"}
    by_worth = [swapped.get(name, name) for name in _BY_WORTH]
    for key in ("state", ordered_by, *(name for name in by_worth if name not in ("state", ordered_by))):
        cost = known[key].width + PADDING if key != "task" else 0
        if key == "sync":
            cost -= known["sync_glyph"].width + PADDING
        if key in left_out or left - cost < (_MIN_TASK if key in (*_CORE, stamp, ordered_by) else beside_others):
            continue
        left -= cost
        chosen.add(key)
    if "sync" in chosen:
        chosen.discard("sync_glyph")
    return tuple(
        replace(column, title=f"{column.title}▾") if column.key == ordered_by else column
        for column in _COLUMNS
        if column.key in chosen
    )


def session_rows(
    lines: Sequence[RunLine], now: datetime, costs: Mapping[str, float | None], marked: Sequence[str] = ()
) -> list[tuple[str, Row]]:
    """The rows of a page, with ages as of ``now``; ``costs`` and ``marked`` runs by their ids."""
    return [
        (
            line.session.id,
            session_row(line.session, now, marked_as(line.session.id, marked) + line.mark, costs.get(line.session.id)),
        )
        for line in lines
    ]


def marked_as(session_id: str, marked: Sequence[str]) -> str:
    """The sign before the name of a run that is marked to be compared; empty for any other."""
    return f"[{marked.index(session_id) + 1}] " if session_id in marked else ""


def session_row(session: SessionSummary, now: datetime, inside: str = "", cost: float | None = None) -> Row:
    """The cell of every column for one session; ``inside`` says where it stands among others."""
    state = session_mark(session, now)
    sync = ROW_SYNC.get(session.sync, _UNKNOWN)
    facts = facts_of(session)
    return {
        "state": (state.label, state.role),
        "task": (inside + session_name(session), "plain"),
        "project": (facts.project or _NOTHING, "quiet"),
        "failed": (f"× {short_number(session.failed_calls, 4)}" if session.failed_calls else "", "bad"),
        "now": _now(session, state, now),
        "tools": (short_number(session.tool_call_count), "plain" if session.tool_call_count else "quiet"),
        "updated": (ago(session.updated_at, now), "plain"),
        "created": (ago(session.created_at, now), "quiet"),
        "duration": (short_duration(duration_of(session)), "quiet"),
        "agent": (facts.agent or _NOTHING, "quiet"),
        "model": ((facts.models[-1] if facts.models else _NOTHING).removeprefix("claude-"), "quiet"),
        "tokens": (_tokens(session), "quiet"),
        "cost": (_NOTHING if cost is None else dollars(cost), "quiet"),
        "branch": (facts.branch or _NOTHING, "quiet"),
        "user_short": ((session.user_id or _NOTHING).partition("@")[0], "quiet"),
        "sync": (sync.label, sync.role),
        "sync_glyph": (sync.glyph, sync.role),
    }


def _now(session: SessionSummary, mark: Mark, now: datetime) -> Cell:
    """The tool that a live run is in and since when, or why any other run is in its state."""
    if mark is IDLE:
        return f"idle {span(now - session.updated_at)}{_in(session.current_tool)}", "quiet"
    if session.state in AT_WORK:
        if session.current_tool is not None and session.current_tool_at is not None:
            return f"{session.current_tool} {span(now - session.current_tool_at)}", mark.role
        doing = "waits" if session.state is SessionState.AWAITING_APPROVAL else "thinks"
        return f"{doing} {span(now - session.updated_at)}", mark.role
    # Importers add how they know: `interrupted by the user [inferred=true line=12]`.
    reason = (session.last_reason or "").partition(" [inferred=")[0]
    return reason or _NOTHING, "bad" if session.state is SessionState.FAILED else "quiet"


def _in(tool: str | None) -> str:
    return f", in {tool}" if tool else ""


def _tokens(session: SessionSummary) -> str:
    total = tokens_of(session)
    return short_number(total) if total > 0 else _NOTHING
