"""Moments and days as the dashboard shows them. Pure."""

from datetime import date

import pytest

from acode_tui.tui.style.times import day
from tests.tui.fake import NOW


@pytest.mark.parametrize(
    ("day_of", "name"),
    [
        (date(2026, 3, 14), "Today"),
        (date(2026, 3, 13), "Yesterday"),
        (date(2026, 3, 10), "Tuesday 10 March"),
        (date(2025, 12, 31), "Wednesday 31 December 2025"),
    ],
)
def test_a_day_has_a_relative_name_or_its_date(day_of: date, name: str) -> None:
    assert day(day_of, NOW.date()) == name
