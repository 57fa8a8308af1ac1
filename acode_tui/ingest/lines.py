"""Whole lines of a growing file: an unterminated tail is never handed out, and memory stays bounded by one line."""

from collections.abc import Iterator
from typing import BinaryIO

CHUNK_BYTES = 256 * 1024
MAX_LINE_BYTES = 256 * 1024 * 1024
"""A longer line is no record of a transcript; it is passed over and handed out as None."""


class WholeLines:
    """Iterates over ``(number, line)`` up to ``size`` bytes; ``offset`` is the byte after the last whole line.

    Lines come without their newline. ``size`` is taken from the same stat as the cursor's, so that what is
    appended while reading is seen as growth the next time.
    """

    def __init__(self, source: BinaryIO, size: int, *, max_line: int = MAX_LINE_BYTES) -> None:
        self.offset = 0
        self.number = 0
        self._source = source
        self._left = size
        self._max_line = max_line

    def __iter__(self) -> Iterator[tuple[int, bytes | None]]:
        pieces: list[bytes] = []
        held = 0
        too_long = False
        while self._left > 0:
            chunk = self._source.read(min(CHUNK_BYTES, self._left))
            if not chunk:
                return
            self._left -= len(chunk)
            lines = chunk.split(b"\n")
            if len(lines) > 1:
                pieces.append(lines[0])
                lines[0] = b"".join(pieces)
                pieces = []
                for line in lines[:-1]:
                    self.number += 1
                    if too_long:
                        self.offset += held + len(line) + 1
                        too_long = False
                        yield self.number, None
                    else:
                        self.offset += len(line) + 1
                        yield self.number, line if len(line) <= self._max_line else None
                held = 0
            held += len(lines[-1])
            if held > self._max_line:
                too_long = True
                pieces = []
                continue
            pieces.append(lines[-1])
        return
