"""Prompts that the user typed while the agent worked.

The program writes when such a prompt enters its queue (``queue-operation``, 2.0 on) and when it leaves it: back to the
input line (``popAll``), as a user line of its own (``dequeue``), or into the running turn (``remove``). Newer releases
write an attachment (``queued_command``) when it goes into the turn; older ones write nothing more.
"""

from datetime import datetime
from typing import NamedTuple


class Queued(NamedTuple):
    """A prompt that left the queue for the running turn, at a line."""

    text: str
    at: datetime | None
    line: int


class PromptQueue:
    """Finds each queued prompt once: ``removed`` have left the queue, ``given`` became prompts without an attachment.

    Both are part of what is kept to read on.
    """

    def __init__(self, removed: list[Queued] | None = None, given: list[str] | None = None) -> None:
        self.removed = removed or []
        self.given = given or []

    def remove(self, text: str, at: datetime | None, line: int) -> None:
        """A prompt went into the running turn."""
        self.removed.append(Queued(text, at, line))

    def attach(self, text: str) -> bool:
        """A line or an attachment holds this prompt. False where it is a prompt already."""
        for queued in self.removed:
            if queued.text == text:
                self.removed.remove(queued)
                return True
        if text in self.given:
            self.given.remove(text)
            return False
        return True

    def take(self) -> list[Queued]:
        """The prompts that the model has by now, and for which no other line came."""
        taken, self.removed = self.removed, []
        self.given = [*self.given, *(queued.text for queued in taken)][-_MAX_GIVEN:]
        return taken


_MAX_GIVEN = 20
