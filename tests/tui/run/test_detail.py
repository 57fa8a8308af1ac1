"""The text of the detail panel and of the panes beside the tree. Pure."""

from datetime import UTC, timedelta, timezone

import msgspec

from acode_tui.tui.run.detail import timeline
from tests.tui.fake import graph


def test_a_timeline_of_several_days_has_a_heading_for_each_day() -> None:
    run = graph(0)
    assert "2026" not in timeline(run.events, run, UTC).plain
    first, last = run.events
    later = msgspec.structs.replace(last, timestamp=last.timestamp + timedelta(days=3))
    lines = timeline((first, later), run, UTC).plain.splitlines()
    assert [lines[0], lines[2]] == [f"{first.timestamp:%Y-%m-%d}", f"{later.timestamp:%Y-%m-%d}"]
    west = timezone(timedelta(hours=-20))
    assert timeline((first, later), run, west).plain.startswith(f"{first.timestamp.astimezone(west):%Y-%m-%d}")
