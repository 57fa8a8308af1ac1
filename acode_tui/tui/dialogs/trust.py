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
from acode_tui.domain.secrets.known import redact
from acode_tui.tui.bindings import TRUST
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import line, styled

_WHY = (
    "This workspace's .agent/config.toml is new, or it has changed. It says where runs are sent, which secret is sent, "
    "or which path is read or written. Until you trust it, these settings do not count; everything else works."
)
_MAX_CHARS = 200
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
            dialog.border_subtitle = "tab the other answer · enter gives it"
            yield Static(_WHY, markup=False)
            with VerticalScroll(can_focus=False):
                yield Static(Content("\n").join(_lines(self._trust.settings)))
            with Horizontal(classes="buttons"):
                yield Button("trust", id="yes", variant="warning", compact=True)
                yield Button("not now", id="no", compact=True)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_scroll(self, rows: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


def _lines(settings: Sequence[AskedSetting]) -> Iterator[Content]:
    """Each setting with its value, and below it what it leads to, unless the line above says the same."""
    last = ""
    for asked in settings:
        value = line(redact(keys.format_value(asked.value)), _MAX_CHARS)
        yield Content.assemble((asked.key, "bold"), (" = ", "$foreground-muted"), (value, "$text-warning"))
        effects = [redact(asked.leads_to)] if asked.leads_to else []
        effects += ["from the next start"] if asked.key == _NEXT_START else []
        effect = "; ".join(effects)
        if effect and effect != last:
            yield styled(f"  → {line(effect, _MAX_CHARS)}", "$foreground-muted")
        last = effect
