"""Long blocking work in a thread that can be cancelled: the caller is cancelled only once the work has ended."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from acode_tui.domain.progress import CheckCancelled

T = TypeVar("T")


class Stopped(Exception):
    """The caller was cancelled."""


async def run_cancellable(work: Callable[[CheckCancelled], T]) -> T:
    """The result of ``work(check_cancelled)`` in another thread.

    When the caller is cancelled, ``check_cancelled`` raises Stopped in the work, which undoes what it began and has
    ended when this raises CancelledError.
    """
    stop = threading.Event()

    def check_cancelled() -> None:
        if stop.is_set():
            raise Stopped

    running = asyncio.create_task(asyncio.to_thread(work, check_cancelled))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # retrieved, so that asyncio does not report it as never retrieved
        raise


def on_loop(callback: Callable[..., None] | None) -> Callable[..., None]:
    """The same function, called on the running loop from any thread; None becomes a function that does nothing."""
    if callback is None:
        return _ignore
    loop = asyncio.get_running_loop()

    def call(*values: object) -> None:
        loop.call_soon_threadsafe(callback, *values)

    return call


def _ignore(*_: object) -> None:
    """Receive a report and drop it."""
