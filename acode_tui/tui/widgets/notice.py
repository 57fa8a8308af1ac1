"""What stands where a list would be empty: why it is, and what to do about it."""

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from acode_tui.tui.style.text import styled


class Notice(Widget):
    """A headline, lines below it, and what to press, in the middle of the space."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="notice")
        self._content = Content("")

    def update(self, headline: str, *lines: str | Content, role: str = "$text-primary") -> None:
        """Show a headline and lines; plain strings are recorded text and are shown muted."""
        parts: list[Content] = [styled(headline, f"bold {role}"), Content("")]
        parts += [styled(line, "$foreground-muted") if isinstance(line, str) else line for line in lines]
        self._content = Content("\n").join(parts)
        self.refresh(layout=True)

    def render(self) -> RenderResult:
        return self._content


def keys(*pairs: tuple[str, str]) -> Content:
    """``i imports them · esc goes back`` with the keys set off."""
    parts: list[Content] = [
        Content.assemble((pressed, "bold $text-primary"), (f" {does}", "$foreground-muted")) for pressed, does in pairs
    ]
    return Content.styled("  ·  ", "$foreground-muted").join(parts)
