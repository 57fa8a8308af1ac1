"""A row of bars for a short history. Pure: numbers in, text out."""

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def sparkline(samples: Sequence[int], width: int) -> str:
    """The newest ``width`` samples as bars from zero to their maximum, right-aligned; zero has the lowest bar."""
    recent = list(samples)[-width:] if width > 0 else []
    top = max(recent, default=0)
    if top <= 0:
        return BARS[0] * len(recent)
    return "".join(BARS[-(-sample * (len(BARS) - 1) // top)] for sample in recent)
