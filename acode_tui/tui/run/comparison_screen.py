"""The comparison of two runs, read again when one of them changes."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message

from acode_tui.domain.display import session_name
from acode_tui.domain.errors import AcodeError
from acode_tui.tui.bindings import COMPARISON
from acode_tui.tui.live_screen import LiveScreen
from acode_tui.tui.messages import RunRequested
from acode_tui.tui.run.comparison import Comparison, compare_runs, compared_run
from acode_tui.tui.run.comparison_text import comparison_text
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import error_lines, line, styled
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.text_panel import TextPanel
from acode_tui.tui.widgets.title_line import TitleLine

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace


class ComparisonScreen(LiveScreen[None]):
    """Two runs side by side; ``enter`` opens the chosen one at the first call in which they differ."""

    CSS_PATH = style_path("screens.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*COMPARISON]
    AUTO_FOCUS = "TextPanel"
    toasts_make_room = True

    @dataclass
    class Read(Message):
        """Both runs were read and compared."""

        comparison: Comparison

    def __init__(self, one: str, two: str) -> None:
        super().__init__()
        self._ids = (one, two)
        self._side = 0
        self._comparison: Comparison | None = None
        self._stamps: list[tuple[datetime, str]] = []

    def compose(self) -> ComposeResult:
        yield TitleLine("compare")
        yield TextPanel("Two runs", id="comparison")
        yield KeyBar()

    def on_mount(self) -> None:
        self.panel.update(styled("reading both runs…", "$foreground-muted"))

    @property
    def panel(self) -> TextPanel:
        return self.query_one(TextPanel)

    @property
    def follows_team(self) -> bool:
        return self.dashboard.team.is_open

    async def read(self, workspace: "DashboardWorkspace") -> None:
        runs = self.dashboard.runs or workspace.store
        stamps = [(run.updated_at, str(run.state)) for run in [await runs.get(each) for each in self._ids]]
        if stamps == self._stamps:
            return
        one, two = [
            await self.dashboard.in_thread(compared_run, await runs.get_with_hierarchy(each)) for each in self._ids
        ]
        self._stamps = stamps
        self.post_message(self.Read(compare_runs(one, two)))
        if not self.follows_team:
            # The first look-up of a price may take seconds.
            costs = await workspace.costs(self._ids)
            one, two = (replace(run, cost=costs.get(run.graph.id)) for run in (one, two))
            self.post_message(self.Read(compare_runs(one, two)))

    def refresh_now(self) -> None:
        self._stamps = []
        super().refresh_now()

    def read_failed(self, error: AcodeError) -> None:
        if self._comparison is None:
            self.panel.update(Content("\n").join(error_lines(error)))

    @on(Read)
    def _read(self, event: Read) -> None:
        self._comparison = event.comparison
        self._draw()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        comparison = self._comparison
        if comparison is None:
            return
        # A column for the scrollbar, which comes with the text.
        width = max(self.panel.content_size.width - 1, 40)
        self.panel.update(comparison_text(comparison, self._side, self.dashboard.now(), width), home=False)
        names = [line(session_name(run.graph), 60) for run in comparison.runs]
        self.query_one(TitleLine).update(f"[1] {names[0]}  and  [2] {names[1]}")

    def action_side(self) -> None:
        self._side = 1 - self._side
        self._draw()

    def action_open_run(self) -> None:
        if self._comparison is not None:
            self.post_message(RunRequested(self._ids[self._side], self._comparison.place(self._side)))

    def action_copy(self) -> None:
        if self._comparison is not None:
            text = "\n".join(row.rstrip() for row in self.panel.shown.plain.split("\n"))
            self.dashboard.copy(text, "comparison")
