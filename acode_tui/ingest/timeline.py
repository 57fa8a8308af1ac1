"""The session's states as its lines imply them, as append-only events.

An event depends only on the lines up to its own, and its id covers its content: reading a longer version of
the file never gives an event of the same id with other content.

What the *end* of a file implies (answered, stale, waiting) holds only until the file grows. Each such reading
is noted as a checkpoint and kept with the file's cursor; when the file goes on, the checkpoint's event is given
again, followed by one that says that work went on, so the chain of states stays whole.

Stamps rise strictly along that chain, wherever files were read on the way: events of lines are at least a
millisecond apart, and ends fit between them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from acode_tui.domain.clock import EPOCH, TICK
from acode_tui.domain.states import SessionState
from acode_tui.ingest.draft import shorten
from acode_tui.ingest.records import Bounds

MAX_REASON_CHARS = 1_000
MAX_CHECKPOINTS = 100
SETTLED = timedelta(minutes=15)
"""A file not written to for longer is taken to have no agent at work on it."""
_NEVER = 2**62
_BIAS = 500 * TICK
_STRIDE = 1_000 * TICK


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """What the end of the file implied when its last whole line was ``line``."""

    line: int
    state: SessionState
    what: str
    at: datetime


class EventDraft(msgspec.Struct, frozen=True):
    from_state: SessionState
    to_state: SessionState
    reason: str
    at: datetime
    line: int


class Timeline:
    """Told of what each line implies, in order. ``bounds`` has seen the line's time already."""

    def __init__(self, bounds: Bounds, checkpoints: Sequence[Checkpoint] = ()) -> None:
        self.live = SessionState.CREATED
        self.events: list[EventDraft] = []
        self.checkpoints = list(checkpoints)
        self._bounds = bounds
        self._waiting = sorted(checkpoints, key=lambda found: found.line)
        self._last = EPOCH - _STRIDE
        self._last_end = EPOCH
        self.next_checkpoint = self._waiting[0].line if self._waiting else _NEVER
        """The reader of lines calls ``pass_checkpoint`` when it comes to a line beyond."""

    def move(self, to: SessionState, what: str, line: int) -> None:
        """The session's state changes; nothing happens if it is that state already."""
        if to is not self.live:
            self._emit(self.live, to, what, line, self._rise())
            self.live = to

    def note(self, what: str, line: int) -> None:
        """Something happened that changed no state: a compaction, another model, a summary."""
        self._emit(self.live, self.live, what, line, self._rise())

    def note_past(self, live: SessionState, what: str, line: int, at: datetime | None) -> None:
        """A note on an earlier line, which only a later one made worth keeping. ``live`` was the state then."""
        self._emit(live, live, what, line, at or EPOCH)

    def pass_checkpoint(self, line: int) -> None:
        """Work went on after an end that had been taken for one."""
        while self._waiting and self._waiting[0].line < line:
            end = self._waiting[0].line
            state = self.live
            at = EPOCH
            while self._waiting and self._waiting[0].line == end:
                seen = self._waiting.pop(0)
                self._emit(state, seen.state, seen.what, seen.line, seen.at)
                state, at = seen.state, seen.at
            if state is not self.live:
                at += TICK
                self._emit(state, self.live, "work went on", line, at)
            self._last_end = max(self._last_end, at)
        self.next_checkpoint = self._waiting[0].line if self._waiting else _NEVER

    def end(self, state: SessionState, what: str, line: int) -> None:
        """What the end of the file implies, as a checkpoint and its event. An end read before comes again."""
        current = self.live
        at = max(self._bounds.latest or EPOCH, self._last, self._last_end)
        for seen in self._waiting:
            self._emit(current, seen.state, seen.what, seen.line, seen.at)
            current, at = seen.state, seen.at
        if current is not state:
            found = Checkpoint(line, state, what, at + TICK)
            self._emit(current, state, what, line, found.at)
            self.checkpoints = [*self.checkpoints, found][-MAX_CHECKPOINTS:]

    def _rise(self) -> datetime:
        self._last = max((self._bounds.latest or EPOCH) + _BIAS, self._last + _STRIDE)
        return self._last

    def _emit(self, before: SessionState, after: SessionState, what: str, line: int, at: datetime) -> None:
        reason = f"{shorten(what, MAX_REASON_CHARS)} [inferred=true line={line}]"
        self.events.append(EventDraft(before, after, reason, at, line))
