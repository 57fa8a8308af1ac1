"""The command that resumes a run in its agent. It is on the clipboard already; enter runs it here."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from acode_tui.tui.bindings import RESUME
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import block


class ResumeDialog(ModalScreen[bool]):
    """Its result is whether to run the command now."""

    CSS_PATH = style_path("dialogs.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*RESUME]

    def __init__(self, command: str) -> None:
        super().__init__()
        self._command = command

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Resume"
            dialog.border_subtitle = "enter runs it here · esc back"
            yield Static(block("This resumes the run in its agent. It is on the clipboard.\n"), markup=False)
            yield Static(block(self._command, "bold $foreground"), markup=False)

    def action_answer(self, wanted: bool) -> None:
        self.dismiss(wanted)
