"""Vacuum: the file is smaller, whole and still searchable, and no write fails meanwhile."""

import asyncio
import hashlib
import shutil
import stat
import threading
from pathlib import Path

import pytest

from acode_tui.config import Settings
from acode_tui.domain.errors import DatabaseConnectionError, IntegrityError, SchemaMismatchError, TransactionError
from acode_tui.domain.progress import CheckCancelled, ReportStep, never_cancelled
from acode_tui.ops.backup.vacuum import Vacuumed, vacuum_file
from acode_tui.storage.ports import FileSpace, SessionFilter
from acode_tui.storage.sqlite.files import vacuum
from acode_tui.storage.sqlite.files.check import run_checks
from acode_tui.storage.sqlite.files.database_files import SqliteDatabaseFiles
from acode_tui.workspace import open_workspace
from acode_tui.workspace.maintenance import database_files
from tests.storage.sqlite.parts import contents, foreign
from tests.storage.sqlite.runs.runs import make_run


@pytest.fixture
async def database(tmp_path: Path, plain_settings: Settings) -> Path:
    """A closed workspace with gaps in its file."""
    async with open_workspace(tmp_path, settings=plain_settings) as workspace:
        for number in range(20):
            await workspace.store.save(make_run(number, calls=4))
        path = workspace.database_path
    with foreign(path) as connection:
        connection.execute("CREATE TABLE gap (filler)")
        connection.executemany("INSERT INTO gap VALUES (?)", [("x" * 3000,) for _ in range(200)])
        connection.execute("DROP TABLE gap")
    return path


async def pack(path: Path, **more: object) -> Vacuumed:
    return await vacuum_file(database_files(), path, timeout_seconds=5, **more)  # type: ignore[arg-type]


async def test_the_file_is_smaller_and_has_the_same_rows(
    database: Path, tmp_path: Path, plain_settings: Settings
) -> None:
    before, size = contents(database), database.stat().st_size
    steps: list[str] = []
    done = await pack(database, on_step=steps.append)
    assert done.before_bytes == size
    assert done.after_bytes == database.stat().st_size < size - 500_000
    assert contents(database) == before
    assert all(each.ok for each in run_checks(database, deep=True, seconds=5, check_cancelled=never_cancelled))
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert "rewriting the file" in steps
    assert {each.name for each in database.parent.iterdir()} >= {"workspace.db"}
    assert not list(database.parent.glob("etilqs_*"))
    async with open_workspace(tmp_path, settings=plain_settings) as workspace:
        found = await workspace.store.list(SessionFilter(text="validation"))
        assert found.total == 20


async def test_a_dry_run_reports_the_space_and_touches_nothing(database: Path) -> None:
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    planned = await pack(database, dry_run=True)
    assert planned.dry_run
    assert planned.after_bytes < planned.before_bytes == database.stat().st_size
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before


async def test_writers_beside_it_wait_and_none_of_them_fails(
    database: Path, tmp_path: Path, plain_settings: Settings
) -> None:
    async with open_workspace(tmp_path, settings=plain_settings) as workspace:
        packing = asyncio.create_task(pack(database))
        written = 0
        while not packing.done():
            await workspace.store.create_session(f"beside {written}")
            written += 1
        done = await packing
        assert written > 0
        # Without the WAL, which holds as much as was written meanwhile.
        assert database.stat().st_size < done.before_bytes
        assert (await workspace.store.list()).total == 20 + written
        assert all(each.ok for each in await workspace.check())


@pytest.mark.parametrize(
    "damage",
    [
        # SQLite does not promise to keep the numbers of rows.
        "UPDATE search_marks SET row_id = 'another' WHERE kind = 'step'",
        "UPDATE search_documents SET stale = 1",
    ],
)
async def test_a_search_index_that_lost_its_use_is_made_anew(
    database: Path, tmp_path: Path, plain_settings: Settings, damage: str
) -> None:
    async with open_workspace(tmp_path, settings=plain_settings) as workspace:
        assert (await workspace.store.list(SessionFilter(text="validation"))).total == 20
    with foreign(database) as connection:
        connection.execute(damage)
    await pack(database)
    with foreign(database) as connection:
        assert connection.execute("SELECT count(*) FROM search_documents WHERE stale").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM search_documents").fetchone() > (0,)
    async with open_workspace(tmp_path, settings=plain_settings) as workspace:
        assert (await workspace.store.list(SessionFilter(text="validation"))).total == 20
    assert all(each.ok for each in run_checks(database, deep=True, seconds=5, check_cancelled=never_cancelled))


async def test_vacuum_is_refused_without_enough_free_space(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage, before = shutil.disk_usage(database.parent), database.read_bytes()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=100_000))
    with pytest.raises(TransactionError, match="not enough free space") as refused:
        await pack(database)
    assert "nothing was changed" in refused.value.hint
    assert database.read_bytes() == before


async def test_a_large_file_that_others_have_open_is_refused(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vacuum, "holders", lambda database: [4711])
    await pack(database)
    monkeypatch.setattr(vacuum, "BYTES_A_SECOND", 1000)
    with pytest.raises(TransactionError, match=r"pid 4711.*might wait for longer than 5 s"):
        await pack(database)


async def test_a_cancelled_vacuum_leaves_the_file_as_it_was(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, size = contents(database), database.stat().st_size
    rewriting = threading.Event()

    def stalling(
        self: SqliteDatabaseFiles,
        database: Path,
        *,
        seconds: float,
        on_step: ReportStep,
        check_cancelled: CheckCancelled,
        expect_content: bool,
    ) -> FileSpace:
        """Stop in the middle of the rewrite until it is interrupted."""
        doing = ""

        def begin(step: str) -> None:
            nonlocal doing
            doing = step

        def wait() -> None:
            while doing == "rewriting the file":
                rewriting.set()
                check_cancelled()

        return vacuum.vacuum(database, seconds=seconds, check_cancelled=wait, on_step=begin)

    with monkeypatch.context() as patched:
        patched.setattr(vacuum, "_CHECK_OPCODES", 100)
        patched.setattr(SqliteDatabaseFiles, "vacuum", stalling)
        packing = asyncio.create_task(pack(database))
        await asyncio.to_thread(rewriting.wait, 20)
        packing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await packing
    assert contents(database) == before
    assert database.stat().st_size <= size
    await pack(database)


async def test_other_files_are_refused_untouched(database: Path, tmp_path: Path) -> None:
    with pytest.raises(DatabaseConnectionError, match="no database"):
        await pack(tmp_path / "missing" / "workspace.db")
    assert not (tmp_path / "missing").exists()
    empty = tmp_path / "empty.db"
    empty.touch()
    with pytest.raises(DatabaseConnectionError, match="it is empty"):
        await pack(empty)
    assert empty.stat().st_size == 0
    other = tmp_path / "other.db"
    with foreign(other) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(SchemaMismatchError, match="another program"):
        await pack(other)
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"no database\n" * 1000)
    before = garbage.read_bytes()
    with pytest.raises(IntegrityError, match="ACODE-DB-007"):
        await pack(garbage)
    assert garbage.read_bytes() == before


async def test_scratch_files_of_a_killed_vacuum_go_with_the_next(database: Path) -> None:
    left = database.with_name("etilqs_5e68e909ab28f52")
    left.touch()
    await pack(database)
    assert not left.exists()
