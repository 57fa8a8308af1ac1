"""Finds where a forked file, or that of a subagent, ends to repeat the lines of the session that it came from.

Such a file begins with its own meta line and the origin's; then follow the origin's lines, written at once, and then
its own. The repeated ones are written without a pause between them, and a turn of its own begins with a line that says
so.
"""

from datetime import datetime, timedelta

PAUSE = timedelta(milliseconds=10)
"""Repeated lines follow each other faster; between the last of them and a turn's first line the program starts up."""

LONG_PAUSE = timedelta(seconds=1)
"""After such a pause any prompt is the file's own: versions before 0.58 did not say that a turn begins."""


class Replay:
    """Whether the lines now are repeated ones. It is asked for each line, in order."""

    def __init__(self) -> None:
        self.is_on = False
        self.lines = 0
        self._last: datetime | None = None

    def begin(self) -> None:
        """The origin's meta line was read."""
        self.is_on = True

    def repeats(self, at: datetime | None, *, begins_turn: bool, is_prompt: bool) -> bool:
        """Whether a line that was written at this time is a repeated one."""
        if not self.is_on:
            return False
        pause = at - self._last if at is not None and self._last is not None else timedelta()
        self._last = at or self._last
        if (begins_turn and pause > PAUSE) or (is_prompt and pause > LONG_PAUSE):
            self.is_on = False
            return False
        self.lines += 1
        return True
