"""Whether a file must be read again: pure decisions over what was noted of it last time.
An unchanged file costs one stat.

The head's hash tells a file that grew from one that was written anew under the same name. It covers only
bytes that were there last time, so growth never changes it.
"""

from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from acode_tui.domain.text import escape
from acode_tui.storage.ports import TranscriptFile

HEAD_BYTES = 4096


class FileStat(NamedTuple):
    inode: int
    size: int
    mtime_ns: int


class Change(StrEnum):
    NEW = "new"
    UNCHANGED = "unchanged"
    GROWN = "grown"
    REWRITTEN = "rewritten"


def cursor_key(path: Path) -> str:
    """The text that a path is kept under. A name that is no UTF-8 is escaped, like any text from outside."""
    return escape(str(path))


def unchanged(known: TranscriptFile | None, now: FileStat, format: str | None = None) -> bool:
    """Whether the stat alone says that there is nothing new. ``format`` is one that was asked for by name."""
    return (
        known is not None
        and known.size == now.size
        and known.mtime_ns == now.mtime_ns
        and known.inode == now.inode
        and (format is None or known.format == format)
    )


def hash_head(head: bytes) -> str:
    """The note of a beginning: its length and its SHA-256."""
    head = head[:HEAD_BYTES]
    return f"{len(head)}:{sha256(head).hexdigest()}"


def classify(known: TranscriptFile | None, now: FileStat, head: bytes, format: str | None = None) -> Change:
    """What became of a file. ``head`` is its beginning, ``HEAD_BYTES`` of it if it has as many.

    One that was merely touched counts as grown by nothing.
    """
    if known is None:
        return Change.NEW
    if unchanged(known, now, format):
        return Change.UNCHANGED
    if format is not None and known.format != format:
        return Change.REWRITTEN
    length = _hashed_length(known)
    if now.size < known.offset or len(head) < length or hash_head(head[:length]) != known.head_hash:
        return Change.REWRITTEN
    return Change.GROWN


def _hashed_length(known: TranscriptFile) -> int:
    length, _, _ = known.head_hash.partition(":")
    return min(int(length), HEAD_BYTES) if length.isdigit() else 0
