"""What an agent holds while it is recorded: a run, its tasks, their steps, their tool calls."""

import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from acode_tui.domain.states import EntityType, WorkState
from acode_tui.domain.validation import MAX_DESCRIPTION_CHARS
from acode_tui.recorder.block import Block, HolderBlock
from acode_tui.recorder.channel import Place, Writes
from acode_tui.recorder.outcome import DONE, Outcome, OutcomeKind
from acode_tui.recorder.presence import Recording
from acode_tui.recorder.rows import CallRow, Row, SessionRow, WorkRow
from acode_tui.recorder.usage import Usage
from acode_tui.recorder.values import reason_text, recordable, recordable_metadata, title
from acode_tui.recorder.written import Written

Metadata = Mapping[str, Any]
_DESCRIPTION_CHARS = 64 * 1024
_LEFT_OPEN = (OutcomeKind.PAUSED, OutcomeKind.AWAITING_APPROVAL)


class Call(HolderBlock):
    """A tool call: Succeeded when its block ends, Failed with the exception that leaves it."""

    _row: CallRow

    def __init__(self, writes: Writes, step: "Step", tool_name: Any, parameters: Any, *, owns_step: bool) -> None:
        super().__init__(writes, CallRow(step._row, title(tool_name), recordable(parameters)), step)
        self._step = step
        self._owns_step = owns_step

    def result(self, value: Any) -> None:
        """The call's result: any value. What JSON cannot hold is kept as text, what is too large is truncated."""
        self._row.result = recordable(value)

    def fail(self, message: str) -> None:
        """End as Failed although no exception leaves the block."""
        self._outcome = Outcome(OutcomeKind.FAILED, reason_text(message))

    def cancel(self, reason: str = "cancelled") -> None:
        """End as Cancelled: the step above may still be Completed."""
        self._outcome = Outcome(OutcomeKind.CANCELLED, reason_text(reason))

    def tool(self, name: str, parameters: Any = None) -> "Call":
        """A call made by this one: recorded as its sibling, in the same step."""
        return self._step.tool(name, parameters)

    def _enter(self) -> "Written | None":
        if self._owns_step and not self._step._pid:
            self._step._pid = self._step.outer._pid if self._step.outer is not None else 0
            self._step._begin()
        return super()._enter()

    def _end(self, outcome: Outcome) -> "Written | None":
        ended = super()._end(outcome)
        if self._owns_step:
            self._step._left = True
            return self._step._end(DONE)
        return ended


class _Work(HolderBlock):
    """A task or a step."""

    _row: WorkRow

    def fail(self) -> None:
        """End as Failed although no exception leaves the block."""
        self._outcome = Outcome(OutcomeKind.FAILED)


class Step(_Work):
    """One move of the agent. Completed when its block ends and every call in it Succeeded or was Cancelled."""

    def __init__(self, writes: Writes, row: WorkRow, task: "Task") -> None:
        super().__init__(writes, row, task)
        self._run_usage = task._run._row.usage

    def tool(self, name: str, parameters: Any = None) -> Call:
        """A tool call in this step. ``parameters``: any value, usually a mapping of the tool's arguments."""
        return Call(self._writes, self, name, {} if parameters is None else parameters, owns_step=False)

    def usage(
        self,
        *,
        model: str | None = None,
        input: int = 0,
        output: int = 0,
        cache_read: int = 0,
        cache_write: int = 0,
        cost: float | None = None,
    ) -> None:
        """Add what a model call of this step cost; several add up. ``input`` excludes what the cache gave or took.

        Tokens are counts; ``cost`` is in US dollars. They are written when the step ends, and the run has their sums.
        """
        if self._row.usage is None:
            self._row.usage = Usage()
        for usage in (self._row.usage, self._run_usage):
            usage.add(model, (input, output, cache_read, cache_write), cost)

    def skip(self) -> None:
        """End as Skipped: its failure was given up or worked around, and the task may still be Completed."""
        self._outcome = Outcome(OutcomeKind.SKIPPED)


class Task(_Work):
    """One thing that was asked for. Completed when its block ends and every step in it is Completed or Skipped."""

    def __init__(self, writes: Writes, run: "Run", row: WorkRow) -> None:
        super().__init__(writes, row, run)
        self._run = run

    def step(self, name: str, description: str | None = None, *, metadata: Metadata | None = None) -> Step:
        """A step of this task."""
        row = _work_row(EntityType.STEP, self._row, name, description, metadata)
        return Step(self._writes, row, self)

    def tool(self, name: str, parameters: Any = None) -> Call:
        """A tool call in a step of its own. Where it fails and the agent goes on, that step ends as Skipped."""
        # Not by ``_work_row``: the call keeps the whole of a long name.
        row = WorkRow(EntityType.STEP, self._row, title(name), None, {"implicit": True}, refused=WorkState.SKIPPED)
        parameters = {} if parameters is None else parameters
        return Call(self._writes, Step(self._writes, row, self), name, parameters, owns_step=True)

    def skip(self) -> None:
        """End as Skipped in any states of its steps: the session may still be Completed."""
        self._outcome = Outcome(OutcomeKind.SKIPPED)

    def _begin(self) -> "Written | None":
        inserted = super()._begin()
        self._run._task_begun(self._row)
        return inserted


