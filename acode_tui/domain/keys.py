"""Idempotency keys: unique because an entity's ``updated_at`` rises strictly (AC-044)."""

from datetime import datetime

from acode_tui.domain.states import EntityType
from acode_tui.domain.times import format_time


def idempotency_key(kind: EntityType, entity_id: str, updated_at: datetime) -> str:
    """The key of one write of one entity: ``entity_type:entity_id:updated_at``."""
    return f"{kind.value}:{entity_id}:{format_time(updated_at)}"
