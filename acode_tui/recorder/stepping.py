"""Running a coroutine in the loop's callbacks, without a task.

A task begins in the turn of the loop after its creation and is kept in a set of all tasks. A recorded tool call has two
writes that each wait once, so this is a good part of what the recorder's thread does for it; see
``docs/decisions/0025-few-turns-a-write.md``. What runs so has no current task: ``asyncio.timeout`` and ``wait_for`` do
not work in it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Stepping:
    """A coroutine that runs up to its first wait at once, and on when what it waits for is there.

    An exception other than a cancellation that leaves the coroutine goes to the loop's exception handler.
    """

    __slots__ = ("_cancelled", "_coroutine", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._coroutine = coroutine
        self._waits_for: asyncio.Future[Any] | None = None
        self._cancelled = False

    def start(self) -> None:
        """Run up to the first wait. Called on the loop, once."""
        self._step()

    def cancel(self) -> None:
        """Raise CancelledError where the coroutine waits."""
        if self._waits_for is None or not self._waits_for.cancel():
            self._cancelled = True

    def _step(self, _: object = None) -> None:
        self._waits_for = None
        try:
            if self._cancelled:
                self._cancelled = False
                waits_for = self._coroutine.throw(asyncio.CancelledError())
            else:
                waits_for = self._coroutine.send(None)
        except (StopIteration, asyncio.CancelledError):
            return
        if waits_for is None:
            # A bare yield, as in ``asyncio.sleep(0)``.
            asyncio.get_running_loop().call_soon(self._step)
            return
        # What a task does with a future: without it, the future takes the wait for a mistake.
        waits_for._asyncio_future_blocking = False
        self._waits_for = waits_for
        waits_for.add_done_callback(self._step)
