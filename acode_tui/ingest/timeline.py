"""Infers a session's changes of state from its lines, as append-only events.

An event depends only on the lines up to its own, and its id covers its content: reading a longer version of the file
never gives an event of the same id with other content.

What the *end* of a file implies (answered, stale, waiting) holds only until the file grows. It is stored as a
checkpoint with the file's cursor. When the file has grown, the checkpoint's event is made again, followed by one that
says that work went on, so that each event starts in the state in which the one before it ended.

Time stamps rise strictly along that chain, at any lengths at which the file was read: events of lines are at least a
millisecond apart, and those of ends fit between them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from acode_tui.domain.clock import EPOCH, TICK
from acode_tui.domain.states import SessionState
from acode_tui.ingest.draft import shorten
from acode_tui.ingest.observe import observer

MAX_REASON_CHARS = 1_000
MAX_CHECKPOINTS = 100
MAX_MODELS = 50
STALE_AFTER = timedelta(minutes=10)
"""A run that nothing was written to for longer is idle: no agent works on it. ``is:live`` has the same limit."""

_NO_LINE = 2**62
_EVENT_OFFSET = 500 * TICK
_EVENT_SPACING = 1_000 * TICK


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """What the end of the file implied when its last whole line was ``line``."""

    line: int
    state: SessionState
    reason: str
    at: datetime


class EventDraft(msgspec.Struct, frozen=True):
    from_state: SessionState
    to_state: SessionState
    reason: str
    at: datetime
    line: int


class Bounds:
    """The times of a file's lines: the first in file order, the earliest, the latest, and that of the current line."""

    __slots__ = ("current", "earliest", "first", "latest")

    def __init__(self) -> None:
        self.first: datetime | None = None
        self.earliest: datetime | None = None
        self.latest: datetime | None = None
        self.current: datetime | None = None

    def note(self, at: datetime | None) -> datetime | None:
        """Note the time of the current line. Returns it, or for None the last time before it."""
        if at is None:
            return self.current
        if self.first is None:
            self.first = self.earliest = self.latest = at
        else:
            assert self.earliest is not None
            assert self.latest is not None
            if at < self.earliest:
                self.earliest = at
            elif at > self.latest:
                self.latest = at
        self.current = at
        return at


class Timeline:
    """Collects the events of one session; the reader calls it in the order of lines.

    ``state`` is the state after the lines so far. ``bounds`` must have noted a line's time before the line's event.
    """

    def __init__(self, bounds: Bounds, checkpoints: Sequence[Checkpoint] = ()) -> None:
        self.state = SessionState.CREATED
        self.events: list[EventDraft] = []
        self.checkpoints = list(checkpoints)
        self._bounds = bounds
        self._pending = sorted(checkpoints, key=lambda found: found.line)
        self._last = EPOCH - _EVENT_SPACING
        self._last_end = EPOCH
        self.next_checkpoint = self._pending[0].line if self._pending else _NO_LINE
        """The reader calls ``pass_checkpoint`` at the first line beyond this one."""
        if (watching := observer()) is not None:
            watching.begin_timeline(self)

    @property
    def stamps(self) -> tuple[datetime, datetime]:
        """The latest stamps given: to an event of a line, and to an end."""
        return (self._last, self._last_end)

    @property
    def pending(self) -> tuple[Checkpoint, ...]:
        """The ends that no line has passed yet."""
        return tuple(self._pending)

    def restore(self, state: SessionState, stamps: tuple[datetime, datetime], pending: Sequence[Checkpoint]) -> None:
        """Go on from the state in which another timeline was after an earlier line."""
        self.state = state
        self._last, self._last_end = stamps
        self._pending = list(pending)
        self.next_checkpoint = self._pending[0].line if self._pending else _NO_LINE

    def change_state(self, to: SessionState, reason: str, line: int) -> None:
        """Add a change of the session's state; none if it is in that state already."""
        if to is not self.state:
            self._add(self.state, to, reason, line, self._next_stamp())
            self.state = to

    def note(self, reason: str, line: int) -> None:
        """Add an event that changes no state: a compaction, another model, a summary."""
        self._add(self.state, self.state, reason, line, self._next_stamp())

    def note_past(self, state: SessionState, reason: str, line: int, at: datetime | None) -> None:
        """Add a note on an earlier line that only a later line made relevant. ``state`` was the state at that line."""
        self._add(state, state, reason, line, at or EPOCH)

    def pass_checkpoint(self, line: int) -> None:
        """Add the events of the ends that were read before ``line``, and that work went on after them."""
        while self._pending and self._pending[0].line < line:
            end = self._pending[0].line
            state = self.state
            at = EPOCH
            while self._pending and self._pending[0].line == end:
                seen = self._pending.pop(0)
                self._add(state, seen.state, seen.reason, seen.line, seen.at)
                state, at = seen.state, seen.at
            if state is not self.state:
                at += TICK
                self._add(state, self.state, "work went on", line, at)
            self._last_end = max(self._last_end, at)
        self.next_checkpoint = self._pending[0].line if self._pending else _NO_LINE

    def end(self, state: SessionState, reason: str, line: int) -> None:
        """Add what the end of the file implies, as a checkpoint and its event; an end read before is added again."""
        current = self.state
        at = max(self._bounds.latest or EPOCH, self._last, self._last_end)
        for seen in self._pending:
            self._add(current, seen.state, seen.reason, seen.line, seen.at)
            current, at = seen.state, seen.at
        if current is not state:
            found = Checkpoint(line, state, reason, at + TICK)
            self._add(current, state, reason, line, found.at)
            self.checkpoints = [*self.checkpoints, found][-MAX_CHECKPOINTS:]
            self._pending.append(found)

    def _next_stamp(self) -> datetime:
        self._last = max((self._bounds.latest or EPOCH) + _EVENT_OFFSET, self._last + _EVENT_SPACING)
        return self._last

    def _add(self, before: SessionState, after: SessionState, reason: str, line: int, at: datetime) -> None:
        reason = f"{shorten(reason, MAX_REASON_CHARS)} [inferred=true line={line}]"
        self.events.append(EventDraft(before, after, reason, at, line))


class ModelHistory:
    """The models of a session, at most ``MAX_MODELS``, in the order of their first use. A change is an event."""

    def __init__(self, timeline: Timeline) -> None:
        self.names: list[str] = []
        self.current = ""
        self._timeline = timeline

    def note(self, model: str, line: int) -> None:
        """Note the model that a line names; nothing happens if it is the current one."""
        if not model or model == self.current:
            return
        if self.current:
            self._timeline.note(f"model changed from {self.current} to {model}", line)
        self.current = model
        if model not in self.names and len(self.names) < MAX_MODELS:
            self.names.append(model)
