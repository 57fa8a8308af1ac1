"""How many of the team's sessions there are: by state, and before a place in the list. Exact, or not at all where that
takes long.
"""

from acode_tui.domain.states import STATE_ORDER, SessionState
from acode_tui.domain.times import parse_time
from acode_tui.storage.cursors import decode_cursor
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.postgres.types import Connection

COUNTED = 10_000
"""Index entries that are looked at for a count that nobody waits for."""


def _is_narrowed(given: SessionFilter) -> bool:
    """Whether more than states is asked for: then a count may have to look at every row."""
    return bool(
        given.user is not None
        or given.workspace is not None
        or given.since
        or given.until
        or (given.text is not None and given.text.strip())
    )


async def by_state(connection: Connection, schema: str, given: SessionFilter) -> dict[SessionState, int] | None:
    """How many sessions fit of each state, the filter's own states aside; None where there are very many."""
    if _is_narrowed(given):
        return None
    sql = f"SELECT state, count(*) FROM (SELECT state FROM {schema}.sessions LIMIT $1) AS few GROUP BY state"  # noqa: S608
    found = {row["state"]: int(row["count"]) for row in await connection.fetch(sql, COUNTED + 1)}
    return {state: found.get(state.value, 0) for state in SessionState} if sum(found.values()) <= COUNTED else None


async def before(connection: Connection, schema: str, given: SessionFilter, cursor: str) -> int | None:
    """How many sessions stand before the page that is read after a cursor. Raises ValidationError for a bad cursor."""
    place = decode_cursor(cursor, given.sort)
    if _is_narrowed(given) or given.states:
        return None
    stamp = "created_at" if given.sort == "created" else "updated_at"
    values: list[object] = [COUNTED + 1, parse_time(place.stamp), place.id]
    where = f"({stamp}, id) >= ($2, $3::uuid)"
    if given.sort == "state":
        earlier = [state.value for state in STATE_ORDER[: STATE_ORDER.index(SessionState(place.state))]]
        values += [place.state, earlier]
        where = f"(state = $4 AND {where} OR state = ANY($5::text[]))"
    sql = f"SELECT count(*) FROM (SELECT FROM {schema}.sessions WHERE {where} LIMIT $1) AS counted"  # noqa: S608
    counted = int(await connection.fetchval(sql, *values))
    return counted if counted <= COUNTED else None
