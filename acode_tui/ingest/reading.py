"""The loop that every line-based format shares: decode, count what is no record, mind the time and the checkpoints."""

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

import msgspec

from acode_tui.ingest.records import LineDecoder, parse_any
from acode_tui.ingest.registry import SkippedLines

R = TypeVar("R", bound=msgspec.Struct)

_BOM = b"\xef\xbb\xbf"


class RecordLines(Generic[R]):
    """Iterates over ``(number, line, record)``; lines that are no JSON object go to ``skipped``."""

    def __init__(self, lines: Iterable[tuple[int, bytes | None]], decoder: LineDecoder[R]) -> None:
        self.skipped = SkippedLines()
        self.last_line = 0
        self._lines = lines
        self._decoder = decoder

    def __iter__(self) -> Iterator[tuple[int, bytes, R]]:
        decode = self._decoder.decode
        skipped = self.skipped
        for number, line in self._lines:
            if line is None:
                skipped.add(number, "line too long")
                continue
            if number == 1 and line.startswith(_BOM):
                line = line[len(_BOM) :]
            record = decode(line)
            if record is None:
                if not line.strip():
                    skipped.blank.append(number)
                    continue
                skipped.settle_blank()
                skipped.add(number, _why(line))
                continue
            if skipped.blank:
                skipped.settle_blank()
            self.last_line = number
            yield number, line, record


def _why(line: bytes) -> str:
    value = parse_any(line)
    if value is None and line.strip() != b"null":
        return "not valid JSON"
    return "not a JSON object"
