"""The input lines above a list: a search, and the id of a session to jump to."""

from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.widgets import Input

from acode_tui.tui.bindings import SEARCH
from acode_tui.tui.messages import InputClosed, JumpRequested, SearchChanged

QUERY_HINT = 'words, "a phrase", pre*, -not, agent: project: tool: file: failed: is: since:7d'
"""What a query may have, shown while the line is empty."""


class SearchLine(Input):
    """Posts SearchChanged at every change of its text; enter and down go back to the list."""

    BINDINGS: ClassVar[list[BindingType]] = [*SEARCH]

    def __init__(self, placeholder: str = QUERY_HINT) -> None:
        # Selected on focus, letters typed while the line was opening would be replaced by the next one.
        super().__init__(placeholder=placeholder, id="search", select_on_focus=False)

    def takes(self, key: str, character: str | None) -> bool:
        """Whether the line handles a key itself, before the keys of the screen."""
        return self.check_consume_key(key, character)

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
    """Posts JumpRequested with the id of a session, or with its beginning."""

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
