"""Replacing the workspace file: exclusively, atomically, and never with the WAL of the other file."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from acode_tui.domain.errors import TransactionError
from acode_tui.storage.sqlite.files import replace
from acode_tui.storage.sqlite.files.locks import exclusive, share
from acode_tui.workspace import Workspace, open_workspace
from tests.conftest import PLAIN_SETTINGS

KEPT = "corrupted-20260105_120000"


class Killed(BaseException):
    """Simulates ``kill -9``: the code under test does not catch it."""


def make(path: Path, text: str) -> None:
    """A database with one text in it, closed."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (text)")
        connection.execute("INSERT INTO t VALUES (?)", (text,))
        connection.commit()


def make_with_wal(path: Path) -> None:
    """A database whose last commit is in its WAL alone, as a killed process leaves it."""
    script = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA journal_mode = WAL'); c.execute('PRAGMA wal_autocheckpoint = 0');"
        "c.execute('CREATE TABLE t (text)'); c.execute(\"INSERT INTO t VALUES ('old')\"); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert path.with_name(path.name + "-wal").stat().st_size > 0


def text_in(path: Path) -> str:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return str(connection.execute("SELECT text FROM t").fetchone()[0])


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    old, new = tmp_path / "workspace.db", tmp_path / "workspace.db.new"
    make_with_wal(old)
    make(new, "new")
    return old, new


def test_the_old_file_is_kept_with_its_wal(files: tuple[Path, Path]) -> None:
    old, new = files
    with exclusive(old, timeout_seconds=2):
        kept = replace.replace(old, new, keep_as=KEPT)
    assert kept == old.with_name(f"workspace.db.{KEPT}")
    assert text_in(old) == "new"
    assert text_in(kept) == "old"


def test_two_files_kept_in_one_second_get_two_names(files: tuple[Path, Path]) -> None:
    old, new = files
    first = replace.replace(old, new, keep_as=KEPT)
    make(new, "newer")
    second = replace.replace(old, new, keep_as=KEPT)
    assert first is not None
    assert second is not None
    assert [text_in(each) for each in (first, second, old)] == ["old", "new", "newer"]


@pytest.mark.parametrize("keep_as", [KEPT, None])
def test_killed_at_any_step_it_is_the_old_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep_as: str | None
) -> None:
    ends = []
    for steps in range(12):
        folder = tmp_path / str(steps)
        folder.mkdir()
        old, new = folder / "workspace.db", folder / "workspace.db.new"
        make_with_wal(old)
        make(new, "new")
        left = steps

        def killing(plain: Any) -> Any:
            def call(*args: Any, **options: Any) -> Any:
                nonlocal left
                if left == 0:
                    raise Killed
                left -= 1
                return plain(*args, **options)

            return call

        with monkeypatch.context() as patched:
            for name in ("rename", "unlink", "fsync"):
                patched.setattr(os, name, killing(getattr(os, name)))
            try:
                replace.replace(old, new, keep_as=keep_as)
            except Killed:
                killed = True
            else:
                killed = False
        share(old, timeout_seconds=1).close()
        ends.append(text_in(old))
        if keep_as and ends[-1] == "new":
            assert text_in(old.with_name(f"workspace.db.{KEPT}")) == "old"
        if not killed:
            break
    assert not killed
    assert ends == sorted(ends, reverse=True)
    assert set(ends) == {"old", "new"}


async def test_a_file_that_a_workspace_has_open_is_not_replaced(workspace: Workspace) -> None:
    def try_it() -> None:
        with exclusive(workspace.database_path, timeout_seconds=0):
            raise AssertionError("it was had alone")

    with pytest.raises(TransactionError, match="another process has") as raised:
        await asyncio.to_thread(try_it)
    assert "end the dashboard" in raised.value.hint


def test_a_program_that_ignores_the_lock_prevents_a_replacement_too(tmp_path: Path) -> None:
    path = tmp_path / "workspace.db"
    make_with_wal(path)
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM t').fetchall();"
        "print('open', flush=True); sys.stdin.read()"
    )
    shell = subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        with pytest.raises(TransactionError, match="another process has"), exclusive(path, timeout_seconds=0):
            raise AssertionError("it was had alone")
        shell.communicate()
    with exclusive(path, timeout_seconds=0):
        assert text_in(path) == "old"


async def test_an_opening_during_a_replacement_waits_and_gets_the_new_file(tmp_path: Path) -> None:
    async with open_workspace(tmp_path, settings=PLAIN_SETTINGS) as first:
        path = first.database_path
        await first.store.create_session("old")
    new = tmp_path / "new.db"
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(new)) as copy:
        source.backup(copy)
        copy.execute("UPDATE sessions SET task_description = 'new'")
        copy.commit()

    async def opened() -> str:
        async with open_workspace(tmp_path, settings=PLAIN_SETTINGS) as workspace:
            return (await workspace.store.list()).sessions[0].task_description

    with exclusive(path, timeout_seconds=2):
        waiting = asyncio.create_task(opened())
        await asyncio.sleep(0)
        replace.replace(path, new)
    assert await waiting == "new"


def test_a_file_that_is_being_replaced_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "workspace.db"
    with exclusive(path, timeout_seconds=2), pytest.raises(TransactionError, match="being replaced"):
        share(path, timeout_seconds=0)
    share(path, timeout_seconds=0).close()


def test_a_read_only_folder_needs_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    share(tmp_path / "workspace.db", timeout_seconds=0).close()
