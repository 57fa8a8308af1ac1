"""The dashboard's state, outside any widget: the overview of the panes, the page of sessions, the errors of the store.

The app holds one DashboardState. Screens store in it what workers read; widgets only draw it.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.errors import AcodeError, ValidationError
from acode_tui.domain.search.query import Conditions, as_typed, parse_query
from acode_tui.domain.states import SessionState
from acode_tui.storage.cursors import FIGURES, SortKey
from acode_tui.storage.ports import (
    Conflict,
    ConflictCounts,
    OutboxRecord,
    OutboxStats,
    SchemaStatus,
    SearchHit,
    SessionFilter,
    SessionPage,
)
from acode_tui.sync.ports import SyncStatus
from acode_tui.tui.follow_state import FollowState
from acode_tui.tui.layout import Layout
from acode_tui.tui.paging import SessionPager
from acode_tui.tui.run_lines import RunLine, run_lines

Source = Literal["local", "team"]
"""Whose sessions are shown: this workspace's, or all that the team's PostgreSQL holds."""

RunAs = Literal["conversation", "tree"]
"""The two views of a run."""

MAX_SAMPLES = 240
"""Samples of the backlog that the sparkline shows."""

LOW_SPACE = 100_000_000
"""Free bytes below which the disk counts as full: the next records may not fit."""


class DiskSpace(msgspec.Struct, frozen=True):
    """Space on the workspace's disk, in bytes."""

    free: int
    total: int

    @property
    def is_low(self) -> bool:
        return self.free < LOW_SPACE


class Overview(msgspec.Struct, frozen=True):
    """Everything that the header and the four panes show, read at one time.

    ``schema_error`` is why the schema cannot be used, such as a newer program having migrated it.
    """

    schema: SchemaStatus
    outbox: OutboxStats
    conflicts: ConflictCounts
    last_conflict: Conflict | None
    sync: SyncStatus
    last_refused: OutboxRecord | None = None
    schema_error: AcodeError | None = None
    space: DiskSpace | None = None

    @property
    def eta(self) -> timedelta | None:
        """How long the backlog takes at the present rate; None while nothing is sent."""
        if self.sync.rate <= 0 or not self.outbox.pending:
            return None
        return timedelta(seconds=self.outbox.pending / self.sync.rate)


class BacklogHistory(msgspec.Struct):
    """Pending records over time. At most one sample a second, so that the sparkline covers minutes however often the
    overview is read.
    """

    samples: deque[int] = msgspec.field(default_factory=lambda: deque(maxlen=MAX_SAMPLES))
    _last: datetime | None = None

    def add(self, pending: int, now: datetime) -> None:
        """Add a sample; within a second of the last one it replaces that."""
        if self._last is not None and now - self._last < timedelta(seconds=1):
            if self.samples:
                self.samples[-1] = pending
            return
        self._last = now
        self.samples.append(pending)


