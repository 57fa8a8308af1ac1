"""What sessions contribute to the figures, computed from their rows.

Tokens and costs stand in the metadata of steps, each step's in one session only. What a session's own metadata names
beyond the sum of its steps was used by no step that is stored; it counts for the session's first day and last model.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from acode_tui.domain.figures import CONTEXTS, GIVEN, NANO
from acode_tui.storage.sqlite.figures.tables import Contribution, Sums

_DAY = "CAST(strftime('%s', substr({0}.created_at, 1, 10)) AS INTEGER) / 86400"
_MOST = 1_000_000_000_000
"""Most tokens of a step, and most dollars it may cost: what is larger is a fault, and the sums stay integers."""

_TOKENS = ", ".join(
    f"coalesce(min(max(CAST(json_extract({{0}}.metadata, '$.tokens.{name}') AS INTEGER), 0), {_MOST}), 0) AS {column}"
    for name, column in {
        "input": "input", "output": "output", "cacheRead": "cache_read", "cacheWrite": "cache_write"
    }.items()
)  # fmt: skip
_COST = (
    "CASE WHEN json_type({0}.metadata, '$.cost') IN ('integer', 'real') THEN "
    f"CAST(round(min(max(json_extract({{0}}.metadata, '$.cost'), 0), 1000000) * {NANO}) AS INTEGER) END AS cost"
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
    sum(input), sum(output), sum(cache_read), sum(cache_write), coalesce(sum(cost), 0)
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

K = TypeVar("K")

_decode_models = msgspec.json.Decoder(tuple[str, ...]).decode


class SessionFigures:
    """The figures of one session; ``usage`` and ``tools`` in the order of their keys."""

    def __init__(self, agent: str, project: str) -> None:
        self.agent = agent
        self.project = project
        self.totals: tuple[int | None, ...] = ()
        """Calls, failed calls, the four numbers of tokens; and the cost that the session says, if it does."""
        self.usage: list[Contribution] = []
        self.tools: list[Contribution] = []


def read_contributions(connection: sqlite3.Connection, sessions: Sequence[int]) -> dict[int, SessionFigures]:
    """The figures of the sessions with these rowids, as far as they are there."""
    asked = f"[{','.join(map(str, sessions))}]"
    made = {row[0]: _Session(row) for row in connection.execute(_SESSIONS, (asked,))}
    for session, *step in connection.execute(_STEPS, (asked,)):
        made[session].add_steps(*step)
    for session, *calls in connection.execute(_CALLS, (asked,)):
        made[session].add_calls(*calls)
    return {session: each.figures() for session, each in made.items()}


class _Session:
    """One session's figures in the making."""

    def __init__(self, row: Sequence[int | str | None]) -> None:
        _, day, agent, project, models, *tokens, cost = row
        assert isinstance(day, int)
        self._day = day
        self._made = SessionFigures(str(agent), str(project))
        names = _decode_models(str(models)) if models else ()
        self._model = names[-1] if names else ""
        self._total = tuple(int(each or 0) for each in tokens)
        self._cost = None if cost is None else int(cost)
        self._usage: dict[tuple[int, str, int], list[int]] = {}
        self._calls: dict[tuple[int, str], list[int]] = {}
        self._tools: dict[tuple[int, str], list[int]] = {}

    def add_steps(self, day: int, model: str, context: int, *sums: int) -> None:
        _add(self._usage, (day, model or self._model, context), sums)

    def add_calls(self, day: int, model: str, tool: str, calls: int, failed: int) -> None:
        _add(self._calls, (day, model or self._model), (calls, failed))
        _add(self._tools, (day, tool), (calls, failed))

    def figures(self) -> SessionFigures:
        self._settle()
        made = self._made
        made.usage = list(self._usage_rows())
        seen: set[str] = set()
        for (day, tool), counts in sorted(self._tools.items()):
            made.tools.append(Contribution(day, (tool,), (int(tool not in seen), *counts)))
            seen.add(tool)
        calls, failed, *tokens = (sum(each.sums[column] for each in made.usage) for column in range(2, 8))
        made.totals = (calls, failed, *tokens, self._cost)
        return made

    def _settle(self) -> None:
        """Count what the session says beyond its steps."""
        steps = [sum(column) for column in zip(*self._usage.values(), strict=True)] or [0] * 5
        rest = tuple(max(total - known, 0) for total, known in zip(self._total, steps[:4], strict=True))
        if self._cost is not None and not steps[4] and self._cost:
            # The session alone says what it cost: that is the cost of all its requests.
            self._give_cost(rest, self._cost)
            return
        more = max((self._cost or 0) - steps[4], 0)
        if any(rest) or more:
            _add(self._usage, (self._day, self._model, GIVEN if more else 0), (*rest, more))

    def _give_cost(self, rest: Sums, cost: int) -> None:
        """Divide a cost among days and models, by tokens as they are usually priced relative to each other."""
        given: dict[tuple[int, str, int], list[int]] = {}
        for (day, model, _), sums in self._usage.items():
            _add(given, (day, model, GIVEN), sums)
        if any(rest) or not given:
            _add(given, (self._day, self._model, GIVEN), (*rest, 0))
        weights = {key: 20 * s[0] + 100 * s[1] + 2 * s[2] + 25 * s[3] for key, s in given.items()}
        whole, left = sum(weights.values()), cost
        for key, sums in given.items():
            sums[4] = cost * weights[key] // whole if whole else 0
            left -= sums[4]
        next(iter(given.values()))[4] += left
        self._usage = given

    def _usage_rows(self) -> Iterator[Contribution]:
        """The rows in order, with the calls; the first is of the session's day, and counts the session."""
        rows: dict[tuple[int, str, int], list[int]] = {
            key: [0, 0, 0, 0, *sums] for key, sums in self._usage.items() if any(sums)
        }
        for (day, model), counts in self._calls.items():
            contexts = [key for key in rows if key[:2] == (day, model)]
            row = rows.setdefault(min(contexts, default=(day, model, 0)), [0] * 9)
            row[2:4] = counts
        own = [key for key in rows if key[0] == self._day]
        rows.setdefault(min(own, default=(self._day, self._model, 0)), [0] * 9)[0] = 1
        seen: set[str] = set()
        for key in sorted(rows):
            day, model, context = key
            # A row that only counts the session is none of its model, unless there is no other.
            if model not in seen and (any(rows[key][2:]) or len(rows) == 1):
                rows[key][1] = 1
                seen.add(model)
            yield Contribution(day, (model, context), tuple(rows[key]))


def _add(into: dict[K, list[int]], key: K, sums: Sequence[int]) -> None:
    known = into.get(key)
    into[key] = list(sums) if known is None else [a + b for a, b in zip(known, sums, strict=True)]
