"""What other installed packages do with each run when its recording ends, in a thread of their own.

A package names its sinks by entry points of ``acode_tui.sinks``. A sink that is slow, or that fails, costs the agent
nothing: a run that finds too many before it is not given to it, and what a sink raises is logged once and counted.
"""

import contextlib
import os
import queue
import threading
from typing import TYPE_CHECKING, Any, Protocol

from acode_tui import plugins
from acode_tui.recorder.outcome import log
from acode_tui.recorder.values import reason_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from acode_tui.domain.entities import SessionGraph

MAX_WAITING = 100
"""How many runs wait for the sinks at most."""


class Sink(Protocol):
    """An entry point names one, or what makes one when it is called without arguments."""

    def on_session_end(self, graph: "SessionGraph") -> None:
        """A recording of this run has ended, whatever its state: one that is left open may go on, and end again.

        The graph is as the store has it: tasks, steps, calls, events, artifacts without their content. Called in
        one thread, for one run after the other.
        """
        ...


class Sinks:
    """The sinks of this process: found at the end of its first run, loaded in their thread."""

    def __init__(self) -> None:
        self.failures = 0
        """How many times a sink failed, or was not given a run."""
        self._entries: tuple[EntryPoint, ...] | None = None
        self._sinks: dict[str, Any] | None = None
        self._waiting: queue.Queue[SessionGraph | threading.Event] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._reported: set[str] = set()

    def are_there(self) -> bool:
        """Whether packages name any. The first answer takes some milliseconds; nothing of them is imported."""
        if self._entries is None:
            self._entries = plugins.entry_points(plugins.SINKS)
        return bool(self._entries or self._sinks)

    def give(self, graph: "SessionGraph") -> None:
        """Queue a run for all of them; never waits."""
        try:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="acode-sinks", daemon=True)
                thread.start()
                self._thread = thread
            self._waiting.put_nowait(graph)
        except queue.Full:
            self._fail("", f"more than {MAX_WAITING} runs wait for the sinks")
        except RuntimeError as error:
            # No thread can be started at the very end of a process.
            self._fail("", reason_of(error))

    def flush(self, seconds: float) -> None:
        """Wait so long at most until the sinks have had every run so far."""
        if self._thread is None:
            return
        done = threading.Event()
        with contextlib.suppress(queue.Full):
            self._waiting.put(done, timeout=seconds)
            done.wait(seconds)

    def _load(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for entry in self._entries or ():
            try:
                loaded = entry.load()
                found[entry.name] = loaded() if isinstance(loaded, type) or not _is_sink(loaded) else loaded
                if not _is_sink(found[entry.name]):
                    del found[entry.name]
                    raise TypeError("it has no on_session_end")
            except Exception as error:  # noqa: BLE001 - the package is another author's: it may raise anything
                self._fail(entry.name, reason_of(error))
        return found

    def _work(self) -> None:
        if self._sinks is None:
            self._sinks = self._load()
        while True:
            given = self._waiting.get()
            if isinstance(given, threading.Event):
                given.set()
                continue
            for name, sink in self._sinks.items():
                try:
                    sink.on_session_end(given)
                except Exception as error:  # noqa: BLE001 - as above
                    self._fail(name, reason_of(error))

    def _fail(self, name: str, reason: str) -> None:
        self.failures += 1
        if name not in self._reported:
            self._reported.add(name)
            with contextlib.suppress(Exception):
                log.warning("a sink of another package does not have every run: %s: %s", name or "all", reason)


def _is_sink(value: Any) -> bool:
    return hasattr(value, "on_session_end")


class _Process:
    """The sinks of the process; a forked child has its own, for the thread stays with the parent."""

    def __init__(self) -> None:
        self.sinks = Sinks()

    def forked(self) -> None:
        self.sinks = Sinks()


_process = _Process()
os.register_at_fork(after_in_child=_process.forked)


def sinks() -> Sinks:
    """The sinks of this process."""
    return _process.sinks
