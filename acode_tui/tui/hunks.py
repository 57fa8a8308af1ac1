"""Where the lines of a unified diff stand: what each of them is, and its number in the old and in the new text. Pure.

A hunk's header says how many lines it has, so that a removed line that begins with ``--`` is told from a file's name.
What no header counts has no number: none is better than a wrong one.
"""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

Role = Literal["file", "hunk", "added", "removed", "same"]

_HEADER = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_FILE = ("+++", "---", "diff ", "index ")


class Place(NamedTuple):
    """The numbers that come next in the old and in the new text, and how many lines of each the hunk still has."""

    old: int = 0
    new: int = 0
    old_left: int = 0
    new_left: int = 0


OUTSIDE = Place()
"""Where no hunk is."""


class DiffLine(NamedTuple):
    """One line; a number is None where the line is not in that text, or where nobody knows."""

    role: Role
    old: int | None = None
    new: int | None = None


def walk(lines: Iterable[str], place: Place = OUTSIDE) -> tuple[list[DiffLine], Place]:
    """Each line of a stretch of a diff that begins at ``place``, and where the stretch ends."""
    told: list[DiffLine] = []
    old, new, old_left, new_left = place
    for line in lines:
        first = line[:1]
        if line.startswith("@@"):
            old, new, old_left, new_left = _opened(line)
            told.append(DiffLine("hunk"))
        elif not (old_left or new_left) or line.startswith("diff --git "):
            old_left = new_left = 0
            told.append(DiffLine(_role(line)))
        elif first == "+" and new_left:
            told.append(DiffLine("added", None, new))
            new, new_left = new + 1, new_left - 1
        elif first == "-" and old_left:
            told.append(DiffLine("removed", old))
            old, old_left = old + 1, old_left - 1
        elif first in ("", " ") and old_left and new_left:
            told.append(DiffLine("same", old, new))
            old, new, old_left, new_left = old + 1, new + 1, old_left - 1, new_left - 1
        elif first == "\\":
            told.append(DiffLine("same"))
        else:
            # More than the header said, or something else: from here on the numbers are anybody's guess.
            old_left = new_left = 0
            told.append(DiffLine(_role(line)))
    return told, Place(old, new, old_left, new_left)


def labels(lines: Iterable[DiffLine], width: int) -> list[str]:
    """Both numbers of each line, in columns of ``width``."""
    return [f"{_number(line.old):>{width}} {_number(line.new):>{width}}" for line in lines]


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _opened(header: str) -> Place:
    """The place that a hunk begins at; one whose header names none has no numbers."""
    found = _HEADER.match(header)
    if found is None:
        return OUTSIDE
    old, old_count, new, new_count = (int(part) if part is not None else 1 for part in found.groups())
    return Place(old, new, old_count, new_count)


def _role(line: str) -> Role:
    if line.startswith(_FILE):
        return "file"
    return "added" if line.startswith("+") else "removed" if line.startswith("-") else "same"
