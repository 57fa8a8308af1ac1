"""The first line of every screen except the main one: the screen's name, a headline, and facts."""

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from acode_tui.tui.style.text import line, styled


class TitleLine(Widget):
    """The screen's name, a headline that is cut if space is short, and facts at the right."""

    ALLOW_SELECT = False

    def __init__(self, crumb: str) -> None:
        super().__init__(id="header")
        self._crumb = crumb
        self._headline = ""
        self._facts: list[Content] = []

    def update(self, headline: str, *facts: Content) -> None:
        """Show a headline, which is cleaned, and the facts that fit, the most important first."""
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
