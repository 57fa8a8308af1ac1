"""How far long work is. The one shape in which every long operation reports it."""

from collections.abc import Callable

import msgspec


class Progress(msgspec.Struct, frozen=True):
    """``done`` of ``total`` units are finished; ``total`` is None where it is not known beforehand.

    ``unit`` names what is counted, in the plural: ``rows``, ``sessions``, ``bytes``. ``rate`` is in units per second
    since the work began, 0 where it is not measured.
    """

    done: int
    total: int | None
    unit: str
    rate: float = 0.0

    @property
    def fraction(self) -> float | None:
        """The finished part, from 0 to 1; None where the total is not known or nothing."""
        return min(self.done / self.total, 1.0) if self.total else None

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at this rate; None where the total or the rate is not known."""
        if self.total is None or self.rate <= 0:
            return None
        return max(self.total - self.done, 0) / self.rate


ReportProgress = Callable[[Progress], None]
"""Receives progress. What it raises ends the work that calls it."""

ReportStep = Callable[[str], None]
"""Receives the name of a step when it begins."""


def progress_after(seconds: float, done: int, total: int | None, unit: str) -> Progress:
    """Progress whose rate is ``done`` units in ``seconds``. A total that turned out too small becomes ``done``."""
    rate = done / seconds if seconds > 0 else 0.0
    return Progress(done, None if total is None else max(total, done), unit, rate)


CheckCancelled = Callable[[], None]
"""Called every so often by long work; raises where the work is to end. The work then undoes what it began."""


def never_cancelled() -> None:
    """The check of work that cannot be cancelled."""
