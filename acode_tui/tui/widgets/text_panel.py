"""A framed panel of text that scrolls."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from acode_tui.tui.bindings import SCROLL


class TextPanel(VerticalScroll, can_focus=True):
    """Text in a frame. The text must be cleaned."""

    BINDINGS: ClassVar[list[BindingType]] = [*SCROLL]

    def __init__(self, title: str, *, id: str) -> None:
        super().__init__(id=id, classes="frame detail")
        self.border_title = title
        self._body = Static(markup=False)
        self.shown = Content("")

    def compose(self) -> ComposeResult:
        yield self._body

    def update(self, content: Content, *, home: bool = True) -> None:
        """Show another text; ``home`` scrolls to its beginning."""
        if content.is_same(self.shown):
            return
        self.shown = content
        self._body.update(content)
        if home:
            self.scroll_home(animate=False)

    def action_half_page(self, direction: int) -> None:
        self.scroll_relative(y=direction * max(self.size.height // 2, 1), animate=False)
