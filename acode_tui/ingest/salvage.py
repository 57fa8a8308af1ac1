"""Finds the whole records in a line that is not one JSON value: spliced lines, cut records, NUL, undecodable bytes.

A crash, a full disk or two writers leave such lines. Each whole record in one is read as if it stood alone.
"""

import json
import re
from typing import Any, NamedTuple

MAX_SALVAGE_BYTES = 16 * 1024 * 1024
MAX_ATTEMPTS = 256
"""A longer line is not searched, and so many places in a line at most: each may cost as much as reading to its end."""

MAX_NUL_RUNS = 8
"""A line with more of them is not damaged: it is text in another encoding."""

_NUL_RUN = re.compile(rb"\0+")
_decode = json.JSONDecoder().raw_decode
_START = '{"'


class Salvaged(NamedTuple):
    """The whole records of a damaged line, as JSON of their own, and what was damaged about it."""

    records: tuple[bytes, ...]
    damage: str


def salvage(line: bytes) -> Salvaged:
    """The records of a line that could not be read as one; there may be none. Raises nothing."""
    if len(line) > MAX_SALVAGE_BYTES:
        return Salvaged((), "not valid JSON")
    if len(_NUL_RUN.findall(line)) > MAX_NUL_RUNS:
        return Salvaged((), "not valid JSON")
    damages = []
    text = line.decode("utf-8", "replace")
    if "\ufffd" in text and "\ufffd".encode() not in line:
        damages.append("undecodable bytes")
    if "\0" in text:
        damages.append("NUL bytes")
        text = text.replace("\0", "")
    text = text.strip()
    found, is_whole = _records(text)
    if not found:
        return Salvaged((), "not valid JSON")
    if not is_whole:
        damages.append("a cut record")
    elif len(found) > 1:
        damages.append(f"{len(found)} records on one line")
    return Salvaged(tuple(found), " and ".join(damages))


def _records(text: str) -> tuple[list[bytes], bool]:
    """The records in a text, one directly after the other, and whether nothing else is in it.

    An object counts as a record where the text or another record follows its end: most objects within a record that was
    cut do not. One that ends exactly at the cut does, for it looks like a record there, and none must be lost.
    """
    found: list[bytes] = []
    is_whole = bool(text)
    at = 0
    for _ in range(MAX_ATTEMPTS):
        start = text.find(_START, at)
        if start < 0:
            break
        end = _end_of_object(text, start)
        if end is not None and _ends_a_record(text, end):
            is_whole = is_whole and not text[at:start].strip()
            found.append(text[start:end].encode("utf-8", "surrogatepass"))
            at = end
        else:
            is_whole = False
            at = start + 1
    return found, is_whole and not text[at:].strip()


def _end_of_object(text: str, start: int) -> int | None:
    try:
        value: Any
        value, end = _decode(text, start)
    except (ValueError, RecursionError):
        return None
    return end if isinstance(value, dict) else None


def _ends_a_record(text: str, end: int) -> bool:
    rest = text[end : end + 8].lstrip()
    return not rest or rest.startswith(_START)
