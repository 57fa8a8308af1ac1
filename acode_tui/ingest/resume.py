"""What is kept of a run that was read, so that reading can go on after its last line instead of from its first one.

Kept is what lines to come may still change: the current task, the latest steps, calls without a result, results without
a call and the steps that have them, and the totals of everything else. A line that reaches back to anything else raises
``NeedsWholeFileError``, or shows in ``ExpectedRows``; the file is then read from its first line.
"""

from datetime import datetime
from typing import Any

import msgspec

from acode_tui.domain.states import SessionState, ToolCallState
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.draft import CallDraft, RunDraft, StepDraft, TaskDraft, UnclaimedResult
from acode_tui.ingest.timeline import Bounds, Checkpoint, ModelHistory, Timeline

RECENT_STEPS = 16
MAX_OPEN_CALLS = 256
MAX_BLANK_LINES = 1_000
MAX_BYTES = 256 * 1024
"""A state with more of such calls and results, or of pending blank lines, or larger than so many bytes, is not kept."""


class SavedCall(msgspec.Struct, array_like=True):
    """A call without a result. ``facts`` may link it to a subagent."""

    key: str
    name: str
    parameters: Any
    at: datetime | None
    order: int
    facts: dict[str, Any]


class SavedResult(msgspec.Struct, array_like=True):
    """A result without its call."""

    key: str
    state: ToolCallState
    error: str | None
    done_at: datetime | None
    facts: dict[str, Any]


class SavedStep(msgspec.Struct, array_like=True):
    """A step: its open calls, and what its other calls and its artifacts say of it."""

    key: str
    at: datetime | None
    order: int
    name: str
    metadata: dict[str, Any]
    texts: int
    reasonings: int
    followed: bool
    followed_at: datetime | None
    call_count: int
    states: list[ToolCallState]
    has_artifacts: bool
    cut_off: list[dict[str, Any]]
    updated_at: datetime | None
    calls: list[SavedCall]
    unclaimed: list[SavedResult]


class SavedTask(msgspec.Struct, array_like=True):
    """A task, with those of its steps that are kept."""

    key: str
    at: datetime | None
    order: int
    line: int
    implicit: bool
    title: str
    description: str
    failure: str | None
    metadata: dict[str, Any]
    superseded: bool
    followed: bool
    followed_at: datetime | None
    step_count: int
    cut_off: list[dict[str, Any]]
    updated_at: datetime | None
    steps: list[SavedStep]


class SavedRun(msgspec.Struct, array_like=True):
    """A run: the tasks that are kept, in order, and the totals of all."""

    task_count: int
    step_count: int
    counts: Counts
    description: str
    created_at: datetime | None
    updated_at: datetime | None
    tasks: list[SavedTask]


class SavedReading(msgspec.Struct, array_like=True):
    """What every format keeps: the run, the times, the inferred states, the skipped lines."""

    run: SavedRun
    times: tuple[datetime, datetime, datetime, datetime]
    state: SessionState
    stamps: tuple[datetime, datetime]
    pending: tuple[Checkpoint, ...]
    models: list[str]
    model: str
    skipped: SkippedLines
    last_line: int


def save_reading(
    run: RunDraft,
    bounds: Bounds,
    timeline: Timeline,
    models: ModelHistory,
    skipped: SkippedLines,
    last_line: int,
) -> SavedReading | None:
    """What is kept, once the run's graph was built; None where reading cannot go on after these lines."""
    if bounds.first is None or bounds.earliest is None or bounds.latest is None or bounds.current is None:
        # Rows without a time take the first one of the file, which is still to come.
        return None
    waiting = len(run.unclaimed) + sum(call.is_open for call in run.calls.values())
    if waiting > MAX_OPEN_CALLS or len(skipped.blank) > MAX_BLANK_LINES:
        return None
    return SavedReading(
        run=_save_run(run),
        times=(bounds.first, bounds.earliest, bounds.latest, bounds.current),
        state=timeline.state,
        stamps=timeline.stamps,
        pending=timeline.pending,
        models=models.names,
        model=models.current,
        skipped=skipped,
        last_line=last_line,
    )


def restore_reading(
    saved: SavedReading, run: RunDraft, bounds: Bounds, timeline: Timeline, models: ModelHistory
) -> None:
    """Bring new objects into the state in which ``save_reading`` found the others."""
    bounds.first, bounds.earliest, bounds.latest, bounds.current = saved.times
    timeline.restore(saved.state, saved.stamps, saved.pending)
    models.names, models.current = list(saved.models), saved.model
    _restore_run(saved.run, run)


