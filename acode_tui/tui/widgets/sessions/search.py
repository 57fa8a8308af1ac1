"""The search line of the browser: it tells every change, and goes back to the table on enter or down."""

from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.widgets import Input

from acode_tui.tui.bindings import SEARCH
from acode_tui.tui.messages import SearchClosed, Searched


class SearchLine(Input):
    """Searches as one types."""

    BINDINGS: ClassVar[list[BindingType]] = [*SEARCH]

    def __init__(self) -> None:
        # Selected on focus, what was typed while the line was opening would be typed over by the next letter.
        super().__init__(
            placeholder="words in descriptions, tasks, steps, tools, artifacts", id="search", select_on_focus=False
        )

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(Searched(event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_close()

    def action_close(self) -> None:
        self.post_message(SearchClosed())
