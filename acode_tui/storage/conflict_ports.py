"""The audit of settled conflicts: its values and its port."""

from datetime import datetime
from typing import Literal, Protocol

import msgspec

from acode_tui.domain.states import EntityType


class Conflict(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Two versions of one row that met. Payloads are entity JSON; ``winner`` is ``local`` or ``remote``,
    as seen from the machine that found it. Both versions stay retrievable (AC-052)."""

    id: str
    session_id: str
    entity_type: EntityType
    entity_id: str
    local_payload: msgspec.Raw
    remote_payload: msgspec.Raw
    local_updated_at: datetime
    remote_updated_at: datetime
    winner: Literal["local", "remote"]
    detected_at: datetime
    reviewed_at: datetime | None = None


class ConflictCounts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``unreviewed`` counts those of ``total`` that were not marked as reviewed; ``quarantined`` are rows of the team's
    database that are kept aside because they are not valid.
    """

    total: int = 0
    unreviewed: int = 0
    quarantined: int = 0


class QuarantinedRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A row of the team's database that is kept aside, the last version seen of it: why, and the beginning of its text.

    ``change_seq`` is the number that the team's database gave that version.
    """

    entity_type: EntityType
    entity_id: str
    session_id: str
    change_seq: int
    reason: str
    seen_at: datetime
    excerpt: str


class ConflictLog(Protocol):
    """The audit of settled conflicts. No conflict is ever deleted from it."""

    async def counts(self) -> ConflictCounts: ...

    async def list(
        self, *, unreviewed_only: bool = False, limit: int = 100, after: Conflict | None = None
    ) -> tuple[Conflict, ...]:
        """Newest first; ``after`` is the conflict that the page before ended with."""
        ...

    async def get(self, conflict_id: str) -> Conflict:
        """By id or unique prefix."""
        ...

    async def mark_reviewed(self, conflict_id: str) -> Conflict: ...

    async def quarantined(self, *, limit: int = 100) -> tuple[QuarantinedRow, ...]:
        """Rows of the team's database that are kept aside, the last seen first."""
        ...

    async def take_other(self, conflict_id: str) -> Conflict:
        """Make the losing version win: a new local write of it, later than both, marked reviewed."""
        ...
