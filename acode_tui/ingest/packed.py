"""Transcripts that an agent has compressed: zstd streams of the same lines."""

import errno
import sys
from collections.abc import Callable
from typing import BinaryIO, cast

PACKED_SUFFIX = ".zst"
MAX_UNPACKED_BYTES = 4 * 1024 * 1024 * 1024
"""So many bytes are read at most: a small file may unpack to any size."""


class Unpacked:
    """The plain bytes of an open compressed file, up to where its stream is damaged or cut; ``damage`` says so."""

    def __init__(self, source: BinaryIO) -> None:
        # Loaded here: few imports need it.
        if sys.version_info >= (3, 14):
            from compression.zstd import ZstdError, ZstdFile
        else:
            from backports.zstd import ZstdError, ZstdFile
        # Returns what there is before it fails, which ``read`` does not.
        self._read = cast(Callable[[int], bytes], ZstdFile(source).read1)
        self._errors: tuple[type[Exception], ...] = (ZstdError, EOFError)
        self._is_begun = False
        self.damage = ""

    def read(self, size: int) -> bytes:
        """At most so many bytes; fewer at the end. Raises OSError where damage leaves no byte at all."""
        pieces = []
        while size > 0 and not self.damage:
            try:
                piece = self._read(size)
            except self._errors as error:
                self.damage = f"the rest is lost: a damaged or cut zstd stream ({error})"
                if not self._is_begun:
                    raise OSError(errno.EIO, f"a damaged or cut zstd stream ({error})") from error
                break
            if not piece:
                break
            self._is_begun = True
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)
