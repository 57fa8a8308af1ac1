"""How long to wait. Pure: randomness comes in as a function that answers a number from 0 up to, not including, 1.

Two clocks of failure: a refused record waits longer each time, and its wait is persisted; an unreachable target is
probed with full jitter, so that a fleet whose server returns does not knock all at once.
"""

from collections.abc import Callable

Random = Callable[[], float]

MAX_JITTER = 0.3
PROBE_FLOOR_SECONDS = 5.0
"""Longest first wait before an unreachable target is tried again, in seconds."""


def record_delay(
    failures: int,
    *,
    initial_seconds: float = 5.0,
    max_seconds: float = 3600.0,
    jitter: float = 0.0,
    random: Random | None = None,
) -> float:
    """Seconds to wait after a record's nth refusal: min(initial * 2^(n-1), max), up to ``jitter`` of it on top.

    ``failures`` counts from 1. The jitter (0 to 0.3) is added last, so that records at the limit spread as well.
    Without ``random`` there is none. Raises ValueError outside these ranges.
    """
    if failures < 1:
        raise ValueError("failures counts from 1")
    if not 0 <= jitter <= MAX_JITTER:
        raise ValueError(f"jitter is a share from 0 to {MAX_JITTER}")
    # 2.0**1024 overflows; the limit is reached long before.
    delay = min(initial_seconds * 2.0 ** min(failures - 1, 1000), max_seconds)
    if random is None:
        return delay
    return delay * (1 + jitter * random())


def probe_delay(failures: int, *, interval_seconds: float, random: Random) -> float:
    """Seconds until an unreachable target is tried again after ``failures`` (from 1) vain tries.

    Full jitter over a ceiling that doubles from 5 s to the sync interval; never under a tenth of the ceiling, so a
    run of small draws does not hammer.
    """
    if failures < 1:
        raise ValueError("failures counts from 1")
    ceiling = min(PROBE_FLOOR_SECONDS * 2.0 ** min(failures - 1, 1000), max(interval_seconds, 0.1))
    return ceiling * max(0.1, random())
