"""When a screen is drawn: at once, but not more often than a terminal shows."""

import asyncio
from collections.abc import Callable

FRAME_SECONDS = 1 / 120
"""Least time from the beginning of a frame to that of the next one."""


class FrameTimer:
    """Draws a frame when one is due, in the place of Textual's timer of frames.

    That one keeps to a grid of 60 frames a second, and after a pause skips a place of it: a key that came just after a
    frame waited up to 33 ms for its own.
    """

    def __init__(self, draw: Callable[[], None], failed: Callable[[Exception], None]) -> None:
        """``failed`` gets what ``draw`` raises."""
        self._draw = draw
        self._failed = failed
        self._due: asyncio.TimerHandle | None = None
        self._last = 0.0

    def resume(self) -> None:
        """Draw as soon as a frame may be drawn."""
        if self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.call_at(max(loop.time(), self._last + FRAME_SECONDS), self._draw_now)

    def pause(self) -> None:
        """Draw no frame until the next ``resume``."""
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _draw_now(self) -> None:
        self._due = None
        self._last = asyncio.get_running_loop().time()
        try:
            self._draw()
        except Exception as error:  # noqa: BLE001 - the app ends with it, as with one in Textual's timer
            self._failed(error)
