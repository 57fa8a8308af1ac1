"""The source of the runs on screen: this workspace's own, or the whole team's over PostgreSQL.

The connection to PostgreSQL is opened when the user asks for the team's runs, and closed when they go back to their
own. The team's first page is read before anything on screen changes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from acode_tui.storage.ports import RunStateReader
    from acode_tui.tui.ports import DashboardWorkspace

Answer = TypeVar("Answer")


class TeamRuns:
    """The reader of the team's runs while it is open, and the switch between the sources while one is running.

    ``version`` changes whenever the team's runs are to be read again: their changes are no commits in this workspace.
    """

    def __init__(self, report: Callable[[BaseException], None]) -> None:
        """``report`` is called with an unexpected error of a switch."""
        self.reader: RunStateReader | None = None
        self.version = 0
        self._report = report
        self._stack = AsyncExitStack()
        self._switching: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        return self.reader is not None

    def switch(self, switch: "Callable[[], Coroutine[Any, Any, None]]") -> None:
        """Run a switch in a task that outlives the screen. A running switch is cancelled first."""
        before = self._switching
        self._switching = asyncio.create_task(_after(before, switch), name="team")
        self._switching.add_done_callback(self._ended)

    def _ended(self, switch: asyncio.Task[None]) -> None:
        if not switch.cancelled() and (error := switch.exception()) is not None:
            self._report(error)

    async def close(self) -> None:
        """Cancel a running switch, and close the connections."""
        await _cancelled(self._switching)
        await self.release().aclose()

    async def open(
        self, workspace: "DashboardWorkspace", first: "Callable[[RunStateReader], Awaitable[Answer]]"
    ) -> Answer:
        """Open the team's runs and return what ``first`` reads of them. Nothing has changed if either raises."""
        async with AsyncExitStack() as stack:
            # Imported in a thread: the driver takes long, and frames are drawn meanwhile.
            await asyncio.to_thread(import_module, "acode_tui.storage.postgres.run_state_reader")
            reader = await stack.enter_async_context(workspace.open_team())
            answer = await first(reader)
            earlier, self._stack = self._stack, stack.pop_all()
            self.reader = reader
            self.version += 1
        await earlier.aclose()
        return answer

    def release(self) -> AsyncExitStack:
        """Go back to the workspace's own runs at once. Closing the stack that is answered closes the connections."""
        stack, self._stack, self.reader = self._stack, AsyncExitStack(), None
        return stack


async def _after(before: asyncio.Task[None] | None, switch: "Callable[[], Coroutine[Any, Any, None]]") -> None:
    await _cancelled(before)
    await switch()


async def _cancelled(switch: asyncio.Task[None] | None) -> None:
    if switch is not None and not switch.done():
        switch.cancel()
        await asyncio.wait([switch])
