"""The thread that stores the spans of one process and brings its runs up to date. An agent never waits for it.

Spans that wait are stored in one transaction. What cannot be stored is tried again and is lost only beyond a limit, or
when the process ends.
"""

import atexit
import concurrent.futures.thread  # noqa: F401 - what ends first is what was registered last
import contextlib
import queue
import threading
import weakref
from asyncio import Runner
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING

from acode_tui.domain.errors import TransactionError
from acode_tui.ingest.otlp.records import Span, stored
from acode_tui.recorder.outcome import Losses, log
from acode_tui.recorder.values import reason_of
from acode_tui.workspace.telemetry import import_spans, open_span_store

if TYPE_CHECKING:
    from acode_tui.storage.transcript_ports import SpanLog, StoredSpan
    from acode_tui.workspace import Workspace

MAX_WAITING = 10_000
"""Spans that wait for the thread or for the disk; further ones are lost rather than kept in memory."""
IMPORT_SECONDS = 0.5
"""The shortest time between two imports."""
IMPORT_SHARE = 5
"""The next import waits so many times as long as the last one took."""
EXIT_SECONDS = 10.0
"""How long the end of the process waits for the spans so far."""
RETRY_SECONDS = 2.0
"""How long no attempt is made after one that failed."""

_NEVER = float("inf")

Work = Callable[[], Span]
"""Makes the span, in the thread."""


def _at_exit(end: "weakref.WeakMethod[Callable[[float], None]]") -> None:
    """End a thread with the process, before executors end: an import uses one, and ``atexit`` comes later."""

    def run() -> None:
        found = end()
        if found is not None:
            found(EXIT_SECONDS)

    register = getattr(threading, "_register_atexit", atexit.register)
    with contextlib.suppress(RuntimeError):  # the process is ending already
        register(run)


class _Mark:
    """A place in the queue. ``reached`` is set when everything before it was stored and imported, or could not be."""

    def __init__(self, *, ends: bool) -> None:
        self.ends = ends
        self.reached = threading.Event()
        self.all_stored = False


