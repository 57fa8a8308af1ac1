"""Helpers that drive the dashboard in tests: make one over a workspace, wait for a condition, read the screen."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from acode_tui.config import IdentitySettings, Settings, TuiSettings
from acode_tui.config.settings import PersistenceSettings, PostgresSettings
from acode_tui.tui.app import Dashboard
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.main.sessions_browser import SessionBrowser
from acode_tui.tui.main.sessions_table import SessionTable
from acode_tui.tui.transcript_import import Importer
from acode_tui.workspace import Workspace, open_workspace
from tests.clocks import GUARD_SECONDS
from tests.conftest import PLAIN_SETTINGS
from tests.tui.fake import NOW, FakeWorkspace

SETTINGS = Settings(
    identity=IdentitySettings(user="ada@example.org"), tui=TuiSettings(refresh_seconds=0.1, page_size=50)
)


class NothingFound(Importer):
    """A machine without transcripts."""

    async def survey(self, workspace: Any) -> Any:
        from acode_tui.tui.transcript_import import Survey

        return Survey(())

    async def run(self, workspace: Any, survey: Any, progress: Any) -> Any:
        raise AssertionError("without transcripts nothing may be imported")


def dashboard(
    root: Path,
    opening: Callable[[], AbstractAsyncContextManager[Any]],
    *,
    settings: Settings = SETTINGS,
    importer: Importer | None = None,
    wall: Callable[[], datetime] = lambda: NOW,
    **more: Any,
) -> Dashboard:
    return Dashboard(root, settings, opening=opening, importer=importer or NothingFound(), wall=wall, zone=UTC, **more)


def opened_with(clock: Callable[[], datetime], root: Path) -> Callable[[], AbstractAsyncContextManager[Workspace]]:
    """An opening of the real workspace at ``root``, without a sync worker."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Workspace]:
        async with open_workspace(root, wall=clock, settings=PLAIN_SETTINGS) as workspace:
            yield workspace

    return opening


def over(workspace: FakeWorkspace, **more: Any) -> Dashboard:
    """A dashboard over a workspace in memory."""
    return dashboard(workspace.root, workspace.opening, **more)


def with_page_size(size: int) -> Settings:
    return msgspec.structs.replace(SETTINGS, tui=TuiSettings(refresh_seconds=0.1, page_size=size))


async def until(pilot: Pilot[int], holds: Callable[[], object], *, seconds: float = GUARD_SECONDS) -> None:
    """Let the dashboard run until a condition holds; fail after ``seconds``, far longer than it may take."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < deadline, f"the condition did not hold in time: {holds}"
        await pilot.pause(0.01)
    await pilot.pause()


async def still(pilot: Pilot[int], looks: int = 15) -> None:
    """Let the dashboard run until the screen stays the same for a while, longer than a search waits for keys.

    Without a search a few ``looks`` are enough.
    """
    last, same = "", 0
    while same < looks:
        await pilot.pause(0.02)
        for line in pilot.app.screen.query(Input):
            line.cursor_blink = False
        now = shown(pilot)
        same = same + 1 if now == last else 0
        last = now


async def until_listed(pilot: Pilot[int]) -> SessionTable:
    """Wait for the first page."""
    await until(pilot, lambda: sessions(pilot).row_count > 0)
    return sessions(pilot)


def main_screen(pilot: Pilot[int]) -> MainScreen:
    screen = pilot.app.screen_stack[0]
    assert isinstance(screen, MainScreen)
    return screen


def sessions(pilot: Pilot[int]) -> SessionTable:
    found = main_screen(pilot).query(SessionTable)
    assert found
    return found.first()


def browser(pilot: Pilot[int]) -> SessionBrowser:
    return main_screen(pilot).query_one(SessionBrowser)


def shown(pilot: Pilot[int], *, screen: Screen[Any] | None = None) -> str:
    """The text of the whole screen."""
    target = screen or pilot.app.screen
    return "\n".join(strip.text for strip in target._compositor.render_strips())


def content(widget: Widget) -> str:
    """The text of a widget."""
    return str(widget.render())


def toasts(pilot: Pilot[int]) -> list[tuple[str, str]]:
    """Title and message of every notification so far."""
    return [(note.title, note.message) for note in pilot.app._notifications]


def syncing() -> Settings:
    """Settings with PostgreSQL enabled."""
    return Settings(persistence=PersistenceSettings(postgres=PostgresSettings(enabled=True)))


def is_enabled(pilot: Pilot[int], key: str) -> bool | None:
    """Whether a key is enabled now; None if the screen has no such key."""
    active = pilot.app.screen.active_bindings.get(key)
    return active.enabled if active is not None else None
