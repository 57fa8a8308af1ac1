"""Pages of a list that is read from its front and has no cursor of its own: each goes on behind the last row before it.

Pure. A refresh reads the page that is shown again from where it began, so what comes in at the front moves nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class Turning(Generic[Item]):
    """The way from the front to the page that is shown: the last row of each page before it."""

    size: int
    way: list[Item | None] = field(default_factory=lambda: [None])
    last: Item | None = None
    """The last row of the page that is shown, where another page follows."""

    @property
    def here(self) -> Item | None:
        """The row that the page goes on behind; None at the front."""
        return self.way[-1]

    @property
    def number(self) -> int:
        return len(self.way)

    def restart(self) -> None:
        self.way, self.last = [None], None

    def turn(self, direction: int) -> bool:
        """Step to the next page (1) or to the one before (-1); False where there is none."""
        if direction > 0 and self.last is not None:
            self.way.append(self.last)
        elif direction < 0 and len(self.way) > 1:
            self.way.pop()
        else:
            return False
        self.last = None
        return True

    def take(self, found: Sequence[Item]) -> Sequence[Item]:
        """The page's rows, of one more than fit; the surplus one tells that another page follows."""
        page = found[: self.size]
        self.last = page[-1] if len(found) > self.size else None
        return page

    def told(self, total: int) -> str:
        """Where this is, for the list's frame; nothing where one page holds all."""
        if self.number == 1 and self.last is None:
            return ""
        count = max(-(-total // self.size), self.number + (self.last is not None))
        return f"page {self.number} of {count:,}   [ ] other pages"
