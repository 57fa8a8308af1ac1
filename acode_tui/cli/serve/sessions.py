"""The dashboards that a server runs at once: a bounded number; an idle one ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

MAX_SESSIONS = 8
IDLE_SECONDS = 2 * 60 * 60.0
"""A session that gets no key, no click and no focus for this long ends. Its page offers to start another one."""
WAIT_SECONDS = 5.0
"""A reloaded page opens its new session a moment before its former one has ended."""


class TooManySessions(Exception):
    """As many sessions as may be are open."""


class Session:
    """One dashboard process. ``touch`` says that somebody uses it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._used = now()

    def touch(self) -> None:
        self._used = self._now()

    def idle_seconds(self) -> float:
        return self._now() - self._used


class Sessions:
    """Counts sessions and ends them. ``now`` gives seconds of any origin; ``sleep`` waits by the same clock."""

    def __init__(
        self,
        *,
        limit: int = MAX_SESSIONS,
        idle_seconds: float = IDLE_SECONDS,
        wait_seconds: float = WAIT_SECONDS,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.limit = limit
        self._idle_seconds = idle_seconds
        self._wait_seconds = wait_seconds
        self._now = now
        self._sleep = sleep
        self._free = asyncio.Semaphore(limit)
        self._tasks: set[asyncio.Task[object]] = set()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Session]:
        """A session of the current task, which is cancelled when the session is idle for too long.

        Raises TooManySessions if none of the others ends within a moment.
        """
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise TooManySessions from None
        task = asyncio.current_task()
        assert task is not None
        session = Session(self._now)
        watching = asyncio.create_task(self._end_when_idle(session, task), name="acode-idle")
        self._tasks.add(task)
        try:
            yield session
        finally:
            self._tasks.discard(task)
            watching.cancel()
            self._free.release()

    def end_all(self) -> None:
        """End every session. Their dashboards get the time to end by themselves."""
        for task in self._tasks:
            task.cancel()

    async def _end_when_idle(self, session: Session, task: asyncio.Task[object]) -> None:
        while (left := self._idle_seconds - session.idle_seconds()) > 0:
            await self._sleep(left)
        task.cancel()
