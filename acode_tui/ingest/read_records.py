"""Decodes the lines of a file into records, and counts those that are none or are damaged. All formats use it."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from acode_tui.ingest.counts import SkippedLines
from acode_tui.ingest.observe import Observer, observer
from acode_tui.ingest.records import NOT_STRICT, LineDecoder, parse_any
from acode_tui.ingest.salvage import Salvaged, salvage

R = TypeVar("R", bound=msgspec.Struct)

_BOM = b"\xef\xbb\xbf"


def read_records(
    lines: Iterable[tuple[int, bytes | None]],
    decoder: LineDecoder[R],
    take: Callable[[int, bytes, R], None],
    skipped: SkippedLines | None = None,
    last_line: int = 0,
) -> tuple[SkippedLines, int]:
    """Call ``take(number, line, record)`` for every line that is a JSON object, and for each whole one in other lines.

    Returns the other lines and the number of the last line that was an object. Those of the lines before may be given.
    """
    decode, decode_strictly = decoder.decode, decoder.decode_strictly
    if (watching := observer()) is not None:
        take = _announced(take, watching)
    skipped = skipped or SkippedLines()
    for number, line in lines:
        if line is None:
            skipped.add(number, "line too long")
            continue
        if number == 1 and line.startswith(_BOM):
            line = line[len(_BOM) :]
        record: R | None
        try:
            record = decode_strictly(line)
        except NOT_STRICT:
            record = decode(line)
        if record is None:
            if not line.strip():
                skipped.blank.append(number)
                continue
            skipped.count_blank()
            damage = salvage(line) if _is_damaged(line) else Salvaged((), "not a JSON object")
            skipped.add(number, damage.damage)
            for whole in damage.records:
                record = decode(whole)
                if record is not None:
                    last_line = number
                    take(number, whole, record)
            continue
        if skipped.blank:
            skipped.count_blank()
        last_line = number
        take(number, line, record)
    if watching is not None:
        watching.end_records()
    return skipped, last_line


def one_document(lines: Iterable[tuple[int, bytes | None]]) -> tuple[dict[str, Any] | None, SkippedLines]:
    """The document of a file that holds one JSON object, None where it holds none; and what else is in the file."""
    skipped = SkippedLines()
    found: dict[str, Any] | None = None
    for number, line in lines:
        document = parse_any(line) if line is not None else None
        if found is None and isinstance(document, dict):
            found = document
        elif isinstance(document, dict):
            skipped.add(number, "a second document")
        else:
            skipped.add(number, "line too long" if line is None else "not a JSON object")
    return found, skipped


def _announced(take: Callable[[int, bytes, R], None], watching: Observer) -> Callable[[int, bytes, R], None]:
    """``take``, after an observer was told that a record begins."""

    def announce(number: int, line: bytes, record: R) -> None:
        watching.begin_record(number, line)
        take(number, line, record)

    return announce


def _is_damaged(line: bytes) -> bool:
    """Whether a line without a record is not JSON at all, rather than another JSON value."""
    return parse_any(line) is None and line.strip() != b"null"
