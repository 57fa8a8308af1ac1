"""Where one run's writes go, and how long an agent waits for them."""

from concurrent.futures import Future
from pathlib import Path

from acode_tui.recorder import channel as channels
from acode_tui.recorder.channel import Place, Write
from acode_tui.recorder.losses import Losses
from acode_tui.recorder.rows import Row


class Writes:
    """Where one run's writes go."""

    def __init__(self, root: Path) -> None:
        self.losses = Losses()
        self._root = root

    def submit(self, row: Row, write: Write, size: int = 0) -> "Future[None] | None":
        """Queue a write of ``row``; whatever keeps it from being queued is a loss, never an error."""
        try:
            channel = channels.channel()
            return channel.submit(channel.place(self._root), row, write, self.losses, size)
        except (RuntimeError, OSError) as error:
            # No thread can be started at the very end of a process, or beyond a limit.
            self.losses.add(error)
            return None

    def patience(self) -> float:
        place = self._place()
        return 0.0 if place is None or place.stalled else channels.PATIENCE_SECONDS

    def stall(self) -> None:
        """The database kept an agent waiting too long: do not wait again before a write has succeeded."""
        place = self._place()
        if place is not None:
            place.stalled = True

    def _place(self) -> Place | None:
        try:
            return channels.channel().place(self._root)
        except (RuntimeError, OSError):
            return None
