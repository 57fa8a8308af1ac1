"""The question whether the workspace's settings file is trusted: what it asks for, and what that means here."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from acode_tui.config import keys
from acode_tui.config.trust import AskedSetting, Trust
from acode_tui.domain.display import clean
from acode_tui.tui.bindings import TRUST
from acode_tui.tui.style.paths import style_path

_WHY = (
    "This workspace's .agent/config.toml is new, or it has changed. It says where runs are sent, which secret is sent, "
    "or which path is read or written. Until you trust it, these settings do not count; everything else works."
)
_ANSWER = "tab the other answer · enter gives it"
_MORE = "there is more below · j or ↓ shows it, and so does trust"
_NEXT_START = "persistence.sqlite.path"
"""The setting that counts from the next start: an open database stays open."""


class TrustDialog(ModalScreen[bool]):
    """Its result is whether the file is trusted.

    No letter answers it, and "not now" has the focus: it may appear at any moment, below a hand that is typing.
    """

    CSS_PATH = style_path("dialogs.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*TRUST]
    AUTO_FOCUS = "#no"

    def __init__(self, trust: Trust) -> None:
        super().__init__()
        self._trust = trust

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog trust") as dialog:
            dialog.border_title = "Trust this workspace's settings?"
            dialog.border_subtitle = _ANSWER
            yield Static(_WHY, markup=False)
            with VerticalScroll(can_focus=False):
                yield Static(Content("\n").join(_lines(self._trust.settings)))
            with Horizontal(classes="buttons"):
                yield Button("trust", id="yes", variant="warning", compact=True)
                yield Button("not now", id="no", compact=True)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes" and self._has_more():
            # Nobody approves what was not on screen.
            self.query_one(VerticalScroll).scroll_page_down(animate=False)
        else:
            self.dismiss(event.button.id == "yes")

    def on_mount(self) -> None:
        self.watch(self.query_one(VerticalScroll), "scroll_y", self._show_what_keys_do, init=False)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_what_keys_do)

    def _has_more(self) -> bool:
        scroll = self.query_one(VerticalScroll)
        return scroll.scroll_y < scroll.max_scroll_y

    def _show_what_keys_do(self) -> None:
        self.query_one(".dialog").border_subtitle = _MORE if self._has_more() else _ANSWER

    def action_scroll(self, rows: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


def _lines(settings: Sequence[AskedSetting]) -> Iterator[Content]:
    """Each setting with its value, and below it what it leads to, unless the line above says the same."""
    last = ""
    for asked in settings:
        # In full and not redacted: a stranger could hide a command as what looks like a secret, or behind an ellipsis.
        value = clean(keys.format_value(asked.value))
        yield Content.assemble((asked.key, "bold"), (" = ", "$foreground-muted"), (value, "$text-warning"))
        effects = [asked.leads_to] if asked.leads_to else []
        effects += ["from the next start"] if asked.key == _NEXT_START else []
        effect = "; ".join(effects)
        if effect and effect != last:
            yield Content.styled(f"  → {clean(effect)}", "$foreground-muted")
        last = effect
