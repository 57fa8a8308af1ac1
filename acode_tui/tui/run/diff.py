"""A unified diff line by line: what each line is, and its line numbers in the old and in the new text. Pure."""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

LineKind = Literal["file", "hunk", "added", "removed", "context"]

_HUNK_HEADER = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_FILE_PREFIXES = ("+++", "---", "diff ", "index ")


class DiffPosition(NamedTuple):
    """The next line numbers of the old and of the new text, and how many lines of each the hunk still has."""

    old: int = 0
    new: int = 0
    old_left: int = 0
    new_left: int = 0


OUTSIDE_HUNK = DiffPosition()


class DiffLine(NamedTuple):
    """One line. A number is None where the line is not in that text, or where its number is not known."""

    kind: LineKind
    old: int | None = None
    new: int | None = None


def parse_diff(lines: Iterable[str], start: DiffPosition = OUTSIDE_HUNK) -> tuple[list[DiffLine], DiffPosition]:
    """Parse lines of a diff from a position on. Returns each line, and the position after the last one."""
    parsed: list[DiffLine] = []
    old, new, old_left, new_left = start
    for line in lines:
        first = line[:1]
        if line.startswith("@@"):
            old, new, old_left, new_left = _hunk_start(line)
            parsed.append(DiffLine("hunk"))
        elif not (old_left or new_left) or line.startswith("diff --git "):
            old_left = new_left = 0
            parsed.append(DiffLine(_kind_outside_hunk(line)))
        elif first == "+" and new_left:
            parsed.append(DiffLine("added", None, new))
            new, new_left = new + 1, new_left - 1
        elif first == "-" and old_left:
            parsed.append(DiffLine("removed", old))
            old, old_left = old + 1, old_left - 1
        elif first in ("", " ") and old_left and new_left:
            parsed.append(DiffLine("context", old, new))
            old, new, old_left, new_left = old + 1, new + 1, old_left - 1, new_left - 1
        elif first == "\\":
            parsed.append(DiffLine("context"))
        else:
            # The hunk is longer than its header says, or damaged: numbers from here on would be guesses.
            old_left = new_left = 0
            parsed.append(DiffLine(_kind_outside_hunk(line)))
    return parsed, DiffPosition(old, new, old_left, new_left)


def number_labels(lines: Iterable[DiffLine], width: int) -> list[str]:
    """The old and the new number of each line, in two columns of ``width`` characters."""
    return [f"{_number(line.old):>{width}} {_number(line.new):>{width}}" for line in lines]


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _hunk_start(header: str) -> DiffPosition:
    """The position at which a hunk begins. A header without ranges, as some agents write it, gives no numbers."""
    found = _HUNK_HEADER.match(header)
    if found is None:
        return OUTSIDE_HUNK
    old, old_count, new, new_count = (int(part) if part is not None else 1 for part in found.groups())
    return DiffPosition(old, new, old_count, new_count)


def _kind_outside_hunk(line: str) -> LineKind:
    if line.startswith(_FILE_PREFIXES):
        return "file"
    return "added" if line.startswith("+") else "removed" if line.startswith("-") else "context"
