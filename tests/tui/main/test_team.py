"""Switching the browser to the team's runs over PostgreSQL and back, and its errors."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from acode_tui.config import IdentitySettings, Settings
from acode_tui.config.settings import PersistenceSettings, PostgresSettings, SyncSettings
from acode_tui.domain.errors import DatabaseConnectionError, SyncError
from acode_tui.domain.states import ArtifactType, SessionState
from acode_tui.storage.ports import SessionPage
from acode_tui.tui.app import Dashboard
from acode_tui.tui.run.artifact import ArtifactScreen
from acode_tui.tui.run.screen import SessionScreen
from acode_tui.workspace import Workspace, open_workspace
from tests.clocks import TurnedClock
from tests.pg import Database, Server
from tests.tui.driving import (
    browser,
    dashboard,
    main_screen,
    over,
    sessions,
    shown,
    toasts,
    until,
    until_listed,
    with_page_size,
)
from tests.tui.fake import FakeStore, FakeWorkspace, summary

NEVER = 86_400.0
"""A sync interval in seconds that never passes: only the test has the team's runs read again."""


def settings(user: str, interval: float = NEVER) -> Settings:
    return Settings(
        identity=IdentitySettings(user=user),
        persistence=PersistenceSettings(
            postgres=PostgresSettings(enabled=True, connect_timeout_seconds=5.0, command_timeout_seconds=5.0),
            sync=SyncSettings(enabled=False, interval_seconds=interval),
        ),
    )


@asynccontextmanager
async def colleague(folder: Path, clock: TurnedClock) -> AsyncIterator[Workspace]:
    """The workspace of another machine with the same team's database."""
    folder.mkdir(exist_ok=True)
    async with open_workspace(folder, wall=clock, settings=settings("grace@example.org")) as workspace:
        yield workspace


async def sent(folder: Path, clock: TurnedClock, *names: str) -> list[str]:
    """Sessions that a colleague has recorded and sent; the last one is the newest."""
    async with colleague(folder, clock) as workspace:
        ids = []
        for name in names:
            session = await workspace.store.create_session(name)
            await workspace.store.transition_session(session.id, SessionState.PLANNING)
            task = await workspace.store.add_task(session.id, "Analyse")
            step = await workspace.store.add_step(task.id, "Read the login form")
            call = await workspace.store.add_tool_call(step.id, "read_file", {"path": "login.ts"})
            text = f"content of {name}".encode()
            await workspace.store.add_artifact(call.id, ArtifactType.FILE_CONTENT, "login.txt", text, "text/plain")
            ids.append(session.id)
        await workspace.sync.sync_now()
    return ids


def team_dashboard(root: Path, clock: TurnedClock, *, page_size: int = 10, interval: float = NEVER) -> Dashboard:
    @asynccontextmanager
    async def opening() -> AsyncIterator[Workspace]:
        async with open_workspace(root, wall=clock, settings=settings("ada@example.org", interval)) as opened:
            yield opened

    return dashboard(root, opening, settings=with_page_size(page_size), wall=clock)


