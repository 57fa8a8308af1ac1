"""What the dashboard knows, outside any widget: the overview of the panes and the page of the browser."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.states import SessionState
from acode_tui.storage.ports import (
    Conflict,
    ConflictCounts,
    OutboxStats,
    SchemaStatus,
    SessionFilter,
    SessionPage,
    SortKey,
)
from acode_tui.sync.ports import SyncStatus

Source = Literal["local", "team"]

HISTORY = 240
"""Samples of the backlog kept for the sparkline."""


@dataclass(frozen=True, slots=True)
class Overview:
    """One reading of everything that the header and the four panes show."""

    schema: SchemaStatus
    outbox: OutboxStats
    conflicts: ConflictCounts
    last_conflict: Conflict | None
    sync: SyncStatus

    @property
    def eta(self) -> timedelta | None:
        """How long the backlog takes at the present rate; None when nothing moves."""
        if self.sync.rate <= 0 or not self.outbox.pending:
            return None
        return timedelta(seconds=self.outbox.pending / self.sync.rate)


@dataclass(slots=True)
class Backlog:
    """The backlog over time, one sample a second at most, so that the sparkline is a history and not a blink."""

    samples: deque[int] = field(default_factory=lambda: deque(maxlen=HISTORY))
    _last: datetime | None = None

    def note(self, pending: int, now: datetime) -> None:
        if self._last is not None and now - self._last < timedelta(seconds=1):
            if self.samples:
                self.samples[-1] = pending
            return
        self._last = now
        self.samples.append(pending)


@dataclass(slots=True)
class Browser:
    """Which page of which sessions is shown.

    ``anchors`` holds the cursor before each page from the first to the present one, so that going back shows the
    pages that were seen and a refresh reads the same stretch again. ``joining`` is set while the team's runs are being
    opened, and ``trouble`` says why those shown may be old.
    """

    page_size: int
    states: frozenset[SessionState] = frozenset()
    text: str = ""
    sort: SortKey = "updated"
    anchors: list[str | None] = field(default_factory=lambda: [None])
    rows: Sequence[SessionSummary] = ()
    next_cursor: str | None = None
    total: int | None = None
    loaded: bool = False
    source: Source = "local"
    joining: bool = False
    trouble: str = ""

    @property
    def filter(self) -> SessionFilter:
        ordered = tuple(state for state in SessionState if state in self.states)
        return SessionFilter(states=ordered, text=self.text.strip() or None, sort=self.sort)

    @property
    def narrowed(self) -> bool:
        """Whether a filter or a search hides some of the sessions."""
        return bool(self.states or self.text.strip())

    @property
    def page_number(self) -> int:
        return len(self.anchors)

    @property
    def page_count(self) -> int | None:
        """Pages in all; None while the total is not known."""
        if self.total is None:
            return None
        return max(-(-self.total // self.page_size), self.page_number)

    def restart(self) -> None:
        """Back to the first page, after the filter, the search or the order changed."""
        self.anchors = [None]

    def forward(self) -> bool:
        """Step to the next page; False where there is none."""
        if self.next_cursor is None:
            return False
        self.anchors.append(self.next_cursor)
        return True

    def back(self) -> bool:
        """Step to the page before; False on the first."""
        if len(self.anchors) == 1:
            return False
        self.anchors.pop()
        return True

    def turn_to(self, source: Source) -> None:
        """Whose sessions are shown from now on, from their first page; search, filter and order stay."""
        self.source = source
        self.trouble = ""
        self.restart()

    def take(self, page: SessionPage) -> None:
        """Remember a page that was read."""
        self.rows = page.sessions
        self.next_cursor = page.next_cursor
        self.total = page.total
        self.loaded = True
        self.trouble = ""
