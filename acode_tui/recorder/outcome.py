"""How a block of an agent ended, the state that follows from it, and the count of writes that were lost."""

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


class OutcomeKind(Enum):
    DONE = auto()
    SKIPPED = auto()
    FAILED = auto()
    CANCELLED = auto()
    PAUSED = auto()
    AWAITING_APPROVAL = auto()


class Outcome(msgspec.Struct, frozen=True):
    """How a block ended; ``reason`` says why, unless it was Done. Only a session can be left Paused or waiting."""

    kind: OutcomeKind
    reason: str = ""


DONE = Outcome(OutcomeKind.DONE)

SESSION_STATES = {
    OutcomeKind.DONE: SessionState.COMPLETED,
    OutcomeKind.FAILED: SessionState.FAILED,
    OutcomeKind.CANCELLED: SessionState.CANCELLED,
    OutcomeKind.PAUSED: SessionState.PAUSED,
    OutcomeKind.AWAITING_APPROVAL: SessionState.AWAITING_APPROVAL,
}
WORK_STATES = {
    OutcomeKind.DONE: WorkState.COMPLETED,
    OutcomeKind.SKIPPED: WorkState.SKIPPED,
    OutcomeKind.FAILED: WorkState.FAILED,
    OutcomeKind.CANCELLED: WorkState.FAILED,
}
"""Tasks and steps have no state Cancelled."""


def outcome_of(error: BaseException | None) -> Outcome | None:
    """The outcome of a block that an exception leaves; None without an exception.

    An interrupt or a cancelled task is Cancelled, an exit of the program with code 0 is Done, the rest is Failed.
    """
    if error is None:
        return None
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return DONE
    if isinstance(error, (KeyboardInterrupt, CancelledError, GeneratorExit)):
        return Outcome(OutcomeKind.CANCELLED, reason_of(error))
    return Outcome(OutcomeKind.FAILED, reason_of(error))


log = logging.getLogger("acode_tui.recorder")
"""The standard library's: this runs in the agent's process, which decides where its log goes."""


class NotRecorded(Exception):
    """A write needs a row that was not recorded itself."""


class Losses:
    """Counts the lost writes of one run. Safe to use from any thread."""

    def __init__(self) -> None:
        self.count = 0
        self._logged = False
        self._lock = threading.Lock()

    def add(self, error: BaseException) -> None:
        """Count a lost write. The first of a run is logged: as an error where only a change by the user helps."""
        with self._lock:
            self.count += 1
            first, self._logged = not self._logged, True
        if not first:
            return
        text = redact(str(error)) if isinstance(error, AcodeError) else reason_of(error)
        with contextlib.suppress(Exception):
            # A log handler or filter of the agent may raise; that must not reach the agent from here.
            level = logging.ERROR if isinstance(error, AcodeError) and not error.retryable else logging.WARNING
            log.log(level, "a run is not fully recorded, the agent goes on: %s", text)
