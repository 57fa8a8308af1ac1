"""Redaction of whole rows: every text, JSON and content column, with counts by place and kind.

An artifact whose content changes gets the hash and size of its new content. The hash of the old content is left out: it
would confirm a guess at a short secret.
"""

import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from acode_tui.domain.codec import digest
from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES
from acode_tui.domain.secrets.patterns import custom_patterns
from acode_tui.domain.secrets.redactor import Redactor
from acode_tui.domain.validation import MAX_DESCRIPTION_CHARS

_EXEMPT = {"content_hash", "content_type"}
_COLUMNS = {
    kind: tuple(
        (column.name, column.kind)
        for column in table.columns
        if column.kind in ("text", "json", "bytes") and column.name not in _EXEMPT
    )
    for kind, table in TABLES.items()
}


class RowRedaction:
    """Redacts rows, one after the other, and counts the findings by column."""

    def __init__(self, patterns: Iterable[str] = (), *, homes: Iterable[str] | None = None) -> None:
        known = (os.path.expanduser("~"),) if homes is None else homes
        self._redactor = Redactor(homes=known, patterns=custom_patterns(tuple(patterns)))
        self._places: dict[tuple[str, str], Counter[str]] = {}

    def row(self, entity: Entity) -> Entity:
        """The row with secrets of known shapes hidden; the same object where it has none."""
        changes: dict[str, Any] = {}
        for name, kind in _COLUMNS[entity.kind]:
            value = getattr(entity, name)
            if value is None:
                continue
            self._redactor.counts = self._place(TABLES[entity.kind].name, name)
            redacted = self._value(kind, value)
            if redacted is not value and redacted != value:
                changes[name] = redacted
        if "content" in changes:
            changes |= {"content_hash": digest(changes["content"]), "size": len(changes["content"])}
        if "task_description" in changes:
            # A marker may be longer than the text that it replaces.
            changes["task_description"] = changes["task_description"][:MAX_DESCRIPTION_CHARS]
        return msgspec.structs.replace(entity, **changes) if changes else entity

    @property
    def kinds(self) -> dict[str, int]:
        """How many of each kind were found."""
        return dict(sorted(sum(self._places.values(), Counter()).items()))

    @property
    def places(self) -> dict[str, dict[str, int]]:
        """The number of each kind by column, written ``table.column``."""
        found = {f"{table}.{name}": dict(sorted(counts.items())) for (table, name), counts in self._places.items()}
        return {place: counts for place, counts in sorted(found.items()) if counts}

    def _place(self, table: str, name: str) -> Counter[str]:
        counts = self._places.get((table, name))
        if counts is None:
            counts = self._places[table, name] = Counter()
        return counts

    def _value(self, kind: str, value: Any) -> Any:
        if kind == "text":
            return self._redactor.text(value)
        return self._redactor.json(value) if kind == "json" else self._redactor.content(value)
