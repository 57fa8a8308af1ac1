"""What wakes the worker: the interval, a local commit, a request, another process's commit.

The worker's own commits (heartbeats, acknowledgements) change the workspace's data version too, so a changed version
wakes it only if there is something to do.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from acode_tui.domain.clock import WallClock

Sleep = Callable[[float], Awaitable[None]]

POLL_SECONDS = 1.0
"""How soon another process's commit is noticed while the worker sleeps."""

LINGER_SECONDS = 0.2
"""How long a local commit waits for others to join it: a busy agent is sent in batches, not row by row."""


class WakeSignal:
    """Ends the worker's sleep. ``data_version`` returns a number that changes with every process's commit."""

    def __init__(self, wall: WallClock, sleep: Sleep, data_version: Callable[[], Awaitable[int]] | None) -> None:
        self._wall = wall
        self._sleep = sleep
        self._data_version = data_version
        self._awake = asyncio.Event()
        self._urgent = False
        self._committed = False
        self._committed_since_asked = False
        self._seen_version = 0

    def wake(self) -> None:
        """End the sleep now."""
        self._urgent = True
        self._awake.set()

    def local_commit(self) -> None:
        """End the sleep soon: this process has committed a write."""
        self._committed_since_asked = True
        if not self._committed:
            self._committed = True
            self._awake.set()

    def is_quiet(self) -> bool:
        """Whether this process has committed nothing since the last call."""
        committed, self._committed_since_asked = self._committed_since_asked, False
        return not committed

    async def reset(self) -> None:
        """Before a round, so that what happens during it is noticed after it."""
        self._awake.clear()
        self._urgent = False
        self._committed = False
        self._seen_version = await self._version()

    async def wait(self, seconds: float, is_wanted: Callable[[], Awaitable[bool]]) -> bool:
        """Sleep for at most ``seconds``; ``is_wanted`` decides whether another process's commit ends the sleep.

        Returns whether something ended it.
        """
        until = self._wall() + timedelta(seconds=seconds)
        while not self._awake.is_set():
            left = (until - self._wall()).total_seconds()
            if left <= 0:
                return False
            await self._sleep_unless_awake(min(left, POLL_SECONDS))
            version = await self._version()
            if version != self._seen_version:
                self._seen_version = version
                if await is_wanted():
                    return True
        if self._committed and not self._urgent:
            # Only what is urgent ends this sleep: a further commit does not.
            self._awake.clear()
            await self._sleep_unless_awake(LINGER_SECONDS)
        return True

    async def pause(self, seconds: float) -> None:
        """Sleep for so long, whatever is committed meanwhile; only ``wake`` ends it."""
        until = self._wall() + timedelta(seconds=seconds)
        while not self._urgent and (left := (until - self._wall()).total_seconds()) > 0:
            self._awake.clear()
            await self._sleep_unless_awake(min(left, POLL_SECONDS))

    async def _sleep_unless_awake(self, seconds: float) -> None:
        woken = asyncio.ensure_future(self._awake.wait())
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait({woken, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (woken, sleeping):
                each.cancel()
            await asyncio.gather(woken, sleeping, return_exceptions=True)

    async def _version(self) -> int:
        return 0 if self._data_version is None else await self._data_version()
