"""How a block of an agent ended, and the state that follows from it. Pure."""

import contextlib
import logging
import threading
from asyncio import CancelledError
from enum import Enum, auto

import msgspec

from acode_tui.domain.errors import AcodeError
from acode_tui.domain.secrets.known import redact
from acode_tui.domain.states import SessionState, WorkState
from acode_tui.recorder.values import reason_of


class How(Enum):
    DONE = auto()
    SKIPPED = auto()
    FAILED = auto()
    CANCELLED = auto()


class Ending(msgspec.Struct, frozen=True):
    """``reason`` says why it was not simply done."""

    how: How
    reason: str = ""


DONE = Ending(How.DONE)

SESSION_STATES = {
    How.DONE: SessionState.COMPLETED,
    How.FAILED: SessionState.FAILED,
    How.CANCELLED: SessionState.CANCELLED,
}
WORK_STATES = {
    How.DONE: WorkState.COMPLETED,
    How.SKIPPED: WorkState.SKIPPED,
    How.FAILED: WorkState.FAILED,
    How.CANCELLED: WorkState.FAILED,
}
"""The table of tasks and steps has no Cancelled."""


def ending_of(error: BaseException | None) -> Ending | None:
    """What an exception that leaves a block means for it; None where there was none.

    An interrupt or a cancelled task is Cancelled, leaving the program with exit code 0 is no failure, the rest is.
    """
    if error is None:
        return None
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return DONE
    if isinstance(error, (KeyboardInterrupt, CancelledError, GeneratorExit)):
        return Ending(How.CANCELLED, reason_of(error))
    return Ending(How.FAILED, reason_of(error))


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
