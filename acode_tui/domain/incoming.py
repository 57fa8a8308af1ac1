"""Validation of rows that come from the team's database. They are input: each is checked as an API call is.

Errors name the field and what is allowed; they never quote the value.
"""

from datetime import datetime

from acode_tui.domain.clock import ALLOWED_AHEAD, WallClock, is_ahead
from acode_tui.domain.entities import Artifact, Entity
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.validation import Limits, require_order, validate_entity

MAX_NUMBER = 2**62
"""Largest ``change_seq`` and ``sync_version``. The server's columns hold twice as much, so each can be counted on."""

MAX_VALUE_BYTES = 32 * 1024 * 1024
"""Largest text or JSON value of a row that is taken over; an artifact's content has a limit of its own. A batch of this
program has about 8 MiB, so only a single value of an API call can be larger."""


class StampAheadError(ValidationError):
    """A stamp of a clock that is wrong, here or there. The row is valid once the stamp is not ahead any more."""

    def __init__(self, field: str, stamp: datetime) -> None:
        super().__init__(field, "is ahead of this machine's and the server's time by more than 5 minutes")
        self.valid_from = stamp - ALLOWED_AHEAD


GROWTH = 4
"""How many times a local limit a value from the team may have: what was hidden in it may be longer than what was there.
The shortest secret has 6 characters, the longest marker some 25."""


class IncomingRules:
    """What a row from the team's database has to fulfil; ``wall`` is this machine's clock."""

    def __init__(self, *, limits: Limits, wall: WallClock) -> None:
        """``limits`` are those of local writes."""
        self.wall = wall
        self.limits = Limits(
            max_artifact_bytes=limits.max_artifact_bytes * GROWTH,
            max_metadata_bytes=limits.max_metadata_bytes * GROWTH,
        )

    def check(self, entity: Entity, *, server_time: datetime) -> None:
        """Raise ValidationError for a row that is not valid, StampAheadError for one that is not valid yet."""
        validate_entity(entity, self.limits)
        if isinstance(entity, Artifact) and entity.tool_call_id is not None and entity.step_id is None:
            raise ValidationError("step_id", "must be that of the step above the tool call")
        if (version := getattr(entity, "sync_version", 0)) != 0:
            require_order(version, "sync_version")
            if version > MAX_NUMBER:
                raise ValidationError("sync_version", "is larger than a row's version can be")
        now = self.wall()
        for column in TABLES[entity.kind].columns:
            stamp = getattr(entity, column.name) if column.kind == "time" else None
            if stamp is not None and is_ahead(stamp, now, server_time):
                raise StampAheadError(column.name, stamp)
