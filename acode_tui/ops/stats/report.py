"""The answer of ``stats``: counts, tokens and costs by one kind of key, and in all."""

import msgspec

from acode_tui.ops.stats.rates import PriceList, Rates, cost_of, price_changes
from acode_tui.storage.ports import By, Counts, Figures, RunFigures, Tokens, require_by

UNKNOWN_MODEL = "(unknown)"
"""The name of the model where a transcript names none."""


class StatsRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The figures of one key. By tool there are no tokens and no cost: a request may call several tools.

    ``cost`` is in US dollars, of what has a known price; None where nothing of it has.
    """

    key: str
    sessions: int
    tool_calls: int
    failed: int
    tokens: Tokens | None
    cost: float | None


class StatsCost(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The cost of all rows, and the models that were used and have no known price."""

    total: float
    unpriced: tuple[str, ...]


class Stats(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Days in their order, other keys by cost, then by calls. ``sessions`` counts each run once."""

    rows: tuple[StatsRow, ...]
    cost: StatsCost
    sessions: int
    tokens: Tokens


async def read_stats(figures: RunFigures, prices: PriceList, query: str, by: str) -> Stats:
    """The figures of the runs that a query finds, all with an empty one. Raises ValidationError."""
    key = require_by(by)
    rates = await prices.rates(await figures.models())
    changes = price_changes(rates)
    found = await figures.figures(query, key, price_changes=changes)
    # Tokens belong to requests, which tools share.
    whole = found if key != "tool" else await figures.figures(query, "agent", price_changes=changes)
    rates = await prices.rates({usage.model for usage in whole.usage})
    return make_stats(found, whole, rates, key)


def make_stats(found: Figures, whole: Figures, rates: Rates, by: By) -> Stats:
    """The answer from the figures of the keys, and those that have all usage."""
    tokens: dict[str, list[Tokens]] = {}
    costs: dict[str, list[float | None]] = {}
    total, unpriced, used = 0.0, set(), []
    for usage in whole.usage:
        cost = cost_of(usage, rates)
        total += cost or 0.0
        used.append(usage.tokens)
        if cost is None:
            unpriced.add(usage.model or UNKNOWN_MODEL)
        if by != "tool":
            tokens.setdefault(usage.key, []).append(usage.tokens)
            costs.setdefault(usage.key, []).append(cost)
    rows = [
        StatsRow(
            key=key,
            sessions=counts.sessions,
            tool_calls=counts.calls,
            failed=counts.failed,
            tokens=None if by == "tool" else _sum(tokens.get(key, [])),
            cost=None if by == "tool" else _cost(costs.get(key, [])),
        )
        for key in found.counts.keys() | tokens.keys()
        for counts in (found.counts.get(key, Counts()),)
    ]
    if by == "day":
        rows.sort(key=lambda row: row.key)
    else:
        rows.sort(key=lambda row: (-(row.cost or 0.0), -row.tool_calls, -row.sessions, row.key))
    return Stats(
        rows=tuple(rows),
        cost=StatsCost(total=round(total, 6), unpriced=tuple(sorted(unpriced))),
        sessions=whole.sessions,
        tokens=_sum(used),
    )


def _sum(tokens: list[Tokens]) -> Tokens:
    return Tokens(
        input=sum(each.input for each in tokens),
        output=sum(each.output for each in tokens),
        cache_read=sum(each.cache_read for each in tokens),
        cache_write=sum(each.cache_write for each in tokens),
    )


def _cost(costs: list[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return None if costs and not known else round(sum(known), 6)
