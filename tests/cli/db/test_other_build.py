"""A workspace file that a build before the first release made: every command refuses it, and leaves it as it is."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from acode_tui import open_workspace
from acode_tui.domain.errors import SchemaMismatchError
from tests.cli.conftest import Run, answer
from tests.cli.db.test_check import bad
from tests.cli.test_status import checks, trace
from tests.ops.export.test_former_format import COUNTS, former_json, former_sqlite

FORMER = """
CREATE TABLE schema_migrations (version TEXT NOT NULL PRIMARY KEY, description TEXT NOT NULL, checksum TEXT NOT NULL,
    applied_at TEXT NOT NULL, duration_ms INTEGER NOT NULL) STRICT;
CREATE TABLE workspace_meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT;
INSERT INTO workspace_meta VALUES ('workspace_id', '01a223e6-0c9c-7385-82dc-5270ec3bc4d5');
CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, idempotency_key TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL, entity_type TEXT NOT NULL, entity_id TEXT NOT NULL, operation TEXT NOT NULL,
    payload TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, processed_at TEXT, outcome TEXT,
    attempts INTEGER DEFAULT 0, next_attempt_at TEXT, failed_at TEXT, last_error TEXT) STRICT;
CREATE TABLE sync_conflicts (id TEXT NOT NULL PRIMARY KEY, reviewed_at TEXT) STRICT;
UPDATE sessions SET sync_version = 1;
UPDATE session_tasks SET sync_version = 1;
UPDATE steps SET sync_version = 1;
UPDATE tool_calls SET sync_version = 1;
INSERT INTO schema_migrations VALUES
('1.0.0', 'initial schema', 'ac10dcc9a7ad6603d600d42761c19d6975d854c74818e7a9ceafb536c121f883', '2026', 1),
('1.1.0', 'artifacts and index', 'b0cba405aa639e246b1f2b12ac430b60af6ddab1b3838e87d63e5718e31d6796', '2026', 1),
('1.2.0', 'sync and import', '6c94af4cfe81b977007c697052b9151e4cc185e85cf692b9b6dac59419781b87', '2026', 1);
"""
"""What an earlier build's file has beside its runs, with the checksums of its migrations."""

REFUSED = (
    ("session", "list"),
    ("session", "show", "3e19"),
    ("artifact", "show", "3e19"),
    ("import", "{root}/t.jsonl"),
    ("--headless", "--once"),
    ("db", "status"),
    ("db", "migrate"),
    ("db", "migrate", "--dry-run"),
    ("db", "backup"),
    ("db", "vacuum"),
    ("db", "export"),
    ("db", "import", "{root}/former.json"),
    ("db", "sync", "status"),
    ("db", "outbox", "list"),
    ("db", "conflicts", "list"),
)


@pytest.fixture(params=["its checksums", "its tables"])
def former(request: pytest.FixtureRequest, root: Path) -> Path:
    """The workspace file of an earlier build: made by this one but for its checksums, or with the former tables."""
    path = root / ".agent" / "workspace.db"
    if request.param == "its checksums":
        request.getfixturevalue("recorded")
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE schema_migrations SET checksum = 'x' WHERE version = '1.1.0'")
    else:
        path.parent.mkdir(mode=0o700)
        former_sqlite(path, info=False)
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(FORMER)
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        path.chmod(0o600)
    former_json(root / "former.json")
    (root / "t.jsonl").write_text("{}\n")
    return path


@pytest.mark.parametrize("command", REFUSED, ids=" ".join)
def test_a_command_refuses_the_file_and_names_the_way_out(
    run: Run, root: Path, former: Path, command: tuple[str, ...]
) -> None:
    before = trace(root)
    result = run(*(part.format(root=root) for part in command))
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "error: ACODE-DB-004: schema 1." in result.stderr
    assert "another build of acode-tui" in result.stderr
    assert "`acode-tui --workspace NEW db import FILE`" in result.stderr
    assert "`acode-tui db export --format json`" in result.stderr
    assert files(trace(root)) == files(before)


def files(found: dict[str, tuple[int, object]]) -> dict[str, tuple[int, object]]:
    """All but empty logs and the index of the WAL."""
    return {name: state for name, state in found.items() if not name.endswith((".log", "-shm", "-wal", "logs"))}


def test_status_and_check_report_it_and_change_nothing(run: Run, root: Path, former: Path) -> None:
    before = trace(root)
    result = run("status", "--json")
    assert result.exit_code == 2
    schema = checks(result)["schema"]
    assert "another build" in schema["description"]
    assert "db import FILE" in schema["suggestion"]
    found = bad(run, "--deep")
    assert set(found) == {"migrations"}
    assert "db import FILE" in found["migrations"]
    assert files(trace(root)) == files(before)


def test_its_runs_are_imported_into_a_new_workspace(run: Run, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "workspace.db"
    former_sqlite(path, info=False)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FORMER)
    before = path.read_bytes()
    report = answer(run("db", "import", str(path), "--json"))
    assert report["counts"] == COUNTS
    assert report["inserted"]["tool_calls"] == 2
    assert path.read_bytes() == before
    tree = run("session", "show", "3e19", "--tree").stdout
    assert "UserPrompt" in tree
    assert "(prompt)  Succeeded" not in tree


def test_opening_it_as_the_dashboard_does_is_refused(root: Path, former: Path) -> None:
    before = trace(root)

    async def opened() -> None:
        async with open_workspace(root, sync=True):
            pass

    with pytest.raises(SchemaMismatchError, match="another build"):
        asyncio.run(opened())
    assert files(trace(root)) == files(before)
