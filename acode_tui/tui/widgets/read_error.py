"""What a screen shows where its first read failed."""

from typing import Any

from textual.content import Content
from textual.screen import Screen

from acode_tui.domain.errors import AcodeError
from acode_tui.tui.style.text import error_lines, styled
from acode_tui.tui.widgets.text_panel import TextPanel
from acode_tui.tui.widgets.title_line import TitleLine


def show_read_error(screen: Screen[Any], error: AcodeError) -> None:
    """Show on a screen with a ``TitleLine`` and a detail panel that nothing could be read, and why."""
    screen.query_one(TitleLine).update("could not be read", styled("tried again by itself", "$text-warning"))
    screen.query_one("#detail", TextPanel).update(Content("\n").join(error_lines(error)))
