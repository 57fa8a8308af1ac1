"""The state of a tier's schema, and what a run of its migrations did."""

from datetime import datetime
from typing import Literal

import msgspec

Tier = Literal["sqlite", "postgres"]


class SchemaStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A tier's schema: the version it is at, the version that this program needs, and the migrations in between.

    ``description`` and ``applied_at`` are those of the migration that was applied last.
    """

    tier: Tier
    version: str | None
    target: str
    pending: tuple[str, ...] = ()
    description: str = ""
    applied_at: datetime | None = None


class AppliedMigration(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A row of ``schema_migrations``; ``duration_ms`` in milliseconds."""

    version: str
    description: str
    checksum: str
    duration_ms: int = 0


class TierMigrations(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a run did, or would do, to one tier: the JSON of ``db migrate``."""

    tier: Tier
    from_version: str | None = msgspec.field(name="from", default=None)
    to_version: str | None = msgspec.field(name="to", default=None)
    applied: tuple[AppliedMigration, ...] = ()
    pending: tuple[str, ...] = ()
