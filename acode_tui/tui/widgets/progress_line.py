"""A progress bar over one line, with its percentage."""

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

_WIDTH = 5


def progress_line(share: float, columns: int) -> Content:
    """A bar for a share from 0 to 1 over so many columns."""
    room = max(columns - _WIDTH, 4)
    done = round(room * min(max(share, 0.0), 1.0))
    percent = f"{int(min(max(share, 0.0), 1.0) * 100)}%"
    return Content.assemble(
        ("━" * done, "$text-primary"), ("─" * (room - done), "$foreground-muted"), (f"{percent:>{_WIDTH}}", "bold")
    )


class ProgressLine(Widget):
    """A bar as wide as it is at the moment: before it was shown it has no width to draw it for."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._share = 0.0

    def show(self, share: float) -> None:
        """Draw another share, from 0 to 1."""
        if share != self._share:
            self._share = share
            self.refresh()

    def render(self) -> RenderResult:
        return progress_line(self._share, self.size.width)
