"""The cursor of a file, and whether the file must be read again. An unchanged file costs one stat.

The hash of the head distinguishes a file that grew from one that was rewritten under the same name. It covers only
bytes that were there at the last import, so growth never changes it. Reading goes on after the last line only where the
file is still the same one and ends, at that place, in the same bytes.
"""

from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from struct import Struct

import msgspec

from acode_tui.domain.validation import Limits, escape
from acode_tui.ingest.format import FileStat
from acode_tui.ingest.timeline import Checkpoint
from acode_tui.storage.transcript_ports import TranscriptFile

HEAD_BYTES = 4096
TAIL_BYTES = 4096

VERSION = 4
"""Raised when readers change what they make of a file: every file is then read once more."""


class Change(StrEnum):
    NEW = "new"
    UNCHANGED = "unchanged"
    GROWN = "grown"
    REWRITTEN = "rewritten"


def cursor_key(path: Path) -> str:
    """The text that identifies a path in storage. A name that is not UTF-8 is escaped, like any text from outside."""
    return escape(str(path))


def unchanged(known: TranscriptFile | None, now: FileStat, format: str | None = None) -> bool:
    """Whether the stat alone shows that there is nothing new. ``format`` is the one that the user named, if any."""
    return (
        known is not None
        and known.size == now.size
        and known.mtime_ns == now.mtime_ns
        and known.inode == now.inode
        and (format is None or known.format == format)
    )


def hash_head(head: bytes) -> str:
    """``length:SHA-256`` of a file's first bytes, at most ``HEAD_BYTES`` of them."""
    head = head[:HEAD_BYTES]
    return f"{len(head)}:{sha256(head).hexdigest()}"


def classify(known: TranscriptFile | None, now: FileStat, head: bytes, format: str | None = None) -> Change:
    """How a file changed since the last import. ``head`` is its first ``HEAD_BYTES`` bytes, or all there are.

    A file that was merely touched counts as grown.
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


class FileState(msgspec.Struct, frozen=True, array_like=True):
    """What the readers keep in a cursor. ``until`` is made by ``moment_bytes``.

    ``session`` is the session's id, ``claimed`` the keys of the model messages that it counts. ``seen`` is the format's
    own (see ``Parsed.seen``). ``scoped``: of a transcript of many sessions only some were read, by their folders.
    """

    version: int = VERSION
    until: bytes = bytes(8)
    session: str = ""
    claimed: bytes = b""
    checkpoints: tuple[Checkpoint, ...] = ()
    seen: bytes = b""
    scoped: bool = False


class ResumePoint(msgspec.Struct, frozen=True, array_like=True):
    """Where a file can be read on, and with what: ``lines`` were read, the last of them ends in the bytes of the hash.

    ``reader`` is the format's own. It is kept apart from the cursor, since a cursor is read in every import.
    """

    version: int
    lines: int
    tail_hash: str
    limits: Limits
    reader: bytes


_SECONDS = Struct(">Q")
_MOMENT = 4
_decoder = msgspec.msgpack.Decoder(FileState)
_points = msgspec.msgpack.Decoder(ResumePoint)
_encoder = msgspec.msgpack.Encoder()


def encode_state(state: FileState) -> bytes:
    return _encoder.encode(state)


def decode_state(data: bytes) -> FileState:
    """The decoded state, or an empty one where another version of the readers wrote it."""
    try:
        state = _decoder.decode(data)
    except msgspec.DecodeError:
        return FileState(version=0)
    return state if state.version == VERSION else FileState(version=0)


def encode_resume_point(point: ResumePoint) -> bytes:
    return _encoder.encode(point)


def resume_point(data: bytes, known: TranscriptFile | None, now: FileStat, limits: Limits) -> ResumePoint | None:
    """Where to read on in a file; None where it is to be read from its first line. Its tail is still to be compared."""
    if not data or known is None or known.inode != now.inode or known.size > now.size or known.mtime_ns > now.mtime_ns:
        return None
    try:
        point = _points.decode(data)
    except msgspec.DecodeError:
        return None
    return point if point.version == VERSION and point.limits == limits else None


def moment_bytes(moment: datetime | None) -> bytes:
    """A moment as eight bytes: its seconds since 1970, or 0 for none."""
    return _SECONDS.pack(max(int(moment.timestamp()), 0) if moment is not None else 0)


# The next two are called for every unchanged file, so they look at the bytes: the array's header comes first, then the
# version, then the header of the moment and its eight bytes.


def is_current(data: bytes) -> bool:
    """Whether this version of the readers wrote the state."""
    return len(data) >= _MOMENT + 8 and data[1] == VERSION


def is_over(data: bytes, now: float) -> bool:
    """Whether the file must be read once more, since time has passed. ``now`` is in seconds since 1970."""
    seconds = int(_SECONDS.unpack_from(data, _MOMENT)[0])
    return 0 < seconds <= now
