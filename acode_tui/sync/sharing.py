"""How a worker shares the server's connections with a thousand others: when it gives its own back, when it asks again.

A server has some hundred connections, a company more laptops than that, and few of them have something to send at any
moment. All waits are jittered, so that laptops that began together do not go on together.
"""

from datetime import datetime, timedelta

from acode_tui.storage.delivery_protocol import Fault
from acode_tui.sync.classify import Random, is_full, probe_delay

LINGER_SECONDS = 3.0
"""How long a connection is kept for the next commit of an agent that is at work, on average."""

HOLD_SECONDS = 60.0
"""How long one is kept at most, on average, by a worker that always has something to send: others wait perhaps."""

PATIENCE_SECONDS = 20.0
"""How long a sync that a person asked for waits for a free connection before it gives up."""

_FULL_FLOOR, _FULL_CEILING = 2.0, 20.0
"""Longest first and longest later wait for a free connection, in seconds."""


def linger_seconds(*, moved_nothing: bool, age: float, random: Random) -> float:
    """Seconds to keep an idle connection that has been open for ``age`` seconds after a round.

    0 after a round that moved nothing: the next one is an interval away, unless an agent begins.
    """
    jitter = 0.75 + random() / 2
    if moved_nothing or age > HOLD_SECONDS * jitter:
        return 0.0
    return LINGER_SECONDS * jitter


def full_delay(failures: int, *, interval_seconds: float, random: Random) -> float:
    """Seconds until a server without a free connection is asked again, after ``failures`` (from 1) in a row."""
    ceiling = min(interval_seconds, _FULL_CEILING)
    return probe_delay(failures, interval_seconds=ceiling, random=random, floor_seconds=_FULL_FLOOR)


class Patience:
    """How long one request waits for a free connection."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._failures = 0
        self._until: datetime | None = None

    def next_wait(self, fault: Fault, now: datetime) -> float | None:
        """Seconds to wait before trying again after a fault; None where waiting does not help, or for too long."""
        if not is_full(fault):
            return None
        self._until = self._until or now + timedelta(seconds=PATIENCE_SECONDS)
        if now >= self._until:
            return None
        self._failures += 1
        return full_delay(self._failures, interval_seconds=_FULL_CEILING / 4, random=self._random)
