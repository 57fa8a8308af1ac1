"""Find in a document: the lines that contain a text, and stepping from one to the next."""

from dataclasses import dataclass
from typing import NamedTuple

from acode_tui.domain.display import clean
from acode_tui.domain.quantities import number
from acode_tui.tui.run.document import Document

MAX_MATCHES = 20_000


class Match(NamedTuple):
    """A line that contains the text: the part of the document and the line in it, both from 0."""

    part: int
    line: int


@dataclass(slots=True)
class Matches:
    """The lines that contain ``needle``, ignoring case. ``index`` is the selected match, None before the first step."""

    needle: str
    lines: list[Match]
    index: int | None = None

    def step(self, direction: int, start: Match) -> Match | None:
        """Select the next match (1) or the previous one (-1), wrapping around. The first step searches from ``start``.

        None if there is no match.
        """
        if not self.lines:
            return None
        if self.index is None:
            later = next((index for index, match in enumerate(self.lines) if match >= start), 0)
            self.index = later if direction > 0 else (later - 1) % len(self.lines)
        else:
            self.index = (self.index + direction) % len(self.lines)
        return self.lines[self.index]

    @property
    def selected(self) -> Match | None:
        return self.lines[self.index] if self.index is not None else None

    @property
    def position(self) -> str:
        """``3 of 17``, or ``none``."""
        count = f"{number(len(self.lines))}" + ("+" if len(self.lines) == MAX_MATCHES else "")
        return f"{number((self.index or 0) + 1)} of {count}" if self.lines else "none"


def find_matches(document: Document, needle: str) -> Matches:
    """Search all parts of a document, as they are shown. Slow for long texts: call it in a worker thread."""
    wanted = needle.casefold()
    lines = [
        Match(part, line)
        for part, stretch in enumerate(document.parts)
        for line, shown in enumerate(clean(stretch.text, keep_newlines=True).split("\n"))
        if wanted in shown.casefold()
    ]
    return Matches(needle, lines[:MAX_MATCHES])
