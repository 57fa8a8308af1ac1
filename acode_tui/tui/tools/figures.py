"""The figures: what runs used and cost, by day, model, agent, project or tool, as plots and a table."""

import shlex
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.message import Message

from acode_tui.domain.errors import AcodeError
from acode_tui.domain.progress import Progress
from acode_tui.domain.quantities import counted, dollars, number, short_number
from acode_tui.domain.search.query import quote
from acode_tui.tui.bindings import FIGURES, OPENING
from acode_tui.tui.live_screen import LiveScreen
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import line, styled
from acode_tui.tui.tools.plots import MEASURES, Measure, plot_text, value_of
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.keyed_table import Column, KeyedTable, Row
from acode_tui.tui.widgets.read_error import show_read_error
from acode_tui.tui.widgets.text_panel import TextPanel
from acode_tui.tui.widgets.title_line import TitleLine

if TYPE_CHECKING:
    from acode_tui.ops.stats.report import Stats, StatsRow
    from acode_tui.tui.ports import DashboardWorkspace

BY = ("day", "model", "agent", "project", "tool")
SPANS: tuple[int | None, ...] = (7, 30, 90, None)
"""Days that are shown, today among them; None for all."""

READ_EVERY = timedelta(seconds=10)
"""The figures are added up again at most so often after commits; ``R`` adds them up at once."""

_NARROW = 60


def _days(span: int | None) -> str:
    return "all days" if span is None else f"last {span} days"


class FiguresTable(KeyedTable):
    """A row a key: runs, calls, tokens, cost."""

    BINDINGS: ClassVar[list[BindingType]] = [*OPENING]

    def columns_for(self, width: int) -> tuple[Column, ...]:
        counts = (Column("runs", "runs", 5, right=True), Column("calls", "calls", 5, right=True))
        failed, cost = Column("failed", "failed", 6, right=True), Column("cost", "cost", 9, right=True)
        if width < _NARROW + 14:
            used: tuple[Column, ...] = (Column("tokens", "tokens", 6, right=True),)
        else:
            used = tuple(Column(name, name, 6, right=True) for name in ("input", "output", "cached"))
        return (Column("key", "key"), *counts, failed, *used, cost)


