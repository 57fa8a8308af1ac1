"""Headings between sessions. Pure."""

from datetime import UTC, timedelta

from acode_tui.tui.main.sessions_headings import headings
from tests.tui.fake import NOW, summary


def test_the_first_session_of_each_day_or_state_has_a_heading() -> None:
    sessions = [summary(number) for number in (0, 1, 60, 61)]
    assert headings(sessions, "updated", NOW, UTC) == {sessions[0].id: "Today", sessions[2].id: "Yesterday"}
    assert list(headings(sessions[:2], "state", NOW, UTC).values()) == ["Executing", "Approval"]
    assert next(iter(headings(sessions, "created", NOW + timedelta(days=1), UTC).values())) == "Yesterday"
