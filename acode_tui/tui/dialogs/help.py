"""The help dialog: every key of the screen below it, generated from the bindings."""

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from acode_tui.tui.bindings import HELP, SCROLL, SIDEWAYS, TABLE, TREE, bindings
from acode_tui.tui.style.paths import style_path

_NOTE = (
    "Keys can be changed: in .agent/config.toml, under [tui.keymap], give an id another key, such as "
    'sync = "f5". A wide terminal lists the ids here; docs/dashboard.md has them all.'
)

_MOVEMENT = {binding.id for binding in bindings(TABLE, SCROLL, SIDEWAYS, TREE) if binding.id != "open"}
"""Ids of keys that only move the cursor or the scroll position; they are listed last."""


class HelpDialog(ModalScreen[None]):
    """The keys, what they do, and their ids, which ``tui.keymap`` remaps."""

    CSS_PATH = style_path("dialogs.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*HELP]

    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__()
        self._rows = _rows(screen)

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog help") as dialog:
            dialog.border_title = "Keys"
            dialog.border_subtitle = "esc back"
            yield Static(self._text(), markup=False)

    def on_resize(self) -> None:
        self.query_one(Static).update(self._text())

    def _text(self) -> Content:
        with_ids = self.app.size.width >= 100
        key_columns = max((len(shown) for shown, _, _ in self._rows), default=0)
        tooltip_columns = max((len(tooltip) for _, tooltip, _ in self._rows), default=0)
        lines = [
            Content.assemble(
                (f"{shown:>{key_columns}}  ", "bold $text-primary"),
                (f"{tooltip:<{tooltip_columns}}  " if with_ids else tooltip, "$foreground"),
                (id_ if with_ids else "", "$foreground-muted"),
            )
            for shown, tooltip, id_ in self._rows
        ]
        return Content("\n").join([*lines, Content(""), Content.styled(_NOTE, "$foreground-muted")])


def _rows(screen: Screen[Any]) -> list[tuple[str, str, str]]:
    """Keys, tooltip and id of every binding with an id; bindings of the same id share a row."""
    found: dict[str, tuple[list[str], Binding]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.id is None or not binding.tooltip or not active.enabled:
            continue
        keys, _ = found.setdefault(binding.id, ([], binding))
        shown = screen.app.get_key_display(binding)
        if shown not in keys:
            keys.append(shown)
    rows = [(" ".join(keys), binding.tooltip, binding.id or "") for keys, binding in found.values()]
    return sorted(rows, key=lambda row: row[2] in _MOVEMENT)
