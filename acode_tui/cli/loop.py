"""The event loop that a command runs on."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """What ``asyncio.run`` answers; an interruption that comes while the loop is being made says nothing more.

    asyncio complains of half a loop, and of work that was never begun, with tracebacks.
    """
    try:
        with asyncio.Runner(loop_factory=_whole_loop) as runner:
            return runner.run(work)
    finally:
        work.close()  # what has ended, or was begun, is left as it is


def _whole_loop() -> asyncio.AbstractEventLoop:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return asyncio.new_event_loop()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
