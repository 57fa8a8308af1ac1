"""Plots of figures as plain text, drawn by plotext as textual-plotext provides it.

Drawing takes up to 100 ms, and the first one imports the library: call it in a thread.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

from acode_tui.domain.display import clean, fit
from acode_tui.domain.quantities import dollars, short_number

if TYPE_CHECKING:
    from acode_tui.ops.stats.report import Stats, StatsRow

Measure = Literal["cost", "tokens", "runs", "failed calls"]
MEASURES: tuple[Measure, ...] = ("cost", "tokens", "runs", "failed calls")

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_LEAST_HEIGHT = 12
"""Lines of a plot below which a smaller number of them is drawn."""
_NO_TIME = "1970-01-01"
_MOST_NAMES = 24
_NAME_WIDTH = 20


@dataclass(frozen=True, slots=True)
class Series:
    """Values with their names; ``by_day`` where they follow each other in time."""

    names: tuple[str, ...]
    values: tuple[float, ...]
    by_day: bool


def value_of(row: "StatsRow", measure: Measure) -> float:
    """What of a row is plotted."""
    if measure == "cost":
        return row.cost or 0.0
    if measure == "tokens":
        used = row.tokens
        return 0 if used is None else used.input + used.output + used.cache_read + used.cache_write
    return row.sessions if measure == "runs" else row.failed


def series_of(stats: "Stats", by: str, measure: Measure, days: tuple[date, date] | None) -> Series:
    """The values of a plot: of every day, of ``days`` or else from the first to the last; or the largest of other keys.

    A run without any time counts for 1970-01-01, which would press all other days together.
    """
    values = {row.key: value_of(row, measure) for row in stats.rows if row.key != _NO_TIME}
    if by == "day":
        if days is None and not values:
            return Series((), (), by_day=True)
        first, last = days or (date.fromisoformat(min(values)), date.fromisoformat(max(values)))
        every = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        return Series(tuple(map(str, every)), tuple(values.get(str(day), 0) for day in every), by_day=True)
    largest = sorted(values, key=lambda key: -values[key])[:_MOST_NAMES]
    names = tuple(fit(clean(key or "(none)", max_chars=_NAME_WIDTH + 1), _NAME_WIDTH) for key in largest)
    return Series(names, tuple(values[key] for key in largest), by_day=False)


def plot_text(
    stats: "Stats", by: str, first: Measure, width: int, height: int, days: tuple[date, date] | None = None
) -> str:
    """Plots below each other, as many as fit, beginning with a measure. Empty where there is no room."""
    at = MEASURES.index(first)
    measures = [each for each in (*MEASURES[at:], *MEASURES[:at]) if by != "tool" or each in ("runs", "failed calls")]
    count = max(min(height // _LEAST_HEIGHT, len(measures)), 1)
    room = height // count
    if width < 20 or room < 5 or not stats.rows:
        return ""
    drawn = []
    for measure in measures[:count]:
        series = series_of(stats, by, measure, days)
        drawn.append(f" {measure}{_title(stats, measure)}\n" + _draw(series, measure, width, room - 1))
    return "\n".join(drawn)


def _title(stats: "Stats", measure: Measure) -> str:
    if measure == "cost":
        return f": {dollars(stats.cost.total)}"
    if measure == "runs":
        return f": {short_number(stats.sessions)}"
    return f": {short_number(int(sum(value_of(row, measure) for row in stats.rows)))}"


def _draw(series: Series, measure: Measure, width: int, height: int) -> str:
    if not any(series.values):
        return " none" + "\n" * (height - 1)
    from textual_plotext.plot import Plot

    plot = Plot()
    if series.by_day:
        names, values = _binned(series, max(width - 14, 4))
        lines = height
        places = [float(at) for at in range(len(values))]
        plot.bar(places, values, width=0.8)
        shown = sorted({0, len(places) // 2, len(places) - 1})
        plot.xticks([places[each] for each in shown], [names[each] for each in shown])
        plot.xlim(-1, max(len(places), 2))
    else:
        most = max(height - 3, 1)
        names, values = list(series.names[:most])[::-1], list(series.values[:most])[::-1]
        # A line for each bar: its name stands beside it then.
        lines = len(values) + 3
        plot.bar(names, values, orientation="horizontal", width=0.001)
        plot.ylim(1, max(len(values), 2))
    plot.plotsize(width, lines)
    plot._set_size(width, lines)
    plot.theme("clear")
    _label(plot, max(values), measure, along_x=not series.by_day)
    text = _ESCAPES.sub("", plot.build())
    drawn = [line.rstrip() for line in text.rstrip("\n").split("\n")]
    return "\n".join(drawn + [""] * (height - len(drawn)))


def _label(plot: object, largest: float, measure: Measure, *, along_x: bool) -> None:
    """Three labels on the axis of the values, as people write them."""
    ticks = [0, largest / 2, largest] if largest > 1 or measure == "cost" else [0, largest]
    labels = [dollars(each) if measure == "cost" else short_number(round(each)) for each in ticks]
    axis = plot.xticks if along_x else plot.yticks  # type: ignore[attr-defined]
    axis(ticks, labels)


def _binned(series: Series, most: int) -> tuple[list[str], list[float]]:
    """The days, several to a bar where there are more than fit."""
    size = -(-len(series.values) // most)
    starts: Sequence[int] = range(0, len(series.values), size)
    return [series.names[at] for at in starts], [sum(series.values[at : at + size]) for at in starts]
