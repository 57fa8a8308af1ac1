"""Whether a file must be read again: pure decisions over what was noted of it last time.
An unchanged file costs one stat.

The head's hash tells a file that grew from one that was written anew under the same name. It covers only
bytes that were there last time, so growth never changes it.
"""

from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from acode_tui.domain.validation import escape
from acode_tui.ingest.timeline import Checkpoint
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


VERSION = 1
"""Raised when readers change what they make of a file: every file is then read once more."""


class FileState(msgspec.Struct, frozen=True, array_like=True):
    """``open``: the session is at work as long as the file is fresh. ``claimed``: model messages it counts."""

    version: int = VERSION
    open: bool = False
    session: str = ""
    claimed: bytes = b""
    checkpoints: tuple[Checkpoint, ...] = ()


_decoder = msgspec.msgpack.Decoder(FileState)
_encoder = msgspec.msgpack.Encoder()


def encode_state(state: FileState) -> bytes:
    return _encoder.encode(state)


def decode_state(data: bytes) -> FileState:
    """The state as it was kept, or an empty one where another version kept it."""
    try:
        state = _decoder.decode(data)
    except msgspec.DecodeError:
        return FileState(version=0)
    return state if state.version == VERSION else FileState(version=0)


# Asked of every unchanged file, so read from the bytes: the array's header, the version and the flag come first.


def is_current(data: bytes) -> bool:
    """Whether this version of the readers read the file last."""
    return len(data) >= 3 and data[1] == VERSION


def is_open(data: bytes) -> bool:
    """Whether the file must be read again once it is no longer fresh."""
    return len(data) >= 3 and data[2] == 0xC3
