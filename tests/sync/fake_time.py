"""Time that a test advances: a wall clock and the sleep that goes with it. Six hours take as long as the work.

A task that sleeps here sleeps until the test advances the clock. ``settled`` waits, without a clock, until every
endless loop that the test knows of (a worker's loop and its heartbeats, say) sleeps again.
"""

import asyncio
from datetime import UTC, datetime, timedelta

from tests.clocks import GUARD_SECONDS

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
INDEXING = "acode-indexing"
"""The task that indexes after a commit: it sleeps only then, so it says nothing about whether all is quiet."""


class FakeTime:
    """``wall()`` and ``sleep()`` for a workspace. ``loops`` is how many endless loops sleep when all is quiet."""

    def __init__(self, now: datetime = NOON, *, loops: int = 0) -> None:
        self.now = now
        self.loops = loops
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []
        self._indexing: list[asyncio.Future[None]] = []
        self._came = asyncio.Event()

    def wall(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sleeper = (self.now + timedelta(seconds=max(0.0, seconds)), future)
        task = asyncio.current_task()
        if task is not None and task.get_name() == INDEXING:
            self._indexing.append(future)
        self._sleepers.append(sleeper)
        self._came.set()
        try:
            await future
        finally:
            self._sleepers.remove(sleeper)

    async def settled(self) -> None:
        """Wait until all loops sleep."""
        async with asyncio.timeout(GUARD_SECONDS):
            await self._yield()
            while self._loops_asleep() < self.loops:
                self._came.clear()
                await self._came.wait()
                await self._yield()

    async def advance(self, seconds: float = 0.0, *, step: float | None = None, **more: float) -> None:
        """Let time pass, plus ``timedelta(**more)``: every sleeper wakes at its moment, or at each ``step`` seconds,
        as on a machine that is suspended in between.
        """
        end = self.now + timedelta(seconds=seconds, **more)
        await self.settled()
        while self.now < end:
            due = [moment for moment, _ in self._asleep()]
            moment = min([end, *due]) if step is None else min(end, self.now + timedelta(seconds=step))
            self.now = max(self.now, moment)
            for when, future in self._asleep():
                if when <= self.now:
                    future.set_result(None)
            await self.settled()

    def _asleep(self) -> list[tuple[datetime, asyncio.Future[None]]]:
        return [sleeper for sleeper in self._sleepers if not sleeper[1].done()]

    def _loops_asleep(self) -> int:
        """How many of the endless loops sleep; the indexing after a commit is none of them."""
        return sum(future not in self._indexing for _, future in self._asleep())

    async def _yield(self) -> None:
        # Tasks that were woken run before the sleepers are counted.
        for _ in range(10):
            await asyncio.sleep(0)
