"""The dialog that asks under which name a query is saved."""

from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from acode_tui.tui.bindings import SAVE_QUERY
from acode_tui.tui.personal import MAX_NAME_CHARS
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import labelled, line, styled


class SaveQueryDialog(ModalScreen[str]):
    """Its result is the name; None if the user leaves it. ``saved`` are the queries that there are, by name."""

    CSS_PATH = style_path("dialogs.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*SAVE_QUERY]

    def __init__(self, query: str, saved: Mapping[str, str]) -> None:
        super().__init__()
        self._query = query
        self._saved = saved

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Save the query"
            dialog.border_subtitle = "enter saves · esc goes back"
            yield Static(labelled("query", self._query, width=8), markup=False)
            yield Input(
                next((name for name, query in self._saved.items() if query == self._query), ""),
                placeholder="name",
                max_length=MAX_NAME_CHARS,
                compact=True,
            )
            yield Static("", id="text", markup=False)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        replaced = self._saved.get(event.value.strip())
        self.query_one("#text", Static).update(
            styled(f"replaces {line(replaced, 40)}", "$text-warning") if replaced is not None else Content("")
        )

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if name := event.value.strip():
            self.dismiss(name)
