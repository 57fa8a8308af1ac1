"""Waits follow the documented formula and never exceed their limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.sync.classify import MAX_JITTER, probe_delay, record_delay


@pytest.mark.ac("AC-040")
def test_waits_double_from_five_seconds_to_an_hour() -> None:
    waits = [record_delay(n) for n in range(1, 13)]
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]


@pytest.mark.ac("AC-040")
@given(
    failures=st.integers(1, 10**6),
    jitter=st.floats(0, MAX_JITTER),
    draw=st.floats(0, 1, exclude_max=True),
    initial=st.floats(0.01, 3600),
    limit=st.floats(0.01, 86400),
)
def test_jitter_only_adds_and_at_most_its_share(
    failures: int, jitter: float, draw: float, initial: float, limit: float
) -> None:
    bare = record_delay(failures, initial_seconds=initial, max_seconds=limit)
    jittered = record_delay(failures, initial_seconds=initial, max_seconds=limit, jitter=jitter, random=lambda: draw)
    assert bare <= limit
    assert bare <= jittered <= bare * (1 + jitter) * (1 + 1e-9)


@given(failures=st.integers(1, 10**6))
def test_a_later_refusal_never_waits_less(failures: int) -> None:
    assert record_delay(failures) <= record_delay(failures + 1)


@pytest.mark.parametrize(("failures", "jitter"), [(0, 0.0), (-1, 0.0), (1, -0.1), (1, 0.31)])
def test_values_out_of_range_are_refused(failures: int, jitter: float) -> None:
    with pytest.raises(ValueError, match=r"failures|jitter"):
        record_delay(failures, jitter=jitter, random=lambda: 0.5)


@given(failures=st.integers(1, 10**6), interval=st.floats(0.1, 86400), draw=st.floats(0, 1, exclude_max=True))
def test_a_probe_waits_no_longer_than_the_interval_and_not_too_briefly(
    failures: int, interval: float, draw: float
) -> None:
    wait = probe_delay(failures, interval_seconds=interval, random=lambda: draw)
    assert 0 < wait <= interval
    assert wait >= 0.1 * min(5.0, interval)


def test_probes_spread_from_five_seconds_up_to_the_interval() -> None:
    ceilings = [probe_delay(n, interval_seconds=30, random=lambda: 0.999999) for n in range(1, 6)]
    assert ceilings == pytest.approx([5, 10, 20, 30, 30], rel=1e-5)
    with pytest.raises(ValueError, match="failures"):
        probe_delay(0, interval_seconds=30, random=lambda: 0.5)
