"""Redaction of whole rows: every text, JSON and content column.

An artifact whose content changes gets the hash and size of its new content. The hash of the old content is left out: it
would confirm a guess at a short secret.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from acode_tui.domain.codec import digest, normal_form
from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES
from acode_tui.domain.validation import MAX_DESCRIPTION_CHARS

E = TypeVar("E", bound=Entity)
Redact = Callable[[E], E]
"""A function from a row to the row with secrets of known shapes hidden; the same object where it has none."""


def unchanged(entity: E) -> E:
    """Redacts nothing."""
    return entity


_EXEMPT = ("content_hash", "content_type")

TEAM_KEEPS = ("user_id",)
"""Columns of a row for the team that are not searched: whose run it is has to be readable, and is often an address."""


class RowRedactor:
    """Redacts rows, one after the other."""

    def __init__(self, patterns: Iterable[str] = (), *, homes: Iterable[str], keeps: Iterable[str] = ()) -> None:
        """``homes`` are home directories that no rule recognizes; ``keeps`` are columns that stay as they are."""
        # Here, not above: the sync's modules are loaded by processes that send nothing.
        from acode_tui.domain.secrets.patterns import custom_patterns
        from acode_tui.domain.secrets.redactor import Redactor

        self._redactor = Redactor(homes=homes, patterns=custom_patterns(tuple(patterns)))
        exempt = {*_EXEMPT, *keeps}
        work: dict[str, Callable[[Any], Any]] = {
            "text": self._redactor.text,
            "json": self._redactor.json,
            "bytes": self._redactor.content,
        }
        self._columns = {
            kind: tuple(
                (column.name, work[column.kind])
                for column in table.columns
                if column.kind in work and column.name not in exempt
            )
            for kind, table in TABLES.items()
        }

    def row(self, entity: E) -> E:
        """The row with secrets of known shapes hidden; the same object where it has none."""
        changes: dict[str, Any] = {}
        for name, redact in self._columns[entity.kind]:
            value = getattr(entity, name)
            if value is None:
                continue
            self._begin(entity, name)
            redacted = redact(value)
            if redacted is not value and redacted != value:
                changes[name] = redacted
        if "content" in changes:
            changes |= {"content_hash": digest(changes["content"]), "size": len(changes["content"])}
        if "task_description" in changes:
            # A marker may be longer than the text that it replaces.
            changes["task_description"] = changes["task_description"][:MAX_DESCRIPTION_CHARS]
        return msgspec.structs.replace(entity, **changes) if changes else entity

    def _begin(self, entity: Entity, column: str) -> None:
        """Called before a column is redacted."""


def keep_hidden_text(local: E, remote: E, redact: Redact[E]) -> E:
    """The remote version of a row, with the local text of each column that the remote one is the redacted form of.

    What was hidden on its way to the team is not lost here when the row comes back.
    """
    hidden = redact(local)
    if hidden is local:
        return remote
    changes = {}
    for column in TABLES[local.kind].columns:
        ours, sent = getattr(local, column.name), getattr(hidden, column.name)
        if ours is not sent and normal_form(sent) == normal_form(getattr(remote, column.name)):
            changes[column.name] = ours
    return msgspec.structs.replace(remote, **changes) if changes else remote
