"""The pages of the session list: stepping, the last page at once, starting at a session. Pure."""

from acode_tui.storage.cursors import end_cursor
from acode_tui.storage.ports import SessionPage
from acode_tui.tui.paging import FIRST_PAGE, PageStart, SessionPager
from tests.tui.fake import summary


def page(
    number: int = 0, *, next: str | None = None, previous: str | None = None, total: int | None = 25
) -> SessionPage:
    return SessionPage(sessions=(summary(number),), next_cursor=next, previous_cursor=previous, total=total)


def test_back_returns_to_the_visited_pages() -> None:
    pages = SessionPager(10)
    pages.set_page(page(next="two"))
    assert (pages.number, pages.count, pages.back()) == (1, 3, False)
    assert pages.forward()
    pages.set_page(page(1, previous="one"))
    assert (pages.number, pages.start, pages.forward()) == (2, PageStart(after="two"), False)
    assert pages.back()
    assert pages.start == FIRST_PAGE


def test_an_unknown_total_has_no_page_count() -> None:
    pages = SessionPager(10)
    pages.set_page(page(total=None))
    assert pages.count is None


def test_the_last_page_has_the_rows_that_full_pages_leave() -> None:
    pages = SessionPager(10)
    pages.set_page(page(next="two"))
    assert pages.to_end("updated")
    assert (pages.start, pages.limit, pages.number) == (PageStart(before=end_cursor("updated"), limit=5), 5, 3)
    pages.set_page(page(9, previous="last"))
    assert not pages.to_end("updated")
    assert pages.back()
    assert (pages.start, pages.limit, pages.number) == (PageStart(before="last"), 10, 2)


def test_the_last_page_of_an_unknown_number_is_a_whole_one() -> None:
    pages = SessionPager(10)
    pages.set_page(page(next="two", total=None))
    assert pages.to_end("created")
    assert (pages.limit, pages.number, pages.is_last) == (10, None, True)
    pages.set_page(page(previous="x", total=None))
    assert pages.back()
    assert (pages.number, pages.from_end, pages.is_last) == (None, 1, False)
    pages.set_page(page(next="z", previous="w", total=None))
    assert pages.forward()
    assert pages.is_last
    pages.set_page(page(previous="x", total=31))
    assert pages.number == 4


def test_a_page_after_a_jump_has_the_given_number() -> None:
    pages = SessionPager(10)
    pages.start_at("somewhere", 7)
    pages.set_page(page(5, next="on", previous="above", total=95))
    assert (pages.number, pages.count) == (7, 10)
    assert pages.forward()
    assert pages.number == 8


def test_going_back_to_the_front_is_the_first_page_again() -> None:
    pages = SessionPager(10)
    pages.start_at("somewhere")
    pages.set_page(page(5, previous="above"))
    assert (pages.number, pages.back()) == (None, True)
    pages.set_page(page(0))
    assert (pages.number, pages.start) == (1, FIRST_PAGE)
