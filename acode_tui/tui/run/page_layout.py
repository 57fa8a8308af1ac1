"""Where the blocks of a conversation are on its page, and the rows of those that were laid out. Without a screen.

The height of a block whose content was not read yet is estimated. Rows far from the screen are dropped again; heights
that are known stay known.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from textual.strip import Strip

from acode_tui.domain.entities import ToolCallGraph
from acode_tui.tui.run.block_rows import Look, Row, needs_content, rows_of
from acode_tui.tui.run.blocks import Block, Conversation, rows_with_gap
from acode_tui.tui.run.row_index import RowIndex

MAX_KEPT = 1_000
"""Blocks whose rows are kept; those far from the screen are made again when they are near it."""
AT_ONCE = 16
"""Blocks whose content is read and rendered together: what is on screen comes first, and is shown first."""

Position = tuple[str, int]
"""A block by its key, and a row of it with its gap."""


@dataclass(slots=True)
class Laid:
    """The rows of a block, and their strips once they were drawn."""

    rows: list[Row]
    strips: list[Strip | None]


class PageLayout:
    """The page of one conversation at a time."""

    def __init__(self) -> None:
        self.conversation: Conversation | None = None
        self.look: Look | None = None
        self.rows = RowIndex()
        """Rows of each block, with its gap."""
        self.unfolded: set[str] = set()
        self.unread: set[str] = set()
        """Keys of blocks that show why their content could not be read."""
        self._laid: dict[str, Laid] = {}
        self._known: dict[str, int] = {}
        """Heights of blocks that were laid out at this width, by key."""

    @property
    def blocks(self) -> Sequence[Block]:
        return self.conversation.blocks if self.conversation is not None else ()

    @property
    def laid_count(self) -> int:
        """How many blocks have their rows kept."""
        return len(self._laid)

    def index(self, key: str) -> int | None:
        """The index of a block by its key; None if it is not on the page."""
        return self.conversation.index.get(key) if self.conversation is not None else None

    # What is shown

    def show(self, conversation: Conversation) -> None:
        """Take a run, or a newer state of the same run: what was laid out stays, and ``place`` must follow."""
        self.conversation = conversation
        # What was recorded of a call may have changed; the content of an artifact never does.
        for key in [key for key in self._laid if self._is_in_run(key)]:
            del self._laid[key]
            self._known.pop(key, None)

    def clear(self) -> None:
        """Forget the run."""
        self.conversation = None
        self.unfolded.clear()
        self.unread.clear()
        self.forget()
        self.rows = RowIndex()

    def forget(self) -> None:
        """Forget rows and heights: the width is another one."""
        self.look = None
        self._laid.clear()
        self._known.clear()

    def restyle(self, look: Look) -> None:
        """Forget the rows, not their heights: only the colours are others."""
        self.look = look
        self._laid.clear()

    def place(self, look: Look) -> None:
        """Give every block its rows, the known ones or an estimate."""
        conversation = self.conversation
        if conversation is None:
            return
        self.look = look
        rows = conversation.estimated(look.width)
        index, blocks = conversation.index, conversation.blocks
        for key, height in self._known.items():
            at = index.get(key)
            if at is not None:
                rows.sizes[at] = rows_with_gap(blocks[at], height)
        self.rows = RowIndex(rows.sizes)
        for key in self.unfolded:
            self._show_outputs(key)

    # Rows

    def laid(self, at: int) -> Laid | None:
        """The rows of a block if they are kept."""
        return self._laid.get(self.blocks[at].key)

    def is_slow(self, block: Block) -> bool:
        """Whether the rows of a block are made in a thread."""
        return needs_content(block) or block.key in self.unfolded

    def lay_out(self, at: int, look: Look) -> Laid:
        """Make the rows of a block that is not slow."""
        block = self.blocks[at]
        return self._keep(block.key, rows_of(block, None, look, opened=False))

    def settle(self, near: Iterable[int], look: Look) -> bool:
        """Lay the blocks out whose rows take no time, so that nothing moves when they are drawn. Whether a height is
        another one than before.
        """
        changed, blocks = False, self.blocks
        for at in list(dict.fromkeys(near)):
            if self.rows.sizes[at] and blocks[at].key not in self._laid and not self.is_slow(blocks[at]):
                self.lay_out(at, look)
                changed = self.correct(blocks[at].key) or changed
        return changed

    def take(self, made: Iterable[tuple[str, list[Row]]]) -> bool:
        """Keep rows that were made, by the keys of their blocks. Whether a height is another one than before."""
        changed = False
        for key, rows in made:
            if self.index(key) is not None:
                self._keep(key, rows)
                changed = self.correct(key) or changed
        while len(self._laid) > MAX_KEPT:
            del self._laid[next(iter(self._laid))]
        return changed

    def correct(self, key: str) -> bool:
        """Give a block the height that it was laid out with. False if it has that height."""
        at = self.index(key)
        return at is not None and key in self._known and self._set_height(at, self._known[key])

    def is_corrected(self, at: int) -> bool:
        """Whether a block that was laid out has its own height on the page."""
        block = self.blocks[at]
        return rows_with_gap(block, self._known.get(block.key, 1)) == self.rows.sizes[at]

    def drop(self, keys: Iterable[str]) -> None:
        """Forget the rows of some blocks."""
        for key in keys:
            self._laid.pop(key, None)

    def missing(self, near: Iterable[int]) -> list[Block]:
        """Blocks whose rows have to be made in a thread, the first of those given."""
        blocks, sizes = self.blocks, self.rows.sizes
        found = dict.fromkeys(
            at for at in near if sizes[at] and blocks[at].key not in self._laid and self.is_slow(blocks[at])
        )
        return [blocks[at] for at in list(found)[:AT_ONCE]]

    def toggle(self, keys: Sequence[str]) -> None:
        """Unfold blocks, or fold those that are unfolded."""
        self.unfolded.symmetric_difference_update(keys)
        for key in keys:
            self._laid.pop(key, None)
            self._known.pop(key, None)
            self._show_outputs(key)

    # Positions

    def block_at(self, row: int) -> int:
        """The block that a row belongs to."""
        return self.rows.block_at(max(row, 0))

    def position(self, row: int) -> Position | None:
        """What is at a row; None on an empty page."""
        if not self.blocks or not self.rows.total:
            return None
        at = self.block_at(row)
        return self.blocks[at].key, row - self.rows.start(at)

    def row_of(self, position: Position | None) -> int | None:
        """Where a position is now; None if its block is not on the page."""
        at = self.index(position[0]) if position is not None else None
        if at is None or position is None:
            return None
        return self.rows.start(at) + min(position[1], max(self.rows.sizes[at] - 1, 0))

    def near(self, top: int, page: int) -> Iterator[int]:
        """The blocks on the screen that begins at a row, then those of the page below, then of the page above."""
        last = self.rows.total - 1
        for first, end in ((top, top + page), (top + page, top + 2 * page), (top - page, top)):
            if first <= last and end > 0:
                yield from range(self.block_at(first), self.block_at(min(end, last)) + 1)

    def first_shown(self) -> int:
        """The first block that has rows."""
        return next((at for at, size in enumerate(self.rows.sizes) if size), 0)

    def last_shown(self) -> int:
        """The last block that has rows."""
        return next((at for at in range(len(self.rows.sizes) - 1, -1, -1) if self.rows.sizes[at]), 0)

    def neighbour(self, at: int, direction: int) -> int:
        """The next (1) or the previous (-1) block that has rows; the same one where there is none."""
        sizes, other = self.rows.sizes, at + direction
        while 0 <= other < len(sizes) and not sizes[other]:
            other += direction
        return other if 0 <= other < len(sizes) else at

    def _is_in_run(self, key: str) -> bool:
        """Whether the text of a block is in the run itself, rather than in the content of an artifact."""
        at = self.index(key)
        return at is None or self.blocks[at].artifact is None

    def _keep(self, key: str, rows: list[Row]) -> Laid:
        laid = self._laid[key] = Laid(rows, [None] * len(rows))
        self._known[key] = len(rows)
        return laid

    def _set_height(self, at: int, height: int) -> bool:
        size = rows_with_gap(self.blocks[at], height)
        changed = size != self.rows.sizes[at]
        self.rows.resize(at, size)
        return changed

    def _show_outputs(self, key: str) -> None:
        """Give the outputs of a call their rows, or none where the call is folded again."""
        at = self.index(key)
        if at is None or not isinstance(call := self.blocks[at].node, ToolCallGraph):
            return
        for below in range(at + 1, at + 1 + len(call.artifacts)):
            block = self.blocks[below]
            if block.call_id:
                self._set_height(below, self._known.get(block.key, 1) if key in self.unfolded else 0)
