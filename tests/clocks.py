"""A wall clock for tests: the test sets it, forward or back."""

from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


class TurnedClock:
    """Answers the moment that the test has set it to."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **amount: float) -> datetime:
        """Move by ``timedelta(**amount)``, forward or back; answers the new time."""
        self.now += timedelta(**amount)
        return self.now
