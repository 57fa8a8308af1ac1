"""Pages and reads by id use ranges of indexes, with any filter: no table is scanned and no row is skipped."""

import ast
import itertools
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from acode_tui.domain.search.query import parse_query
from acode_tui.domain.states import SessionState
from acode_tui.storage.cursors import FIGURES, SortKey, encode_cursor, figure_cursor, figure_position
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.sqlite.migrate import migrate
from acode_tui.storage.sqlite.runs.read_graph import read_graph
from acode_tui.storage.sqlite.search import index
from acode_tui.storage.sqlite.sessions import matches, pages, ranges
from acode_tui.storage.sqlite.sync.records import DUE_RECORDS
from tests.clocks import NOON

TABLES = "sessions|session_events|session_tasks|steps|tool_calls|artifacts|outbox"
WHOLE = re.compile(rf"^SCAN (?:{TABLES}|[a-z])(?: USING (?:COVERING )?INDEX \w+)?$")
"""A plan that reads a table, or an index, from end to end."""

ALLOWED = re.compile(
    r"^SCAN (g|given|f|b|blocked|\(?subquery.*|search_index|session_totals)\b"
    r"|^SCAN (search_marks|search_changes|figures_changes)\b"
    r"|^SCAN session_facts USING (COVERING )?INDEX session_facts_with_failures"
)
"""What is as short as the page (given ids, merged ranges), a full-text look-up, one row a state, or marks."""


class Recorder(sqlite3.Connection):
    """Remembers each statement with its values."""

    seen: list[tuple[str, Any]]

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if not sql.lstrip().startswith(("EXPLAIN", "PRAGMA")):
            self.__dict__.setdefault("seen", []).append((sql, parameters))
        return super().execute(sql, parameters)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """A migrated database with a few thousand sessions, so that the planner chooses as it does for a real file."""
    with closing(sqlite3.connect(":memory:", isolation_level=None, factory=Recorder)) as opened:
        migrate(opened, packaged("sqlite"), lock_path=tmp_path_factory.mktemp("locks") / "migrate.lock")
        states = [str(state) for state in SessionState]
        opened.executemany(
            "INSERT INTO sessions (id, task_description, state, created_at, updated_at, user_id, workspace_id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    f"s{n:05}",
                    f"word{n % 7} session",
                    states[n % 8],
                    f"2026-01-{n % 28 + 1:02}T00:00:00.000000Z",
                    f"2026-02-{n % 28 + 1:02}T00:00:00.000000Z",
                    f"user{n % 5}",
                    f"w{n % 3}",
                )
                for n in range(4000)
            ],
        )
        while index.step(opened):
            pass
        yield opened


