"""Pages of sessions by keyset: whatever the filter and however far, a page costs about the same (AC-056).

Which rows stand on a page is the business of ``session_ranges`` and, where a text is asked for, ``session_search``.
"""

import sqlite3

from acode_tui.domain.errors import ValidationError
from acode_tui.storage.cursors import encode_cursor
from acode_tui.storage.ports import SessionFilter, SessionPage
from acode_tui.storage.sqlite.session_ranges import Place, Range, count_rows, filtered, span_of
from acode_tui.storage.sqlite.session_search import TextSearch
from acode_tui.storage.sqlite.summaries import read_summaries

MAX_PAGE = 200
COUNTED_ENTRIES = 5_000
"""A total that no counter knows is given where it takes looking at no more index entries than this."""


def read_page(
    connection: sqlite3.Connection,
    given: SessionFilter,
    *,
    limit: int,
    after: str | None,
    before: str | None,
) -> SessionPage:
    """One page. Raises ValidationError for a bad limit or cursor."""
    if not 1 <= limit <= MAX_PAGE:
        raise ValidationError("limit", f"is {limit}; a page holds 1 to {MAX_PAGE}")
    if after is not None and before is not None:
        raise ValidationError("cursor", "after and before cannot be given together")
    search = TextSearch(connection, given) if _has_text(given) else None
    if before is not None:
        found, total = _places(connection, given, search, span_of(given, before=before), limit + 1)
        if len(found) <= limit:
            # The top is reached: show a whole first page rather than the few rows above the cursor.
            before = None
    if before is not None:
        found = found[:limit][::-1]
        more_before, more_after = True, True
    else:
        found, total = _places(connection, given, search, span_of(given, after=after), limit + 1)
        more_before, more_after = after is not None and bool(found), len(found) > limit
        found = found[:limit]
    sessions = read_summaries(connection, [place[1] for place in found])
    stamp = "updated_at" if given.sort == "updated" else "created_at"
    ends = [encode_cursor(given.sort, getattr(s, stamp), s.id) for s in (*sessions[:1], *sessions[-1:])]
    return SessionPage(
        sessions=tuple(sessions),
        next_cursor=ends[-1] if more_after and ends else None,
        previous_cursor=ends[0] if more_before and ends else None,
        total=total,
    )


def count(connection: sqlite3.Connection, given: SessionFilter) -> int:
    """How many sessions fit, exactly."""
    if _has_text(given):
        return TextSearch(connection, given).count()
    total = _counted(connection, given)
    if total is None:
        total = count_rows(connection, given)
    assert total is not None
    return total


def _places(
    connection: sqlite3.Connection, given: SessionFilter, search: TextSearch | None, span: Range, limit: int
) -> tuple[list[Place], int | None]:
    """The first ``limit`` rows of the span that fit, in its direction; and how many fit in all, where that is cheap."""
    if search is not None:
        return search.places(span, limit)
    total = _counted(connection, given)
    if total is None:
        total = count_rows(connection, given, looking_at=COUNTED_ENTRIES)
    return filtered(connection, given, span, limit), total


def _has_text(given: SessionFilter) -> bool:
    return given.text is not None and bool(given.text.strip())


def _counted(connection: sqlite3.Connection, given: SessionFilter) -> int | None:
    """The total where the counters by state know it."""
    if given.user is not None or given.workspace is not None or given.since or given.until:
        return None
    totals: dict[str, int] = dict(connection.execute("SELECT state, sessions FROM session_totals"))
    if not given.states:
        return sum(totals.values())
    return sum(totals.get(str(state), 0) for state in set(given.states))
