"""Pages of the sessions that a text fits: found in three ways, so that neither rare nor common words take long.

1. A few of the newest rows are tested by their own texts: a common word fills a page from them, and nothing else is
   asked. That costs the same however many rows the word fits.
2. Otherwise the full-text indexes answer. Matches that are few enough are all looked up, then sorted.
3. Matches that are many are dense, so testing on finds a page soon. Where it does not, because the matches lie far from
   the page's place, every match is sorted after all.
"""

import sqlite3
from collections.abc import Sequence

import msgspec

from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.sqlite.search import FTS_TABLES, match_expression
from acode_tui.storage.sqlite.session_ranges import Place, Range, conditions, count_rows, span_of, walk
from acode_tui.storage.sqlite.text_probe import TextProbe

MATCH_CAP = 16_000
"""Matches that are sorted outright: about where looking them up costs as much as walking to a page does."""

GLANCE_TEXTS = 600
WALK_TEXTS = 9_000
"""Texts tested before the indexes are asked, and before every match is sorted after all."""

GLANCE_ROWS = 200
"""Rows that a total is counted in by testing each."""

_FIRST_CHUNK = 4

_TEXTS: dict[str, str] = {
    "sessions_fts": "SELECT t.id, t.task_description FROM json_each(?) AS g CROSS JOIN sessions AS t ON t.id = g.value",
    "session_tasks_fts": (
        "SELECT t.session_id, t.title FROM json_each(?) AS g CROSS JOIN session_tasks AS t ON t.session_id = g.value"
    ),
    "steps_fts": "SELECT t.session_id, t.name FROM json_each(?) AS g CROSS JOIN steps AS t ON t.session_id = g.value",
    "tool_calls_fts": (
        "SELECT DISTINCT t.session_id, t.tool_name"
        " FROM json_each(?) AS g CROSS JOIN tool_calls AS t ON t.session_id = g.value"
    ),
    "artifacts_fts": (
        "SELECT t.session_id, t.name FROM json_each(?) AS g CROSS JOIN artifacts AS t ON t.session_id = g.value"
    ),
}


def matching_places(
    connection: sqlite3.Connection, given: SessionFilter, span: Range, limit: int
) -> tuple[list[Place], int | None]:
    """The first ``limit`` rows of the span that fit, in its direction; and how many fit in all, where that is known."""
    text = given.text or ""
    expression = match_expression(text)
    if expression is None:
        return [], 0
    with TextProbe(text, expression) as probe:
        places, ended = _tested(connection, given, span, limit, probe, list(FTS_TABLES), GLANCE_TEXTS)
        if len(places) >= limit or ended:
            return places, _total_at_a_glance(connection, given, probe)
        dense = _dense(connection, expression)
        if dense:
            places, ended = _tested(connection, given, span, limit, probe, dense, WALK_TEXTS, only_misses=True)
            if len(places) >= limit or ended:
                return places, None
            return _in_order(_looked_up(connection, given, expression, span, limit), span)[:limit], None
    found = all_matches(connection, given, expression)
    return [place for place in _in_order(found, span) if span.holds(place)][:limit], len(found)


def _total_at_a_glance(connection: sqlite3.Connection, given: SessionFilter, probe: TextProbe) -> int | None:
    """How many fit, where the filter leaves so few rows that each can be tested; else None."""
    if count_rows(connection, given, looking_at=GLANCE_ROWS) is None:
        return None
    span = span_of(given)
    places, ended = _tested(connection, given, span, GLANCE_ROWS + 1, probe, list(FTS_TABLES), GLANCE_TEXTS)
    return len(places) if ended else None


def all_matches(connection: sqlite3.Connection, given: SessionFilter, expression: str) -> set[Place]:
    """Every session of the filter that fits."""
    return _looked_up(connection, given, expression, span_of(given), -1)


def _looked_up(
    connection: sqlite3.Connection, given: SessionFilter, expression: str, span: Range, limit: int
) -> set[Place]:
    """The first ``limit`` rows of the span that fit by each full-text index; -1 means all."""
    stamp = "updated_at" if given.sort == "updated" else "created_at"
    order = "DESC" if span.newest_first else "ASC"
    sorting = "" if limit < 0 else f"ORDER BY s.{stamp} {order}, s.id {order}"
    where, values = conditions(given, "s.")
    found: set[Place] = set()
    for index, table in FTS_TABLES.items():
        if table == "sessions":
            hits = f"{index} AS f CROSS JOIN sessions AS s ON s.rowid = f.rowid WHERE f.{index} MATCH ?"
        else:
            hits = (
                f"(SELECT DISTINCT t.session_id FROM {index} AS f CROSS JOIN {table} AS t ON t.rowid = f.rowid "  # noqa: S608
                f"WHERE f.{index} MATCH ?) AS hit CROSS JOIN sessions AS s ON s.id = hit.session_id WHERE 1"
            )
        sql = f"""
            SELECT s.{stamp}, s.id FROM {hits}
            AND (s.{stamp}, s.id) < (?, ?) AND (s.{stamp}, s.id) > (?, ?){where} {sorting} LIMIT ?
        """  # noqa: S608
        found.update(connection.execute(sql, (expression, *span.upper, *span.lower, *values, limit)))
    return found


def _in_order(places: set[Place], span: Range) -> list[Place]:
    return sorted(places, reverse=span.newest_first)


def _tested(
    connection: sqlite3.Connection,
    given: SessionFilter,
    span: Range,
    limit: int,
    probe: TextProbe,
    indexes: Sequence[str],
    budget: int,
    *,
    only_misses: bool = False,
) -> tuple[list[Place], bool]:
    """Rows of the span that fit, each tested by its texts until ``budget`` is spent; and whether none was left over.

    What fits brings the page nearer to its end: with ``only_misses`` it is not counted.
    """
    found: list[Place] = []
    for places in walk(connection, given, span, _FIRST_CHUNK):
        ids = msgspec.json.encode([place[1] for place in places]).decode()
        texts = [pair for index in indexes for pair in connection.execute(_TEXTS[index], (ids,))]
        fitting = probe.owners(texts)
        found += [place for place in places if place[1] in fitting]
        budget -= len(places)
        budget -= sum(owner not in fitting for owner, _ in texts) if only_misses else len(texts)
        if len(found) >= limit:
            return found[:limit], False
        if budget <= 0:
            return found, False
    return found, True


def _dense(connection: sqlite3.Connection, expression: str) -> list[str]:
    """The indexes with matches, if they are too many to be sorted outright; else none."""
    total, matching = 0, []
    for index in FTS_TABLES:
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {index} WHERE {index} MATCH ? LIMIT ?)"  # noqa: S608
        count = int(connection.execute(sql, (expression, MATCH_CAP + 1)).fetchone()[0])
        total += count
        if count:
            matching.append(index)
    return matching if total > MATCH_CAP else []
