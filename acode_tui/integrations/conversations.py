"""What the integrations with agent frameworks share: runs that turns of a conversation go on with, safe callbacks.

Callbacks never wait for the disk, so what the last few milliseconds before a crash wrote may be missing.
"""

import contextlib
import functools
import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec

from acode_tui import recorder
from acode_tui.recorder.channel import channel
from acode_tui.recorder.run import Run
from acode_tui.recorder.values import reason_of

P = ParamSpec("P")

log = logging.getLogger("acode_tui.recorder")
"""The standard library's, as the recorder's: this runs in the agent's process."""


class Turn:
    """One turn of an agent, in a run that it shares with the other turns of its conversation."""

    def __init__(self, run: Run, key: str | None, *, is_conversation: bool) -> None:
        self.run = run
        self.key = key
        self.is_conversation = is_conversation
        self.open_turns = 1
        self.failure: str | None = None
        self.cancelled: str | None = None
        self.waits_for: str | None = None


class Conversations:
    """The runs under way of one framework: one for each key, and one for each turn without a key."""

    def __init__(self, path: str | Path | None, agent: str) -> None:
        self._path = path
        self._agent = agent
        self._pid = os.getpid()
        self._open: dict[str, Turn] = {}
        self._lock = threading.Lock()
        with contextlib.suppress(RuntimeError, OSError):
            # Now, for it takes a tenth of a second: the first callback is not to wait for it.
            channel()

    def enter(
        self, name: str, key: str | None, *, is_conversation: bool, metadata: Mapping[str, Any] | None = None
    ) -> Turn:
        """Begin a turn: in the conversation's run if there is one, in this process or in the workspace."""
        with self._lock:
            if self._pid != os.getpid():
                # The runs of a forked process are its parent's.
                self._pid, self._open = os.getpid(), {}
            known = None if key is None else self._open.get(key)
            if known is not None:
                known.open_turns += 1
                return known
            resume = None if key is None else f"{self._agent}:{key}"
            facts = {"agent": self._agent, "conversation": key, **(metadata or {})}
            run = recorder.session(
                name, self._path, metadata={k: v for k, v in facts.items() if v is not None}, resume=resume
            ).start()
            turn = Turn(run, key, is_conversation=is_conversation)
            if key is not None:
                self._open[key] = turn
            return turn

    def leave(
        self, turn: Turn, *, failure: str | None = None, cancelled: str | None = None, waits_for: str | None = None
    ) -> None:
        """End a turn. The last one of a run ends it: Failed, AwaitingApproval, Paused as a conversation, Cancelled,
        Completed.
        """
        with self._lock:
            turn.failure = failure or turn.failure
            turn.cancelled = cancelled or turn.cancelled
            turn.waits_for = waits_for or turn.waits_for
            turn.open_turns -= 1
            if turn.open_turns:
                return
            if turn.key is not None and self._open.get(turn.key) is turn:
                del self._open[turn.key]
            if turn.failure is not None:
                turn.run.fail(turn.failure)
            elif turn.waits_for is not None:
                turn.run.leave_open(turn.waits_for, approval=True)
            elif turn.is_conversation:
                turn.run.leave_open(turn.cancelled or "the turn has ended; the conversation may go on")
            elif turn.cancelled is not None:
                turn.run.cancel(turn.cancelled)
            turn.run.end()


_reported = threading.Event()


def harmless(callback: Callable[P, None]) -> Callable[P, None]:
    """A callback whose own errors never reach the agent: the first one of a process is logged."""

    @functools.wraps(callback)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            callback(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - recording must not break the agent; the loss is logged
            if not _reported.is_set():
                _reported.set()
                with contextlib.suppress(Exception):
                    log.warning("a run is not fully recorded, the agent goes on: %s", reason_of(error))

    return guarded


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or a list of parts of which some have a text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, (list, tuple)):
        return ""
    return "\n".join(text for part in content if (text := _text_of_part(part)))


def field(item: Any, name: str) -> Any:
    """A field of a dictionary or an attribute of an object; None where there is none."""
    try:
        return item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)
    except Exception:  # noqa: BLE001 - the object is the agent's: its properties may raise anything
        return None


def _text_of_part(part: Any) -> str:
    if isinstance(part, str):
        return part
    for name in ("text", "refusal"):
        if isinstance(text := field(part, name), str):
            return text
    kind = field(part, "type")
    return f"({kind})" if isinstance(kind, str) and ("image" in kind or "file" in kind or "audio" in kind) else ""