class FiguresScreen(LiveScreen[str]):
    """Adds the figures up in the background. Dismissed with a query where the user asks for the runs behind a row."""

    CSS_PATH = style_path("screens.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*FIGURES]
    AUTO_FOCUS = "FiguresTable"

    @dataclass
    class StatsRead(Message):
        """The figures of ``question`` were added up."""

        stats: "Stats"
        question: tuple[str, str]

    @dataclass
    class Counting(Message):
        """Runs that were not counted yet are."""

        progress: Progress

    @dataclass
    class Drawn(Message):
        """The plots were drawn."""

        text: str
        request: int

    def __init__(self, query: str) -> None:
        """``query`` is that of the list of runs, empty for all."""
        super().__init__()
        self._query = query
        self._by = 0
        self._span = 1
        self._measure: Measure = MEASURES[0]
        self._stats: Stats | None = None
        self._read_at: datetime | None = None
        self._shown_by = BY[0]
        """What the figures on screen are summed by; after a key others are read first."""
        self._asked: tuple[str, str] | None = None
        """The question that is being answered."""
        self._requested = True
        self._changed = False
        self._request = 0

    def compose(self) -> ComposeResult:
        yield TitleLine("figures")
        with Container(id="figures"):
            with Vertical(classes="frame", id="list"):
                yield FiguresTable(id="records")
            yield TextPanel("Plots", id="detail")
        yield KeyBar()

    def on_mount(self) -> None:
        self._retitle()
        self._say("adding up…")

    @property
    def follows_team(self) -> bool:
        return self.dashboard.team.is_open

    @property
    def by(self) -> str:
        return BY[self._by]

    @property
    def _panel(self) -> TextPanel:
        return self.query_one("#detail", TextPanel)

    # Reading

    def _first_day(self) -> date | None:
        days = SPANS[self._span]
        return None if days is None else self._today() - timedelta(days=days - 1)

    def _today(self) -> date:
        return self.dashboard.now().astimezone(UTC).date()

    def _question(self) -> tuple[str, str]:
        """The query with the span of days, and what it is summed by."""
        first = self._first_day()
        return self._query if first is None else f"{self._query} since:{first}".strip(), self.by

    def refresh_now(self) -> None:
        """Add up at once, unless that is under way for the same question."""
        if self._asked != self._question():
            self._requested = True
        super().refresh_now()

    async def read(self, workspace: "DashboardWorkspace") -> None:
        self._changed = True
        await self._add_up(workspace)

    async def read_idle(self, workspace: "DashboardWorkspace") -> None:
        await self._add_up(workspace)

    async def _add_up(self, workspace: "DashboardWorkspace") -> None:
        """Read the figures where another question is asked, or after a commit, if they were not read a moment ago."""
        now = self.dashboard.now()
        is_recent = self._read_at is not None and now - self._read_at < READ_EVERY
        if not self._requested and (is_recent or not self._changed):
            return
        self._requested, self._changed, self._read_at = False, False, now
        question = self._asked = self._question()
        try:
            if self.follows_team:
                stats = await workspace.stats_team(*question)
            else:
                stats = await workspace.stats(*question, progress=self._report)
        finally:
            self._asked = None
        self.post_message(self.StatsRead(stats, question))

    def _report(self, progress: Progress) -> None:
        self.post_message(self.Counting(progress))

    @on(Counting)
    def _counting(self, event: Counting) -> None:
        progress = event.progress
        share = f"{progress.done * 100 // progress.total} %" if progress.total else ""
        self._say(f"counting the runs that were not counted yet: {share}")

    @on(StatsRead)
    def _stats_read(self, event: StatsRead) -> None:
        if event.question != self._question():
            self.refresh_now()
            return
        self._stats, self._shown_by = event.stats, event.question[1]
        self._show()

    def read_failed(self, error: AcodeError) -> None:
        if self._stats is None:
            show_read_error(self, error)

    # Showing

    def _say(self, *lines: str) -> None:
        """Show lines in the place of the plots, unless there are some."""
        if self._stats is None or not self._stats.rows:
            self._panel.update(Content("\n").join([Content(""), *(styled(f" {each}") for each in lines)]))

    def _retitle(self) -> None:
        facts = [styled(f"by {self.by}", "$text-primary"), styled(_days(SPANS[self._span]), "$foreground-muted")]
        facts += [styled("team", "$foreground-muted")] if self.follows_team else []
        facts += [styled(line(self._query, 30), "$foreground-muted")] if self._query else []
        stats, headline = self._stats, "adding up…"
        if stats is not None:
            used = stats.tokens
            tokens = used.input + used.output + used.cache_read + used.cache_write
            headline = f"{dollars(stats.cost.total)}, {counted(stats.sessions, 'run')}, {short_number(tokens)} tokens"
        self.query_one(TitleLine).update(headline, *facts)
        self.query_one("#list").border_title = f"By {self.by}, UTC" if self.by == "day" else f"By {self.by}"

    def _show(self) -> None:
        stats = self._stats
        if stats is None:
            return
        self._retitle()
        rows = stats.rows[::-1] if self._shown_by == "day" else stats.rows
        self._fit()
        self.query_one(FiguresTable).show([(f"key:{row.key}", _row(row)) for row in rows])
        unpriced = ", ".join(stats.cost.unpriced)
        self._panel.border_subtitle = styled(line(f"no known price: {unpriced}", 60)) if unpriced else ""
        self._request += 1  # a plot of the figures before these may still be drawn
        if rows:
            self._draw()
        elif self._query or SPANS[self._span] is not None:
            query = "the query of the list applies; it is cleared there with esc" if self._query else ""
            self._say("no run fits", "s shows other days", query)
        else:
            self._say("no runs yet", "i on the first screen imports those of the agents on this machine")

    def _draw(self) -> None:
        stats, size = self._stats, self._panel.scrollable_content_region.size
        if stats is not None and stats.rows and size.width:
            self._request += 1
            self._draw_in_thread(stats, self._shown_by, self._request, size.width, size.height)

    @work(group="plot", exit_on_error=False)
    async def _draw_in_thread(self, stats: "Stats", by: str, request: int, width: int, height: int) -> None:
        first = self._first_day()
        days = None if first is None else (first, self._today())
        text = await self.dashboard.in_thread(plot_text, stats, by, self._measure, width, height, days)
        self.post_message(self.Drawn(text, request))

    @on(Drawn)
    def _drawn(self, event: Drawn) -> None:
        if event.request == self._request:
            self._panel.update(Content.styled(event.text, "$text-primary"))

    def _fit(self) -> None:
        self.query_one(FiguresTable).lay_out(max(self.query_one("#list").content_size.width, 40))

    def on_resize(self) -> None:
        self.call_after_refresh(self._fit)
        self.call_after_refresh(self._draw)

    # Keys

    def _ask_again(self) -> None:
        self._retitle()
        self.refresh_now()

    def action_by(self, direction: int) -> None:
        self._by = (self._by + direction) % len(BY)
        self._ask_again()

    def action_span(self, direction: int) -> None:
        self._span = (self._span + direction) % len(SPANS)
        self._ask_again()

    def action_measure(self) -> None:
        self._measure = MEASURES[(MEASURES.index(self._measure) + 1) % len(MEASURES)]
        self._draw()

    def action_copy(self) -> None:
        query, by = self._question()
        words = ["acode-tui", "stats", *([query] if query else []), "--by", by]
        self.dashboard.copy(shlex.join(words + (["--source", "postgres"] if self.follows_team else [])), "command")

    @on(KeyedTable.RowSelected)
    def _row_selected(self, event: KeyedTable.RowSelected) -> None:
        key, first = event.key.removeprefix("key:"), self._first_day()
        if not key:
            self.notify("these runs name none, so no query finds them", title="figures", markup=False)
            return
        if self._shown_by == "day":
            # Those that began before the day and went on are among them.
            chosen = f"since:{_midnight(date.fromisoformat(key))} before:{_midnight(date.fromisoformat(key), 1)}"
        else:
            chosen = f"{self._shown_by}:{quote(key)}" + ("" if first is None else f" since:{_midnight(first)}")
        self.dismiss(f"{self._query} {chosen}".strip())


def _midnight(day: date, after: int = 0) -> str:
    """The beginning of a UTC day, or of one after it, as a moment of a query."""
    return f"{day + timedelta(days=after)}T00:00Z"


def _row(row: "StatsRow") -> Row:
    used = row.tokens
    parts = (
        ("-", "-", "-")
        if used is None
        else tuple(short_number(each) for each in (used.input, used.output, used.cache_read + used.cache_write))
    )
    return {
        "key": (row.key or "(none)", "plain"),
        "runs": (short_number(row.sessions), "quiet"),
        "calls": (short_number(row.tool_calls), "quiet"),
        "failed": (number(row.failed), "bad" if row.failed else "quiet"),
        "tokens": ("-" if used is None else short_number(int(value_of(row, "tokens"))), "plain"),
        "input": (parts[0], "quiet"),
        "output": (parts[1], "quiet"),
        "cached": (parts[2], "quiet"),
        "cost": (dollars(row.cost), "plain"),
    }
