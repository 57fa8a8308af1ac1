"""What an import has read and not stored yet, and when it is enough for a transaction of its own."""

from collections.abc import Sequence

from acode_tui.ingest.group_reader import FileDue, FileRead

COMMIT_BYTES = 8 * 1024 * 1024
COMMIT_SHARE = 3
"""It is enough once it is as much, or such a part of what came before it, or of what is still to come.

The larger a commit, the fewer index pages are written again by the next: ids are random, so each changes most of them.
The first is small nevertheless, so that storing begins early; and so is the last, since nothing is read beside it.
"""


class Ready:
    """Files in the order they were read in. ``left``: the bytes of all that the import is to read."""

    def __init__(self, left: int) -> None:
        self._left = left
        self._before = 0
        self._bytes = 0
        self._due: list[FileDue] = []
        self._files: list[FileRead] = []

    def add(self, due: Sequence[FileDue], files: Sequence[FileRead]) -> None:
        """A group was read."""
        size = sum(file.size for file in due)
        self._left -= size
        self._bytes += size
        self._due += due
        self._files += files

    @property
    def is_enough(self) -> bool:
        """Whether to store it now; always, once nothing is left to be read."""
        return self._bytes >= min(self._before // COMMIT_SHARE, self._left // COMMIT_SHARE, COMMIT_BYTES)

    def take(self) -> tuple[list[FileDue], list[FileRead]]:
        """All of it, to be stored together."""
        taken = (self._due, self._files)
        self._before += self._bytes
        self._due, self._files, self._bytes = [], [], 0
        return taken
