"""The whole program beside a PostgreSQL that accepts bytes and never answers: the dashboard stays usable."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from acode_tui.config import TuiSettings
from acode_tui.sync.ports import SyncState
from acode_tui.workspace import Workspace
from tests.fault_proxy import Mode, fault_proxy
from tests.pg import Database
from tests.sync.conftest import URL
from tests.sync.fake_time import FakeTime
from tests.sync.test_worker import while_time_passes
from tests.sync.workspaces import add_run, opened, syncing
from tests.tui.driving import dashboard, shown, until, until_listed


@pytest.mark.ac("AC-037")
async def test_the_screen_follows_keys_and_local_writes_while_a_batch_waits_for_its_answer(
    tmp_path: Path, pg_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is under way before the first key and after the last one, so nothing between has waited for it."""
    time = FakeTime()
    settings = msgspec.structs.replace(syncing(), tui=TuiSettings(refresh_seconds=0.1, page_size=50))
    workspaces: list[Workspace] = []

    @asynccontextmanager
    async def opening() -> AsyncIterator[Workspace]:
        async with opened(tmp_path, time, sync=True, settings=settings, mode="dashboard") as workspace:
            workspaces.append(workspace)
            yield workspace

    async with fault_proxy("127.0.0.1", pg_database.server.port) as proxy:
        monkeypatch.setenv(URL, pg_database.url_through(proxy.port))
        app = dashboard(tmp_path, opening, settings=settings, wall=time.wall)
        async with app.run_test(size=(120, 36)) as pilot:
            await until(pilot, lambda: workspaces)
            (workspace,) = workspaces
            await proxy.set_mode(Mode.SWALLOW)
            for number in range(3):
                await add_run(workspace, f"run number {number}")
            time.loops -= 1  # the worker no longer goes back to sleep
            await time.advance(1)
            await until(pilot, lambda: proxy.swallowed)
            trips, table = proxy.round_trips, await until_listed(pilot)
            row = table.cursor_row
            await pilot.press("j")
            await until(pilot, lambda: table.cursor_row == row + 1)
            await workspace.store.create_session("written meanwhile")
            await until(pilot, lambda: "written meanwhile" in shown(pilot))
            await pilot.press("enter")
            await until(pilot, lambda: "Read the login form" in shown(pilot))
            assert (await workspace.sync.status()).state is SyncState.SYNCING
            assert proxy.round_trips == trips
            await while_time_passes(time, workspace.sync.stop())
            time.loops += 1
