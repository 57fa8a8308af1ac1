"""Timing on a busy machine: medians and tails of many short measurements."""

from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from time import perf_counter


def quantile(samples: Sequence[float], share: float) -> float:
    """The sample below or at which ``share`` of all samples are."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def milliseconds(samples: Sequence[float]) -> float:
    """The median of samples in seconds, in milliseconds."""
    return median(samples) * 1e3


async def timed(work: Awaitable[object]) -> float:
    """Seconds from now until the awaitable is done; no part of a coroutine has run before."""
    started = perf_counter()
    await work
    return perf_counter() - started


def timed_call(work: Callable[..., object], *arguments: object) -> float:
    """Seconds that one call took."""
    started = perf_counter()
    work(*arguments)
    return perf_counter() - started
