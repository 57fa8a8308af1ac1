"""How far something is, as one line: a bar of plain characters and a percentage, the same in every theme."""

from textual.content import Content

_WIDTH = 5


def progress_line(share: float, columns: int) -> Content:
    """A bar for a share from 0 to 1 over so many columns."""
    room = max(columns - _WIDTH, 4)
    done = round(room * min(max(share, 0.0), 1.0))
    percent = f"{int(min(max(share, 0.0), 1.0) * 100)}%"
    return Content.assemble(
        ("━" * done, "$text-primary"), ("─" * (room - done), "$foreground-muted"), (f"{percent:>{_WIDTH}}", "bold")
    )
