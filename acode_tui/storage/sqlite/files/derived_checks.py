"""The checks of what is derived from the rows: the search index and the figures."""

import sqlite3
from collections.abc import Callable, Sequence

from acode_tui.domain.errors import IntegrityError
from acode_tui.storage.migrations.runner import newest, packaged
from acode_tui.storage.ports import AppliedMigration, Check
from acode_tui.storage.sqlite.figures.check import differences as figures_differences
from acode_tui.storage.sqlite.files.expected_schema import differences, is_of_this_build, listed
from acode_tui.storage.sqlite.fts5 import has_fts5, unavailable
from acode_tui.storage.sqlite.migrate import read_applied
from acode_tui.storage.sqlite.own_schema import read_schema, schema_of
from acode_tui.storage.sqlite.search.check import differences as search_differences
from acode_tui.storage.sqlite.search.check import pending_sessions
from acode_tui.storage.sqlite.search.faults import REBUILD, index_faults
from acode_tui.storage.sqlite.search.marks import is_without_words
from acode_tui.storage.sqlite.search.tables import NEED_FTS5, is_derived


def check_search_index(connection: sqlite3.Connection, *, deep: bool) -> Check:
    """Whether the search index fits its rows: some of them, or every word of every row."""
    applied, known = read_applied(connection), packaged("sqlite")
    at = newest(applied)
    if not is_of_this_build(applied, known):
        return Check(name="search", ok=True, description=f"not compared: schema {at} is not this program's")
    expected = _derived_schema(applied)
    if not expected:
        return Check(name="search", ok=True, description="no search index yet")
    if not has_fts5():
        return Check(name="search", ok=True, description=f"not compared: {unavailable().message}")
    if is_without_words(connection):
        return Check(name="search", ok=True, description="made with the next search: the file was written without FTS5")
    if changed := differences(read_schema(connection), expected):
        return Check(name="search", ok=False, description=f"{listed(changed)}; {REBUILD}")
    right = "the index has every word of the rows" if deep else "the index fits its rows, as far as they were compared"
    return _compared("search", right, lambda: search_differences(connection, deep=deep))


def check_figures(connection: sqlite3.Connection, *, deep: bool) -> Check:
    """Whether the figures are those of the rows: the sums of all runs, and the numbers of some or of each."""
    applied = read_applied(connection)
    expected = _derived_schema(applied)
    if ("table", "figures_usage") not in expected:
        return Check(name="figures", ok=True, description="no figures yet")
    made = read_schema(connection)
    lost = [each for each in differences(made, expected) if has_fts5() or each.name not in NEED_FTS5]
    if not is_of_this_build(applied, packaged("sqlite")) or lost:
        return Check(name="figures", ok=True, description="not compared: see the check of the search index")

    def compare() -> tuple[str, ...]:
        pending = pending_sessions(connection)
        # An index of another form is made again before the next answer, and the figures with it.
        return () if pending is None else figures_differences(connection, pending, deep=deep)

    right = "the figures are those of every run" if deep else "the figures are right, as far as they were compared"
    return _compared("figures", right, compare)


def _derived_schema(applied: Sequence[AppliedMigration]) -> dict[tuple[str, str], str]:
    """What belongs to the search index and the figures, in the schema as it was migrated."""
    schema = schema_of(packaged("sqlite"), newest(applied) or "0")
    return {key: sql for key, sql in schema.items() if is_derived(key[1])}


def _compared(name: str, right: str, compare: Callable[[], tuple[str, ...]]) -> Check:
    try:
        with index_faults():
            found = compare()
    except IntegrityError as error:
        return Check(name=name, ok=False, description=f"{error.message}; {error.hint}")
    if found:
        return Check(name=name, ok=False, description=f"{'; '.join(found)}; {REBUILD}")
    return Check(name=name, ok=True, description=right)
