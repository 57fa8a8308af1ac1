"""How many records go into one batch: more over a long way, fewer where the server's own time limit ends one."""

FIRST_SIZE = 500
"""Records in a batch to a server near by: larger ones are no faster there."""

MOST_TIMES = 10
"""How many times as large a batch grows over a long way."""

NEAR_SECONDS = 0.005
"""A round trip up to which a server is near by. A batch takes three, so that at 50 ms they are half of its time at 500
records, and a tenth at 5,000."""

SLOW_SECONDS = 15.0
"""A batch that takes longer than this is too large for the network or the server, and the next one is half as large."""


class BatchSize:
    """The size of the next batch. What was learned lasts for as long as the worker."""

    def __init__(self) -> None:
        self._limit: int | None = None

    def next(self, allowed: int, round_trip: float | None) -> int:
        """Records in the next batch, at most ``allowed``; ``round_trip`` in seconds, None if it is not known."""
        times = max(1.0, min((round_trip or 0.0) / NEAR_SECONDS, MOST_TIMES))
        size = min(allowed, round(FIRST_SIZE * times))
        return size if self._limit is None else min(size, self._limit)

    def took(self, records: int, seconds: float) -> None:
        """A batch was applied. After one in good time the next may be twice as large."""
        if seconds > SLOW_SECONDS:
            self.timed_out(records)
        elif self._limit is not None and records >= self._limit:
            self._limit = 2 * records if records < FIRST_SIZE * MOST_TIMES else None

    def timed_out(self, records: int) -> None:
        """A batch was ended by a time limit: the next one has half as many records."""
        self._limit = max(1, records // 2)

    def reset(self) -> None:
        """Forget what was learned from batches."""
        self._limit = None
