"""Whole lines of a growing file: a tail without a newline is never returned, and memory is bounded by one line."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Protocol

CHUNK_BYTES = 64 * 1024
MAX_LINE_BYTES = 256 * 1024 * 1024
"""A longer line is no record of a transcript; None is returned in its place."""


class Source(Protocol):
    """What lines are read from."""

    def read(self, size: int, /) -> bytes: ...


class WholeLines:
    """Iterates over ``(number, line)`` up to ``size`` bytes, each line with its newline.

    ``offset`` is the byte after the last whole line that was read, which may be ahead of the line returned last.
    ``size`` comes from the same stat as the cursor's, so that bytes appended while reading count as growth next time.
    ``tail`` is what follows the last newline, once all lines were read; None where that is too long for a line.
    """

    def __init__(
        self, source: Source, size: int, *, offset: int = 0, number: int = 0, max_line: int = MAX_LINE_BYTES
    ) -> None:
        """The source is at ``offset``, after line ``number``."""
        self.offset = offset
        self.number = number
        self.tail: bytes | None = b""
        self._source = source
        self._left = size - offset
        self._max_line = max_line

    def __iter__(self) -> Iterator[tuple[int, bytes | None]]:
        pieces: list[bytes] = []
        held = 0
        while self._left > 0:
            chunk = self._source.read(min(CHUNK_BYTES, self._left))
            if not chunk:
                break
            self._left -= len(chunk)
            # Several times faster than split(), which looks at one byte after the other.
            lines = BytesIO(chunk).readlines()
            rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
            if lines:
                if held:
                    # The end of a line that may be very long: it is joined once, and not copied again.
                    end = lines.pop(0)
                    self.number += 1
                    self.offset += held + len(end)
                    pieces.append(end)
                    fits = held + len(end) <= self._max_line + 1
                    whole = b"".join(pieces) if fits else None
                    pieces, held = [], 0
                    yield self.number, whole
                    whole = None
                first = self.number + 1
                self.number += len(lines)
                self.offset += sum(map(len, lines))
                yield from enumerate(self._fitting(lines), first)
            held += len(rest)
            if held > self._max_line:
                pieces = []
            elif rest:
                pieces.append(rest)
        self.tail = b"".join(pieces) if held <= self._max_line else None

    def _fitting(self, lines: list[bytes]) -> Sequence[bytes | None]:
        if self._max_line >= CHUNK_BYTES:
            return lines
        return [line if len(line) <= self._max_line + 1 else None for line in lines]
