"""Summing figures: over the sums that are kept, or over what chosen sessions contribute."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from acode_tui.domain.figures import TOOL, USAGE, day_of
from acode_tui.storage.figures_sum import FIRST_DAY, LAST_DAY, FiguresSum
from acode_tui.storage.ports import By, Figures
from acode_tui.storage.sqlite.figures.tables import month_of

_KEYS = {"day": "{0}.day", "model": "{0}.model", "agent": "{1}.agent", "project": "{1}.project", "tool": "{0}.tool"}


class Choice(NamedTuple):
    """Which contributions are summed: days, first and last, and the values of agent and project; None for any."""

    first: int = FIRST_DAY
    last: int = LAST_DAY
    agents: Sequence[str] | None = None
    projects: Sequence[str] | None = None


class Summing:
    """Sums by one kind of key in one snapshot. Ranges of days are added one after the other."""

    def __init__(self, connection: sqlite3.Connection, by: By) -> None:
        self._connection = connection
        self._by = by
        self._sum = FiguresSum(by)

    def figures(self) -> Figures:
        """What was added."""
        return self._sum.figures()

    def add_all(self, choice: Choice) -> None:
        """Add everything of the choice, from the sums that are kept as far as they have it."""
        if self._by != "project" and choice.projects is None:
            self._add_kept("day", choice.first, choice.last, choice)
            return
        if self._by == "day":
            # Whole months do not say of which day they are: the sessions of the projects do.
            self.add_sessions(self._of_projects(choice), choice)
            return
        months, days = _divided(choice.first, choice.last)
        if months is not None:
            self._add_kept("month", *months, choice)
        for first, last in days:
            self._add_contributions("", (), choice._replace(first=first, last=last))

    def add_sessions(self, sessions: str, choice: Choice) -> None:
        """Add what sessions contribute; ``sessions`` is a JSON array of their rowids."""
        self._add_contributions("json_each(?) AS g CROSS JOIN", (sessions,), choice)

    def _add_kept(self, grain: str, first: int, last: int, choice: Choice) -> None:
        table = f"figures_tools_by_{grain}" if self._by == "tool" else f"figures_by_{grain}"
        where, values = _chosen(choice, "u")
        self._add(table + " AS u", "u", f"u.{grain} BETWEEN ? AND ?{where}", (first, last, *values), choice.first)

    def _add_contributions(self, source: str, given: Sequence[str], choice: Choice) -> None:
        table = "figures_tools" if self._by == "tool" else "figures_usage"
        where, values = _chosen(choice, "s")
        days = "u.day BETWEEN ? AND ?"
        if source:
            joined = f"{source} {table} AS u ON u.session = g.value"
        else:
            joined = f"{table} AS u INDEXED BY {table}_on_day"
        joined += " CROSS JOIN figures_sessions AS s ON s.session = u.session"
        self._add(joined, "s", f"{days}{where}", (*given, choice.first, choice.last, *values), choice.first)

    def _add(self, source: str, of_session: str, where: str, values: Sequence[object], priced_on: int) -> None:
        key = _KEYS[self._by].format("u", of_session)
        kept = TOOL if self._by == "tool" else USAGE
        sums = ", ".join(f"sum(u.{column})" for column in kept)
        if self._by == "tool":
            sql = f"SELECT {key}, {sums} FROM {source} WHERE {where} GROUP BY 1"  # noqa: S608
            for tool, *numbers in self._connection.execute(sql, values):
                self._sum.add_tool(tool, numbers)
            return
        sql = f"SELECT {key}, u.model, u.context, {sums} FROM {source} WHERE {where} GROUP BY 1, 2, 3"  # noqa: S608
        for found, model, context, *numbers in self._connection.execute(sql, values):
            # Within the days of one choice prices do not change.
            self._sum.add_usage(found, found if self._by == "day" else priced_on, model, context, numbers)

    def _of_projects(self, choice: Choice) -> str:
        where, values = _chosen(choice, "s")
        sql = f"SELECT json_group_array(session) FROM figures_sessions AS s WHERE true{where}"  # noqa: S608
        return str(self._connection.execute(sql, values).fetchone()[0])


def models(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The models of any usage, "" where it is not known."""
    return tuple(row[0] for row in connection.execute("SELECT DISTINCT model FROM figures_by_day"))


def values_of(connection: sqlite3.Connection, column: str) -> list[str]:
    """The different agents or projects of the sessions that are counted."""
    return [row[0] for row in connection.execute(f"SELECT DISTINCT {column} FROM figures_by_month")]  # noqa: S608


def ranges(first: int, last: int, changes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The days from ``first`` to ``last``, divided before each of ``changes``."""
    for change in sorted(set(changes)):
        if first < change <= last:
            yield first, change - 1
            first = change
    if first <= last:
        yield first, last


def _divided(first: int, last: int) -> tuple[tuple[int, int] | None, list[tuple[int, int]]]:
    """The whole months within the days, first and last; and the days that are left, as ranges."""
    begin, end = month_of(first), month_of(last)
    if first > _first_day(begin):
        begin += 1
    if last < _first_day(end + 1) - 1:
        end -= 1
    if begin > end:
        return None, [(first, last)]
    left = [(first, _first_day(begin) - 1), (_first_day(end + 1), last)]
    return (begin, end), [each for each in left if each[0] <= each[1]]


def _first_day(month: int) -> int:
    year, number = divmod(month, 12)
    if year > 9999:
        return LAST_DAY + 1
    return day_of(datetime(year, number + 1, 1))


def _chosen(choice: Choice, table: str) -> tuple[str, list[str]]:
    where, values = "", []
    for column, chosen in (("agent", choice.agents), ("project", choice.projects)):
        if chosen is not None:
            where += f" AND {table}.{column} IN (SELECT value FROM json_each(?))"  # noqa: S608
            values.append(json.dumps(list(chosen)))
    return where, values
