"""Runs a coroutine to its end, as ``asyncio.run`` does, without its tracebacks after an interruption."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Like ``asyncio.run``, but an interruption while the loop is created prints nothing.

    asyncio would print tracebacks for an incomplete loop and for a coroutine that was never started.
    """
    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            return runner.run(work)
    finally:
        work.close()  # has no effect on a coroutine that has been started


def _new_loop() -> asyncio.AbstractEventLoop:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return asyncio.new_event_loop()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
