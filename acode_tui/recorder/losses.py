"""What a run could not record: counted, and said once, where the agent's own log goes."""

import contextlib
import logging
import threading

from acode_tui.domain.errors import AcodeError
from acode_tui.domain.secrets.known import redact
from acode_tui.recorder.values import reason_of

log = logging.getLogger("acode_tui.recorder")
"""The standard library's, because this runs in somebody else's process: they decide where it goes."""


class NotRecorded(Exception):
    """A write that needs a row which was itself not recorded."""


class Losses:
    """One run's. Safe to use from any thread."""

    def __init__(self) -> None:
        self.count = 0
        self._said = False
        self._lock = threading.Lock()

    def add(self, error: BaseException) -> None:
        """One more write is lost. The first of a run is logged."""
        with self._lock:
            self.count += 1
            first, self._said = not self._said, True
        if not first:
            return
        text = redact(str(error)) if isinstance(error, AcodeError) else reason_of(error)
        with contextlib.suppress(Exception):
            # A handler or filter of the agent's may raise; that must not come back to it from here.
            log.warning("a run is not fully recorded, the agent goes on: %s", text)
