"""Finishes a session at the end of its file: decides in which state the last lines leave it, and builds its graph."""

from collections.abc import Collection
from enum import Enum, auto

import msgspec

from acode_tui.domain.clock import format_time
from acode_tui.domain.states import SessionState, ToolCallState, WorkState
from acode_tui.ingest.counts import SkippedLines
from acode_tui.ingest.draft import RunDraft
from acode_tui.ingest.format import Parsed
from acode_tui.ingest.graph import GraphBuilder, Header, Outcome
from acode_tui.ingest.timeline import Timeline


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
    """How the file ends. A pending call of one of ``approval_tools`` waits for the user."""

    last: LastSeen
    planning: bool
    approval_tools: Collection[str]
    fresh: bool


def decide_outcome(run: RunDraft, ending: Ending) -> tuple[Outcome, str, bool]:
    """The outcome, its reason, and whether it holds only while the file is fresh."""
    if run.task is None:
        return Outcome(SessionState.CREATED, WorkState.PENDING), "no prompt", False
    if ending.last is LastSeen.INTERRUPTION:
        return Outcome(SessionState.PAUSED, WorkState.FAILED), "interrupted", False
    if ending.last is LastSeen.ERROR:
        return Outcome(SessionState.FAILED, WorkState.FAILED), "fatal error", False
    step = run.task.steps[-1] if run.task.steps else None
    pending = [call.name for call in (step.calls if step else ()) if call.state is ToolCallState.EXECUTING]
    if any(name in ending.approval_tools for name in pending):
        return Outcome(SessionState.AWAITING_APPROVAL, WorkState.IN_PROGRESS), "waits for the user", False
    if ending.last is LastSeen.ANSWER and not pending:
        return Outcome(SessionState.COMPLETED, WorkState.COMPLETED), "the last turn is answered", False
    if ending.fresh:
        state = SessionState.PLANNING if ending.planning else SessionState.EXECUTING
        return Outcome(state, WorkState.IN_PROGRESS), "at work", True
    if pending:
        return Outcome(SessionState.AWAITING_APPROVAL, WorkState.IN_PROGRESS), "a call was left without result", False
    return Outcome(SessionState.PAUSED, WorkState.IN_PROGRESS), "the last turn was left open", False


def finish(
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
    outcome, reason, open_ = decide_outcome(run, ending)
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
        open=open_,
        checkpoints=tuple(timeline.checkpoints),
        claimed=claimed,
        expected=builder.expected(run, other_calls) if run.is_resumed else None,
    )
