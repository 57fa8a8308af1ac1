"""Opens the workspace after the first frame, keeps it open, and closes it when the dashboard exits.

A workspace that cannot be opened ends the dashboard with that error, never before the first frame is drawn.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import App

from acode_tui.domain.errors import AcodeError

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace, MigrationConsent, WorkspaceOpener

_OWN_CHECKOUT = (
    "This is the source of acode-tui itself, and nothing was written into it so far. "
    "Keep the runs of this folder here, in .agent?\n\n"
    "If not, the dashboard ends. For a folder of your own: acode-tui --workspace DIR. To look around: acode-tui demo."
)


class WorkspaceHolder:
    """Opens one workspace for one dashboard and closes it.

    ``workspace`` is None unless it is open. ``fatal_error`` is the error that ended it; None if the user did.
    """

    def __init__(
        self,
        app: App[int],
        opening: "WorkspaceOpener",
        *,
        opened: "Callable[[DashboardWorkspace], None]",
        migration_consent: "MigrationConsent | None",
        asks_for_folder: bool,
        freeze_objects: Callable[[], None],
    ) -> None:
        """``opened`` is called with the open workspace. ``freeze_objects`` is called after the first frame, and again
        after the workspace was opened. With ``asks_for_folder`` the user is asked first whether runs are kept here.
        """
        self.workspace: DashboardWorkspace | None = None
        self.fatal_error: BaseException | None = None
        self.first_frame = asyncio.Event()
        self._app = app
        self._opening = opening
        self._opened = opened
        self._migrate_only = migration_consent
        self._asks_for_folder = asks_for_folder
        self._freeze_objects = freeze_objects
        self._leaving = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Open the workspace. Called after the first frame, which needs none of its imports and files."""
        self._freeze_objects()
        if not self._leaving.is_set():
            self._task = asyncio.create_task(self._hold(), name="workspace")

    async def end(self) -> None:
        """Close the workspace; cancel the opening of one that is not open yet."""
        self._leaving.set()
        if self._task is not None:
            if self.workspace is None:
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _hold(self) -> None:
        opened = False
        try:
            if self._asks_for_folder and not await self._ask("Keep runs in this folder?", _OWN_CHECKOUT, yes="keep"):
                self._app.exit(return_code=0)
                return
            opening = await self._choose_opening()
            if opening is None:
                self._app.exit(return_code=1)
                return
            async with opening() as workspace:
                opened = True
                self.workspace = workspace
                self._opened(workspace)
                self._freeze_objects()
                await self._leaving.wait()
                self.workspace = None
        except asyncio.CancelledError:
            raise  # the user left before it was open
        except BaseException as error:
            self.fatal_error = error
            if not opened:
                # An exit before the first frame would tear down a screen that is not mounted yet.
                await self.first_frame.wait()
                self._app.exit(return_code=1)
            if not isinstance(error, AcodeError):
                raise

    async def _choose_opening(self) -> "WorkspaceOpener | None":
        """What opens the workspace; None if the user does not consent to the migrations that it needs."""
        if self._migrate_only is None or not (due := await self._migrate_only.due()):
            return self._opening
        question = (
            f"This workspace needs {', '.join(due)}, and migrations.auto_migrate is off.\n\n"
            "A backup is taken first. Without them the dashboard cannot open it."
        )
        agreed = await self._ask("Migrate the workspace?", question, yes="migrate")
        return self._migrate_only.opening if agreed else None

    async def _ask(self, title: str, question: str, *, yes: str) -> bool:
        from acode_tui.tui.dialogs.confirm import ConfirmDialog

        await self.first_frame.wait()
        answer: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
        self._app.push_screen(ConfirmDialog(title, question, yes=yes), answer.set_result)
        return bool(await answer)
