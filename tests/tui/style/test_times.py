"""Moments and days as the dashboard shows them. Pure."""

from datetime import date

import pytest

from acode_tui.tui.style.times import day
from tests.tui.fake import NOW


@pytest.mark.parametrize(
    ("that", "said"),
    [
        (date(2026, 3, 14), "Today"),
        (date(2026, 3, 13), "Yesterday"),
        (date(2026, 3, 10), "Tuesday 10 March"),
        (date(2025, 12, 31), "Wednesday 31 December 2025"),
    ],
)
def test_a_day_is_called_as_one_would_say_it(that: date, said: str) -> None:
    assert day(that, NOW.date()) == said