class SpanThread:
    """The thread and what it owns. It begins with the first span."""

    def __init__(self, root: Path) -> None:
        self.losses = Losses()
        self._root = root
        self._lock = threading.Lock()
        self._ended = False
        self._begin()
        _at_exit(weakref.WeakMethod(self.end))

    def _begin(self) -> None:
        self._queue: queue.SimpleQueue[Work | _Mark] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._has_ended = False
        self._unstored: list[StoredSpan] = []
        self._retry_at = 0.0
        self._import_at = _NEVER
        self._rests_until = 0.0
        self._stack = AsyncExitStack()
        self._workspace: Workspace | None = None
        self._store: SpanLog | None = None

    def forked(self) -> None:
        """In a forked child: what waits is the parent's, and so are the connections, which stay as they are."""
        self._abandoned = (self._store, self._workspace, self._stack, self._queue)
        self._lock = threading.Lock()
        self._begin()

    def put(self, work: Work) -> None:
        """Queue a span. Never waits, never raises."""
        if self._ended or self._queue.qsize() >= MAX_WAITING:
            self.losses.add(TransactionError("too many spans wait already" if not self._ended else "shut down before"))
            return
        if self._thread is None:
            self._start()
        self._queue.put(work)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                # As a daemon it does not hold up the end of the process; the tracer provider shuts it down there.
                thread = threading.Thread(target=self._run, name="acode-spans", daemon=True)
                thread.start()
                self._thread = thread

    def flush(self, seconds: float) -> bool:
        """Wait until the spans so far are stored and imported. Returns whether they are, all of them."""
        lost = self.losses.count
        mark = _Mark(ends=False)
        is_reached = self._reach(mark, seconds)
        return is_reached and self.losses.count == lost and (mark.all_stored or self._thread is None)

    def end(self, seconds: float) -> None:
        """The same, then end the thread; harmless if repeated. Later spans are lost."""
        self._ended = True
        self._reach(_Mark(ends=True), seconds)

    def _reach(self, mark: _Mark, seconds: float) -> bool:
        if self._thread is None or not self._thread.is_alive():
            return True
        self._queue.put(mark)
        # The thread says that it has ended before it looks at the queue for the last time.
        return self._has_ended or mark.reached.wait(seconds)

    # What follows runs in the thread.

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._has_ended = True
            with contextlib.suppress(queue.Empty):
                while True:
                    left = self._queue.get_nowait()
                    if isinstance(left, _Mark):
                        left.reached.set()
                    else:
                        self.losses.add(TransactionError("the thread that stores spans has ended"))

    def _work(self) -> None:
        with Runner() as runner:
            while True:
                found = self._take()
                marks = [each for each in found if isinstance(each, _Mark)]
                ends = any(mark.ends for mark in marks)
                self._add(each for each in found if not isinstance(each, _Mark))
                self._keep(runner, at_once=bool(marks), is_last=ends)
                if self._import_at < _NEVER and (marks or self._import_at <= monotonic()):
                    self._import(runner)
                if ends:
                    self._close(runner)
                for mark in marks:
                    mark.all_stored = not self._unstored
                    mark.reached.set()
                if ends:
                    return

    def _take(self) -> list[Work | _Mark]:
        """What waits: at least one thing, unless an import or another attempt is due first."""
        until = min(self._import_at, self._retry_at if self._unstored else _NEVER)
        found: list[Work | _Mark] = []
        with contextlib.suppress(queue.Empty):
            found.append(self._queue.get(timeout=None if until == _NEVER else max(until - monotonic(), 0)))
            while len(found) < MAX_WAITING:
                found.append(self._queue.get_nowait())
        return found

    def _add(self, works: Iterable[Work]) -> None:
        for work in works:
            try:
                self._unstored.append(stored(work()))
            except Exception as error:  # noqa: BLE001 - recording must not break the agent; the loss is counted
                self.losses.add(error)

    def _keep(self, runner: Runner, *, at_once: bool, is_last: bool) -> None:
        """Store what is not stored yet. Where that fails it is kept, up to a limit, unless this was the last time."""
        if not self._unstored or (monotonic() < self._retry_at and not at_once):
            return
        try:
            self._open(runner).add(self._unstored, int(time()))
        except Exception as error:  # noqa: BLE001 - as above
            self._retry_at = monotonic() + RETRY_SECONDS
            kept = 0 if is_last else MAX_WAITING
            for _ in self._unstored[kept:]:
                self.losses.add(error)
            del self._unstored[kept:]
            return
        self._unstored = []
        self._retry_at = 0.0
        self._import_at = min(self._import_at, max(monotonic() + IMPORT_SECONDS, self._rests_until))

    def _open(self, runner: Runner) -> "SpanLog":
        if self._store is None:
            # The workspace first: it makes the folder.
            self._open_workspace(runner)
            self._store = open_span_store(self._root / ".agent")
        return self._store

    def _open_workspace(self, runner: Runner) -> "Workspace":
        from acode_tui.workspace import open_workspace

        if self._workspace is None:
            opening = self._stack.enter_async_context(open_workspace(self._root, mode="recorder"))
            self._workspace = runner.run(opening)
        return self._workspace

    def _import(self, runner: Runner) -> None:
        """Bring the runs up to date. The spans are on disk: where that fails, the next import reads them."""
        began = monotonic()
        self._import_at = _NEVER
        try:
            runner.run(import_spans(self._open_workspace(runner)))
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("spans are stored, and not yet read into runs: %s", reason_of(error))
        self._rests_until = monotonic() + IMPORT_SHARE * (monotonic() - began)

    def _close(self, runner: Runner) -> None:
        try:
            if self._store is not None:
                self._store.close()
            runner.run(self._stack.aclose())
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("a workspace did not close cleanly: %s", reason_of(error))
        self._store = self._workspace = None
