"""Transcripts that an agent has compressed: zstd streams of the same lines."""

import sys
from collections.abc import Callable
from typing import BinaryIO, cast

PACKED_SUFFIX = ".zst"
MAX_UNPACKED_BYTES = 4 * 1024 * 1024 * 1024
"""So many bytes are read at most: a small file may unpack to any size."""


class Unpacked:
    """The plain bytes of an open compressed file. ``read`` raises OSError where the stream is damaged or cut."""

    def __init__(self, source: BinaryIO) -> None:
        # Loaded here: few imports need it.
        if sys.version_info >= (3, 14):
            from compression.zstd import ZstdError, ZstdFile
        else:
            from backports.zstd import ZstdError, ZstdFile
        self._read = cast(Callable[[int], bytes], ZstdFile(source).read)
        self._errors: tuple[type[Exception], ...] = (ZstdError, EOFError)

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        try:
            return self._read(size)
        except self._errors as error:
            raise OSError(f"a damaged or cut zstd stream ({error})") from error
