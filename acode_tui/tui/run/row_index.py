"""The rows that the blocks of a page take: which row a block begins at, and which block a row belongs to. Pure."""

from collections.abc import Sequence
from itertools import accumulate


class RowIndex:
    """Sizes of blocks in rows, with their sums in a Fenwick tree: a lookup and a change take logarithmic time."""

    __slots__ = ("_tree", "sizes", "total")

    def __init__(self, sizes: Sequence[int] = ()) -> None:
        self.sizes = list(sizes)
        sums = [0, *accumulate(self.sizes)]
        self._tree = [sums[at] - sums[at & (at - 1)] for at in range(len(sums))]
        self.total = sums[-1]

    def copy(self) -> "RowIndex":
        """The same sizes, to be changed on their own."""
        made = RowIndex()
        made.sizes, made._tree, made.total = self.sizes.copy(), self._tree.copy(), self.total
        return made

    def resize(self, block: int, size: int) -> None:
        """Give a block another number of rows."""
        more = size - self.sizes[block]
        if not more:
            return
        self.sizes[block] = size
        self.total += more
        at = block + 1
        while at < len(self._tree):
            self._tree[at] += more
            at += at & -at

    def start(self, block: int) -> int:
        """The first row of a block; after the last one the number of rows."""
        at, row = block, 0
        while at:
            row += self._tree[at]
            at &= at - 1
        return row

    def block_at(self, row: int) -> int:
        """The block that a row belongs to, the last one for a row below it. Blocks without rows have none."""
        at, step = 0, 1 << max(len(self._tree) - 1, 1).bit_length()
        while step:
            if at + step < len(self._tree) and self._tree[at + step] <= row:
                at += step
                row -= self._tree[at]
            step >>= 1
        return min(at, max(len(self.sizes) - 1, 0))
