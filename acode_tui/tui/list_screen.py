"""A screen with a list of rows above a panel that shows all of the row under the cursor."""

from typing import ClassVar

from acode_tui.domain.errors import AcodeError
from acode_tui.tui.live_screen import LiveScreen
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.widgets.keyed_table import KeyedTable
from acode_tui.tui.widgets.read_error import show_read_error
from acode_tui.tui.widgets.text_panel import TextPanel

MIN_COLUMNS = 40
"""The width that rows and details are laid out for in a terminal that is narrower."""


class ListScreen(LiveScreen[None]):
    """A subclass composes a ``KeyedTable`` inside ``#list``, and a ``TextPanel`` with the id ``detail``."""

    CSS_PATH = style_path("screens.tcss")
    TABLE: ClassVar[type[KeyedTable]] = KeyedTable
    toasts_make_room = True

    @property
    def table(self) -> KeyedTable:
        return self.query_one(self.TABLE)

    @property
    def detail_panel(self) -> TextPanel:
        return self.query_one("#detail", TextPanel)

    @property
    def is_loaded(self) -> bool:
        """Whether rows were read; they stay on screen when a later read fails."""
        raise NotImplementedError

    def read_failed(self, error: AcodeError) -> None:
        if not self.is_loaded:
            show_read_error(self, error)

    def on_resize(self) -> None:
        self.call_after_refresh(self.fit)

    def fit(self) -> None:
        """Choose the table's columns for the present width."""
        self.table.lay_out(max(self.query_one("#list").content_size.width, MIN_COLUMNS))
