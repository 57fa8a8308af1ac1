"""Redaction of exported rows, with counts of the findings by column and kind."""

import os
from collections import Counter
from collections.abc import Iterable

from acode_tui.domain.entities import Entity
from acode_tui.domain.redaction import RowRedactor
from acode_tui.domain.schema import TABLES


class RowRedaction(RowRedactor):
    """Redacts rows, one after the other, and counts the findings by column."""

    def __init__(self, patterns: Iterable[str] = (), *, homes: Iterable[str] | None = None) -> None:
        super().__init__(patterns, homes=(os.path.expanduser("~"),) if homes is None else homes)
        self._places: dict[tuple[str, str], Counter[str]] = {}

    @property
    def kinds(self) -> dict[str, int]:
        """How many of each kind were found."""
        return dict(sorted(sum(self._places.values(), Counter()).items()))

    @property
    def places(self) -> dict[str, dict[str, int]]:
        """The number of each kind by column, written ``table.column``."""
        found = {f"{table}.{name}": dict(sorted(counts.items())) for (table, name), counts in self._places.items()}
        return {place: counts for place, counts in sorted(found.items()) if counts}

    def _begin(self, entity: Entity, column: str) -> None:
        place = (TABLES[entity.kind].name, column)
        counts = self._places.get(place)
        if counts is None:
            counts = self._places[place] = Counter()
        self._redactor.counts = counts