class BrowserState(msgspec.Struct):
    """The sessions that the browser shows: source, search, filter, order and page.

    ``counts`` is the number of sessions in each state that match the search, None while it is not known. ``connecting``
    is set while the team's database is being opened, ``loading`` while a page takes long to read. ``team_error`` is why
    the team's sessions on screen may be out of date. ``text`` is a query that can be answered, as it is typed;
    ``query_error`` is why the text in the search line is none. ``unfolded`` are ids of runs whose children are shown,
    ``children`` those that were read, by their parent's id. ``hits`` are the places that the search finds in each run,
    as far as they were read. ``costs`` are those of runs, in US dollars, as far as they were read; ``marked`` are up to
    two runs to be compared.
    """

    pages: SessionPager
    states: frozenset[SessionState] = frozenset()
    text: str = ""
    sort: SortKey = "updated"
    grouped: bool = False
    rows: Sequence[SessionSummary] = ()
    loaded: bool = False
    source: Source = "local"
    connecting: bool = False
    loading: bool = False
    team_error: str = ""
    query_error: str = ""
    counts: Mapping[SessionState, int] | None = None
    unfolded: frozenset[str] = frozenset()
    children: Mapping[str, Sequence[SessionSummary]] = msgspec.field(default_factory=dict)
    hits: dict[str, tuple[SearchHit, ...]] = msgspec.field(default_factory=dict)
    costs: dict[str, float | None] = msgspec.field(default_factory=dict)
    marked: tuple[str, ...] = ()
    answered_text: str = ""
    """The query that the rows on screen answer: another one while that of ``text`` is being asked."""
    _query: Conditions = msgspec.field(default_factory=Conditions)

    @property
    def filter(self) -> SessionFilter:
        ordered = tuple(state for state in SessionState if state in self.states)
        return SessionFilter(states=ordered, text=as_typed(self.text) or None, folded=self.folds, sort=self.sort)

    @property
    def folds(self) -> bool:
        """Whether runs stand below the run that started them. What a search or filter finds stands for itself, and so
        does every run where they are ordered by a figure.
        """
        return self.source == "local" and not self.is_filtered and self.sort not in FIGURES

    @property
    def lines(self) -> list[RunLine]:
        """The runs as they are shown, from the top."""
        return run_lines(self.rows, self.children, self.unfolded, folds=self.folds)

    @property
    def is_filtered(self) -> bool:
        """Whether a search or a filter by state hides sessions."""
        return bool(self.states or self.text.strip())

    def mark(self, session_id: str) -> None:
        """Mark a run to be compared, or take its mark away; a third one takes the place of the first."""
        if session_id in self.marked:
            self.marked = tuple(each for each in self.marked if each != session_id)
        else:
            self.marked = (*self.marked[-1:], session_id)

    def switch_source(self, source: Source) -> None:
        """Show the first page of another source; search, filter and order stay."""
        self.source = source
        self.marked = ()
        self.team_error = ""
        self.counts = None
        if source == "team" and self.sort in FIGURES:
            self.sort = "updated"  # the team's database keeps no figures of runs
        self.pages.restart()

    def search(self, text: str, now: datetime) -> bool:
        """Search for another text; False where the sessions shown stay: the search is the same, or is no query.

        The counts of states are unknown until its first page is read.
        """
        try:
            query = parse_query(as_typed(text), now=now)
        except ValidationError as error:
            self.query_error = "; ".join(filter(None, (error.message.removeprefix("query: "), error.hint)))
            return False
        self.query_error = ""
        if text == self.text:
            return False
        self.text = text
        self._query = query
        self.counts = None
        self.hits = {}
        return True

    @property
    def finds_places(self) -> bool:
        """Whether the search asks for something that stands somewhere in a run, not only for kinds of runs."""
        return self.source == "local" and bool(self.text.strip()) and self._query.has_places

    def set_page(
        self,
        page: SessionPage,
        counts: Mapping[SessionState, int] | None = None,
        children: Mapping[str, Sequence[SessionSummary]] | None = None,
    ) -> None:
        """Store a page that was read, the counts of states, and the children of its unfolded runs."""
        self.pages.set_page(page)
        self.children = children or {}
        self.counts = counts
        self.rows = page.sessions
        self.answered_text = self.text
        self.loaded = True
        self.loading = False
        self.team_error = ""


class DashboardState(msgspec.Struct):
    """What the main screen shows. ``read_error`` is why the workspace's file cannot be read now, ``write_error`` why it
    cannot be written; None while it can. ``withheld`` are the settings that do not count since their file is not
    trusted. ``run_as`` is how runs are shown, None until the user has chosen. ``follow`` is whether transcripts are
    imported as they are written.
    """

    browser: BrowserState
    layout: Layout
    backlog: BacklogHistory = msgspec.field(default_factory=BacklogHistory)
    overview: Overview | None = None
    read_error: AcodeError | None = None
    write_error: AcodeError | None = None
    withheld: tuple[str, ...] = ()
    run_as: RunAs | None = None
    follow: FollowState = msgspec.field(default_factory=FollowState)

    @classmethod
    def create(cls, layout: Layout, page_size: int) -> "DashboardState":
        browser = BrowserState(SessionPager(page_size), sort=layout.sort, grouped=layout.grouped)
        return cls(browser, layout)

    def set_overview(self, overview: Overview, now: datetime) -> None:
        """Store an overview that was read at ``now``."""
        self.overview = overview
        self.backlog.add(overview.outbox.pending, now)
