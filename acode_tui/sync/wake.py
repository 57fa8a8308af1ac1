"""When the worker wakes: at the interval, at a local commit, when asked, at another process's commit.

Its own commits (heartbeats, acknowledgements) move the workspace's version too, so what others commit only counts if
it leaves something to do.
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


class Waking:
    """``data_version`` answers a number that changes with every process's commit."""

    def __init__(self, wall: WallClock, sleep: Sleep, data_version: Callable[[], Awaitable[int]] | None) -> None:
        self._wall = wall
        self._sleep = sleep
        self._data_version = data_version
        self._awake = asyncio.Event()
        self._urgent = False
        self._committed = False
        self._written = False
        self._seen = 0

    def wake(self) -> None:
        """Somebody wants something: now."""
        self._urgent = True
        self._awake.set()

    def local_commit(self) -> None:
        """Something was written in this process: soon."""
        self._written = True
        if not self._committed:
            self._committed = True
            self._awake.set()

    def is_quiet(self) -> bool:
        """Whether nobody in this process has written since this was last asked."""
        written, self._written = self._written, False
        return not written

    async def begin(self) -> None:
        """Before a round, so that whatever comes during it is noticed after it."""
        self._awake.clear()
        self._urgent = False
        self._committed = False
        self._seen = await self._version()

    async def rest(self, seconds: float, is_wanted: Callable[[], Awaitable[bool]]) -> None:
        """Sleep for at most so long; ``is_wanted`` says whether another process's commit is worth waking for."""
        until = self._wall() + timedelta(seconds=seconds)
        while not self._awake.is_set():
            left = (until - self._wall()).total_seconds()
            if left <= 0:
                return
            await self._nap(min(left, POLL_SECONDS))
            version = await self._version()
            if version != self._seen:
                self._seen = version
                if await is_wanted():
                    return
        if self._committed and not self._urgent:
            # Only what cannot wait ends this nap: a commit that joins does not.
            self._awake.clear()
            await self._nap(LINGER_SECONDS)

    async def _nap(self, seconds: float) -> None:
        waking = asyncio.ensure_future(self._awake.wait())
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait({waking, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (waking, sleeping):
                each.cancel()
            await asyncio.gather(waking, sleeping, return_exceptions=True)

    async def _version(self) -> int:
        return 0 if self._data_version is None else await self._data_version()