@pytest.fixture
def team(pg_database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("ACODE_POSTGRES_URL", pg_database.url)
    return pg_database


@pytest.fixture
async def own(tmp_path: Path, clock: TurnedClock) -> Path:
    """A workspace with one session that was never sent."""
    root = tmp_path / "own"
    root.mkdir()
    async with open_workspace(root, wall=clock, settings=settings("ada@example.org")) as workspace:
        await workspace.store.create_session("my own run")
    return root


async def connections(team: Database) -> int:
    """The number of connections that readers of the team's database hold."""
    rows = await team.fetch(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return int(rows[0][0])


async def test_the_browser_switches_to_the_team_and_back(
    team: Database, own: Path, tmp_path: Path, clock: TurnedClock
) -> None:
    ids = await sent(tmp_path / "other", clock, *(f"team run {number:02}" for number in range(12)))
    newest = list(reversed(ids))
    async with team_dashboard(own, clock).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        assert "source: local" in shown(pilot)
        await pilot.press("T")
        await until(pilot, lambda: table.row_keys == newest[:10])
        assert "source: team" in shown(pilot)
        assert "grace" in shown(pilot)
        assert "my own run" not in shown(pilot)
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: table.row_keys == newest[10:])
        await pilot.press("slash", *"run 03", "enter")
        await until(pilot, lambda: table.row_keys == [ids[3]])
        await pilot.press("slash", "escape")
        await until(pilot, lambda: table.row_keys == newest[:10])
        await pilot.press("f", "space", "enter")
        await until(pilot, lambda: "No session fits" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: table.row_keys == newest[:10])
        assert await connections(team) > 0
        await pilot.press("T")
        await until(pilot, lambda: "my own run" in shown(pilot))
        assert table.row_count == 1
        assert "source: local" in shown(pilot)
        await until(pilot, lambda: not pilot_switching(pilot))
        assert await connections(team) == 0


async def test_a_session_and_its_artifacts_are_read_from_the_source_that_lists_them(
    team: Database, own: Path, tmp_path: Path, clock: TurnedClock
) -> None:
    await sent(tmp_path / "other", clock, "team run")
    async with team_dashboard(own, clock).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("T")
        await until(pilot, lambda: "team run" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, SessionScreen) and "Analyse" in shown(pilot))
        assert "team session" in shown(pilot)
        await pilot.press("plus", "j", "j", "j")
        await until(pilot, lambda: "content of team run" in shown(pilot))
        await pilot.press("enter")
        await until(
            pilot, lambda: isinstance(pilot.app.screen, ArtifactScreen) and "content of team run" in shown(pilot)
        )


async def test_new_runs_of_the_team_appear_after_a_reload_a_return_and_an_interval(
    team: Database, own: Path, tmp_path: Path, clock: TurnedClock
) -> None:
    other = tmp_path / "other"
    await sent(other, clock, "first")
    async with team_dashboard(own, clock).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        await pilot.press("T")
        await until(pilot, lambda: "first" in shown(pilot))
        await sent(other, clock, "second")
        for _ in range(20):
            await pilot.pause(0.02)
        assert table.row_count == 1
        await pilot.press("R")
        await until(pilot, lambda: table.row_count == 2)
        await pilot.press("question_mark")
        await sent(other, clock, "third")
        await pilot.press("escape")
        await until(pilot, lambda: table.row_count == 3)
        await sent(other, clock, "fourth")
        pilot_app(pilot).refresh_team()  # what the timer of the sync interval calls
        await until(pilot, lambda: table.row_count == 4)


async def test_the_teams_runs_are_read_at_every_sync_interval(
    team: Database, own: Path, tmp_path: Path, clock: TurnedClock
) -> None:
    other = tmp_path / "other"
    await sent(other, clock, "first")
    async with team_dashboard(own, clock, interval=0.1).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        await pilot.press("T")
        await until(pilot, lambda: "first" in shown(pilot))
        await sent(other, clock, "second")
        await until(pilot, lambda: table.row_count == 2)


