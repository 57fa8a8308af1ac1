"""The figures are compared with the rows: each damage is found, and what is to be counted again is none."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.sqlite.figures.check import differences
from acode_tui.storage.sqlite.figures.prices import price_some
from acode_tui.storage.sqlite.migrate import migrate
from acode_tui.storage.sqlite.search.check import pending_sessions
from tests.domain.search.runs import call, make_run
from tests.storage.figures_runs import T0
from tests.storage.sqlite.figures.test_changes import count_all, save


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A file with two runs that are counted. Each test's transaction is undone."""
    path = tmp_path_factory.mktemp("counted") / "file.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, packaged("sqlite"), lock_path=path.with_name("migrate.lock"))
        for number in (0, 40):
            metadata = {"source": "codex", "cwd": "/src/shop", "models": ["m"], "tokens": {"input": 7}}
            calls = (call("Bash"), call("Read", error="no"))
            save(connection, make_run("count", calls, at=T0 + timedelta(days=number), metadata=metadata))
        count_all(connection)
        while price_some(connection):
            pass
        yield connection


@pytest.fixture
def file(counted: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    counted.execute("BEGIN")
    yield counted
    counted.execute("ROLLBACK")


def found(file: sqlite3.Connection, *, deep: bool = False) -> list[str]:
    pending = pending_sessions(file)
    assert pending is not None
    return list(differences(file, pending, deep=deep))


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("UPDATE figures_by_day SET input = input + 1", "figures_by_day"),
        ("DELETE FROM figures_by_month", "figures_by_month"),
        ("UPDATE figures_tools_by_day SET tool = 'Grep' WHERE tool = 'Read'", "figures_tools_by_day"),
        ("INSERT INTO figures_tools_by_month VALUES (1, 'a', 'p', 't', 1, 1, 0)", "figures_tools_by_month"),
        ("UPDATE figures_sessions SET failed = 9 WHERE session = 2", "are not those of its rows"),
        ("UPDATE figures_sessions SET priced = 9 WHERE session = 2", "is not by the stored prices"),
        ("DELETE FROM figures_sessions WHERE session = 2", "is not counted"),
        (
            "INSERT INTO figures_sessions VALUES (9, '', '', 0, 0, 0, 0, 0, 0, NULL, 0)",
            "row 9 is counted and not there",
        ),
        ("UPDATE sessions SET metadata = json_set(metadata, '$.tokens.input', 8)", "are not those of its rows"),
    ],
)
def test_each_damage_is_found(file: sqlite3.Connection, statement: str, word: str, deep: bool) -> None:
    assert found(file, deep=deep) == []
    file.execute(statement)
    assert any(word in each for each in found(file, deep=deep))


@pytest.mark.parametrize(
    "pending",
    [
        "INSERT INTO figures_changes VALUES (2, 1)",
        "INSERT INTO search_changes VALUES ('tool_call', (SELECT max(rowid) FROM tool_calls), 0)",
        "UPDATE search_marks SET upto = upto - 1, row_id = (SELECT id FROM steps WHERE rowid = upto - 1) "
        "WHERE kind = 'step'",
    ],
)
def test_a_run_that_is_to_be_counted_again_is_no_difference(file: sqlite3.Connection, pending: str) -> None:
    file.execute("UPDATE sessions SET metadata = json_set(metadata, '$.tokens.input', 8) WHERE rowid = 2")
    assert len(found(file)) == 1
    file.execute(pending)
    assert found(file) == found(file, deep=True) == []
