"""Moving through the page of a conversation: a cursor on one block, and the rows on screen that follow it."""

from collections.abc import Callable

from textual import events
from textual.message import Message
from textual.scroll_view import ScrollView

from acode_tui.tui.run.blocks import Block
from acode_tui.tui.run.page_layout import PageLayout


class PageCursor(ScrollView):
    """The part of the conversation that moves. Following keeps the last row on screen until the user moves."""

    class FollowChanged(Message):
        """The page begins or ends to stay at its end."""

    def __init__(self) -> None:
        super().__init__(id="conversation", classes="frame")
        self.page_layout = PageLayout()
        self.cursor = 0
        self.revealed: str | None = None
        """The block that was unfolded last: what unfolds below it comes into view, until the user moves on."""
        self.held: tuple[str, int] | None = None
        """The block that was gone to and its row on the screen, where it stays while the blocks above it get their true
        heights; None once the user has scrolled: then the top of the screen stays.
        """
        self._follows = False
        self._jumping = False

    @property
    def follows(self) -> bool:
        """Whether the view stays at the end when something is recorded."""
        return self._follows

    @follows.setter
    def follows(self, follows: bool) -> None:
        if follows != self._follows:
            self._follows = follows
            self.post_message(self.FollowChanged())

    @property
    def block(self) -> Block | None:
        """The block under the cursor."""
        blocks = self.page_layout.blocks
        return blocks[self.cursor] if self.cursor < len(blocks) else None

    @property
    def moved(self) -> bool:
        """Whether the cursor is anywhere but on the first block."""
        return self.cursor > 0

    @property
    def page_rows(self) -> int:
        """The rows on screen."""
        return max(self.scrollable_content_region.height, 1)

    # Keys

    def action_move(self, direction: int) -> None:
        """Go to the next or the previous block, or through a block that is longer than the screen."""
        if not self.page_layout.blocks:
            return
        self._take_cursor_along()
        rows, top, page = self.page_layout.rows, self.scroll_offset.y, self.page_rows
        start, end = rows.start(self.cursor), rows.start(self.cursor + 1)
        if direction > 0 and end > top + page and end - start > page:
            self.scroll_to_row(min(top + page // 2, end - page))
        elif direction < 0 and start < top and end - start > page:
            self.scroll_to_row(max(top - page // 2, start))
        else:
            self.go_to_block(self.page_layout.neighbour(self.cursor, direction))

    def action_half_page(self, direction: int) -> None:
        self._turn(direction * max(self.page_rows // 2, 1))

    def action_turn(self, direction: int) -> None:
        self._turn(direction * max(self.page_rows - 2, 1))

    def action_top(self) -> None:
        self.cursor = self.page_layout.first_shown()
        self.scroll_to_row(0)

    def action_bottom(self) -> None:
        self.cursor = self.page_layout.last_shown()
        self.scroll_to_row(self.max_scroll_y)
        self.follows = True

    def _on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.follows, self.revealed = False, None
        super()._on_mouse_scroll_up(event)

    # Places

    def once_laid_out(self, go: Callable[[], object]) -> None:
        """Move the cursor when the page is laid out, as it cannot scroll before; not if the user moved it by then."""
        block, follows = self.block, self.follows

        def move() -> None:
            same_block = block is None or (self.block is not None and self.block.key == block.key)
            if same_block and self.follows == follows:
                go()

        self.call_after_refresh(move)

    def go_to(self, key: str) -> bool:
        """Put the cursor on the block of an entity; False if it has none."""
        at = self.page_layout.index(key)
        if at is None or not self.page_layout.rows.sizes[at]:
            return False
        self.go_to_block(at, context=True)
        return True

    def go_to_block(self, at: int, *, context: bool = False) -> None:
        """Put the cursor on a block and show as much of it as fits, with some rows around it for ``context``."""
        if not self.page_layout.blocks:
            return
        self.cursor = at
        self.follows, self.revealed = False, None
        rows, top, page = self.page_layout.rows, self.scroll_offset.y, self.page_rows
        start, end = rows.start(at), rows.start(at + 1)
        around = min(page // 3, 8) if context else 0
        if start - around < top or end - start >= page:
            self.scroll_to_row(start - around if end - start + around < page else start)
        elif end + around > top + page:
            self.scroll_to_row(end + around - page)
        self.keep_in_place(at)
        self.refresh()

    def keep_in_place(self, at: int) -> None:
        """Let a block stay where it is on the screen, whatever height the others turn out to have."""
        self.held = (self.page_layout.blocks[at].key, self.page_layout.rows.start(at) - self.scroll_offset.y)

    def failure(self, direction: int) -> bool:
        """Go to the next (1) or the previous (-1) failure; False if there is none."""
        conversation = self.page_layout.conversation
        at = conversation.failure_from(self.cursor, direction) if conversation is not None else None
        if at is None:
            return False
        self.go_to_block(at, context=True)
        return True

    def scroll_to_row(self, row: int) -> None:
        """Show the rows from this one on; the page is followed no longer."""
        self.follows, self.revealed, self.held = False, None, None
        self.jump(min(max(row, 0), self.max_scroll_y))
        self.refresh()

    def jump(self, row: int) -> None:
        """Scroll at once, and not because the user scrolls."""
        self._jumping = True
        try:
            self.scroll_to(y=row, animate=False, force=True, immediate=True)
        finally:
            self._jumping = False

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if not self._jumping:
            self.held = None

    def _turn(self, rows: int) -> None:
        if not self.page_layout.blocks:
            return
        self.scroll_to_row(self.scroll_offset.y + rows)
        self._take_cursor_along()
        if not 0 < self.scroll_offset.y < self.max_scroll_y:
            # At an end the last screenful holds the place that was meant.
            self.cursor = self.page_layout.block_at(self.scroll_offset.y) if rows < 0 else self.page_layout.last_shown()
        self.refresh()

    def _take_cursor_along(self) -> None:
        """If the cursor's block was scrolled off the screen, put the cursor on the nearest one that is on it."""
        rows, top, page = self.page_layout.rows, self.scroll_offset.y, self.page_rows
        if rows.start(self.cursor + 1) <= top:
            self.cursor = self.page_layout.block_at(top)
        elif rows.start(self.cursor) >= top + page:
            self.cursor = self.page_layout.block_at(top + page - 1)
