"""Figures of runs: their days, and the numbers that each session adds.

Tokens and costs stand in the metadata of steps, each step's in one session only. What a session's own metadata names
beyond the sum of its steps was used by no step that is stored; it counts for the session's first day and last model.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple, TypeVar

from acode_tui.domain.clock import parse_time
from acode_tui.domain.entities import Session

K = TypeVar("K")

_FIRST = date(1970, 1, 1).toordinal()

CONTEXTS = (128_000, 200_000, 256_000, 272_000)
"""Numbers of input tokens from which on providers price a request otherwise. A request counts for the largest one that
it exceeds, or for 0.
"""

GIVEN = -1
"""Stands for the context of requests whose cost is known: they are not priced."""

ONE_HOUR = 1
"""Added to a context: the row has what its requests wrote to a cache for an hour, which has a price of its own."""

NANO = 1_000_000_000
"""Costs are summed in whole billionths of a US dollar, so that what is added and subtracted again leaves nothing."""


MOST_TOKENS = 1_000_000_000_000
MOST_DOLLARS = 1_000_000
"""Most that a step counts for. What is larger is a fault, and the sums stay within an integer of the database."""


def day_of(moment: datetime) -> int:
    """The number of a UTC moment's day, counted from 1970-01-01."""
    return moment.toordinal() - _FIRST


def date_of(day: int) -> date:
    """The date of a day's number."""
    return date(1970, 1, 1) + timedelta(days=day)


def duration_of(session: Session) -> timedelta:
    """How long a run took: from the first to the last record of its transcript, else until its last change."""
    metadata = session.metadata or {}
    first, last = metadata.get("firstTime"), metadata.get("lastTime")
    if isinstance(first, str) and isinstance(last, str):
        try:
            return parse_time(last) - parse_time(first)
        except ValueError:
            pass  # other metadata under the same names
    return session.updated_at - session.created_at


def tokens_of(session: Session) -> int:
    """The tokens of input, cache writes and output that a session names; cache reads are not counted."""
    tokens = (session.metadata or {}).get("tokens")
    if isinstance(tokens, Mapping):
        counts = [tokens.get(name) for name in ("input", "cacheWrite", "output")]
        return sum(count for count in counts if isinstance(count, int))
    return tokens if isinstance(tokens, int) else 0


class Contribution(NamedTuple):
    """What a session adds for a day and a model, or a day and a tool.

    ``rest`` is the rest of the key, model and context or the tool; the sums are in the order of ``USAGE`` or ``TOOL``.
    """

    day: int
    rest: tuple[int | str, ...]
    sums: tuple[int, ...]


USAGE = ("runs", "model_runs", "calls", "failed", "input", "output", "cache_read", "cache_write", "cost")
TOOL = ("runs", "calls", "failed")


class SessionFigures:
    """The figures of one session; ``usage`` and ``tools`` in the order of their keys."""

    def __init__(self, agent: str, project: str) -> None:
        self.agent = agent
        self.project = project
        self.totals: tuple[int | None, ...] = ()
        """Calls, failed calls, the four numbers of tokens; and the cost that the session says, if it does."""
        self.usage: list[Contribution] = []
        self.tools: list[Contribution] = []


class FiguresBuilder:
    """One session's figures in the making, from its steps and calls and from what it says itself."""

    def __init__(self, day: int, agent: str, project: str, model: str, tokens: Sequence[int], cost: int | None) -> None:
        """``model`` is the last that the session names. Its tokens are all of its messages', as is its cost.

        Tokens are input, output, cache read, cache write, and what of the last is kept for an hour.
        """
        self._day = day
        self._made = SessionFigures(agent, project)
        self._model = model
        *self._total, self._total_1h = tokens
        self._known_1h = 0
        self._cost = cost
        self._usage: dict[tuple[int, str, int], list[int]] = {}
        self._calls: dict[tuple[int, str], list[int]] = {}
        self._tools: dict[tuple[int, str], list[int]] = {}

    def add_steps(self, day: int, model: str, context: int, *sums: int) -> None:
        """Add the five numbers of tokens and the cost of steps with one day, model and context."""
        *tokens, hour, cost = sums
        self._known_1h += hour
        self._add_usage(day, model or self._model, context, tokens, hour, cost)

    def add_calls(self, day: int, model: str, tool: str, calls: int, failed: int) -> None:
        """Add calls with one day, model of their steps, and tool."""
        _add(self._calls, (day, model or self._model), (calls, failed))
        _add(self._tools, (day, tool), (calls, failed))

    def figures(self) -> SessionFigures:
        """What was added; the last call."""
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
            hour = min(max(self._total_1h - self._known_1h, 0), rest[3])
            self._add_usage(self._day, self._model, GIVEN if more else 0, rest, hour, more)

    def _add_usage(self, day: int, model: str, context: int, tokens: Sequence[int], hour: int, cost: int) -> None:
        """Add usage; what is kept for an hour apart, unless the cost is given."""
        if context == GIVEN:
            hour = 0
        input, output, read, write = tokens
        _add(self._usage, (day, model, context), (input, output, read, write - hour, cost))
        if hour:
            _add(self._usage, (day, model, context + ONE_HOUR), (0, 0, 0, hour, 0))

    def _give_cost(self, rest: tuple[int, ...], cost: int) -> None:
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
