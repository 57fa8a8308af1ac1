"""What the four panes share: a titled frame that can be focused, clicked, and opened; folded, it is a few words.

The status of a pane (quiet, busy, bad) is the colour of its frame and, in themes without distinct colours, a sign and
a word in its title.
"""

from datetime import datetime
from typing import ClassVar, Literal, NamedTuple

from textual import events
from textual.app import RenderResult
from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget

from acode_tui.tui.bindings import key
from acode_tui.tui.messages import PaneOpened
from acode_tui.tui.state import DashboardState, Overview

Look = Literal["quiet", "busy", "bad"]
_LOOKS: dict[Look, str] = {"quiet": "$text-success", "busy": "$text-warning", "bad": "$text-error"}


_FRAME = 6
"""Columns of a frame's upper edge that its title cannot have."""

_LONGEST_TITLE = len("Conflicts")


class PaneStatus(NamedTuple):
    """How a pane looks, and the sign with a word in its title that says why."""

    look: Look
    label: str


class Pane(Widget, can_focus=True):
    """A framed summary of one part of the overview. ``OPENS`` is the main screen's action that opens its screen."""

    ALLOW_SELECT = False
    TITLE: ClassVar[str] = ""
    OPENS: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        key("open_pane", "enter", "open_pane", "open", "Open this pane's screen", shown_as="enter"),
    ]

    def __init__(self, state: DashboardState, *, folded: bool = False) -> None:
        super().__init__(id=self.TITLE.lower(), classes="pane")
        self.border_title = self.TITLE
        self.state = state
        self.now: datetime | None = None
        self._painted = Content("")
        self._status: PaneStatus | None = None
        self._folded = folded

    def show(self, now: datetime) -> None:
        """Draw the state as of ``now``, unless the pane stays the same, as it does in most seconds."""
        self.now = now
        if self.state.overview is not None:
            self._set_status(self.status(self.state.overview, now))
        if not self._content().is_same(self._painted):
            # A folded pane is as wide as its text.
            self.refresh(layout=self._folded)

    def fold(self, folded: bool) -> None:
        """Show the pane as one line of text without a frame, or as a frame again."""
        if folded != self._folded:
            self._folded = folded
            self.refresh(layout=True)

    def lines(self, overview: Overview, now: datetime, width: int) -> list[Content]:
        """The pane's lines for ``width`` columns, the most important first."""
        raise NotImplementedError

    def status(self, overview: Overview, now: datetime) -> PaneStatus:
        """The pane's status."""
        raise NotImplementedError

    def figure(self, overview: Overview, look: Look) -> str:
        """What the folded pane shows behind its title, before its status if that is not quiet."""
        raise NotImplementedError

    def render(self) -> RenderResult:
        self._painted = self._content()
        return self._painted

    def _content(self) -> Content:
        if self.state.overview is None or self.now is None:
            return Content.styled(f"{self.TITLE} …" if self._folded else "opening…", "$foreground-muted")
        if self._folded:
            return self._line(self.state.overview, self.now)
        lines = self.lines(self.state.overview, self.now, self.size.width)
        return Content("\n").join(lines[: max(self.size.height, 1)])

    def _line(self, overview: Overview, now: datetime) -> Content:
        status = self.status(overview, now)
        parts = [(self.TITLE, "$foreground-muted"), (self.figure(overview, status.look), "$foreground")]
        if status.look != "quiet":
            parts.append((status.label, _LOOKS[status.look]))
        return Content(" ").join(Content.styled(*part) for part in parts if part[0])

    def _set_status(self, status: PaneStatus) -> None:
        if status == self._status:
            return
        self._status = status
        for look in _LOOKS:
            self.set_class(look == status.look, f"-{look}")
        self._set_title()

    def _set_title(self) -> None:
        if self._status is None:
            return
        look = _LOOKS[self._status.look]
        if self.outer_size.width < _FRAME + _LONGEST_TITLE + 2:
            # A long title is cut at its end, and the sign must stay: it comes first, in all panes alike.
            self.border_title = Content.assemble((self._status.label[:1], look), " ", (self.TITLE, "bold"))
            return
        room = self.outer_size.width - _FRAME - len(self.TITLE) - 2
        label = self._status.label if len(self._status.label) <= room else self._status.label[:1]
        self.border_title = Content.assemble((self.TITLE, "bold"), "  ", (label, look))

    def on_resize(self) -> None:
        self._set_title()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.action_open_pane()

    def action_open_pane(self) -> None:
        if self.OPENS:
            self.post_message(PaneOpened(self.OPENS))
