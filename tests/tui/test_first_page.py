"""The first page is on screen before the workspace is open, and reading it changes nothing."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path

import pytest

from acode_tui.storage.cursors import SortKey
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.sqlite.paths import beside
from acode_tui.tui.run.screen import SessionScreen
from acode_tui.workspace import open_workspace
from acode_tui.workspace.first_page import FirstPage, read_first_page
from tests.conftest import PLAIN_SETTINGS
from tests.storage.runs import T0, make_run
from tests.tui.driving import dashboard, main_screen, sessions, until
from tests.tui.fake import FakeWorkspace

FOLDED = SessionFilter(folded=True)


@pytest.fixture
async def recorded(tmp_path: Path) -> Path:
    """A workspace of five runs, closed."""
    async with open_workspace(tmp_path, settings=PLAIN_SETTINGS) as workspace:
        for minute in range(5):
            await workspace.store.save(make_run(workspace.workspace_id, at=T0 + timedelta(minutes=minute)))
    return tmp_path


def _first(root: Path, sort: SortKey = "updated") -> FirstPage | None:
    return read_first_page(root, PLAIN_SETTINGS, SessionFilter(folded=True, sort=sort), 3)


async def test_it_is_the_page_that_the_opened_workspace_reads(recorded: Path) -> None:
    database = PLAIN_SETTINGS.persistence.sqlite.resolve(recorded)
    before = {path.name: path.read_bytes() for path in database.parent.iterdir() if path.is_file()}
    first = _first(recorded)
    assert first is not None
    assert {path.name: path.read_bytes() for path in database.parent.iterdir() if path.is_file()} == before
    async with open_workspace(recorded, settings=PLAIN_SETTINGS) as workspace:
        assert first.page == await workspace.store.list(FOLDED, limit=3)
        assert first.counts == await workspace.store.count_by_state(FOLDED)
        await workspace.store.create_session("one that is only in the WAL so far")
        assert beside(database, "-wal").stat().st_size
        again = _first(recorded)
    assert again is not None
    assert again.page.sessions[0].task_description == "one that is only in the WAL so far"


async def test_there_is_none_where_the_opening_has_something_to_do_or_to_report(recorded: Path) -> None:
    database = PLAIN_SETTINGS.persistence.sqlite.resolve(recorded)
    assert _first(recorded, "failed") is None, "the search index may have to be caught up"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE schema_migrations SET checksum = 'of another build'")
    assert _first(recorded) is None
    database.write_bytes(b"no database" * 1000)
    assert _first(recorded) is None
    assert _first(recorded / "nowhere") is None


async def test_its_rows_are_in_the_first_frame_before_the_workspace_is_open(fake: FakeWorkspace) -> None:
    may_open = asyncio.Event()

    @asynccontextmanager
    async def opening() -> AsyncIterator[FakeWorkspace]:
        await may_open.wait()
        async with fake.opening() as workspace:
            yield workspace

    first = FirstPage(await fake.store.list(FOLDED, limit=50), await fake.store.count_by_state(FOLDED))
    app = dashboard(fake.root, opening, first_page=first)
    async with app.run_test() as pilot:
        table = sessions(pilot)
        assert table.row_count == 50
        assert app.workspace is None
        assert table.has_focus
        await pilot.press("j", "enter")
        second = first.page.sessions[1].id
        assert table.cursor_key == second
        assert not isinstance(app.screen, SessionScreen)
        may_open.set()
        await until(pilot, lambda: isinstance(app.screen, SessionScreen))
        assert isinstance(app.screen, SessionScreen)
        assert app.screen.run_view.session_id == second
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is main_screen(pilot))
        assert table.cursor_key == second
