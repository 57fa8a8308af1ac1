"""The text of the detail panel and of the panes beside the tree. Pure."""

from datetime import UTC, timedelta, timezone

import msgspec

from acode_tui.tui.run.detail import describe, timeline
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


def test_the_last_change_of_a_task_and_a_step_is_that_of_what_is_below_them() -> None:
    task = graph(0).tasks[0]
    step = task.steps[0]
    late = msgspec.structs.replace(step.tool_calls[0], updated_at=step.created_at + timedelta(days=3))
    step = msgspec.structs.replace(step, tool_calls=(late,), updated_at=step.created_at)
    task = msgspec.structs.replace(task, steps=(step,), created_at=step.created_at, updated_at=step.created_at)
    for node in (task, step):
        assert f"{late.updated_at:%Y-%m-%d %H:%M}" in describe(node, UTC).plain
        assert "3 d" in describe(node, UTC).plain
