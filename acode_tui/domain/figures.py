"""Figures of runs: their days, and the numbers that are summed."""

from datetime import date, datetime, timedelta

_FIRST = date(1970, 1, 1).toordinal()

CONTEXTS = (128_000, 200_000, 256_000, 272_000)
"""Numbers of input tokens from which on providers price a request otherwise. A request counts for the largest one that
it exceeds, or for 0.
"""

GIVEN = -1
"""Stands for the context of requests whose cost is known: they are not priced."""

NANO = 1_000_000_000
"""Costs are summed in whole billionths of a US dollar, so that what is added and subtracted again leaves nothing."""


def day_of(moment: datetime) -> int:
    """The number of a UTC moment's day, counted from 1970-01-01."""
    return moment.toordinal() - _FIRST


def date_of(day: int) -> date:
    """The date of a day's number."""
    return date(1970, 1, 1) + timedelta(days=day)
