"""The order in which sessions are read: a session that was forked or resumed comes before what repeats it."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from acode_tui.ingest.times import parse_stamp

PEEK_BYTES = 64 * 1024
_STAMP = re.compile(rb'"timestamp"\s*:\s*"([^"\\]{10,40})"')
_LAST = "9999"


def reading_order(path: Path) -> tuple[str, str, str]:
    """First and last stamp near the file's ends, and its name. A file without stamps, or unreadable, comes last.

    A fork begins with the very lines of its origin, so their first stamps are equal and the last ones decide.
    """
    try:
        with open(path, "rb") as source:
            head = source.read(PEEK_BYTES)
            size = os.fstat(source.fileno()).st_size
            source.seek(max(size - PEEK_BYTES, 0))
            tail = source.read(PEEK_BYTES)
    except OSError:
        return (_LAST, _LAST, path.name)
    first = _first_of(_STAMP.findall(head))
    last = _first_of(reversed(_STAMP.findall(tail)))
    return (first, last, path.name)


def _first_of(stamps: Iterable[bytes]) -> str:
    for stamp in stamps:
        moment = parse_stamp(stamp.decode("ascii", "replace"))
        if moment is not None:
            return moment.isoformat()
    return _LAST
