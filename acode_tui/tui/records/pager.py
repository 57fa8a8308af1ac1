"""Paging through a keyset list: each page begins after the last row of the page before. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from acode_tui.domain.quantities import number

Item = TypeVar("Item")


@dataclass(slots=True)
class RowPager(Generic[Item]):
    """The page that is shown, and where the pages before it begin."""

    size: int
    starts: list[Item | None] = field(default_factory=lambda: [None])
    """The row after which each page begins, up to the page that is shown; None for the first page."""
    last: Item | None = None
    """The last row of the page that is shown; None if no page follows it."""

    @property
    def after(self) -> Item | None:
        """The row after which the page that is shown begins; None for the first page."""
        return self.starts[-1]

    @property
    def number(self) -> int:
        """The number of the page that is shown, from 1."""
        return len(self.starts)

    @property
    def has_pages(self) -> bool:
        """Whether there is more than one page."""
        return self.number > 1 or self.last is not None

    def restart(self) -> None:
        """Go to the first page."""
        self.starts, self.last = [None], None

    def step(self, direction: int) -> bool:
        """Go to the next page (1) or to the previous one (-1). False if there is none."""
        if direction > 0 and self.last is not None:
            self.starts.append(self.last)
        elif direction < 0 and len(self.starts) > 1:
            self.starts.pop()
        else:
            return False
        self.last = None
        return True

    def take(self, found: Sequence[Item]) -> Sequence[Item]:
        """The rows of the page, out of up to ``size + 1`` that were read: one more row means that a page follows."""
        page = found[: self.size]
        self.last = page[-1] if len(found) > self.size else None
        return page

    def label(self, total: int) -> str:
        """``page 2 of 3`` of ``total`` rows, and the keys that page; empty if there is only one page."""
        if not self.has_pages:
            return ""
        count = max(-(-total // self.size), self.number + (self.last is not None))
        return f"page {self.number} of {number(count)}   [ ] other pages"
