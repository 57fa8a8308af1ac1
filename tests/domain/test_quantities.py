"""Sizes, counts, durations and relative times as a person reads them."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.quantities import (
    ago,
    countdown,
    counted,
    due_in,
    duration,
    number,
    short_duration,
    short_number,
    size,
    span,
)

NOW = datetime(2026, 3, 14, 12, 4, 31, tzinfo=UTC)
SECONDS = st.floats(min_value=0, max_value=10**9)


def test_sizes_are_decimal_with_one_digit() -> None:
    counts = (0, 1, 999, 1_000, 4_200, 999_999, 4_200_000, 7 * 10**9, 1_234.5)
    assert [size(count) for count in counts] == [
        "0 B",
        "1 B",
        "999 B",
        "1.0 kB",
        "4.2 kB",
        "1.0 MB",
        "4.2 MB",
        "7.0 GB",
        "1.2 kB",
    ]


def test_counts_have_thousands_separators() -> None:
    assert [number(count) for count in (0, 999, 4_200, -4_200, 1_234_567, 9_799.6)] == [
        "0",
        "999",
        "4,200",
        "-4,200",
        "1,234,567",
        "9,800",
    ]


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (5, ["0", "999", "1,000", "9,999", "12.3k", "123k", "999k", "1.40M", "12.0M"]),
        (4, ["0", "999", "1.0k", "9.9k", "12k", "120k", "990k", "1.4M", "12M"]),
    ],
)
def test_short_counts_are_exact_where_there_is_room(columns: int, shown: list[str]) -> None:
    counts = (0, 999, 1_000, 9_999, 12_345, 123_456, 999_999, 1_400_000, 12_000_000)
    assert [short_number(count, columns) for count in counts] == shown


@given(st.integers(min_value=0, max_value=10**12), st.integers(min_value=4, max_value=6))
def test_a_short_count_fits_its_columns_and_promises_no_more_than_there_are(count: int, columns: int) -> None:
    shown = short_number(count, columns)
    assert len(shown) <= columns
    found = re.fullmatch(r"([0-9.,]+)([kMGT]?)", shown)
    assert found is not None
    scale = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}[found[2]]
    assert round(float(found[1].replace(",", "")) * scale) <= count


def test_a_noun_has_its_plural() -> None:
    assert [counted(1, "file"), counted(0, "file"), counted(2_000, "file")] == ["1 file", "0 files", "2,000 files"]
    assert [counted(1, "retry"), counted(3, "retry")] == ["1 retry", "3 retries"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0 ms"),
        (0.012, "12 ms"),
        (0.9996, "999 ms"),
        (3.44, "3.4 s"),
        (59.97, "59.9 s"),
        (125, "2 min 5 s"),
        (11_400, "3 h 10 min"),
        (10_525_800, "121 d 19 h"),
    ],
)
def test_durations_are_precise_where_they_are_short(seconds: float, shown: str) -> None:
    assert duration(seconds) == duration(timedelta(seconds=seconds)) == shown


@given(SECONDS)
def test_a_duration_never_fills_its_smaller_unit(seconds: float) -> None:
    assert not re.search(r"\b(1000 ms|60\.0 s|60 s|60 min|24 h)\b", duration(seconds))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "–"), (0.022, "<1 s"), (1, "1 s"), (720, "12 min"), (11_520, "3.2 h"), (388_800, "4.5 d"), (864_000, "10 d")],
)
def test_short_durations_tell_a_short_one_from_none(seconds: float, shown: str) -> None:
    assert short_duration(timedelta(seconds=seconds)) == shown


@given(SECONDS)
def test_a_span_has_one_number_and_one_unit(seconds: float) -> None:
    count, unit = span(timedelta(seconds=seconds)).split(" ")
    assert int(count) >= 0
    assert unit in ("s", "min", "h", "d", "y")


@pytest.mark.parametrize(
    ("delta", "shown"),
    [
        (timedelta(seconds=0.4), "now"),
        (timedelta(seconds=4), "4 s ago"),
        (timedelta(minutes=2, seconds=50), "2 min ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(days=400), "400 d ago"),
        (timedelta(days=20_786), "56 y ago"),
        (timedelta(seconds=-90), "now"),
    ],
)
def test_a_past_moment_is_shown_in_its_largest_unit(delta: timedelta, shown: str) -> None:
    assert ago(NOW - delta, NOW) == shown


def test_no_moment_is_never() -> None:
    assert ago(None, NOW) == "never"
    assert countdown(None, NOW) == "now"


def test_a_countdown_reads_like_a_clock() -> None:
    assert countdown(NOW + timedelta(seconds=38), NOW) == "00:38"
    assert countdown(NOW + timedelta(hours=1, minutes=2, seconds=10), NOW) == "1:02:10"
    assert countdown(NOW - timedelta(seconds=1), NOW) == "now"
    assert [due_in(NOW + timedelta(seconds=38), NOW), due_in(NOW, NOW)] == ["in 00:38", "due now"]
