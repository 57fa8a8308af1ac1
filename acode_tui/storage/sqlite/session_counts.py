"""How many sessions there are: by state, and before a place in the list. Exact, or not at all where that takes long."""

import sqlite3

from acode_tui.domain.states import SessionState
from acode_tui.storage.cursors import decode_cursor
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.sqlite.sessions.ranges import FIRST, LAST, Place, spans_by_state

COUNTED_PLACES = 200_000
"""Index entries that are looked at for a place in the list, from either end of it: some 40 ms."""


def by_state(connection: sqlite3.Connection, given: SessionFilter) -> dict[SessionState, int] | None:
    """How many sessions fit of each state, the filter's own states aside; None where no counter knows."""
    if given.user is not None or given.workspace is not None or given.since or given.until:
        return None
    if given.text is not None and given.text.strip():
        return None
    totals = dict(connection.execute("SELECT state, sessions FROM session_totals"))
    return {state: totals.get(str(state), 0) for state in SessionState}


def before(connection: sqlite3.Connection, given: SessionFilter, cursor: str) -> int | None:
    """How many sessions stand before the page that is read after a cursor. Raises ValidationError for a bad cursor."""
    totals = by_state(connection, given)
    if totals is None:
        return None
    states = [state for state in SessionState if not given.states or state in given.states]
    place = decode_cursor(cursor, given.sort)
    at = (place.stamp, place.id)
    if given.sort == "created" and given.states:
        return None  # its index does not begin with the state
    if given.sort == "state":
        # The states before that of the place are counted already; its own is one range of an index.
        own = SessionState(place.state)
        earlier = [state for state, _ in spans_by_state(given, before=cursor) if state is not own]
        skipped, states, of = sum(totals[state] for state in earlier), [own], totals[own]
    else:
        skipped, of = 0, sum(totals[state] for state in states)
    index = "sessions_by_creation" if given.sort == "created" else "sessions_by_state"
    stamp = "created_at" if given.sort == "created" else "updated_at"
    asked: list[SessionState | None] = [None] if given.sort == "created" else list(states)

    def entries(upper: Place, lower: Place) -> int | None:
        branch = f"""
            SELECT 1 FROM sessions INDEXED BY {index}
            WHERE {"" if asked == [None] else "state = ? AND"} ({stamp}, id) < (?, ?) AND ({stamp}, id) >= (?, ?)
        """  # noqa: S608
        values: list[str | int] = []
        for state in asked:
            values += [*(() if state is None else (str(state),)), *upper, *lower]
        sql = f"SELECT count(*) FROM (SELECT 1 FROM ({' UNION ALL '.join([branch] * len(asked))}) LIMIT ?)"  # noqa: S608
        counted = int(connection.execute(sql, (*values, COUNTED_PLACES + 1)).fetchone()[0])
        return counted if counted <= COUNTED_PLACES else None

    if (above := entries(FIRST, at)) is not None:
        return skipped + above
    below = entries(at, LAST)
    return None if below is None else skipped + of - below
