"""A wall clock for tests, which the test sets, forward or back, and how long a test waits before it counts as hung."""

from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
GUARD_SECONDS = 60.0
"""Real seconds after which what a test waits for counts as hung: far more than a loaded machine needs."""


class TurnedClock:
    """A clock that shows the moment the test has set."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **amount: float) -> datetime:
        """Move by ``timedelta(**amount)``, forward or back; returns the new time."""
        self.now += timedelta(**amount)
        return self.now
