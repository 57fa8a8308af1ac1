"""The base of dialogs over long work: text, inputs, and a progress bar with text below it."""

from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from acode_tui.tui.dashboard_app import DashboardGetter
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.progress_line import ProgressLine

Result = TypeVar("Result")


class ProgressDialog(ModalScreen[Result]):
    """A dialog in a frame titled ``TITLE``. The bar is hidden at first."""

    dashboard = DashboardGetter()
    CSS_PATH = style_path("dialogs.tcss")
    TITLE: ClassVar[str] = ""

    def compose(self) -> ComposeResult:
        bar, progress = ProgressLine(id="bar"), Static("", id="progress", markup=False)
        bar.display = progress.display = False
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = self.TITLE
            yield Static("reading…", id="text", markup=False)
            yield from self.compose_inputs()
            yield bar
            yield progress
        yield KeyBar()

    def compose_inputs(self) -> ComposeResult:
        """The widgets below the text that ask for something."""
        return iter(())

    def show_text(self, *lines: Content) -> None:
        """Replace the text of the dialog."""
        text = self.query_one("#text", Static)
        text.update(Content("\n").join(lines))
        # If the text arrives before the dialog's first layout, the dialog would keep the height of the text before.
        self.call_after_refresh(text.refresh, layout=True)

    def show_progress(self, fraction: float | None, *lines: Content) -> None:
        """Show how far the work is, from 0 to 1, and text below the bar. No bar is shown for None."""
        bar, progress = self.query_one("#bar", ProgressLine), self.query_one("#progress", Static)
        bar.display, progress.display = fraction is not None, True
        if fraction is not None:
            bar.show(fraction)
        progress.update(Content("\n").join(lines))

    def hide_progress(self) -> None:
        """Hide the bar and the text below it: the work has ended."""
        self.query_one("#bar").display = self.query_one("#progress").display = False
