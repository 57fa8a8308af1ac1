"""Where in the list of sessions one is: pages by cursor, from the front, from the end, or from a session on. Pure.

A page is known by the cursor it is read from, so a refresh reads the same stretch again and new sessions push the first
page on, not the one that is looked at.
"""

from dataclasses import dataclass, field

from acode_tui.storage.cursors import SortKey, end_cursor
from acode_tui.storage.ports import SessionPage


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a page is read from: behind a cursor, before one, or from the front. ``limit`` is 0 for a whole page."""

    after: str | None = None
    before: str | None = None
    limit: int = 0


FRONT = Anchor()


@dataclass(slots=True)
class Pages:
    """The page that is shown and the way it was reached. ``number`` is None where it is not known, ``from_end`` where
    it was not reached from the last page.
    """

    size: int
    way: list[Anchor] = field(default_factory=lambda: [FRONT])
    number: int | None = 1
    next_cursor: str | None = None
    previous_cursor: str | None = None
    total: int | None = None
    from_end: int | None = None

    @property
    def is_last(self) -> bool:
        """Whether the list was asked for its end."""
        return self.from_end == 0

    @property
    def here(self) -> Anchor:
        return self.way[-1]

    @property
    def limit(self) -> int:
        """How many rows the page is read with."""
        return self.here.limit or self.size

    @property
    def count(self) -> int | None:
        """Pages in all; None while the total is not known."""
        if self.total is None:
            return None
        return max(-(-self.total // self.size), self.number or 1)

    def restart(self) -> None:
        """Back to the front, after the filter, the search or the order changed."""
        self.way, self.number, self.from_end = [FRONT], 1, None

    def forward(self) -> bool:
        """Step to the next page; False where there is none."""
        if self.next_cursor is None:
            return False
        self.way.append(Anchor(after=self.next_cursor))
        self.number = self.number + 1 if self.number is not None else None
        self.from_end = self.from_end - 1 if self.from_end else None
        return True

    def back(self) -> bool:
        """Step to the page before: one that was seen is read again from where it was; False on the first."""
        if len(self.way) > 1:
            self.way.pop()
        elif self.here == FRONT or self.previous_cursor is None:
            return False
        else:
            self.way = [Anchor(before=self.previous_cursor)]
        self.number = max(self.number - 1, 1) if self.number is not None else None
        self.from_end = self.from_end + 1 if self.from_end is not None else None
        return True

    def to_end(self, sort: SortKey) -> bool:
        """Go to the last page at once; False where it is the one that is shown, as far as is known."""
        if self.next_cursor is None and (self.is_last or self.here == FRONT):
            return False
        count = self.count
        if count == 1:
            self.restart()
            return True
        # The last page holds what the whole ones before it leave, so that stepping back meets them as they were.
        rest = self.total - (count - 1) * self.size if self.total is not None and count is not None else 0
        self.way, self.number, self.from_end = [Anchor(before=end_cursor(sort), limit=max(rest, 0))], count, 0
        return True

    def start_at(self, cursor: str, number: int | None = None) -> None:
        """Show what stands behind a cursor that was not reached by turning pages."""
        self.way, self.number, self.from_end = [Anchor(after=cursor)], number, None

    def take(self, page: SessionPage) -> None:
        """Remember a page that was read."""
        self.next_cursor, self.previous_cursor, self.total = page.next_cursor, page.previous_cursor, page.total
        if self.here != FRONT and page.previous_cursor is None and page.sessions:
            self.restart()
        elif self.is_last and self.total is not None and page.next_cursor is None:
            self.number = max(-(-self.total // self.size), 1)
