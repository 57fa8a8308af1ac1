"""Asks once for each content of the workspace's settings file whether it is trusted, and keeps the answer."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.app import App

from acode_tui.config import Settings
from acode_tui.domain.errors import AcodeError
from acode_tui.tui.state import DashboardState


class TrustQuestion:
    """The question of one dashboard. A running workspace takes an approval up by itself, as any change of settings."""

    def __init__(
        self, app: App[Any], root: Path, state: DashboardState, *, report: Callable[[BaseException], None]
    ) -> None:
        self._app = app
        self._root = root
        self._state = state
        self._report = report
        self._asked: set[str] = set()
        self._asking: asyncio.Task[None] | None = None

    def settings_loaded(self, settings: Settings) -> None:
        """Show that settings do not count, and ask about a content that was not asked about before."""
        self._state.withheld = settings.withheld
        for screen in self._app.screen_stack:
            screen.refresh_bindings()
        if settings.withheld:
            self.ask(again=False)

    def ask(self, *, again: bool) -> None:
        """Ask about the file as it is now; ``again`` asks too if that was answered before."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(again=again), name="trust")

    async def end(self) -> None:
        """Leave without an answer."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self, *, again: bool) -> None:
        # Loaded here: most workspaces ask for nothing.
        from acode_tui.config.trust import approve, decline, read_trust
        from acode_tui.tui.dialogs.trust import TrustDialog

        try:
            while True:
                found = await asyncio.to_thread(read_trust, self._root)
                known = found.declined or found.sha256 in self._asked
                if found.trusted or not found.settings or (known and not again):
                    return
                self._asked.add(found.sha256)
                answer: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
                self._app.push_screen(TrustDialog(found), answer.set_result)
                # What was shown is approved. The file may have changed meanwhile: then it is asked about next.
                await asyncio.to_thread(approve if await answer else decline, found)
                again = False
        except AcodeError as error:
            self._report(error)
