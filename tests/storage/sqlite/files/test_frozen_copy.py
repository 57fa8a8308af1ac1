"""A copy of a file's bytes: taken where nothing can change the file meanwhile, and a whole database like any other."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from acode_tui.domain.errors import IntegrityError
from acode_tui.domain.progress import Progress
from acode_tui.storage.ports import Backup
from acode_tui.storage.sqlite.connection import PAGE_BYTES, has_content
from acode_tui.storage.sqlite.files import backup_copy
from acode_tui.storage.sqlite.files.backup_copy import take_snapshot
from acode_tui.storage.sqlite.files.frozen_copy import frozen_descriptor
from acode_tui.storage.sqlite.paths import wal_of
from tests.clocks import NOON
from tests.storage.sqlite.parts import assert_sound, contents, foreign, open_parts, rows
from tests.storage.sqlite.runs.runs import make_run

_ADD = (
    "INSERT INTO sessions (id, task_description, state, created_at, updated_at, workspace_id) "
    "VALUES (?, ?, 'Created', '2026', '2026', 'w')"
)
_OPEN_AND_CLOSE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
connection.execute("SELECT count(*) FROM sessions").fetchone()
connection.close()
"""


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    """A file with runs, in WAL mode and without a WAL."""
    path = tmp_path / "workspace" / ".agent" / "workspace.db"
    async with open_parts(path) as parts:
        for n in range(5):
            await parts.store.save(make_run(n))
    return path


@pytest.fixture
def by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where the file is copied by SQLite's online backup."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the file was copied by pages")

    monkeypatch.setattr(backup_copy, "_copy_by_pages", refuse)


def _take(path: Path, folder: Path, **more: Any) -> Backup:
    with foreign(path) as source:
        return take_snapshot(source, folder, now=NOON, **more)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with foreign(path) as connection:
        connection.execute("BEGIN")
        yield connection


@pytest.mark.usefixtures("by_bytes")
def test_the_copy_is_the_database(database: Path, tmp_path: Path) -> None:
    made = _take(database, tmp_path / "backups")
    assert_sound(made.database)
    assert rows(made.database, "PRAGMA journal_mode") == [("delete",)]
    assert contents(made.database) == contents(database)
    waiting = rows(database, "SELECT count(*) FROM outbox WHERE entity_type NOT IN ('artifact', 'session_event')")
    assert rows(made.database, "SELECT count(*) FROM outbox_claims") == waiting != [(0,)]
    assert {each.name for each in made.database.parent.iterdir()} == {f"{made.name}.db", f"{made.name}.json"}


@pytest.mark.usefixtures("by_bytes")
def test_commits_and_checkpoints_while_the_bytes_are_copied_are_not_in_the_copy(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_copy, "PAGES_A_STEP", 4)
    before = contents(database)
    number = 0
    with closing(sqlite3.connect(database, isolation_level=None, timeout=0)) as other:

        def change(_: Progress) -> None:
            nonlocal number
            number += 1
            other.execute(_ADD, (f"meanwhile {number}", "x" * 20_000))
            other.execute("UPDATE sessions SET task_description = task_description || '!'")
            for kind in ("PASSIVE", "RESTART", "TRUNCATE"):
                other.execute(f"PRAGMA wal_checkpoint({kind})").fetchall()

        made = _take(database, tmp_path / "backups", on_progress=change)
    assert number > 5
    assert_sound(made.database)
    assert contents(made.database) == before
    assert rows(database, "SELECT count(*) FROM sessions") == [(5 + number,)]


def test_a_file_is_frozen_only_in_a_transaction_and_with_an_empty_wal(database: Path) -> None:
    with foreign(database) as outside:
        assert frozen_descriptor(outside) is None
        with _reading(database) as reading:
            assert frozen_descriptor(reading) is not None
            outside.execute(_ADD, ("another", "x"))
            # The transaction that is open does not see the commit, but one that begins now does.
            assert frozen_descriptor(reading) is None
        with _reading(database) as reading:
            assert frozen_descriptor(reading) is None
        outside.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        with _reading(database) as reading:
            assert frozen_descriptor(reading) is not None


def test_what_is_only_in_the_wal_is_copied_too(database: Path, tmp_path: Path) -> None:
    with foreign(database) as other:
        other.execute(_ADD, ("another", "x"))
        made = _take(database, tmp_path / "backups")
    assert rows(made.database, "SELECT count(*) FROM sessions") == [(6,)]


@pytest.mark.parametrize("name", [":memory:", "other journal"])
def test_a_database_without_a_wal_is_copied_by_sqlite(tmp_path: Path, name: str) -> None:
    with foreign(Path(name) if name == ":memory:" else tmp_path / name) as connection:
        connection.execute("CREATE TABLE sessions (id TEXT)")
        connection.execute("BEGIN")
        assert frozen_descriptor(connection) is None


@pytest.mark.usefixtures("by_bytes")
def test_the_locks_of_the_process_outlive_the_copy(database: Path, tmp_path: Path) -> None:
    """A process that closes a file which no other one has open plays the WAL into it and deletes the WAL."""
    with foreign(database) as writer:
        writer.execute("SELECT count(*) FROM sessions").fetchone()
        _take(database, tmp_path / "backups")
        writer.execute(_ADD, ("another", "x"))
        subprocess.run([sys.executable, "-c", _OPEN_AND_CLOSE, str(database)], check=True)
        assert has_content(wal_of(database))


@pytest.mark.usefixtures("by_bytes")
def test_a_file_that_ends_too_early_leaves_nothing(database: Path, tmp_path: Path) -> None:
    with foreign(database) as source:
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sessions").fetchone()
        os.truncate(database, database.stat().st_size - PAGE_BYTES)
        with pytest.raises(IntegrityError, match="could not be copied"):
            take_snapshot(source, tmp_path / "backups", now=NOON)
    assert list((tmp_path / "backups").iterdir()) == []
