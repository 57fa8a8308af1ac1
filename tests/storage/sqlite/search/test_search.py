"""The index finds what a linear search finds, whatever was written, indexed and changed in which order."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.clock import MonotonicClock, format_time
from acode_tui.domain.entities import SessionGraph, ToolCall
from acode_tui.domain.search.facts import facts_of
from acode_tui.domain.search.places import paths_of, texts_of
from acode_tui.domain.search.query import parse_query
from acode_tui.domain.states import ToolCallState
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.search_hits import search_request
from acode_tui.storage.search_ports import SearchHit
from acode_tui.storage.sqlite.migrate import migrate
from acode_tui.storage.sqlite.runs.save_graph import save_graph
from acode_tui.storage.sqlite.search import catch_up, documents, words
from acode_tui.storage.sqlite.search.check import differences
from acode_tui.storage.sqlite.search.index import step
from acode_tui.storage.sqlite.search.indexed_rows import IndexedRows
from acode_tui.storage.sqlite.search.tables import SEARCHED
from acode_tui.storage.sqlite.sessions import matches
from acode_tui.storage.sqlite.sessions.run_search import answer
from tests.clocks import TurnedClock
from tests.domain.search.runs import T0, queries, searchable_runs
from tests.storage.linear_search import linear_search

NOW = T0.replace(month=3)

WAYS: dict[str, dict[str, int]] = {
    "rare": {},
    "common": {"RARE": -1, "FEW": -1, "COLLECTED": -1, "FAILING": -1, "_CHUNK": 1},
    "collected": {"RARE": -1, "WALKED": 0, "PASSED": 100, "_CHUNK": 1},
    "far away": {"RARE": -1, "FEW": -1, "BEGUN": 0, "NEAR": -1, "WALKED": 1, "PASSED": 0, "_CHUNK": 1},
    "documents of one row": {"MAX_CHARS": 1, "SPENT": 0},
    "prefixes in texts": {"MAX_WORDS": 0, "MAX_DOCUMENTS": 0, "RARE": -1},
}
"""How a search may come to its answer."""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, packaged("sqlite"), lock_path=path.with_name("migrate.lock"))
        # Nothing waits to be sent: the linear search knows nothing of an outbox.
        connection.execute("CREATE TRIGGER sent AFTER INSERT ON outbox BEGIN DELETE FROM outbox WHERE id = new.id; END")
    return path


@contextmanager
def copies(empty: Path, connections: int) -> Iterator[list[sqlite3.Connection]]:
    """Connections to one new file."""
    with TemporaryDirectory(dir=empty.parent) as folder, ExitStack() as stack:
        path = Path(folder) / "file.db"
        shutil.copyfile(empty, path)
        opened = []
        for _ in range(connections):
            connection = stack.enter_context(closing(sqlite3.connect(path, isolation_level=None)))
            connection.execute("PRAGMA synchronous = OFF")
            opened.append(connection)
        yield opened


def index_all(connection: sqlite3.Connection) -> None:
    while step(connection):
        pass


def search(connection: sqlite3.Connection, query: str, limit: int) -> tuple[list[SearchHit], int | None]:
    """Every hit, page after page; and the total that the first page states."""
    hits: list[SearchHit] = []
    after, total = None, None
    while True:
        page = answer(connection, search_request(query, limit=limit, after=after, now=NOW))
        assert len(page.hits) == limit or page.next_cursor is None
        total = page.total if after is None else total
        hits += page.hits
        if page.next_cursor is None:
            return hits, total
        after = page.next_cursor


def assert_same(connection: sqlite3.Connection, runs: list[SessionGraph], query: str, limit: int) -> None:
    expected = linear_search(runs, query, now=NOW)
    hits, total = search(connection, query, limit)
    assert hits == expected
    assert total in (None, len(expected))
    found = matches.Matches(connection, SessionFilter(), parse_query(query, now=NOW))
    assert found.count() == len({hit.session_id for hit in expected})


@pytest.mark.parametrize("way", WAYS)
@given(runs=st.lists(searchable_runs(), min_size=1, max_size=5), query=queries(), limit=st.integers(1, 4))
def test_the_index_finds_the_places_that_a_linear_search_finds(
    empty: Path, way: str, runs: list[SessionGraph], query: str, limit: int
) -> None:
    with copies(empty, 1) as (connection,), pytest.MonkeyPatch.context() as patch:
        for name, value in WAYS[way].items():
            for module in (documents, matches, words):
                if hasattr(module, name):
                    patch.setattr(module, name, value)
        for run in runs:
            save_graph(connection, run, MonotonicClock(TurnedClock()))
        index_all(connection)
        assert_same(connection, runs, query, limit)


@given(run=searchable_runs())
def test_each_row_is_indexed_with_the_texts_and_the_times_of_its_entity(empty: Path, run: SessionGraph) -> None:
    with copies(empty, 1) as (connection,):
        save_graph(connection, run, MonotonicClock(TurnedClock()))
        (session,) = connection.execute("SELECT rowid FROM sessions").fetchone()
        found = {row.row_id: row for kind in SEARCHED for row in IndexedRows(connection).after(kind, 0)}
    stored = [entity for entity in run.entities() if entity.kind in SEARCHED]
    assert {each.id: texts_of(each) for each in stored} == {row_id: row.texts for row_id, row in found.items()}
    assert {each.id: tuple(paths_of(each)) for each in stored} == {row_id: row.paths for row_id, row in found.items()}
    for entity in stored:
        row = found[entity.id]
        ended = entity.completed_at if isinstance(entity, ToolCall) else None
        assert (row.kind, row.session) == (entity.kind, session)
        assert row.stamp == (format_time(entity.updated_at), 0)
        assert row.first_at == format_time(entity.created_at)
        assert row.last_at == format_time(ended or entity.created_at)
        assert row.is_failed == (isinstance(entity, ToolCall) and entity.state is ToolCallState.FAILED)
        assert row.facts == (facts_of(run) if entity is run else None)


def _changed(run: SessionGraph, other: SessionGraph, revision: int) -> SessionGraph:
    """The run with the texts of another, where both have such a row: nothing is removed."""
    later = run.updated_at + timedelta(seconds=revision)
    task, (own,), (theirs,) = run.tasks[0], run.tasks[0].steps, other.tasks[0].steps
    calls = list(own.tool_calls)
    for place, (call, like) in enumerate(zip(own.tool_calls, theirs.tool_calls, strict=False)):
        calls[place] = msgspec.structs.replace(
            call,
            tool_name=like.tool_name,
            parameters=like.parameters,
            result=like.result,
            error_message=like.error_message,
            state=like.state,
            updated_at=later,
        )
    changed = msgspec.structs.replace(own, name=theirs.name, updated_at=later, tool_calls=tuple(calls))
    return msgspec.structs.replace(
        run,
        task_description=other.task_description,
        metadata=other.metadata,
        state=other.state,
        updated_at=later,
        tasks=(msgspec.structs.replace(task, title=other.tasks[0].title, updated_at=later, steps=(changed,)),),
    )


OPERATIONS = st.sampled_from(["add", "change", "index", "step", "change while one reads", "both read", "read", "write"])


@given(
    pool=st.lists(searchable_runs(), min_size=2, max_size=4),
    operations=st.lists(st.tuples(OPERATIONS, st.integers(0, 3), st.integers(0, 3)), min_size=8, max_size=25),
    batch=st.sampled_from([1, 60, 10**6]),
    query=queries(),
)
def test_two_processes_that_index_while_rows_are_written_and_changed_lose_nothing(
    empty: Path, pool: list[SessionGraph], operations: list[tuple[str, int, int]], batch: int, query: str
) -> None:
    stored = {pool[0].id: pool[0]}
    held: catch_up.Batch | None = None
    with copies(empty, 3) as (writer, first, second), pytest.MonkeyPatch.context() as patch:
        patch.setattr(catch_up, "BATCH_CHARS", batch)
        clock = MonotonicClock(TurnedClock())
        save_graph(writer, pool[0], clock)

        def write(connection: sqlite3.Connection, ready: catch_up.Batch | None) -> None:
            if ready is not None:
                catch_up.write_batch(connection, ready)

        def change(number: int, other: int, revision: int) -> None:
            run = stored[list(stored)[number % len(stored)]]
            stored[run.id] = _changed(run, pool[other % len(pool)], revision)
            save_graph(writer, stored[run.id], clock)

        for revision, (operation, number, other) in enumerate(operations, 1):
            if operation == "add":
                run = pool[number % len(pool)]
                if run.id not in stored:
                    stored[run.id] = run
                    save_graph(writer, run, clock)
            elif operation == "change":
                change(number, other, revision)
            elif operation == "index":
                index_all(second)
            elif operation == "step":
                step(first)
            elif operation == "change while one reads":
                ready = catch_up.read_batch(second)
                change(number, other, revision)
                write(second, ready)
            elif operation == "both read":
                mine, theirs = catch_up.read_batch(first), catch_up.read_batch(second)
                write(first, mine)
                write(second, theirs)
            elif operation == "read":
                held = catch_up.read_batch(first)
            else:
                write(first, held)
        index_all(first)
        assert differences(first, deep=True) == ()
        assert writer.execute("SELECT count(*) FROM search_changes").fetchone() == (0,)
        failed = "SELECT s.rowid, (SELECT count(*) FROM tool_calls WHERE session_id = s.id AND state = 'Failed') "
        facts = writer.execute("SELECT session, failed_calls FROM session_facts ORDER BY session").fetchall()
        assert facts == writer.execute(f"{failed} FROM sessions AS s ORDER BY s.rowid").fetchall()
        assert_same(first, list(stored.values()), query, 3)
        assert not step(second)
