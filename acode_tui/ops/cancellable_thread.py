"""Long blocking work in a thread that can be broken off: a cancelled caller has it stop, and waits until it has."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

Check = Callable[[], None]
"""Raises Stopped once the work is to end; the work calls it every so often, and tidies up after itself."""


class Stopped(Exception):
    """The caller has gone."""


async def in_thread(work: Callable[[Check], T]) -> T:
    """``work(check)``'s answer. Cancelled, the work is told so, and has ended when this raises."""
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise Stopped

    running = asyncio.create_task(asyncio.to_thread(work, check))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # looked at: it is of no interest to anybody
        raise


def on_the_loop(told: Callable[..., None] | None) -> Callable[..., None] | None:
    """The same function, called on the running loop wherever it is called from."""
    if told is None:
        return None
    loop = asyncio.get_running_loop()

    def tell(*values: object) -> None:
        loop.call_soon_threadsafe(told, *values)

    return tell
