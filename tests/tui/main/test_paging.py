"""Where in the list one is: turning pages, the last one at once, from a session on; headings; the kept layout. Pure."""

from datetime import UTC, date, timedelta
from pathlib import Path

import msgspec
import pytest

from acode_tui.storage.cursors import end_cursor
from acode_tui.storage.ports import SessionPage
from acode_tui.tui.layout import Layout, load_layout, save_layout
from acode_tui.tui.main.headings import day, headings
from acode_tui.tui.main.paging import FRONT, Anchor, Pages
from acode_tui.tui.main.sessions_table import columns_for, session_row
from tests.tui.fake import NOW, summary


def page(
    number: int = 0, *, next: str | None = None, previous: str | None = None, total: int | None = 25
) -> SessionPage:
    return SessionPage(sessions=(summary(number),), next_cursor=next, previous_cursor=previous, total=total)


def test_pages_remember_the_way_back() -> None:
    pages = Pages(10)
    pages.take(page(next="two"))
    assert (pages.number, pages.count, pages.back()) == (1, 3, False)
    assert pages.forward()
    pages.take(page(1, previous="one"))
    assert (pages.number, pages.here, pages.forward()) == (2, Anchor(after="two"), False)
    assert pages.back()
    assert pages.here == FRONT


def test_an_unknown_total_has_no_page_count() -> None:
    pages = Pages(10)
    pages.take(page(total=None))
    assert pages.count is None


def test_the_last_page_holds_what_the_whole_pages_before_it_leave() -> None:
    pages = Pages(10)
    pages.take(page(next="two"))
    assert pages.to_end("updated")
    assert (pages.here, pages.limit, pages.number) == (Anchor(before=end_cursor("updated"), limit=5), 5, 3)
    pages.take(page(9, previous="last"))
    assert not pages.to_end("updated")
    assert pages.back()
    assert (pages.here, pages.limit, pages.number) == (Anchor(before="last"), 10, 2)


def test_the_last_page_of_nobody_knows_how_many_is_a_whole_one() -> None:
    pages = Pages(10)
    pages.take(page(next="two", total=None))
    assert pages.to_end("created")
    assert (pages.limit, pages.number, pages.is_last) == (10, None, True)
    pages.take(page(previous="x", total=None))
    assert pages.back()
    assert (pages.number, pages.from_end, pages.is_last) == (None, 1, False)
    pages.take(page(next="z", previous="w", total=None))
    assert pages.forward()
    assert pages.is_last
    pages.take(page(previous="x", total=31))
    assert pages.number == 4


def test_a_page_that_was_jumped_to_has_the_number_that_was_counted_for_it() -> None:
    pages = Pages(10)
    pages.start_at("somewhere", 7)
    pages.take(page(5, next="on", previous="above", total=95))
    assert (pages.number, pages.count) == (7, 10)
    assert pages.forward()
    assert pages.number == 8


def test_going_back_far_enough_is_the_first_page_again() -> None:
    pages = Pages(10)
    pages.start_at("somewhere")
    pages.take(page(5, previous="above"))
    assert (pages.number, pages.back()) == (None, True)
    pages.take(page(0))
    assert (pages.number, pages.here) == (1, FRONT)


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


def test_a_heading_stands_above_the_first_session_of_each_day_and_of_each_state() -> None:
    sessions = [summary(number) for number in (0, 1, 60, 61)]
    assert headings(sessions, "updated", NOW, UTC) == {sessions[0].id: "Today", sessions[2].id: "Yesterday"}
    assert list(headings(sessions[:2], "state", NOW, UTC).values()) == ["Executing", "Approval"]
    assert next(iter(headings(sessions, "created", NOW + timedelta(days=1), UTC).values())) == "Yesterday"


def test_a_layout_is_kept_privately_and_a_broken_one_is_the_usual_one(tmp_path: Path) -> None:
    path = tmp_path / "state" / "dashboard.json"
    assert load_layout(path) == Layout()
    save_layout(path, Layout(sort="state", grouped=True, panes=False, mouse=False))
    assert load_layout(path) == Layout(sort="state", grouped=True, panes=False, mouse=False)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text('{"sort": "colour"}')
    assert load_layout(path) == Layout()
    path.write_text("[")
    assert load_layout(path) == Layout()


def test_a_layout_that_cannot_be_kept_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    save_layout(tmp_path / "file" / "dashboard.json", Layout())


@pytest.mark.parametrize("width", range(40, 260, 7))
@pytest.mark.parametrize("source", ["local", "team"])
def test_columns_fit_their_width_and_leave_the_task_its_room(width: int, source: str) -> None:
    chosen = columns_for(width, source)  # type: ignore[arg-type]
    keys = [column.key for column in chosen]
    left = width - sum(column.width + 2 for column in chosen)
    assert left >= 28 or len(keys) <= 3
    assert "task" in keys
    assert not {"sync", "sync_glyph"} <= set(keys)


def test_what_is_most_useful_comes_first() -> None:
    by_creation = [column.key for column in columns_for(78, "local", "created")]
    assert by_creation == ["state", "task", "tasks", "tools", "created", "sync_glyph"], "what they are in order of"
    shown = [[column.key for column in columns_for(width, "local")] for width in (78, 118, 158, 196)]
    assert shown[0] == ["state", "task", "tasks", "tools", "updated", "sync_glyph"]
    assert shown[1] == ["state", "task", "tasks", "tools", "artifacts", "duration", "updated", "sync"]
    assert {"agent", "tokens"} <= set(shown[2])
    assert {"agent", "model", "tokens", "duration", "created"} <= set(shown[3])


def test_a_row_calls_a_session_by_what_was_asked() -> None:
    session = summary(2)
    asked = {**(session.metadata or {}), "request": "Make it faster"}
    assert session_row(session, NOW)["task"][0] == session.task_description
    assert session_row(msgspec.structs.replace(session, metadata=asked), NOW)["task"][0] == "Make it faster"
