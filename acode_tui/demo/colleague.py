"""A second machine of the same workspace: it has only the team's database to know of the first one by."""

import asyncio
from pathlib import Path

from acode_tui.config import Settings
from acode_tui.domain.states import SessionState
from acode_tui.ops.recovery.recover import recover
from acode_tui.workspace import open_workspace


class Colleague:
    """The replica in ``folder``. Its way to the team's database is its own, and is never cut."""

    def __init__(self, folder: Path, settings: Settings, workspace_id: str) -> None:
        self._folder = folder
        self._settings = settings
        self._workspace_id = workspace_id
        self._joined = False

    async def catch_up(self) -> None:
        """Take over what the team's database has; the first time, a whole new file. Raises AcodeError."""
        if not self._joined:
            await asyncio.to_thread(self._folder.mkdir, 0o700, exist_ok=True)
            await recover(self._folder, self._settings, workspace_id=self._workspace_id, confirm=lambda plan: True)
            self._joined = True
            return
        async with open_workspace(self._folder, settings=self._settings) as workspace:
            await workspace.sync.sync_now()

    async def decide(self, session_id: str, state: SessionState, reason: str) -> None:
        """Change a session and send it. Raises AcodeError."""
        async with open_workspace(self._folder, settings=self._settings) as workspace:
            await workspace.store.transition_session(session_id, state, reason=reason)
            await workspace.sync.sync_now()
