"""Choosing the states that the browser shows."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import SelectionList
from textual.widgets.selection_list import Selection

from acode_tui.domain.states import SessionState
from acode_tui.tui.bindings import FILTER
from acode_tui.tui.palette import CONTENT_STYLE, SESSION
from acode_tui.tui.styles import style_path


class StateFilter(ModalScreen[frozenset[SessionState] | None]):
    """Any number of states; none means all. Answers None when nothing is to change."""

    CSS_PATH = style_path("dialogs.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*FILTER]

    def __init__(self, chosen: frozenset[SessionState]) -> None:
        super().__init__()
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog small") as dialog:
            dialog.border_title = "Show sessions that are"
            dialog.border_subtitle = "space choose · enter show · a all"
            yield SelectionList[SessionState](
                *(Selection(_label(state), state, state in self._chosen) for state in SessionState)
            )

    def action_apply(self) -> None:
        self.dismiss(frozenset(self.query_one(SelectionList).selected))

    def action_all(self) -> None:
        self.dismiss(frozenset())

    def action_cancel(self) -> None:
        self.dismiss(None)

    def action_move(self, direction: int) -> None:
        states = self.query_one(SelectionList)
        if direction > 0:
            states.action_cursor_down()
        else:
            states.action_cursor_up()


def _label(state: SessionState) -> Content:
    mark = SESSION[state]
    return Content.assemble((f"{mark.glyph} ", CONTENT_STYLE[mark.role]), str(state))
