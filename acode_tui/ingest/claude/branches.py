"""Which prompts of a session still count. The user may go back to an earlier point and go on from there.

A prompt names the record that it follows (``parentUuid``). Where that record is older than the last prompt, the user
went back: what was said since is superseded.
"""

from collections.abc import Iterable

from acode_tui.ingest.draft import NeedsWholeFileError, RunDraft
from acode_tui.ingest.file_sessions import MARK

RECENT = 64
"""So many of the latest records are remembered to read on."""


class Branches:
    """``task_of`` is the number of tasks begun when a record was read; ``follows`` the task that each task follows."""

    def __init__(self, recent: Iterable[tuple[str, int]] = (), *, is_resumed: bool = False) -> None:
        self.task_of: dict[str, int] = dict(recent)
        self._follows: list[int] = []
        self._is_resumed = is_resumed

    def recent(self) -> list[tuple[str, int]]:
        """The latest records, to go on with."""
        return list(self.task_of.items())[-RECENT:]

    def begin(self, run: RunDraft, parent: str) -> int:
        """A prompt was read that follows the record ``parent``, if any: its task is the run's last one.

        Marks the tasks that it does not follow from. Returns how many they are, none where nothing changed. Raises
        NeedsWholeFileError where the lines read do not tell.
        """
        begun = run.task_count - 1
        found = self.task_of.get(parent) if parent else None
        if parent and found is None and self._is_resumed:
            raise NeedsWholeFileError
        if self._is_resumed:
            if found is not None and found < begun:
                raise NeedsWholeFileError
            return 0
        while len(self._follows) < begun:
            # Work before the first prompt has a task without one.
            self._follows.append(len(self._follows) - 1)
        self._follows.append(begun - 1 if found is None else min(found, begun) - 1)
        if self._follows[-1] == begun - 1:
            return 0
        return self._mark(run)

    def _mark(self, run: RunDraft) -> int:
        path = set()
        order = len(self._follows) - 1
        while order >= 0:
            path.add(order)
            order = self._follows[order]
        count = 0
        # What another session's lines in this file hold is not what the user left.
        session = run.tasks[-1].metadata.get(MARK)
        for task in run.tasks:
            if task.metadata.get(MARK) != session:
                continue
            is_left = task.order not in path and not task.key.startswith(QUEUE_KEY)
            count += is_left
            task.superseded = is_left
            for step in task.steps:
                if is_left:
                    step.metadata["abandoned"] = True
                else:
                    step.metadata.pop("abandoned", None)
        return count


QUEUE_KEY = "queue:"
"""The key of a task begins so whose prompt no record follows: only the queue's lines hold it."""
