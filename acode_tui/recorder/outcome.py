"""How a block of an agent ended, and the state that follows from it. Pure."""

from asyncio import CancelledError
from enum import Enum, auto

import msgspec

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
