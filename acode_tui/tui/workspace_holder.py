"""The workspace's life inside the dashboard: opened once the first frame stands, held, and closed when one leaves.

A workspace that cannot be opened ends the dashboard with that fault, and never before the first frame is drawn.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import App

from acode_tui.domain.errors import AcodeError

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace, MigrateOnly, Opening


class WorkspaceHolder:
    """Opens one workspace for one dashboard and closes it.

    ``workspace`` is None unless it is open; ``fault`` is what ended it, None where the user did.
    """

    def __init__(
        self,
        app: App[int],
        opening: "Opening",
        *,
        opened: "Callable[[DashboardWorkspace], None]",
        migrate_only: "MigrateOnly | None",
        settle: Callable[[], None],
    ) -> None:
        """``opened`` is called with the open workspace; ``settle`` after the first frame was drawn, and again after
        the workspace was opened.
        """
        self.workspace: DashboardWorkspace | None = None
        self.fault: BaseException | None = None
        self.first_frame = asyncio.Event()
        self._app = app
        self._opening = opening
        self._opened = opened
        self._migrate_only = migrate_only
        self._settle = settle
        self._leaving = asyncio.Event()
        self._held: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin once the first frame is on screen: opening takes imports and files, and a frame takes neither."""
        self._settle()
        if not self._leaving.is_set():
            self._held = asyncio.create_task(self._hold(), name="workspace")

    async def end(self) -> None:
        """Close the workspace; one that is still opening is given up."""
        self._leaving.set()
        if self._held is not None:
            if self.workspace is None:
                self._held.cancel()
            await asyncio.gather(self._held, return_exceptions=True)

    async def _hold(self) -> None:
        opened = False
        try:
            opening = await self._agreed_opening()
            if opening is None:
                self._app.exit(return_code=1)
                return
            async with opening() as workspace:
                opened = True
                self.workspace = workspace
                self._opened(workspace)
                self._settle()
                await self._leaving.wait()
                self.workspace = None
        except asyncio.CancelledError:
            raise  # the user left before it was open
        except BaseException as fault:
            self.fault = fault
            if not opened:
                # Leaving before the first screen stands would tear it down half made.
                await self.first_frame.wait()
                self._app.exit(return_code=1)
            if not isinstance(fault, AcodeError):
                raise

    async def _agreed_opening(self) -> "Opening | None":
        """How to open; None if migrations are due, may not run by themselves, and the user says no."""
        if self._migrate_only is None or not (due := await self._migrate_only.due()):
            return self._opening
        from acode_tui.tui.dialogs.confirm import Confirm

        await self.first_frame.wait()
        question = (
            f"This workspace needs {', '.join(due)}, and migrations.auto_migrate is off.\n\n"
            "A backup is taken first. Without them the dashboard cannot open it."
        )
        answer: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
        self._app.push_screen(Confirm("Migrate the workspace?", question, yes="migrate"), answer.set_result)
        return self._migrate_only.opening if await answer else None
