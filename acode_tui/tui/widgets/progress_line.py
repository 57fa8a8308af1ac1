"""A progress bar of one line, with its percentage."""

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

_PERCENT_COLUMNS = 5


def progress_line(fraction: float, columns: int) -> Content:
    """A bar for a fraction from 0 to 1, over ``columns`` columns."""
    room = max(columns - _PERCENT_COLUMNS, 4)
    done = round(room * min(max(fraction, 0.0), 1.0))
    percent = f"{int(min(max(fraction, 0.0), 1.0) * 100)}%"
    return Content.assemble(
        ("━" * done, "$text-primary"),
        ("─" * (room - done), "$foreground-muted"),
        (f"{percent:>{_PERCENT_COLUMNS}}", "bold"),
    )


class ProgressLine(Widget):
    """A bar as wide as the widget, drawn when that width is known."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._fraction = 0.0

    def show(self, fraction: float) -> None:
        """Draw another fraction, from 0 to 1."""
        if fraction != self._fraction:
            self._fraction = fraction
            self.refresh()

    def render(self) -> RenderResult:
        return progress_line(self._fraction, self.size.width)