async def test_quitting_closes_the_connections_to_the_teams_database(
    team: Database, own: Path, tmp_path: Path, clock: TurnedClock
) -> None:
    await sent(tmp_path / "other", clock, "team run")
    app = team_dashboard(own, clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("T")
        await until(pilot, lambda: "team run" in shown(pilot))
    assert not app.team.is_open
    assert await connections(team) == 0


async def test_an_unreachable_server_leaves_its_runs_on_screen_and_is_tried_again(
    private_pg: Callable[..., Server], own: Path, tmp_path: Path, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = private_pg()
    await server.execute("CREATE DATABASE team")
    monkeypatch.setenv("ACODE_POSTGRES_URL", server.url("team"))
    await sent(tmp_path / "other", clock, "team run")
    async with team_dashboard(own, clock).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("T")
        await until(pilot, lambda: "team run" in shown(pilot))
        await asyncio.to_thread(server.stop, "immediate")
        await pilot.press("R")
        await until(pilot, lambda: "out of reach" in shown(pilot))
        assert toasts(pilot)[-1][0] == DatabaseConnectionError.code
        assert "R tries again" in shown(pilot)
        assert "team run" in shown(pilot)
        count = len(toasts(pilot))
        pilot_app(pilot).refresh_team()
        await until(pilot, lambda: not main_screen(pilot)._reading_team)
        assert len(toasts(pilot)) == count
        await asyncio.to_thread(server.start)
        await pilot.press("R")
        await until(pilot, lambda: "out of reach" not in shown(pilot))
        assert "team run" in shown(pilot)


async def test_a_failed_connection_to_the_team_leaves_the_browser_unchanged(
    own: Path, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch, pg_server: Server
) -> None:
    monkeypatch.setenv("ACODE_POSTGRES_URL", pg_server.url("nowhere", port=1))
    async with team_dashboard(own, clock).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("T")
        await until(pilot, lambda: toasts(pilot))
        assert toasts(pilot)[0][0] == DatabaseConnectionError.code
        await until(pilot, lambda: "source: local" in shown(pilot))
        assert "my own run" in shown(pilot)


async def test_without_postgresql_a_toast_says_what_to_do(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        before = table.row_keys
        await pilot.press("T")
        await until(pilot, lambda: toasts(pilot))
        title, message = toasts(pilot)[0]
        assert title == SyncError.code
        assert "enable persistence.postgres" in message
        assert table.row_keys == before
        assert "source: local" in shown(pilot)


class Slow(FakeStore):
    """A store whose answers the test releases."""

    def __init__(self, count: int) -> None:
        super().__init__([summary(1000 + number) for number in range(count)])
        self.gate = asyncio.Event()
        self.asked = 0

    async def list(self, *arguments: Any, **more: Any) -> SessionPage:
        self.asked += 1
        await self.gate.wait()
        return await super().list(*arguments, **more)


async def test_keys_work_while_connecting_to_the_team_and_the_same_key_cancels(fake: FakeWorkspace) -> None:
    slow = fake.team = Slow(3)
    async with over(fake).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        await pilot.press("T")
        await until(pilot, lambda: "connecting…" in shown(pilot))
        await pilot.press("j", "j")
        assert table.cursor_row == 2
        fake.store.sessions = fake.store.sessions[:5]
        fake.version += 1
        await until(pilot, lambda: table.row_count == 5)
        await pilot.press("T")
        await until(pilot, lambda: "connecting…" not in shown(pilot))
        await until(pilot, lambda: fake.team_open == 0)
        assert "source: local" in shown(pilot)
        slow.gate.set()
        await pilot.press("T")
        await until(pilot, lambda: table.row_count == 3)
        assert fake.team_open == 1


async def test_a_slow_server_delays_neither_the_panes_nor_quitting(fake_online: FakeWorkspace) -> None:
    slow = fake_online.team = Slow(3)
    slow.gate.set()
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("T")
        await until(pilot, lambda: sessions(pilot).row_count == 3)
        slow.gate.clear()
        asked = slow.asked
        await pilot.press("R", "R", "R")
        await until(pilot, lambda: slow.asked > asked)
        assert slow.asked == asked + 1
        fake_online.outbox.figures = msgspec.structs.replace(fake_online.outbox.figures, pending=77)
        fake_online.version += 1
        await until(pilot, lambda: "77 pending" in shown(pilot))
    assert fake_online.team_open == 0


async def test_a_team_without_runs_has_a_notice_and_offers_no_import() -> None:
    fake = FakeWorkspace(0)
    fake.team = FakeStore([])
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "No runs recorded here yet" in shown(pilot))
        await pilot.press("T")
        await until(pilot, lambda: "The team's database holds no runs yet" in shown(pilot))
        assert "transcripts" not in shown(pilot)
        await pilot.press("T")
        await until(pilot, lambda: "No runs recorded here yet" in shown(pilot))


async def test_an_error_while_a_page_is_read_is_in_the_frame(fake: FakeWorkspace) -> None:
    class Leaving(FakeStore):
        away = False

        async def list(self, *arguments: Any, **more: Any) -> SessionPage:
            if self.away:
                raise DatabaseConnectionError("the server [/red] went away", hint="try later")
            return await super().list(*arguments, **more)

    leaving = fake.team = Leaving([summary(number) for number in range(120)])
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("T")
        await until(pilot, lambda: browser(pilot)._browser.source == "team")
        leaving.away = True
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "the server [/red] went away" in shown(pilot))
        await pilot.press("T")
        await until(pilot, lambda: "source: local" in shown(pilot))
        assert "out of reach" not in shown(pilot)


def pilot_app(pilot: Any) -> Dashboard:
    app = pilot.app
    assert isinstance(app, Dashboard)
    return app


def pilot_switching(pilot: Any) -> bool:
    switch = pilot_app(pilot).team._switching
    return switch is not None and not switch.done()
