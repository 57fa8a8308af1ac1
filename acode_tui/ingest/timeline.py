"""The session's states as its lines imply them, as append-only events.

An event depends only on the lines up to its own, and its id covers its content: reading a longer version of
the file never gives an event of the same id with other content.

What the *end* of a file implies (answered, stale, waiting) holds only until the file grows. Each such reading
is noted as a checkpoint and kept with the file's cursor; when the file goes on, the checkpoint's event is given
again, followed by one that says that work went on, so the chain of states stays whole.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from acode_tui.domain.clock import TICK
from acode_tui.domain.states import SessionState
from acode_tui.ingest.draft import shorten

MAX_REASON_CHARS = 1_000
MAX_CHECKPOINTS = 100
_NEVER = 2**62


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
    at: datetime | None
    """None where no line so far had a time: the session's first time stands in."""
    line: int


class Timeline:
    def __init__(self, checkpoints: Sequence[Checkpoint] = ()) -> None:
        self.live = SessionState.CREATED
        self.events: list[EventDraft] = []
        self.checkpoints = list(checkpoints)
        self._waiting = sorted(checkpoints, key=lambda found: found.line)
        self._last: datetime | None = None
        self.next_checkpoint = self._waiting[0].line if self._waiting else _NEVER
        """The reader of lines calls ``pass_checkpoint`` when it comes to a line beyond."""

    def move(self, to: SessionState, what: str, line: int, at: datetime | None) -> None:
        """The session's state changes; nothing happens if it is that state already."""
        if to is not self.live:
            self._emit(self.live, to, what, line, self._rise(at))
            self.live = to

    def note(self, what: str, line: int, at: datetime | None) -> None:
        """Something happened that changed no state: a compaction, another model, a summary."""
        self._emit(self.live, self.live, what, line, self._rise(at))

    def note_past(self, live: SessionState, what: str, line: int, at: datetime | None) -> None:
        """A note on an earlier line, which only a later one made worth keeping. ``live`` was the state then."""
        self._emit(live, live, what, line, at)

    def pass_checkpoint(self, line: int, at: datetime | None) -> None:
        """Work went on after an end that had been taken for one."""
        while self._waiting and self._waiting[0].line < line:
            end = self._waiting[0].line
            state = self.live
            seen = None
            while self._waiting and self._waiting[0].line == end:
                seen = self._waiting.pop(0)
                self._emit(state, seen.state, seen.what, seen.line, seen.at)
                state = seen.state
            if state is not self.live:
                assert seen is not None
                self._emit(state, self.live, "work went on", line, max(at or seen.at, seen.at + TICK))
        self.next_checkpoint = self._waiting[0].line if self._waiting else _NEVER

    def end(self, state: SessionState, what: str, line: int, at: datetime) -> None:
        """What the end of the file implies, as a checkpoint and its event. An end read before comes again."""
        current = self.live
        for seen in self._waiting:
            self._emit(current, seen.state, seen.what, seen.line, seen.at)
            current = seen.state
        if current is not state:
            # Microseconds apart, so that events sort as they came.
            stamp = max(at, self._last + TICK) if self._last is not None else at
            if self._waiting:
                stamp = max(stamp, self._waiting[-1].at + TICK)
            found = Checkpoint(line, state, what, stamp)
            self._emit(current, state, what, line, stamp)
            self.checkpoints = [*self.checkpoints, found][-MAX_CHECKPOINTS:]

    def _rise(self, at: datetime | None) -> datetime | None:
        if at is None:
            return self._last + TICK if self._last is not None else None
        if self._last is not None and at <= self._last:
            at = self._last + TICK
        self._last = at
        return at

    def _emit(self, before: SessionState, after: SessionState, what: str, line: int, at: datetime | None) -> None:
        reason = f"{shorten(what, MAX_REASON_CHARS)} [inferred=true line={line}]"
        self.events.append(EventDraft(before, after, reason, at, line))


SETTLED = timedelta(minutes=15)
"""A file not written to for longer is taken to have no agent at work on it."""
