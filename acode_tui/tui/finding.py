"""Finding text in a document, over all of its parts: where it stands, and which place is the next one. Pure."""

from dataclasses import dataclass

from acode_tui.domain.display import clean
from acode_tui.tui.run.document import Document

MAX_PLACES = 20_000

Place = tuple[int, int]
"""A part and a line in it, both from 0."""


@dataclass(slots=True)
class Found:
    """The lines that hold a text in letters of either case. ``at`` is the one looked at, None before the first."""

    needle: str
    places: list[Place]
    at: int | None = None

    def step(self, direction: int, here: Place) -> Place | None:
        """The next place in a direction, around the ends; at first the next one from ``here``."""
        if not self.places:
            return None
        if self.at is None:
            later = next((index for index, place in enumerate(self.places) if place >= here), 0)
            self.at = later if direction > 0 else (later - 1) % len(self.places)
        else:
            self.at = (self.at + direction) % len(self.places)
        return self.places[self.at]

    @property
    def place(self) -> Place | None:
        """Where one is."""
        return self.places[self.at] if self.at is not None else None

    @property
    def told(self) -> str:
        """``3 of 17``."""
        many = f"{len(self.places):,}" + ("+" if len(self.places) == MAX_PLACES else "")
        return f"{(self.at or 0) + 1:,} of {many}" if self.places else "none"


def find(document: Document, needle: str) -> Found:
    """Every line that holds the text, as it is shown. Meant for a worker thread."""
    wanted = needle.casefold()
    places = [
        (part, line)
        for part, stretch in enumerate(document.parts)
        for line, shown in enumerate(clean(stretch.text, keep_newlines=True).split("\n"))
        if wanted in shown.casefold()
    ]
    return Found(needle, places[:MAX_PLACES])
