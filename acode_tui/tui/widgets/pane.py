"""What the four panes at the top share: a titled frame that can be focused, clicked, and opened."""

from datetime import datetime
from typing import ClassVar

from textual import events
from textual.app import RenderResult
from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget

from acode_tui.tui.bindings import key
from acode_tui.tui.messages import PaneOpened
from acode_tui.tui.state import Overview


class Pane(Widget, can_focus=True):
    """A framed summary. ``lines`` says what is in it; ``OPENS`` names the screen's action that it opens."""

    ALLOW_SELECT = False
    TITLE: ClassVar[str] = ""
    OPENS: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        key("open_pane", "enter", "open_pane", "open", "Open this pane's screen", shown_as="enter"),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="pane")
        self.border_title = self.TITLE
        self.overview: Overview | None = None
        self.now: datetime | None = None
        self._painted = Content("")

    def show(self, overview: Overview | None, now: datetime) -> None:
        """Take a new reading, or with None merely a new moment."""
        if overview is not None:
            self.overview = overview
        self.now = now
        self._repaint_if_changed()

    def lines(self, overview: Overview, now: datetime, width: int) -> list[Content]:
        """The pane's lines, most important first, for so many columns."""
        raise NotImplementedError

    def render(self) -> RenderResult:
        self._painted = self._content()
        return self._painted

    def _content(self) -> Content:
        if self.overview is None or self.now is None:
            return Content.styled("opening the workspace…", "$foreground-muted")
        return Content("\n").join(self.lines(self.overview, self.now, self.size.width))

    def _repaint_if_changed(self) -> None:
        """Most seconds change nothing here; then nothing is sent to the terminal."""
        if not self._content().is_same(self._painted):
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.action_open_pane()

    def action_open_pane(self) -> None:
        if self.OPENS:
            self.post_message(PaneOpened(self.OPENS))
