"""A notice in place of an empty list: why it is empty, and what to do."""

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from acode_tui.tui.style.text import styled


class Notice(Widget):
    """A headline with lines below it, in the middle of the space."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="notice")
        self._content = Content("")

    def update(self, headline: str, *lines: str | Content, role: str = "$text-primary") -> None:
        """Show a headline and lines. Lines that are strings are cleaned and shown muted."""
        parts: list[Content] = [styled(headline, f"bold {role}"), Content("")]
        parts += [styled(line, "$foreground-muted") if isinstance(line, str) else line for line in lines]
        self._content = Content("\n").join(parts)
        self.refresh(layout=True)

    def render(self) -> RenderResult:
        return self._content


def keys(*pairs: tuple[str, str]) -> Content:
    """Keys and what they do, such as ``i imports them · esc goes back``, with the keys in bold."""
    parts: list[Content] = [
        Content.assemble((pressed, "bold $text-primary"), (f" {does}", "$foreground-muted")) for pressed, does in pairs
    ]
    return Content.styled("  ·  ", "$foreground-muted").join(parts)
