"""Which runs are looked at: this workspace's own, or the whole team's over PostgreSQL.

The way to PostgreSQL is opened when it is wanted and closed when it no longer is; its first page is read before
anything on screen changes. ``turn`` counts the occasions to read the team's runs again: no commit here tells of theirs.
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
    """The reader of the team's runs while it is open, and the one switch that may be under way."""

    def __init__(self, report: Callable[[BaseException], None]) -> None:
        """``report`` is told of a fault in a switch that nobody foresaw."""
        self.reader: RunStateReader | None = None
        self.turn = 0
        self._report = report
        self._stack = AsyncExitStack()
        self._switch: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        return self.reader is not None

    def begin(self, switch: "Callable[[], Coroutine[Any, Any, None]]") -> None:
        """Run a switch of sources in a task that outlives the screen it began on; one under way is given up."""
        before = self._switch
        self._switch = asyncio.create_task(_after(before, switch), name="team")
        self._switch.add_done_callback(self._ended)

    def _ended(self, switch: asyncio.Task[None]) -> None:
        if not switch.cancelled() and (fault := switch.exception()) is not None:
            self._report(fault)

    async def end(self) -> None:
        """Give up a switch under way, and close whatever is open."""
        await _given_up(self._switch)
        await self.let_go().aclose()

    async def open(
        self, workspace: "DashboardWorkspace", first: "Callable[[RunStateReader], Awaitable[Answer]]"
    ) -> Answer:
        """Open the team's runs and answer what ``first`` reads of them; if that fails, nothing has changed."""
        async with AsyncExitStack() as stack:
            # The driver is imported in a thread, so that frames go on being drawn.
            await asyncio.to_thread(import_module, "acode_tui.storage.postgres.run_state_store")
            reader = await stack.enter_async_context(workspace.open_team())
            answer = await first(reader)
            earlier, self._stack = self._stack, stack.pop_all()
            self.reader = reader
            self.turn += 1
        await earlier.aclose()
        return answer

    def let_go(self) -> AsyncExitStack:
        """Go back to the workspace's own runs at once; closing what is answered gives every connection back."""
        stack, self._stack, self.reader = self._stack, AsyncExitStack(), None
        return stack


async def _after(before: asyncio.Task[None] | None, switch: "Callable[[], Coroutine[Any, Any, None]]") -> None:
    await _given_up(before)
    await switch()


async def _given_up(switch: asyncio.Task[None] | None) -> None:
    if switch is not None and not switch.done():
        switch.cancel()
        await asyncio.wait([switch])
