"""Finishes a session at the end of its file: decides in which state the last lines leave it, and builds its graph."""

from collections.abc import Collection
from datetime import timedelta
from enum import Enum, auto

import msgspec

from acode_tui.domain.clock import format_time
from acode_tui.domain.states import SessionState, ToolCallState, WorkState
from acode_tui.ingest.counts import SkippedLines
from acode_tui.ingest.draft import RunDraft
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.graph import GraphBuilder, Header, Outcome
from acode_tui.ingest.timeline import STALE_AFTER, Bounds, Timeline

ABANDONED_AFTER = timedelta(days=1)
"""A call without a result may wait for the user's consent for so long; after that the run counts as paused."""


class LastSeen(Enum):
    """The kind of the last line that matters for the session's state."""

    NOTHING = auto()
    PROMPT = auto()
    WORK = auto()
    CALL = auto()
    RESULT = auto()
    ANSWER = auto()
    INTERRUPTION = auto()
    ERROR = auto()


class Ending(msgspec.Struct, frozen=True):
    """How the file ends. A pending call of one of ``approval_tools`` waits for the user.

    ``idle`` is the time since the file's last line.
    """

    last: LastSeen
    planning: bool
    approval_tools: Collection[str]
    idle: timedelta


def idle_time(context: ReadContext, bounds: Bounds) -> timedelta:
    """The time since the last line, whatever the file's own time is, which a copy or a backup changes.

    The file's own time counts where no line has one, and where a clock that ran ahead wrote the last one.
    """
    last = bounds.latest
    return context.now - (context.written_at if last is None or last > context.now else last)


def decide_outcome(run: RunDraft, ending: Ending) -> tuple[Outcome, str, timedelta | None]:
    """The outcome, its reason, and how long after the last line it holds; None for good."""
    if run.task is None:
        return Outcome(SessionState.CREATED, WorkState.PENDING), "no prompt", None
    if ending.last is LastSeen.INTERRUPTION:
        return Outcome(SessionState.PAUSED, WorkState.FAILED), "interrupted", None
    if ending.last is LastSeen.ERROR:
        return Outcome(SessionState.FAILED, WorkState.FAILED), "fatal error", None
    step = run.task.steps[-1] if run.task.steps else None
    pending = [call.name for call in (step.calls if step else ()) if call.state is ToolCallState.EXECUTING]
    if any(name in ending.approval_tools for name in pending):
        return Outcome(SessionState.AWAITING_APPROVAL, WorkState.IN_PROGRESS), "waits for the user", None
    if ending.last is LastSeen.ANSWER and not pending:
        return Outcome(SessionState.COMPLETED, WorkState.COMPLETED), "the last turn is answered", None
    if ending.idle <= STALE_AFTER:
        state = SessionState.PLANNING if ending.planning else SessionState.EXECUTING
        return Outcome(state, WorkState.IN_PROGRESS), "at work", STALE_AFTER
    if pending and ending.idle <= ABANDONED_AFTER:
        outcome = Outcome(SessionState.AWAITING_APPROVAL, WorkState.IN_PROGRESS)
        return outcome, "a call was left without result", ABANDONED_AFTER
    reason = "a call was left without result" if pending else "the last turn was left open"
    return Outcome(SessionState.PAUSED, WorkState.IN_PROGRESS), reason, None


def finish(
    context: ReadContext,
    run: RunDraft,
    timeline: Timeline,
    header: Header,
    ending: Ending,
    skipped: SkippedLines,
    last_line: int,
    claimed: bytes = b"",
    other_calls: Collection[str] = (),
) -> Parsed:
    """One session's graph, its counts, and what is kept with the cursor.

    ``other_calls`` are keys that the lines name and that no call of the run has.
    """
    outcome, reason, holds = decide_outcome(run, ending)
    timeline.end(outcome.session, reason, last_line)
    for name in ("firstTime", "lastTime"):
        if header.metadata.get(name) is not None:
            header.metadata[name] = format_time(header.metadata[name])
    builder = GraphBuilder(header)
    graph = builder.build(run, timeline.events, outcome)
    run.counts.sessions = 1
    run.counts.artifacts += builder.artifacts
    return Parsed(
        graphs=(graph,),
        counts=run.counts,
        skipped=skipped,
        until=context.now - ending.idle + holds if holds is not None else None,
        checkpoints=tuple(timeline.checkpoints),
        claimed=claimed,
        expected=builder.expected(run, other_calls) if run.is_resumed else None,
    )