class Run(Block):
    """A whole run. Completed when its block ends and every task in it is Completed or Skipped."""

    _row: SessionRow

    def __init__(
        self, place: Place, description: str, metadata: Metadata | None, user: str | None, resume: str | None = None
    ) -> None:
        self._description = description
        by = None if user is None else title(user)
        row = SessionRow(title(description), recordable_metadata(metadata), by, None if resume is None else str(resume))
        super().__init__(Writes(place), row, None)
        self._own_task: Task | None = None
        self._own_task_lock = threading.Lock()
        self._has_tasks = False

    @property
    def lost(self) -> int:
        """How many writes of this run could not be recorded so far. 0 means that everything is on disk."""
        return self._writes.losses.count

    def task(self, title: str, description: str | None = None, *, metadata: Metadata | None = None) -> Task:
        """A task of this run."""
        row = _work_row(EntityType.SESSION_TASK, self._row, title, description, metadata)
        return Task(self._writes, self, row)

    def step(self, name: str, description: str | None = None, *, metadata: Metadata | None = None) -> Step:
        """A step in a task of the run's own, named as the run is."""
        return self._implied().step(name, description, metadata=metadata)

    def tool(self, name: str, parameters: Any = None) -> Call:
        """A tool call in a step and a task of its own."""
        return self._implied().tool(name, parameters)

    def say(self, *, prompt: str | None = None, reasoning: str | None = None, answer: str | None = None) -> None:
        """Keep what was said, in a task of the run's own."""
        self._implied().say(prompt=prompt, reasoning=reasoning, answer=answer)

    def await_approval(self, reason: str = "approval is awaited") -> None:
        """The run waits for a person: AwaitingApproval until ``approve``, ``reject`` or the end of the block."""
        if not self._has_tasks:
            self._implied()  # what waits must have something to do
        self._change(self._row.await_approval, reason)

    def approve(self, reason: str = "approved") -> None:
        """A person agreed: Executing again. Does nothing if no approval is awaited."""
        self._change(self._row.approve, reason)

    def reject(self, reason: str = "rejected") -> None:
        """A person refused, and so ends the run: Cancelled when its block ends.

        Where the agent goes on without what was refused, cancel that call and ``approve`` with the reason.
        """
        self.cancel(reason)

    def pause(self, reason: str = "paused") -> None:
        """The run rests: Paused until ``resume`` or the end of the block."""
        self._change(self._row.pause, reason)

    def resume(self, reason: str = "resumed") -> None:
        """The run goes on in the state that it was paused from. Does nothing if it is not paused."""
        self._change(self._row.resume, reason)

    def leave_open(self, reason: str = "the run goes on later", *, approval: bool = False) -> None:
        """Do not end the run when its block ends: it is Paused, or AwaitingApproval, until a later
        ``session(resume=...)`` goes on with it.
        """
        kind = OutcomeKind.AWAITING_APPROVAL if approval else OutcomeKind.PAUSED
        self._outcome = Outcome(kind, reason_text(reason))

    def fail(self, reason: str) -> None:
        """End as Failed although no exception leaves the block."""
        self._outcome = Outcome(OutcomeKind.FAILED, reason_text(reason))

    def cancel(self, reason: str = "cancelled") -> None:
        """End as Cancelled although no exception leaves the block."""
        self._outcome = Outcome(OutcomeKind.CANCELLED, reason_text(reason))

    def _change(self, change: Callable[[Recording, str], Awaitable[None]], reason: str) -> None:
        if not self._pid:
            raise RuntimeError("enter the session first")
        text = reason_text(reason)

        async def write(workspace: Recording) -> None:
            await change(workspace, text)

        self._submit(write)

    def _begin(self) -> "Written | None":
        inserted = super()._begin()
        self._submit(self._row.plan)
        return inserted

    def _end(self, outcome: Outcome) -> "Written | None":
        if outcome.kind is OutcomeKind.DONE and not self._has_tasks:
            # Only a session with a task can be Completed: what ran was the session itself.
            self._implied()
        if self._own_task is not None:
            self._own_task._left = True
            self._own_task._end(DONE if outcome.kind in _LEFT_OPEN else outcome)
        return super()._end(outcome)

    def _implied(self) -> Task:
        if not self._pid:
            raise RuntimeError("enter the session first")
        with self._own_task_lock:
            if self._own_task is None:
                row = _work_row(EntityType.SESSION_TASK, self._row, self._description, None, {"implicit": True})
                self._own_task = Task(self._writes, self, row)
                self._own_task._pid = self._pid
                self._own_task._begin()
            return self._own_task

    def _task_begun(self, row: WorkRow) -> None:
        self._has_tasks = True
        self._submit(lambda workspace: self._row.execute(workspace, row))


def _work_row(
    kind: Literal[EntityType.SESSION_TASK, EntityType.STEP],
    parent: Row,
    name: Any,
    description: Any,
    metadata: Metadata | None,
) -> WorkRow:
    """A row whose description, where none is given, is the whole of a name that is too long to be one."""
    text = title(name)
    if description is None and isinstance(name, str) and len(name) > MAX_DESCRIPTION_CHARS:
        description = name
    if description is not None:
        description = title(description, limit=_DESCRIPTION_CHARS)
    return WorkRow(kind, parent, text, description, recordable_metadata(metadata))
