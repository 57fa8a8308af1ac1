"""Pages of the sessions that match a text. Three methods, so that neither rare nor common words take long:

1. A few rows at the page's position are tested by their own texts. A common word fills a page from them, at the same
   cost for any number of matches.
2. Otherwise the full-text indexes are queried. Few matches are all looked up, then sorted. Of several words the indexes
   are queried only for those that the first rows lack, where there are any: collecting the matches of a word that every
   row has costs more than testing the few rows that the others leave.
3. Many matches are dense, so testing further rows fills a page soon. Where it does not, or where the first rows show
   that the matches are far from the page's position, every match is sorted after all.

A word of a script without spaces is not looked up in an index, for an index takes the text around it as one word: every
text is searched for it.
"""

import re
import sqlite3
import unicodedata
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.session_filter import is_unspaced
from acode_tui.storage.sqlite.sessions.ranges import Position, Range, conditions, count_rows, span_of, walk

_WORD = re.compile(r"[^\W_]+")

FTS_TABLES: dict[str, str] = {
    "sessions_fts": "sessions",
    "session_tasks_fts": "session_tasks",
    "steps_fts": "steps",
    "tool_calls_fts": "tool_calls",
    "artifacts_fts": "artifacts",
}
"""Each full-text index and its table."""


def words(text: str) -> list[str]:
    """The words of a search, with composed accents: some keyboards and file systems decompose them."""
    return _WORD.findall(unicodedata.normalize("NFC", text))


def expression_of(found: list[str]) -> str:
    """The MATCH expression for the words of a search.

    Every word is quoted, so nothing in it is FTS5 syntax. A single ASCII letter matches only as a whole word: as a
    prefix it would match nearly everything.
    """
    return " ".join(f'"{word}"' if len(word) == 1 and word.isascii() else f'"{word}"*' for word in found)


TOKENIZER = "unicode61 remove_diacritics 2"
_FIRST_LOOK = 3


class TextProbe:
    """Tests texts against one MATCH expression, made of ``words``. A context manager: it holds a database in memory."""

    def __init__(self, words: Sequence[str], expression: str) -> None:
        self._expression = expression
        # An ASCII text matches only if it contains every word, which is cheap to test.
        needed = [word.lower() for word in words]
        self._needed = needed if all(word.isascii() for word in needed) else []
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.execute(
            f"CREATE VIRTUAL TABLE probe USING fts5 (text, content = '', tokenize = '{TOKENIZER}')"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def owners(self, texts: Sequence[tuple[str, str]]) -> set[str]:
        """Of ``(owner, text)`` pairs, the owners with a text that matches."""
        likely: dict[str, list[str]] = {}
        for owner, text in texts:
            if self._likely(text):
                likely.setdefault(owner, []).append(text)
        # Most owners match by one of their first likely texts: the others are tested only where these do not match.
        found = self._ask([(owner, text) for owner, own in likely.items() for text in own[:_FIRST_LOOK]])
        rest = [(owner, text) for owner, own in likely.items() if owner not in found for text in own[_FIRST_LOOK:]]
        return found | self._ask(rest) if rest else found

    def _ask(self, texts: Sequence[tuple[str, str]]) -> set[str]:
        if not texts:
            return set()
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT INTO probe (rowid, text) VALUES (?, ?)", ((row, text) for row, (_, text) in enumerate(texts))
        )
        found = self._connection.execute("SELECT rowid FROM probe WHERE probe MATCH ?", (self._expression,)).fetchall()
        self._connection.execute("ROLLBACK")
        return {texts[row][0] for (row,) in found}

    def _likely(self, text: str) -> bool:
        if not text.isascii():
            return True
        lowered = text.lower()
        return all(word in lowered for word in self._needed)


MATCH_CAP = 16_000
"""Most matches that are all looked up and sorted. Beyond it, testing rows up to the end of a page costs less."""

FIRST_TEXTS = 600
WALK_TEXTS = 9_000
"""Texts that are tested before the indexes are queried, and before every match is sorted after all."""

FEW_ROWS = 200
"""Most rows of a filter that are all tested for a total."""

RARE_CAP = 3_000
"""Most matches of the rare words of a search that are tested one by one for its other words."""

COMMON_SHARE = 8
"""A word is common if one in so many of the first rows has it."""

_FIRST_CHUNK = 4