def encode(state: msgspec.Struct) -> bytes:
    """The state as bytes; empty where it cannot be kept."""
    try:
        data = msgspec.msgpack.encode(state)
    except (ValueError, OverflowError):
        # A native id with a lone surrogate, or a number of more than 64 bits.
        return b""
    return data if len(data) <= MAX_BYTES else b""


def _save_run(run: RunDraft) -> SavedRun:
    # A step begins in the current task, so the steps of all tasks, one after the other, are in the order of the lines.
    recent = {id(step) for step in list(run.steps.values())[-RECENT_STEPS:]}
    tasks = []
    for task in run.tasks:
        steps = [step for step in task.steps if id(step) in recent or step.is_open]
        if steps or task is run.task:
            tasks.append(_save_task(task, steps))
    return SavedRun(
        task_count=run.task_count,
        step_count=run.step_count,
        counts=run.counts,
        description=run.description,
        created_at=run.created_at,
        updated_at=run.updated_at,
        tasks=tasks,
    )


def _save_task(task: TaskDraft, steps: list[StepDraft]) -> SavedTask:
    kept = {id(step) for step in steps}
    stamps = [task.updated_at, *(step.updated_at for step in task.steps if id(step) not in kept)]
    return SavedTask(
        key=task.key,
        at=task.at,
        order=task.order,
        line=task.line,
        implicit=task.implicit,
        title=task.title,
        description=task.description,
        failure=task.failure,
        metadata=task.metadata,
        superseded=task.superseded,
        followed=task.followed,
        followed_at=task.followed_at,
        step_count=task.step_count,
        cut_off=task.cut_off,
        updated_at=max((at for at in stamps if at is not None), default=None),
        steps=[_save_step(step) for step in steps],
    )


def _save_step(step: StepDraft) -> SavedStep:
    return SavedStep(
        key=step.key,
        at=step.at,
        order=step.order,
        name=step.name,
        metadata=step.metadata,
        texts=step.texts,
        reasonings=step.reasonings,
        followed=step.followed,
        followed_at=step.followed_at,
        call_count=step.call_count,
        states=list(dict.fromkeys([*step.states, *(call.state for call in step.calls if not call.is_open)])),
        has_artifacts=step.has_artifacts,
        cut_off=step.cut_off,
        updated_at=step.updated_at,
        calls=[
            SavedCall(call.key, call.name, call.parameters, call.at, call.order, call.facts)
            for call in step.calls
            if call.is_open
        ],
        unclaimed=[
            SavedResult(result.key, result.state, result.error, result.done_at, result.facts)
            for result in step.unclaimed.values()
        ],
    )


def _restore_run(saved: SavedRun, run: RunDraft) -> None:
    run.is_resumed = True
    run.task_count = saved.task_count
    run.step_count = saved.step_count
    run.counts = saved.counts
    run.description = saved.description
    run.created_at = saved.created_at
    run.updated_at = saved.updated_at
    for kept in saved.tasks:
        task = TaskDraft(kept.key, "", kept.at, kept.line, kept.order, implicit=kept.implicit)
        # What the lines before gave is stored.
        task.artifacts = []
        for name in (
            "title",
            "description",
            "failure",
            "metadata",
            "superseded",
            "followed",
            "followed_at",
            "step_count",
            "cut_off",
            "updated_at",
        ):
            setattr(task, name, getattr(kept, name))
        task.is_stored = True
        task.steps = [_restore_step(step, run) for step in kept.steps]
        run.tasks.append(task)


def _restore_step(saved: SavedStep, run: RunDraft) -> StepDraft:
    step = StepDraft(saved.key, saved.at, saved.order)
    for name in (
        "name",
        "metadata",
        "texts",
        "reasonings",
        "followed",
        "followed_at",
        "call_count",
        "states",
        "has_artifacts",
        "cut_off",
        "updated_at",
    ):
        setattr(step, name, getattr(saved, name))
    step.is_stored = True
    run.steps[step.key] = step
    for kept in saved.calls:
        call = CallDraft(kept.key, kept.name, kept.parameters, kept.at, kept.order)
        call.facts = kept.facts
        call.is_stored = True
        run.calls[call.key] = call
        step.calls.append(call)
    for result in saved.unclaimed:
        unclaimed = UnclaimedResult(result.key, step, None)
        unclaimed.state, unclaimed.error, unclaimed.done_at = result.state, result.error, result.done_at
        unclaimed.facts = result.facts
        unclaimed.is_stored = True
        run.unclaimed[result.key] = unclaimed
    return step
