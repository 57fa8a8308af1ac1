"""The columns and rows of the session table. Pure."""

from datetime import timedelta

import msgspec
import pytest

from acode_tui.domain.states import SessionState
from acode_tui.tui.main.sessions_table import columns_for, session_row
from tests.tui.driving import over, shown, until, until_listed
from tests.tui.fake import NOW, FakeWorkspace, fake_id, summary


@pytest.mark.parametrize("width", range(40, 260, 7))
@pytest.mark.parametrize("source", ["local", "team"])
def test_columns_fit_the_width_and_the_task_keeps_its_least_width(width: int, source: str) -> None:
    chosen = columns_for(width, source)  # type: ignore[arg-type]
    keys = [column.key for column in chosen]
    left = width - sum(column.width + 2 for column in chosen)
    assert left >= 22
    assert "task" in keys
    assert not {"sync", "sync_glyph"} <= set(keys)


def test_columns_get_room_in_the_order_of_their_worth() -> None:
    by_creation = [column.key for column in columns_for(78, "local", "created", has_server=False)]
    assert by_creation == ["state", "task", "failed", "created"], "what they are in order of"
    shown = [[column.key for column in columns_for(width, "local", has_server=False)] for width in (78, 118, 168, 196)]
    assert shown[0] == ["state", "task", "failed", "updated"]
    assert shown[1] == ["state", "task", "project", "agent", "failed", "duration", "updated"]
    assert {"cost", "tokens", "now"} <= set(shown[2])
    assert {"now", "model", "cost", "tokens", "project", "agent"} <= set(shown[3])
    assert "sync_glyph" in {column.key for column in columns_for(78, "local")}, "with a server to send to"
    assert "user_short" in {column.key for column in columns_for(78, "team")}


def test_a_row_tells_a_live_run_from_an_idle_one_and_what_each_does_or_did() -> None:
    live = msgspec.structs.replace(
        summary(0), updated_at=NOW, current_tool="Bash", current_tool_at=NOW - timedelta(seconds=12)
    )
    idle = msgspec.structs.replace(live, updated_at=NOW - timedelta(days=400))
    asks = msgspec.structs.replace(
        live, state=SessionState.AWAITING_APPROVAL, updated_at=NOW - timedelta(hours=2), current_tool=None
    )
    ended = msgspec.structs.replace(
        live, state=SessionState.PAUSED, last_reason="interrupted by the user [inferred=true line=3]", failed_calls=12
    )
    cells = [session_row(each, NOW) for each in (live, idle, asks, ended)]
    assert [row["state"][0] for row in cells] == ["● Executing", "○ Idle", "◆ Approval", "‖ Paused"]
    assert [row["now"][0] for row in cells] == [
        *("Bash 12 s", "idle 400 d, in Bash", "waits 2 h", "interrupted by the user")
    ]
    assert [row["failed"] for row in cells] == [*[("", "bad")] * 3, ("× 12", "bad")]


def test_a_row_shows_the_request_of_a_session() -> None:
    session = summary(2)
    asked = {**(session.metadata or {}), "request": "Make it faster"}
    assert session_row(session, NOW)["task"][0] == session.task_description
    assert session_row(msgspec.structs.replace(session, metadata=asked), NOW)["task"][0] == "Make it faster"


async def test_costs_come_after_the_list_where_it_has_room_for_them(fake: FakeWorkspace) -> None:
    fake.prices = {fake_id(0): 12.345, fake_id(1): None}
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        assert "$12.35" not in shown(pilot)
        await pilot.resize_terminal(160, 36)
        await until(pilot, lambda: "$12.35" in shown(pilot) or "$12.34" in shown(pilot))
