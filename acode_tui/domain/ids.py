"""Ids: UUIDv7 for recorded entities, UUIDv5 of (source, native id) for imported ones.

An imported entity has the same id on every machine and in every import, so imports converge.
"""

import hashlib
import uuid
from datetime import datetime

import uuid_utils

from acode_tui.domain.clock import format_time
from acode_tui.domain.states import EntityType

IMPORT_NAMESPACE = uuid.UUID("6f2b1c52-93d5-5c0e-9d0a-3f0f4c1f7a11")
"""Must never change: another namespace would duplicate every imported run."""

_NAMESPACE = uuid_utils.UUID(str(IMPORT_NAMESPACE))
_SEPARATOR = "\x1f"


def new_id() -> str:
    """A new UUIDv7: unique, and ordered by creation time."""
    return str(uuid_utils.uuid7())


def imported_id(source: str, *native: str) -> str:
    """The UUIDv5 of a source's name and a native id, preceded by its parents' ids if it is not unique on its own.

    Lone surrogates are allowed in it.
    """
    return ImportedIds(source).id(*native)


class ImportedIds:
    """``ImportedIds(source, *parents).id(*native)`` equals ``imported_id(source, *parents, *native)``.

    An import makes thousands of ids below one session, whose own part is joined once.
    """

    __slots__ = ("_shared",)

    def __init__(self, source: str, *parents: str) -> None:
        self._shared = _SEPARATOR.join((source, *parents))

    def id(self, *native: str) -> str:
        name = _SEPARATOR.join((self._shared, *native))
        try:
            return str(uuid_utils.uuid5(_NAMESPACE, name))
        except (UnicodeEncodeError, TypeError):
            # Releases of the library differ in which of the two they raise for a lone surrogate.
            return _uuid5(name.encode("utf-8", "surrogatepass"))


def _uuid5(name: bytes) -> str:
    """A UUIDv5 of bytes that are not UTF-8. A UUIDv5 is made with SHA-1; nothing here is a secret."""
    value = hashlib.sha1(IMPORT_NAMESPACE.bytes + name, usedforsecurity=False).digest()[:16]
    return str(uuid.UUID(bytes=value, version=5))


def idempotency_key(kind: EntityType, entity_id: str, updated_at: datetime) -> str:
    """The key of one write of one entity: ``entity_type:entity_id:updated_at``."""
    return f"{kind.value}:{entity_id}:{format_time(updated_at)}"
