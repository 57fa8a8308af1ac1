"""The figures are those of a scan of every row, whatever was written, counted and changed in which order."""

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.domain.clock import MonotonicClock
from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.figures import CONTEXTS, SessionFigures, day_of
from acode_tui.domain.search.facts import facts_of, meets
from acode_tui.domain.search.query import parse_query
from acode_tui.ops.stats.rates import Rate, price_rows, total_cost
from acode_tui.storage.figures_ports import KEYS
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.sqlite.figures import changes
from acode_tui.storage.sqlite.figures.check import differences
from acode_tui.storage.sqlite.figures.contributions import read_contributions
from acode_tui.storage.sqlite.figures.prices import is_priced, price_some, store_prices
from acode_tui.storage.sqlite.figures.tables import TABLES
from acode_tui.storage.sqlite.migrate import migrate
from acode_tui.storage.sqlite.runs.read_graph import read_graph
from acode_tui.storage.sqlite.runs.save_graph import save_graph
from acode_tui.storage.sqlite.search.index import step
from acode_tui.storage.sqlite.sessions.run_figures import answer, usage_of
from tests.clocks import TurnedClock
from tests.storage.figures_runs import DAYS, MODELS, T0, counted_runs, numbers, scanned

NOW = T0 + timedelta(days=100)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, packaged("sqlite"), lock_path=path.with_name("migrate.lock"))
    return path


@contextmanager
def copy(empty: Path) -> Iterator[sqlite3.Connection]:
    with TemporaryDirectory(dir=empty.parent) as folder:
        path = Path(folder) / "file.db"
        shutil.copyfile(empty, path)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            yield connection


def count_all(connection: sqlite3.Connection) -> None:
    while step(connection):
        pass


def save(connection: sqlite3.Connection, run: SessionGraph) -> None:
    save_graph(connection, run, MonotonicClock(TurnedClock()))


def sums(connection: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    tables = [table for table in TABLES if "_by_" in table]
    return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4, 5").fetchall() for table in tables}


RATES = {
    "claude-sonnet-4-5": tuple(
        Rate(day_of(T0) + day, context, *(scale * each for each in (3e-6, 15e-6, 3e-7, 4e-6, 6e-6)))
        for day, scale in ((20, 1), (40, 3))
        for context in (0, *CONTEXTS)
    ),
    "gpt-5": None,
}
"""A price that changes, and holds before its first day too; a model without one; and "" was never looked up."""


def costs(connection: sqlite3.Connection) -> dict[str, int]:
    """What the sessions cost, by what is kept for their order."""
    sql = "SELECT s.id, round(f.priced / 1e3) FROM figures_sessions AS f JOIN sessions AS s ON s.rowid = f.session"
    return dict(connection.execute(sql).fetchall())


def priced(connection: sqlite3.Connection) -> dict[str, int]:
    """The same by the prices that are shown; without a known price a run stands with those that cost nothing."""
    ids = [row[0] for row in connection.execute("SELECT id FROM sessions")]
    usage = usage_of(connection, ids)
    return {each: round((total_cost(usage.get(each, ()), RATES) or 0) * 1e6) for each in ids}


VERSIONS = st.lists(
    st.integers(1, 3).flatmap(lambda number: st.tuples(counted_runs(number), st.booleans())), min_size=2, max_size=6
)
QUERIES = ("agent:codex", "project:shop", "-project:shop agent:codex", "state:Completed agent:codex")


@settings(max_examples=12)
@given(
    versions=VERSIONS,
    days=st.tuples(*(st.sampled_from(DAYS),) * 2),
    change=st.sampled_from(DAYS),
    prices_at=st.integers(0, 6),
)
def test_figures_are_those_of_a_scan_and_leave_nothing_of_what_was_there_before(
    empty: Path, versions: list[tuple[SessionGraph, bool]], days: tuple[int, int], change: int, prices_at: int
) -> None:
    """A session that changed is subtracted as it was and added as it is, in every table that answers a question."""
    with copy(empty) as followed, copy(empty) as fresh:
        for number, (run, is_counted) in enumerate(versions):
            save(followed, run)
            if is_counted:
                count_all(followed)
            if number == prices_at:
                # Those that were counted are priced again, and each that is counted from now on is priced at once.
                store_prices(followed, MODELS, price_rows(MODELS, RATES))
                while price_some(followed):
                    pass
        count_all(followed)
        assert is_priced(followed, MODELS, price_rows(MODELS, RATES)) == (prices_at < len(versions))
        if prices_at < len(versions):
            assert costs(followed) == priced(followed)
        runs = [read_graph(followed, run_id) for run_id in sorted({run.id for run, _ in versions})]
        for run in runs:
            save(fresh, run)
        count_all(fresh)
        assert sums(followed) == sums(fresh)
        assert differences(followed, set(), deep=True) == ()
        drawn = sorted(T0.date() + timedelta(days=each) for each in days)
        # One with days before and behind its whole month.
        spans = [drawn, [T0.date() + timedelta(days=1), T0.date() + timedelta(days=40)]]
        changes_at = [day_of(T0) + change]
        for by in KEYS:
            for text in ("", *QUERIES):
                chosen = [run for run in runs if meets(parse_query(text, now=NOW), facts_of(run))]
                found = answer(followed, parse_query(text, now=NOW), by, changes_at)
                assert numbers(found) == scanned(chosen, by), text
                assert by == "tool" or found.sessions == len(chosen)
                for since, before in spans:
                    spanned = parse_query(f"{text} since:{since} before:{before}", now=NOW)
                    found = answer(followed, spanned, by, changes_at)
                    assert numbers(found) == scanned(chosen, by, since, before), (text, since, before)


@pytest.mark.parametrize("steps", [0, 1, 9], ids=["stored", "indexed", "counted"])
@settings(max_examples=2)
@given(runs=st.tuples(counted_runs(1), counted_runs(1)))
def test_what_changes_while_it_is_counted_is_counted_again(
    empty: Path, steps: int, runs: tuple[SessionGraph, SessionGraph]
) -> None:
    """Another process stores a change, indexes or counts it, between the reading and the writing of the figures."""
    with copy(empty) as connection, copy(empty) as fresh, pytest.MonkeyPatch.context() as patch:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        save(connection, runs[0])
        count_all(connection)
        changes.mark_changed(connection, [1])

        def changed_meanwhile(reading: sqlite3.Connection, sessions: Sequence[int]) -> dict[int, SessionFigures]:
            found = read_contributions(reading, sessions)
            patch.undo()
            path = connection.execute("PRAGMA database_list").fetchone()[2]
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                save(other, runs[1])
                for _ in range(steps):
                    step(other)
            return found

        patch.setattr(changes, "read_contributions", changed_meanwhile)
        changes.update_figures(connection)
        count_all(connection)
        assert not changes.has_changed(connection)
        save(fresh, read_graph(connection, runs[0].id))
        count_all(fresh)
        assert sums(connection) == sums(fresh)
