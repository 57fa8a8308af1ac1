"""Whole lines of a growing file: an unterminated tail is never handed out, and memory stays bounded by one line."""

from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

CHUNK_BYTES = 64 * 1024
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
            # Several times as quick as split(), which looks at one byte after the other.
            lines = BytesIO(chunk).readlines()
            rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
            if lines:
                pieces.append(lines[0])
                lines[0] = b"".join(pieces)
                pieces = []
                for line in lines:
                    self.number += 1
                    if too_long:
                        self.offset += held + len(line)
                        too_long = False
                        yield self.number, None
                    else:
                        self.offset += len(line)
                        yield self.number, line[:-1] if len(line) <= self._max_line + 1 else None
                held = 0
            held += len(rest)
            if held > self._max_line:
                too_long = True
                pieces = []
                continue
            pieces.append(rest)
