"""``db search rebuild``: a search index that is missing, damaged or wrong is made again from the rows."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Recorded, Run, answer
from tests.cli.db.test_check import bad, change

SHADOW = "search_index_data"


@pytest.mark.parametrize(
    "damage",
    [
        [],
        ["DROP TABLE search_index"],
        ["DROP TABLE search_documents", "DROP TABLE search_marks"],
        ["DROP TABLE search_changes", "DROP TABLE session_facts", "DROP TABLE search_terms"],
        [f"DROP TABLE {SHADOW}"],
        ["DROP TABLE search_index_config"],
        [f"UPDATE {SHADOW} SET block = x'00'"],
        [f"UPDATE {SHADOW} SET block = zeroblob(length(block))"],
        ["DELETE FROM search_documents"],
    ],
)
def test_a_rebuild_makes_a_search_find_every_word_again(
    run: Run, recorded: Recorded, root: Path, damage: list[str]
) -> None:
    assert answer(run("session", "list", "--search", "validation", "--json"))["total"] == 1
    rows = _rows(root)
    change(root, *damage)
    made = answer(run("db", "search", "rebuild", "--json"))
    assert set(made) == {"entries", "bytes", "durationSeconds"}
    assert made["entries"] > 0
    assert made["bytes"] > 0
    assert answer(run("session", "list", "--search", "validation", "--json"))["total"] == 1
    assert bad(run, "--deep") == {}
    assert _rows(root) == rows


@pytest.mark.parametrize(
    "damage",
    [
        f"DELETE FROM {SHADOW}",
        f"DROP TABLE {SHADOW}",
        "DROP TABLE search_index_idx",
    ],
)
def test_a_search_in_a_damaged_index_says_so(run: Run, recorded: Recorded, root: Path, damage: str) -> None:
    answer(run("session", "list", "--search", "validation", "--json"))
    change(root, damage)
    refused = run("session", "list", "--search", "valid*")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: ACODE-DB-007: the search index is ")
    assert "`acode-tui db search rebuild`" in refused.stderr
    assert answer(run("session", "list", "--json"))["total"] == 1
    assert set(bad(run)) == {"search"}


def test_a_rebuild_is_described_in_one_line(run: Run, recorded: Recorded) -> None:
    said = run("db", "search", "rebuild")
    assert said.exit_code == 0
    assert said.stdout.startswith("1 document, ")


def _rows(root: Path) -> list[object]:
    with closing(sqlite3.connect(root / ".agent" / "workspace.db")) as connection:
        tables = ("sessions", "session_tasks", "steps", "tool_calls", "artifacts", "outbox")
        return [connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables]
