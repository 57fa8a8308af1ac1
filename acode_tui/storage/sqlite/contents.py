"""How an artifact's content is stored: compressed where that saves space, else as it is.

A stored value that is shorter than the row's ``size`` is a zlib stream; so no column says which it is, and a reader
without this program can tell as well: SQLite's own ``sqlar_uncompress(content, size)`` reads the same form.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, cast

from acode_tui.domain.codec import digest
from acode_tui.domain.errors import IntegrityError

LEVEL = 1
"""A fast level: over recorded texts zlib's default takes three times as long and leaves a tenth less."""

MIN_BYTES = 256
"""Content below this is stored as it is: compressing it saves less than a row's other columns vary by."""


MAX_BYTES = 512 * 1024 * 1024
"""The largest content that can be configured. A foreign file's row may state any size, and take as much memory."""


class _Library(NamedTuple):
    compress: Callable[[bytes, int], bytes]
    decompressor: Callable[[], Any]
    error: type[Exception]


@cache
def _zlib() -> _Library:
    """What makes and reads zlib streams: ISA-L, and Python's own module where there is none for the machine.

    ISA-L takes a third of the time to compress and half of it to decompress, and either reads the other's streams.
    It is imported when the first content is stored or read: that takes three milliseconds.
    """
    try:
        from isal import isal_zlib
    except ImportError:
        import zlib

        return _Library(zlib.compress, zlib.decompressobj, zlib.error)
    # Its stubs call the class of its errors an error.
    return _Library(isal_zlib.compress, isal_zlib.decompressobj, cast(type[Exception], isal_zlib.error))


def pack(content: bytes) -> bytes:
    """The value to store: a zlib stream where that is shorter than the content."""
    if len(content) < MIN_BYTES:
        return content
    packed = _zlib().compress(content, LEVEL)
    return packed if len(packed) < len(content) else content


def unpack(stored: bytes, size: int) -> bytes:
    """The content of a stored value whose row says that it has ``size`` bytes. Raises IntegrityError.

    A damaged stream takes no more memory than the content would: inflating stops one byte behind ``size``.
    """
    if len(stored) >= size:
        return stored
    if size > MAX_BYTES:
        raise IntegrityError("an artifact's content is damaged: its row states a size that no content has")
    library = _zlib()
    try:
        stream = library.decompressor()
        content: bytes = stream.decompress(stored, size + 1)
    except library.error as error:
        raise IntegrityError("an artifact's content is damaged: it cannot be decompressed") from error
    if len(content) != size or not stream.eof:
        raise IntegrityError("an artifact's content is damaged: it does not have the size that its row states")
    return content


def beginning(stored: bytes, size: int, stored_size: int, limit: int) -> bytes:
    """The first ``limit`` bytes of a content, or what can be read of them; ``stored`` is the beginning of its value.

    A value is at most a few bytes a block longer than the content that it begins with.
    """
    if stored_size >= size:
        return stored[:limit]
    library = _zlib()
    try:
        content: bytes = library.decompressor().decompress(stored, limit)
    except library.error:
        # Damaged: the check of the artifacts says so, and what reads the content itself.
        return b""
    return content


def verified(artifact_id: str, stored: bytes, size: int, content_hash: str) -> bytes:
    """The content of an artifact's row, compared with its hash. Raises IntegrityError, which names the artifact."""
    wrong = f"the content of artifact {artifact_id} does not match its hash"
    try:
        content = unpack(stored, size)
    except IntegrityError as error:
        raise IntegrityError(wrong) from error
    if digest(content) != content_hash:
        raise IntegrityError(wrong)
    return content