def plans(connection: Recorder) -> list[str]:
    """The plan of every statement since the last call, line by line."""
    seen, connection.seen = connection.seen, []
    lines = []
    for sql, parameters in seen:
        assert not re.search(r"\bOFFSET\b", sql, re.IGNORECASE)
        lines += [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    return lines


FILTERS = [
    SessionFilter(states=states, user=user, workspace=workspace, since=since, until=until, sort=sort)  # type: ignore[arg-type]
    for states, user, workspace, (since, until), sort in itertools.product(
        [(), (SessionState.FAILED,), (SessionState.CREATED, SessionState.PAUSED)],
        [None, "user1"],
        [None, "w1"],
        [(None, None), (NOON, None), (None, NOON)],
        ["updated", "created", "state"],
    )
]


def assert_ranges_only(lines: list[str]) -> None:
    assert lines
    for line in lines:
        if line.startswith("SCAN"):
            assert not WHOLE.match(line) or ALLOWED.match(line), line
            assert ALLOWED.match(line) or "VIRTUAL TABLE" in line or "CONSTANT ROW" in line, line


@pytest.mark.ac("AC-056")
@pytest.mark.parametrize("few", [0, 10_000])
def test_every_filter_is_served_by_ranges_of_indexes(
    connection: Recorder, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "FEW", few)
    connection.seen = []
    for given in FILTERS:
        cursor = encode_cursor(given.sort, NOON, "s01000", SessionState.FAILED)
        for place in ({}, {"after": cursor}, {"before": cursor}):
            ends: dict[str, Any] = {"after": None, "before": None, **place}
            pages.read_page(connection, given, limit=20, **ends)
        assert_ranges_only(plans(connection))


@pytest.mark.ac("AC-056")
def test_pages_without_a_filter_are_never_sorted(connection: Recorder) -> None:
    connection.seen = []
    pages.read_page(connection, SessionFilter(sort="created"), limit=20, after=None, before=None)
    for sort in FIGURES:
        among_the_same = figure_cursor(sort, figure_position(0, 2_000), "s02000")
        for after, before in ((None, None), (among_the_same, None), (None, among_the_same)):
            pages.read_page(connection, SessionFilter(sort=sort), limit=20, after=after, before=before)
    assert not [line for line in plans(connection) if "TEMP B-TREE" in line]


@pytest.mark.parametrize("sort", FIGURES)
def test_a_page_at_the_end_of_many_equal_runs_reads_no_more_than_the_first(connection: Recorder, sort: SortKey) -> None:
    steps = [0]

    def count() -> int:
        steps[-1] += 1
        return 0

    connection.set_progress_handler(count, 100)
    try:
        for place in (None, figure_cursor(sort, figure_position(0, 6), "s00006")):
            pages.read_page(connection, SessionFilter(sort=sort), limit=20, after=place, before=None)
            steps.append(0)
    finally:
        connection.set_progress_handler(None, 0)
    assert steps[1] <= 2 * steps[0] + 10, steps


@pytest.mark.ac("AC-056")
@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"RARE": -1},
        {"RARE": -1, "FEW": -1, "BEGUN": 0, "NEAR": -1, "WALKED": 0, "PASSED": 0},
        {"RARE": -1, "FEW": -1, "COLLECTED": -1, "FAILING": -1},
    ],
)
def test_a_search_reads_the_index_and_the_rows_that_it_points_to(
    connection: Recorder, limits: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(matches, name, value)
    connection.seen = []
    texts = ("word3", "word3 nowhere", '"word3 session"', "wor*", "-word3 agent:codex tool:Bash file:a.py failed:word1")
    for number, given in enumerate(FILTERS[::5]):
        query = parse_query(texts[number % len(texts)], now=NOON)
        pages.read_page(connection, given, limit=20, after=None, before=None, query=query)
        assert_ranges_only(plans(connection))


@pytest.mark.ac("AC-054")
@pytest.mark.ac("AC-027")
def test_a_run_is_read_by_its_indexes(connection: Recorder) -> None:
    connection.seen = []
    read_graph(connection, "s00001")
    lines = plans(connection)
    assert len([line for line in lines if line.startswith("SEARCH")]) == 6
    assert not [line for line in lines if line.startswith("SCAN")]


@pytest.mark.ac("AC-027")
def test_due_records_are_read_from_the_pending_index(connection: Recorder) -> None:
    lines = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {DUE_RECORDS}", ("2026", 100))]
    assert any("USING INDEX outbox_pending" in line for line in lines)
    assert any("outbox_refused" in line for line in lines)


def _executed_strings(path: Path) -> Iterator[str]:
    """The source of every f-string that looks like SQL."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            text = ast.get_source_segment(source, node) or ""
            if re.search(r"\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE)\b", text):
                for part in node.values:
                    if isinstance(part, ast.FormattedValue):
                        yield ast.unparse(part.value)


IDENTIFIERS = re.compile(
    r"^(table(\.name|\.parent\[0\])?|name|index|owner|column|other|order|stamp|marks|names|sets|columns|hits|where|sorting|equal|branch|"
    r"entries|prefix|_\w+|[A-Z_]+(\[kind\])?|rows\.\w+.*|quoted\(.*\)|COLUMNS\[.*\]|', '\.join\(.*\)|"
    r"' UNION ALL '\.join\(.*\)|' UNION '\.join\(.*\)|' \+ '\.join\(_COUNTS\)|'session_id' if .*|'' if asked .*|"
    r"\"id\" if .*|'id' if .*|'sync_version' if .*|_ORDER\.get\(kind, .*\)|lost|"
    r"self\.(by|where|order)|behind|way|ids|tests|fitting|outside|"
    r"figure\.(table|by|value)|TOKENIZER|sql|_LISTS\[status\]|_REQUEUE|kind\..*)$"
)


@pytest.mark.ac("AC-059")
def test_sql_is_put_together_from_allow_listed_names_only() -> None:
    """No value of a caller may be part of a statement's text; the allowed names are listed above."""
    package = Path(pages.__file__).parent
    strange = {
        f"{path.name}: {part}"
        for path in sorted(package.glob("*.py"))
        for part in _executed_strings(path)
        if not IDENTIFIERS.match(part)
    }
    assert strange == set()
