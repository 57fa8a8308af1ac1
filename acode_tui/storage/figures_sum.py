"""Adding up figures, and the days that a query asks for: what both tiers share."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import TypeVar

import msgspec

from acode_tui.domain.figures import date_of, day_of
from acode_tui.domain.search.query import Query
from acode_tui.storage.ports import By, Counts, Figures, Tokens, Usage

K = TypeVar("K")

FIRST_DAY, LAST_DAY = -719_162, 2_932_896
"""The days of the years 1 and 9999."""


class FiguresSum:
    """Figures by one kind of key, in the making."""

    def __init__(self, by: By) -> None:
        self._by = by
        self._counts: dict[str, list[int]] = {}
        self._usage: dict[tuple[str, int, str, int], list[int]] = {}
        self._runs = 0

    def add_usage(self, key: str | int, day: int, model: str, context: int, sums: Sequence[int]) -> None:
        """Add sums in the order of ``domain.figures.USAGE``. A key by day is its number; ``day`` is the price's."""
        runs, model_runs, calls, failed, *used = sums
        name = key if isinstance(key, str) else date_of(key).isoformat()
        _raise(self._counts, name, (model_runs if self._by == "model" else runs, calls, failed))
        self._runs += runs
        if any(used):
            _raise(self._usage, (name, day, model, context), used)

    def add_tool(self, tool: str, sums: Sequence[int]) -> None:
        """Add sums in the order of ``domain.figures.TOOL``."""
        _raise(self._counts, tool, sums)

    def figures(self) -> Figures:
        """What was added."""
        counts = {key: Counts(sessions=n[0], calls=n[1], failed=n[2]) for key, n in self._counts.items() if any(n)}
        usage = tuple(
            Usage(
                key=key, day=day, model=model, context=context, cost=n[4],
                tokens=Tokens(input=n[0], output=n[1], cache_read=n[2], cache_write=n[3]),
            )
            for (key, day, model, context), n in self._usage.items()
        )  # fmt: skip
        return Figures(counts=counts, usage=usage, sessions=self._runs)


def days_of(query: Query) -> tuple[int, int, Query]:
    """The first and the last day that a query asks for; and the query with the beginning and the end of these."""
    first, last = FIRST_DAY, LAST_DAY
    if query.since is not None:
        first = day_of(query.since)
        query = msgspec.structs.replace(query, since=_midnight(first))
    if query.before is not None:
        last = day_of(query.before - timedelta.resolution)
        query = msgspec.structs.replace(query, before=_midnight(last + 1))
    return first, last, query


def _midnight(day: int) -> datetime:
    return datetime.combine(date_of(day), time(), UTC)


def _raise(into: dict[K, list[int]], key: K, more: Sequence[int]) -> None:
    known = into.get(key)
    into[key] = list(more) if known is None else [a + b for a, b in zip(known, more, strict=True)]
