"""What the dashboard knows, outside any widget: the overview of the panes, the page of the browser, what is wrong.

One object, held by the app. Screens feed it with what workers read; widgets only draw it.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.states import SessionState
from acode_tui.storage.cursors import SortKey
from acode_tui.storage.ports import (
    Conflict,
    ConflictCounts,
    OutboxRecord,
    OutboxStats,
    SchemaStatus,
    SessionFilter,
    SessionPage,
)
from acode_tui.sync.ports import SyncStatus
from acode_tui.tui.layout import Layout
from acode_tui.tui.paging import Pages

Source = Literal["local", "team"]

HISTORY = 240
"""Samples of the backlog kept for the sparkline."""

LOW_SPACE = 100_000_000
"""Free bytes below which the disk counts as full: what is recorded may not fit any more."""


@dataclass(frozen=True, slots=True)
class Space:
    """Room on the disk that the workspace is on, in bytes."""

    free: int
    total: int

    @property
    def is_low(self) -> bool:
        return self.free < LOW_SPACE


@dataclass(frozen=True, slots=True)
class Overview:
    """One reading of everything that the header and the four panes show.

    ``schema_fault`` says why the schema is not one to work with, such as another program's newer one.
    """

    schema: SchemaStatus
    outbox: OutboxStats
    conflicts: ConflictCounts
    last_conflict: Conflict | None
    sync: SyncStatus
    last_refused: OutboxRecord | None = None
    schema_fault: AcodeError | None = None
    space: Space | None = None

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

    ``counts`` says how many sessions there are of each state, where that is known of what is searched for; ``joining``
    is set while the team's runs are being opened, ``reading`` while another page is on its way, and
    ``trouble`` says why those shown may be old.
    """

    pages: Pages
    states: frozenset[SessionState] = frozenset()
    text: str = ""
    sort: SortKey = "updated"
    grouped: bool = False
    rows: Sequence[SessionSummary] = ()
    loaded: bool = False
    source: Source = "local"
    joining: bool = False
    reading: bool = False
    trouble: str = ""
    counts: Mapping[SessionState, int] | None = None

    @property
    def filter(self) -> SessionFilter:
        ordered = tuple(state for state in SessionState if state in self.states)
        return SessionFilter(states=ordered, text=self.text.strip() or None, sort=self.sort)

    @property
    def narrowed(self) -> bool:
        """Whether a filter or a search hides some of the sessions."""
        return bool(self.states or self.text.strip())

    def turn_to(self, source: Source) -> None:
        """Whose sessions are shown from now on, from their first page; search, filter and order stay."""
        self.source = source
        self.trouble = ""
        self.counts = None
        self.pages.restart()

    def search(self, text: str) -> None:
        """Search for another text; how many there are of each state is not known until its page is."""
        self.text = text
        self.counts = None

    def take(self, page: SessionPage, counts: Mapping[SessionState, int] | None = None) -> None:
        """Remember a page that was read, and how many there are of each state."""
        self.pages.take(page)
        self.counts = counts
        self.rows = page.sessions
        self.loaded = True
        self.reading = False
        self.trouble = ""


@dataclass(slots=True)
class DashboardState:
    """Everything that is shown on the first screen. ``trouble`` is why the workspace's file cannot be read now,
    ``refusal`` why it cannot be written."""

    browser: Browser
    layout: Layout
    backlog: Backlog = field(default_factory=Backlog)
    overview: Overview | None = None
    trouble: AcodeError | None = None
    refusal: AcodeError | None = None

    @classmethod
    def of(cls, layout: Layout, page_size: int) -> "DashboardState":
        browser = Browser(Pages(page_size), sort=layout.sort, grouped=layout.grouped)
        return cls(browser, layout)

    def take(self, overview: Overview, now: datetime) -> None:
        """Remember a reading."""
        self.overview = overview
        self.backlog.note(overview.outbox.pending, now)
