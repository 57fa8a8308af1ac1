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


class Bounds:
    """The times of a file: the first in file order, the earliest, the latest, and the one that is current."""

    __slots__ = ("current", "earliest", "first", "latest")

    def __init__(self) -> None:
        self.first: datetime | None = None
        self.earliest: datetime | None = None
        self.latest: datetime | None = None
        self.current: datetime | None = None

    def see(self, at: datetime | None) -> datetime | None:
        """The line's time, or the last one before it."""
        if at is None:
            return self.current
        if self.first is None:
            self.first = self.earliest = self.latest = at
        else:
            assert self.earliest is not None
            assert self.latest is not None
            if at < self.earliest:
                self.earliest = at
            elif at > self.latest:
                self.latest = at
        self.current = at
        return at
