"""The lines to type in above the list: a search that tells every change, and an id to jump to."""

from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.widgets import Input

from acode_tui.tui.bindings import SEARCH
from acode_tui.tui.messages import InputClosed, JumpRequested, SearchChanged


class SearchLine(Input):
    """Searches as one types; enter and down go back to the list."""

    BINDINGS: ClassVar[list[BindingType]] = [*SEARCH]

    def __init__(self, placeholder: str = "words in descriptions, tasks, steps, tools, artifacts") -> None:
        # Selected on focus, what was typed while the line was opening would be typed over by the next letter.
        super().__init__(placeholder=placeholder, id="search", select_on_focus=False)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(SearchChanged(event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_close()

    def action_close(self) -> None:
        self.post_message(InputClosed())


class JumpLine(Input):
    """Asks for a session by its id, or by how that begins."""

    BINDINGS: ClassVar[list[BindingType]] = [*SEARCH]

    def __init__(self) -> None:
        super().__init__(placeholder="id of a session, or its beginning", id="jump", select_on_focus=False)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if prefix := event.value.strip():
            self.post_message(JumpRequested(prefix))
        else:
            self.action_close()

    def action_close(self) -> None:
        self.post_message(InputClosed())
