"""Ids: UUIDv7 for recorded entities, UUIDv5 of (source, native id) for imported ones.

An imported entity has the same id on every machine and in every import, so imports converge.
"""

import uuid
from datetime import datetime

import uuid_utils

from acode_tui.domain.clock import format_time
from acode_tui.domain.states import EntityType

IMPORT_NAMESPACE = uuid.UUID("6f2b1c52-93d5-5c0e-9d0a-3f0f4c1f7a11")
"""Must never change: another namespace would duplicate every imported run."""


def new_id() -> str:
    """A new UUIDv7: unique, and ordered by creation time."""
    return str(uuid_utils.uuid7())


def imported_id(source: str, *native: str) -> str:
    """The UUIDv5 of a source's name and a native id, preceded by its parents' ids if it is not unique on its own."""
    return str(uuid.uuid5(IMPORT_NAMESPACE, "\x1f".join((source, *native))))


def idempotency_key(kind: EntityType, entity_id: str, updated_at: datetime) -> str:
    """The key of one write of one entity: ``entity_type:entity_id:updated_at``."""
    return f"{kind.value}:{entity_id}:{format_time(updated_at)}"
