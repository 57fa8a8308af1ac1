"""Paging through the session list by keyset cursors. Pure.

A page is known by the cursor that it is read from, so a refresh reads the same rows again: new sessions appear on the
first page and do not push rows through the page that is shown.
"""

import msgspec

from acode_tui.storage.cursors import SortKey, end_cursor
from acode_tui.storage.ports import SessionPage


class PageStart(msgspec.Struct, frozen=True):
    """Where a page is read from: after a cursor, before one, or from the front. ``limit`` is 0 for a whole page."""

    after: str | None = None
    before: str | None = None
    limit: int = 0


FIRST_PAGE = PageStart()


class SessionPager(msgspec.Struct):
    """The page that is shown, and the pages before it that were visited.

    ``number`` counts from 1; None where the page was reached without its number being known. ``from_end`` is the number
    of pages up to the last one, known only after a jump to the end.
    """

    size: int
    starts: list[PageStart] = msgspec.field(default_factory=lambda: [FIRST_PAGE])
    """The start of each visited page, up to the page that is shown."""
    number: int | None = 1
    next_cursor: str | None = None
    previous_cursor: str | None = None
    total: int | None = None
    from_end: int | None = None

    @property
    def is_last(self) -> bool:
        """Whether the page was read from the end of the list."""
        return self.from_end == 0

    @property
    def start(self) -> PageStart:
        """The start of the page that is shown."""
        return self.starts[-1]

    @property
    def limit(self) -> int:
        """The number of rows to read for the page."""
        return self.start.limit or self.size

    @property
    def count(self) -> int | None:
        """The number of pages; None while the total is not known."""
        if self.total is None:
            return None
        return max(-(-self.total // self.size), self.number or 1)

    def restart(self) -> None:
        """Go to the first page, as after a change of filter, search or order."""
        self.starts, self.number, self.from_end = [FIRST_PAGE], 1, None

    def forward(self) -> bool:
        """Go to the next page. False if there is none."""
        if self.next_cursor is None:
            return False
        self.starts.append(PageStart(after=self.next_cursor))
        self.number = self.number + 1 if self.number is not None else None
        self.from_end = self.from_end - 1 if self.from_end else None
        return True

    def back(self) -> bool:
        """Go to the page before; a visited one is read from where it was read first. False on the first page."""
        if len(self.starts) > 1:
            self.starts.pop()
        elif self.start == FIRST_PAGE or self.previous_cursor is None:
            return False
        else:
            self.starts = [PageStart(before=self.previous_cursor)]
        self.number = max(self.number - 1, 1) if self.number is not None else None
        self.from_end = self.from_end + 1 if self.from_end is not None else None
        return True

    def to_end(self, sort: SortKey) -> bool:
        """Go to the last page. False if that is the page that is shown, as far as is known."""
        if self.next_cursor is None and (self.is_last or self.start == FIRST_PAGE):
            return False
        count = self.count
        if count == 1:
            self.restart()
            return True
        # The last page holds the rows that the whole pages before it leave, so going back shows those pages unchanged.
        rest = self.total - (count - 1) * self.size if self.total is not None and count is not None else 0
        self.starts, self.number, self.from_end = [PageStart(before=end_cursor(sort), limit=max(rest, 0))], count, 0
        return True

    def start_at(self, cursor: str, number: int | None = None) -> None:
        """Go to the page after a cursor, whose number is known or not."""
        self.starts, self.number, self.from_end = [PageStart(after=cursor)], number, None

    def set_page(self, page: SessionPage) -> None:
        """Store the cursors and the total of the page that was read."""
        self.next_cursor, self.previous_cursor, self.total = page.next_cursor, page.previous_cursor, page.total
        if self.start != FIRST_PAGE and page.previous_cursor is None and page.sessions:
            self.restart()
        elif self.is_last and self.total is not None and page.next_cursor is None:
            self.number = max(-(-self.total // self.size), 1)
