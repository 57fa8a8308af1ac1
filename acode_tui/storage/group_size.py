"""How much goes in one transaction of long work."""


class GroupSize:
    """How many go in the next transaction: as many as take about half a second."""

    def __init__(self, first: int, most: int) -> None:
        self.size = first
        self._most = most

    def took(self, seconds: float) -> None:
        """Learn from a group of this size."""
        if seconds > 1.0:
            self.size = max(1, self.size // 2)
        elif seconds < 0.25:
            self.size = min(self._most, self.size * 2)
