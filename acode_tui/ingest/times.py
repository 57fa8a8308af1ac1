"""Reading the stamps of transcripts: an aware moment, or None where the text names none that can be trusted."""

from datetime import UTC, datetime
from typing import Any

from acode_tui.domain.clock import EPOCH

LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""Stamps beyond are taken for garbage: one of them would push the workspace's clock ahead for good."""


def parse_stamp(value: Any) -> datetime | None:
    """The moment that an ISO-8601 text with a zone names; None for anything else, naive texts too."""
    if type(value) is not str or len(value) > 40:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not UTC:
            if moment.tzinfo is None:
                return None
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if EPOCH <= moment < LATEST else None
