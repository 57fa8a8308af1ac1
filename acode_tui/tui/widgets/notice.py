"""What stands where a list would be empty: why it is, and what to do about it."""

from typing import Any, ClassVar

from textual.app import ComposeResult, RenderResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from acode_tui.domain.errors import AcodeError
from acode_tui.tui.bindings import SCROLL
from acode_tui.tui.style.text import error_lines, line, styled


class Notice(Widget):
    """A headline, lines below it, and what to press, in the middle of the space."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="notice")
        self._content = Content("")

    def say(self, headline: str, *lines: str | Content, role: str = "$text-primary") -> None:
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


class TitleLine(Widget):
    """A breadcrumb, a headline that gives way, and facts at the right."""

    ALLOW_SELECT = False

    def __init__(self, crumb: str) -> None:
        super().__init__(id="header")
        self._crumb = crumb
        self._headline = ""
        self._facts: list[Content] = []

    def say(self, headline: str, *facts: Content) -> None:
        """A headline of recorded text, and facts, the most important first; those that do not fit are left out."""
        self._headline = headline
        self._facts = list(facts)
        self.refresh()

    def render(self) -> RenderResult:
        width = self.size.width
        left = Content.assemble(("▌", "$primary"), ("acode-tui", "bold $text-primary"), "  ")
        left = Content.assemble(left, (f"{self._crumb}  ", "$foreground-muted"))
        room = width - left.cell_length
        facts: list[Content] = []
        for fact in self._facts:
            taken = sum(known.cell_length + 3 for known in facts) + fact.cell_length
            if taken + min(24, len(self._headline)) + 3 <= room:
                facts.append(fact)
        right = Content("   ").join(facts)
        head = styled(line(self._headline, max(room - right.cell_length - 3, 8)), "bold")
        gap = max(room - head.cell_length - right.cell_length, 1)
        return Content.assemble(left, head, " " * gap, right)


class TextPanel(VerticalScroll, can_focus=True):
    """Text in a frame. What is given must have been cleaned."""

    BINDINGS: ClassVar[list[BindingType]] = [*SCROLL]

    def __init__(self, title: str, *, id: str) -> None:
        super().__init__(id=id, classes="frame detail")
        self.border_title = title
        self._body = Static(markup=False)
        self.shown = Content("")

    def compose(self) -> ComposeResult:
        yield self._body

    def say(self, content: Content, *, home: bool = True) -> None:
        """Show something else; ``home`` goes back to its beginning."""
        if content.is_same(self.shown):
            return
        self.shown = content
        self._body.update(content)
        if home:
            self.scroll_home(animate=False)

    def action_half_page(self, direction: int) -> None:
        self.scroll_relative(y=direction * max(self.size.height // 2, 1), animate=False)


def show_read_error(screen: Screen[Any], error: AcodeError) -> None:
    """Show on a screen with a ``TitleLine`` and a detail panel that nothing could be read, and why."""
    screen.query_one(TitleLine).say("could not be read", styled("tried again by itself", "$text-warning"))
    screen.query_one("#detail", TextPanel).say(Content("\n").join(error_lines(error)))
