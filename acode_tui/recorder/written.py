"""The end of a write, for the agent that waits for it.

A ``concurrent.futures.Future`` has a condition, two locks and a list of waiters, and a recorded tool call waits twice.
"""

import asyncio
from _thread import allocate_lock
from collections.abc import Callable
from contextlib import suppress


class Written:
    """Set once, when a write is on disk or lost. Any thread may wait for it, and any event loop."""

    __slots__ = ("_is_set", "_listeners", "_unset")

    def __init__(self) -> None:
        self._unset = allocate_lock()
        self._unset.acquire()
        self._is_set = False
        self._listeners: list[Callable[[], object]] = []

    def set(self) -> None:
        """Let everything that waits go on. Called once."""
        self._is_set = True
        self._unset.release()
        self._answer()

    def wait(self, seconds: float) -> bool:
        """Whether it is set within so many seconds."""
        if self._unset.acquire(timeout=seconds):
            self._unset.release()
            return True
        return False

    def future(self) -> "asyncio.Future[None]":
        """A future of the running loop that is done when this is set. To cancel it cancels nothing else."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._listeners.append(lambda: loop.call_soon_threadsafe(_finish, future))
        if self._is_set:
            self._answer()
        return future

    def _answer(self) -> None:
        # Both threads may be here: each listener is taken by one of them.
        while True:
            try:
                listener = self._listeners.pop()
            except IndexError:
                return
            with suppress(RuntimeError):  # its loop is closed
                listener()


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
