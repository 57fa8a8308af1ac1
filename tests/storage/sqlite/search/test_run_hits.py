"""A page of hits costs what it shows: a long run is read from the page's position, as far as the page goes."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.clock import MonotonicClock
from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.states import ArtifactType, EntityType
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.search_hits import search_request
from acode_tui.storage.search_ports import SearchHit
from acode_tui.storage.sqlite.migrate import migrate
from acode_tui.storage.sqlite.runs.save_graph import save_graph
from acode_tui.storage.sqlite.search import documents
from acode_tui.storage.sqlite.search.extents import Unread, extents
from acode_tui.storage.sqlite.search.index import step
from acode_tui.storage.sqlite.search.place_finder import PlaceFinder
from acode_tui.storage.sqlite.search.searched_rows import Covered
from acode_tui.storage.sqlite.sessions.run_search import answer
from tests.clocks import TurnedClock
from tests.domain.search.runs import T0, call, make_run
from tests.storage.linear_search import linear_search

NOW = T0.replace(month=3)
CALLS = 60
LIMIT = 5


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often documents are read, and rows tested exactly."""
    counts: Counter[str] = Counter()
    for name in ("candidates", "places"):
        plain = getattr(PlaceFinder, name)

        def counting(*args: object, name: str = name, plain: object = plain) -> object:
            counts[name] += 1
            return plain(*args)  # type: ignore[operator]

        monkeypatch.setattr(PlaceFinder, name, counting)
    return counts


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    # Some rows a document, so that a run of some calls has many.
    monkeypatch.setattr(documents, "MAX_CHARS", 100)
    with closing(sqlite3.connect(tmp_path / "file.db", isolation_level=None)) as opened:
        migrate(opened, packaged("sqlite"), lock_path=tmp_path / "migrate.lock")
        yield opened


def stored(connection: sqlite3.Connection, *runs: SessionGraph) -> list[SessionGraph]:
    for run in runs:
        save_graph(connection, run, MonotonicClock(TurnedClock()))
    while step(connection):
        pass
    return list(runs)


def long_run() -> SessionGraph:
    made = [
        call(
            "Bash",
            {"command": f"needle {number} with {'thread' if number % 2 else 'cloth'}"},
            artifacts=((ArtifactType.COMMAND_OUTPUT, "out", "hay " * 20),),
        )
        for number in range(CALLS)
    ]
    return make_run("A long run", tuple(made), metadata={"source": "codex"})


@pytest.mark.parametrize(
    "query", ["needle", '"needle 12"', "tool:bash", "tool:bash needle", "needl*", "-absent needle"]
)
def test_each_page_reads_what_it_shows(connection: sqlite3.Connection, counted: Counter[str], query: str) -> None:
    runs = stored(connection, long_run())
    expected = linear_search(runs, query, now=NOW)
    hits: list[SearchHit] = []
    after = None
    while True:
        counted.clear()
        page = answer(connection, search_request(query, limit=LIMIT, after=after, now=NOW))
        hits += page.hits
        # One row more says whether there is a further page; at a page's beginning the last shown row is found again.
        assert counted["places"] <= 2 * LIMIT + 2
        assert counted["candidates"] <= 2 * LIMIT + 4
        after = page.next_cursor
        if after is None:
            break
    assert hits == expected


def test_hits_of_a_run_without_a_place_that_has_all_words_begin_where_the_page_begins(
    connection: sqlite3.Connection, counted: Counter[str]
) -> None:
    runs = stored(connection, long_run())
    expected = linear_search(runs, "thread cloth", now=NOW)
    assert len(expected) == CALLS
    page = answer(connection, search_request("thread cloth", limit=LIMIT, after=None, now=NOW))
    hits = list(page.hits)
    while page.next_cursor is not None:
        counted.clear()
        page = answer(connection, search_request("thread cloth", limit=LIMIT, after=page.next_cursor, now=NOW))
        hits += page.hits
        assert counted["candidates"] <= 2 * LIMIT + 4
    assert hits == expected


def test_a_phrase_is_looked_for_once_in_each_document(connection: sqlite3.Connection, counted: Counter[str]) -> None:
    runs = stored(connection, *(make_run("one two", (call("Read", {"note": "two one"}),)) for _ in range(4)))
    (every,) = connection.execute("SELECT count(*) FROM search_documents").fetchone()
    for query in ('"one two"', '-"one two" one', '"two two"'):
        counted.clear()
        page = answer(connection, search_request(query, limit=50, after=None, now=NOW))
        assert list(page.hits) == linear_search(runs, query, now=NOW)
        assert counted["candidates"] <= every


def test_contents_are_read_only_of_calls_that_may_be_meant(
    connection: sqlite3.Connection, counted: Counter[str]
) -> None:
    made = [
        call(tool, {"file_path": "a/b.py"}, error=error, artifacts=((ArtifactType.COMMAND_OUTPUT, "out", "needle"),))
        for tool, error in (("Read", None), ("Bash", "broken"), ("Grep", None), ("Bash", None))
    ]
    runs = stored(connection, make_run("A run", tuple(made)))
    for query, tested in (("tool:bash needle", 2), ("failed:needle", 1), ("tool:grep", 1), ("tool:read file:b.py", 1)):
        counted.clear()
        page = answer(connection, search_request(query, limit=50, after=None, now=NOW))
        assert list(page.hits) == linear_search(runs, query, now=NOW)
        assert counted["places"] == tested, query


@given(st.lists(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 6)), max_size=3), max_size=5))
def test_no_row_is_taken_twice_and_none_is_left(given: list[list[tuple[int, int]]]) -> None:
    unread = Unread()
    taken: list[int] = []
    for ranges in given:
        covered = Covered(True, {EntityType.STEP: [(first, first + more) for first, more in ranges]})
        left = unread.take(covered)
        assert left.has_session is (ranges is given[0])
        taken += [row for first, last in left.ranges.get(EntityType.STEP, []) for row in range(first, last + 1)]
    assert sorted(taken) == sorted(
        {row for ranges in given for first, more in ranges for row in range(first, first + more + 1)}
    )


def test_documents_come_in_the_order_in_which_they_begin(connection: sqlite3.Connection) -> None:
    stored(connection, long_run())
    numbers = [row[0] for row in connection.execute("SELECT id FROM search_documents")]
    every = extents(connection, 1, numbers)
    assert len(every) == len(numbers) > 10
    assert all(before.first_at <= after.first_at for before, after in pairwise(every))
    for each in every:
        for kind, ranges in each.covered.ranges.items():
            table = {"session_task": "session_tasks", "step": "steps", "tool_call": "tool_calls"}.get(kind, "artifacts")
            for first, last in ranges:
                sql = f"SELECT min(created_at), max(created_at) FROM {table} WHERE rowid BETWEEN ? AND ?"
                low, high = connection.execute(sql, (first, last)).fetchone()
                assert each.first_at <= low
                assert high <= each.last_at
