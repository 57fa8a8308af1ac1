"""Reading what sessions contribute to the figures: of their rows, and as it is stored.

SQLite sums steps and calls, ``domain.figures`` does the rest.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from acode_tui.domain.figures import (
    CONTEXTS,
    GIVEN,
    MOST_DOLLARS,
    MOST_TOKENS,
    NANO,
    Contribution,
    FiguresBuilder,
    SessionFigures,
)
from acode_tui.storage.sqlite.figures.tables import Contributed

_DAY = "CAST(strftime('%s', substr({0}.created_at, 1, 10)) AS INTEGER) / 86400"
_NAMES = {
    "input": "input",
    "output": "output",
    "cacheRead": "cache_read",
    "cacheWrite": "cache_write",
    "cacheWrite1h": "hour",
}
_TOKENS = ", ".join(
    f"coalesce(min(max(CAST(json_extract({{0}}.metadata, '$.tokens.{name}') AS INTEGER), 0), {MOST_TOKENS}), 0) "
    f"AS {column}"
    for name, column in _NAMES.items()
)
_COST = (
    "CASE WHEN json_type({0}.metadata, '$.cost') IN ('integer', 'real') THEN "
    f"CAST(round(min(max(json_extract({{0}}.metadata, '$.cost'), 0), {MOST_DOLLARS}) * {NANO}) AS INTEGER) END AS cost"
)
_MODEL = "coalesce(CAST(json_extract({0}.metadata, '$.model') AS TEXT), '')"
_CONTEXT = " ".join(
    f"WHEN input + cache_read + cache_write > {threshold} THEN {threshold}" for threshold in reversed(CONTEXTS)
)
_ASKED = "json_each(?) AS g CROSS JOIN sessions AS s ON s.rowid = g.value"

_SESSIONS = f"""
SELECT s.rowid, {_DAY.format("s")}, coalesce(f.agent, ''), coalesce(f.project, ''), f.models, {_TOKENS.format("s")},
    {_COST.format("s")}
FROM {_ASKED} LEFT JOIN session_facts AS f ON f.session = s.rowid
"""  # noqa: S608
_STEPS = f"""
SELECT session, day, model, CASE WHEN cost IS NOT NULL THEN {GIVEN} {_CONTEXT} ELSE 0 END,
    sum(input), sum(output), sum(cache_read), sum(cache_write), sum(min(hour, cache_write)), coalesce(sum(cost), 0)
FROM (
    SELECT s.rowid AS session, {_DAY.format("t")} AS day, {_MODEL.format("t")} AS model, {_TOKENS.format("t")},
        {_COST.format("t")}
    FROM {_ASKED} CROSS JOIN steps AS t ON t.session_id = s.id WHERE t.metadata IS NOT NULL
)
GROUP BY 1, 2, 3, 4
"""  # noqa: S608
_CALLS = f"""
SELECT s.rowid, {_DAY.format("c")}, {_MODEL.format("t")}, c.tool_name, count(*), sum(c.state = 'Failed')
FROM {_ASKED} CROSS JOIN tool_calls AS c ON c.session_id = s.id LEFT JOIN steps AS t ON t.id = c.step_id
GROUP BY 1, 2, 3, 4
"""  # noqa: S608

_decode_models = msgspec.json.Decoder(tuple[str, ...]).decode


def read_contributions(connection: sqlite3.Connection, sessions: Sequence[int]) -> dict[int, SessionFigures]:
    """The figures of the sessions with these rowids, as far as they are there."""
    asked = f"[{','.join(map(str, sessions))}]"
    made: dict[int, FiguresBuilder] = {}
    for session, day, agent, project, models, *tokens, cost in connection.execute(_SESSIONS, (asked,)):
        names = _decode_models(models) if models else ()
        made[session] = FiguresBuilder(day, agent, project, names[-1] if names else "", tokens, cost)
    for session, *step in connection.execute(_STEPS, (asked,)):
        made[session].add_steps(*step)
    for session, *calls in connection.execute(_CALLS, (asked,)):
        made[session].add_calls(*calls)
    return {session: each.figures() for session, each in made.items()}


def stored_contributions(
    connection: sqlite3.Connection, of: Contributed, sessions: Sequence[int]
) -> dict[int, list[Contribution]]:
    """What is stored of these sessions in one table, in the order of ``SessionFigures``."""
    columns = ", ".join(("session", "day", *of.rest, *of.sums))
    sql = f"SELECT {columns} FROM {of.table} WHERE session IN (SELECT value FROM json_each(?)) ORDER BY 1, 2, 3, 4"  # noqa: S608
    found: dict[int, list[Contribution]] = defaultdict(list)
    for session, day, *rest in connection.execute(sql, (f"[{','.join(map(str, sessions))}]",)):
        found[session].append(Contribution(day, tuple(rest[: len(of.rest)]), tuple(rest[len(of.rest) :])))
    return found
