"""The tables of the figures, and the sums that are kept over all sessions."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from acode_tui.domain.figures import TOOL, USAGE, Contribution, date_of

TABLES = (
    "figures_changes",
    "figures_sessions",
    "figures_usage",
    "figures_tools",
    "figures_by_day",
    "figures_by_month",
    "figures_tools_by_day",
    "figures_tools_by_month",
    "figures_prices",
    "figures_pricing",
)
"""In the order of creation."""

Key = tuple[int | str, ...]


class Rollup(NamedTuple):
    """A table of sums over all sessions. ``key`` makes its key of a session's agent and project, and a contribution."""

    table: str
    columns: tuple[str, ...]
    sums: tuple[str, ...]
    key: Callable[[str, str, Contribution], Key]


@cache
def month_of(day: int) -> int:
    """The number of a day's month: 12 times the year, plus the month less 1."""
    date = date_of(day)
    return date.year * 12 + date.month - 1


def _by_day(agent: str, _project: str, added: Contribution) -> Key:
    return (added.day, agent, *added.rest)


def _by_month(agent: str, project: str, added: Contribution) -> Key:
    return (month_of(added.day), agent, project, *added.rest)


USAGE_ROLLUPS = (
    Rollup("figures_by_day", ("day", "agent", "model", "context"), USAGE, _by_day),
    Rollup("figures_by_month", ("month", "agent", "project", "model", "context"), USAGE, _by_month),
)
TOOL_ROLLUPS = (
    Rollup("figures_tools_by_day", ("day", "agent", "tool"), TOOL, _by_day),
    Rollup("figures_tools_by_month", ("month", "agent", "project", "tool"), TOOL, _by_month),
)


class Contributed(NamedTuple):
    """A table of what sessions contribute, and the sums over it. ``rest`` is the key beyond session and day."""

    table: str
    rest: tuple[str, ...]
    sums: tuple[str, ...]
    rollups: tuple[Rollup, ...]


USED = Contributed("figures_usage", ("model", "context"), USAGE, USAGE_ROLLUPS)
CALLED = Contributed("figures_tools", ("tool",), TOOL, TOOL_ROLLUPS)