_COLUMNS: dict[str, tuple[str, str, str]] = {
    "sessions_fts": ("sessions", "id", "task_description"),
    "session_tasks_fts": ("session_tasks", "session_id", "title"),
    "steps_fts": ("steps", "session_id", "name"),
    "tool_calls_fts": ("tool_calls", "session_id", "tool_name"),
    "artifacts_fts": ("artifacts", "session_id", "name"),
}
"""Each index's table, with its columns for the session and for the text."""

# DISTINCT: a session calls the same few tools again and again.
_TEXTS: dict[str, str] = {
    index: f"SELECT DISTINCT t.{owner}, t.{column} FROM json_each(?) AS g "  # noqa: S608
    f"CROSS JOIN {table} AS t ON t.{owner} = g.value"
    for index, (table, owner, column) in _COLUMNS.items()
}


class _Tested(NamedTuple):
    """The matches of ``rows`` tested rows; ``ended`` if the span has no further rows; the texts of all tested rows."""

    found: list[Position]
    rows: int
    ended: bool
    texts: list[tuple[str, str]]


class TextSearch:
    """One search in one snapshot of the database: its results serve every page that is read from it."""

    def __init__(self, connection: sqlite3.Connection, given: SessionFilter) -> None:
        self._connection = connection
        self._given = given
        self._words = words(given.text or "")
        self._expression = expression_of(self._words)
        self._within = [_lower(word) for word in self._words if is_unspaced(word)]
        self._every: set[Position] | None = None
        self._density: dict[str, list[str]] = {}

    def places(self, span: Range, limit: int) -> tuple[list[Position], int | None]:
        """The first ``limit`` matching rows of the span, in its direction; and how many match in all, where known."""
        if not self._words:
            return [], 0
        if self._every is None and not self._within:
            with TextProbe(self._words, self._expression) as probe:
                answer = self._from_few(span, limit, probe)
            if answer is not None:
                return answer
        every = self._all_matches()
        return [place for place in _in_order(every, span) if span.holds(place)][:limit], len(every)

    def count(self) -> int:
        """How many match, exactly."""
        return len(self._all_matches()) if self._words else 0

    def _from_few(self, span: Range, limit: int, probe: TextProbe) -> tuple[list[Position], int | None] | None:
        """The answer, where testing a limited number of rows gives it; None where every match has been collected."""
        first = self._tested(span, limit, probe, list(FTS_TABLES), FIRST_TEXTS)
        if len(first.found) >= limit or first.ended:
            return first.found, self._total_of_few_rows(probe)
        rare = self._rare_words(first)
        if rare and not self._dense(expression_of(rare), RARE_CAP):
            self._every = self._looked_up_by(expression_of(rare), probe)
            return None
        dense = self._dense(self._expression, MATCH_CAP)
        if not dense:
            return None
        # By the density of the first rows, the page's end is so many texts away; without a match it is far.
        if len(first.found) * WALK_TEXTS >= limit * len(first.texts):
            walked = self._tested(span, limit, probe, dense, WALK_TEXTS, only_misses=True)
            if len(walked.found) >= limit or walked.ended:
                return walked.found, None
        return _in_order(self._looked_up(span, limit), span)[:limit], None

    def _total_of_few_rows(self, probe: TextProbe) -> int | None:
        """How many match, where the filter leaves so few rows that all are tested; else None."""
        if count_rows(self._connection, self._given, max_entries=FEW_ROWS) is None:
            return None
        tested = self._tested(span_of(self._given), FEW_ROWS + 1, probe, list(FTS_TABLES), FIRST_TEXTS)
        return len(tested.found) if tested.ended else None

    def _rare_words(self, first: _Tested) -> list[str]:
        """The words that few of the first rows have, where the other words are common there; else none."""
        if len(self._words) == 1 or not all(word.isascii() for word in self._words):
            return []
        lowered = [(owner, text.lower()) for owner, text in first.texts]
        rare = [
            word
            for word in self._words
            if len({owner for owner, text in lowered if word.lower() in text}) * COMMON_SHARE < first.rows
        ]
        return rare if len(rare) < len(self._words) else []

    def _all_matches(self) -> set[Position]:
        if self._every is None:
            self._every = self._all_containing() if self._within else self._looked_up(span_of(self._given), -1)
        return self._every

    def _all_containing(self) -> set[Position]:
        """Every row with a text that contains the unspaced words and matches the others."""
        stamp, span = _stamp(self._given), span_of(self._given)
        where, values = conditions(self._given, "s.")
        others = expression_of([word for word in self._words if not is_unspaced(word)])
        found: set[Position] = set()
        for index, (table, owner, column) in _COLUMNS.items():
            tests = " AND ".join([f"instr(lower(t.{column}), ?)"] * len(self._within))
            fitting = f" AND t.rowid IN (SELECT rowid FROM {index} WHERE {index} MATCH ?)" if others else ""  # noqa: S608
            sql = f"""
                SELECT s.{stamp}, s.id FROM {table} AS t CROSS JOIN sessions AS s ON s.id = t.{owner}
                WHERE {tests}{fitting} AND (s.{stamp}, s.id) < (?, ?) AND (s.{stamp}, s.id) > (?, ?){where}
            """  # noqa: S608
            given = [*self._within, *([others] if others else [])]
            found.update(self._connection.execute(sql, (*given, *span.upper, *span.lower, *values)))
        return found

    def _looked_up(self, span: Range, limit: int) -> set[Position]:
        """The first ``limit`` rows of the span that match in each full-text index; -1 means all."""
        stamp, order = _stamp(self._given), "DESC" if span.newest_first else "ASC"
        sorting = "" if limit < 0 else f"ORDER BY s.{stamp} {order}, s.id {order}"
        where, values = conditions(self._given, "s.")
        found: set[Position] = set()
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
            found.update(self._connection.execute(sql, (self._expression, *span.upper, *span.lower, *values, limit)))
        return found

    def _looked_up_by(self, expression: str, probe: TextProbe) -> set[Position]:
        """Every matching row, given an expression that matches those and few others."""
        stamp, span = _stamp(self._given), span_of(self._given)
        where, values = conditions(self._given, "s.")
        hits: list[tuple[str, str, str]] = []
        for index, (table, owner, column) in _COLUMNS.items():
            sql = f"""
                SELECT s.{stamp}, s.id, t.{column} FROM {index} AS f CROSS JOIN {table} AS t ON t.rowid = f.rowid
                CROSS JOIN sessions AS s ON s.id = t.{owner} WHERE f.{index} MATCH ?
                AND (s.{stamp}, s.id) < (?, ?) AND (s.{stamp}, s.id) > (?, ?){where}
            """  # noqa: S608
            hits += self._connection.execute(sql, (expression, *span.upper, *span.lower, *values))
        fitting = probe.owners([(row_id, text) for _, row_id, text in hits])
        return {(at, row_id) for at, row_id, _ in hits if row_id in fitting}

    def _tested(
        self,
        span: Range,
        limit: int,
        probe: TextProbe,
        indexes: Sequence[str],
        budget: int,
        *,
        only_misses: bool = False,
    ) -> _Tested:
        """Rows of the span, each tested by its texts until ``limit`` match or ``budget`` is spent.

        With ``only_misses`` the texts of matching rows do not count against ``budget``: they fill the page.
        """
        found: list[Position] = []
        seen: list[tuple[str, str]] = []
        rows = 0
        for places in walk(self._connection, self._given, span, _FIRST_CHUNK):
            ids = msgspec.json.encode([place[1] for place in places]).decode()
            texts = [pair for index in indexes for pair in self._connection.execute(_TEXTS[index], (ids,))]
            fitting = probe.owners(texts)
            found += [place for place in places if place[1] in fitting]
            seen += texts
            rows += len(places)
            budget -= len(places)
            budget -= sum(owner not in fitting for owner, _ in texts) if only_misses else len(texts)
            if len(found) >= limit or budget <= 0:
                return _Tested(found[:limit], rows, False, seen)
        return _Tested(found, rows, True, seen)

    def _dense(self, expression: str, cap: int) -> list[str]:
        """The indexes with matches, if there are more than ``cap`` of them; else none."""
        if (known := self._density.get(expression)) is not None:
            return known
        total, matching = 0, []
        for index in FTS_TABLES:
            sql = f"SELECT count(*) FROM (SELECT 1 FROM {index} WHERE {index} MATCH ? LIMIT ?)"  # noqa: S608
            count = int(self._connection.execute(sql, (expression, cap + 1)).fetchone()[0])
            total += count
            if count:
                matching.append(index)
        self._density[expression] = matching if total > cap else []
        return self._density[expression]


def _lower(word: str) -> str:
    """In lower case as SQLite has it: ASCII letters alone."""
    return "".join(char.lower() if char.isascii() else char for char in word)


def _stamp(given: SessionFilter) -> str:
    return "updated_at" if given.sort == "updated" else "created_at"


def _in_order(places: set[Position], span: Range) -> list[Position]:
    return sorted(places, reverse=span.newest_first)
