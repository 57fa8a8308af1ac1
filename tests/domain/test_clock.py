"""A workspace's clock never repeats a stamp and never goes back, even if the machine's clock does."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.clock import TICK, MonotonicClock, format_time, parse_time, require_utc, system_clock
from acode_tui.domain.errors import ValidationError
from tests.clocks import NOON, TurnedClock
from tests.domain.graphs import moments

steps = st.lists(st.one_of(st.just(0), st.integers(-(10**12), 10**12)), max_size=60)


@given(steps)
def test_stamps_rise_strictly_under_any_wall_clock(walk: list[int]) -> None:
    wall = TurnedClock()
    clock = MonotonicClock(wall)
    stamps = []
    for step in walk:
        wall.turn(microseconds=step)
        stamps.append(clock.tick())
    assert all(earlier < later for earlier, later in itertools.pairwise(stamps))
    assert len({format_time(stamp) for stamp in stamps}) == len(stamps)


@given(steps, st.integers(0, 59))
def test_stamps_rise_strictly_across_a_restart_with_the_last_stamp(walk: list[int], restart: int) -> None:
    wall = TurnedClock()
    clock = MonotonicClock(wall)
    stamps = []
    for number, step in enumerate(walk):
        if number == restart:
            wall.turn(days=-400)
            clock = MonotonicClock(wall, parse_time(format_time(clock.last)))
        wall.turn(microseconds=step)
        stamps.append(clock.tick())
    assert stamps == sorted(set(stamps))


@given(moments)
def test_the_next_stamp_is_later_than_one_seen_elsewhere(seen: datetime) -> None:
    clock = MonotonicClock(TurnedClock())
    clock.raise_to(seen)
    assert clock.tick() > seen


def test_stamps_follow_a_wall_clock_that_is_ahead_and_count_microseconds_on_a_frozen_one() -> None:
    wall = TurnedClock()
    clock = MonotonicClock(wall)
    assert [clock.tick() for _ in range(3)] == [NOON, NOON + TICK, NOON + 2 * TICK]
    wall.turn(hours=1)
    assert clock.tick() == NOON + timedelta(hours=1)


def test_a_stamp_from_the_past_does_not_set_the_clock_back() -> None:
    clock = MonotonicClock(TurnedClock())
    first = clock.tick()
    clock.raise_to(NOON - timedelta(days=1))
    assert clock.last == first


def test_the_machines_clock_is_aware_utc() -> None:
    assert system_clock().tzinfo is UTC


@pytest.mark.ac("AC-022")
@given(moments)
def test_times_have_a_fixed_width_and_are_parsed_without_loss(moment: datetime) -> None:
    text = format_time(moment)
    assert len(text) == len("2026-01-05T18:23:45.123456Z")
    assert text.endswith("Z")
    assert parse_time(text) == moment


@given(moments, moments)
def test_text_order_is_time_order(first: datetime, second: datetime) -> None:
    assert (format_time(first) < format_time(second)) == (first < second)


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_the_same_moment_in_another_zone_has_the_same_text(moment: datetime, minutes: int) -> None:
    from datetime import timezone

    try:
        elsewhere = moment.astimezone(timezone(timedelta(minutes=minutes)))
    except OverflowError:
        return
    assert format_time(elsewhere) == format_time(moment)


def test_a_naive_time_is_refused_with_the_fields_name() -> None:
    with pytest.raises(ValidationError, match="completed_at: has no time zone"):
        require_utc(datetime(2026, 1, 5), "completed_at")


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-05T12:00:00", "0001-01-01T00:00:00+14:00"]
)
def test_text_that_is_not_a_moment_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        parse_time(text)
