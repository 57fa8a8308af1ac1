"""The recorder's own thread: an event loop, the workspaces it has opened, and every write on its way to disk.

Sync and async agents use the same one, from any thread and any loop. Promises:

- whatever goes wrong with a write ends here: it is counted as lost and never reaches the agent;
- the writes of one row happen in the order in which they were asked for;
- an agent waits ``PATIENCE_SECONDS`` at most, then goes on while its writes wait for the database; until the next one
  succeeds it does not wait again.
"""

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from acode_tui.domain.errors import AcodeError, TransactionError
from acode_tui.recorder.outcome import Losses, log
from acode_tui.recorder.rows import Row
from acode_tui.recorder.values import reason_of

if TYPE_CHECKING:
    from acode_tui.workspace import Workspace


PATIENCE_SECONDS = 5.0
EXIT_SECONDS = 10.0
"""How long the end of the process is held up for writes that still wait."""

CLOSE_SECONDS = 2.0
"""The same for closing: a connection's thread may have a write in hand that waits for a lock."""

REOPEN_SECONDS = 30.0
"""A workspace that could not be opened is not tried again for so long."""

MAX_WAITING_WRITES = 10_000
MAX_WAITING_BYTES = 256 * 1024 * 1024
"""What may wait for a database that does not answer; more is lost rather than kept in memory."""

Write = Callable[["Workspace"], Awaitable[None]]


class Lane(Protocol):
    """Whatever has writes that must keep their order."""

    turn: asyncio.Lock


class Place:
    """One workspace, opened when it is first written to. Used in the recorder's thread, but for ``stalled``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stalled = False
        self._workspace: Workspace | None = None
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._fault: tuple[Exception, float] | None = None

    async def workspace(self) -> "Workspace":
        async with self._opening:
            if self._workspace is None:
                if self._fault is not None and monotonic() < self._fault[1]:
                    raise self._fault[0]
                from acode_tui.workspace import open_workspace

                try:
                    self._workspace = await self._stack.enter_async_context(open_workspace(self.root, mode="recorder"))
                except (AcodeError, OSError) as error:
                    self._fault = (error, monotonic() + REOPEN_SECONDS)
                    raise
            return self._workspace

    async def close(self) -> None:
        """Close the workspace; the next write opens it again. Nothing may be under way."""
        stack, self._stack = self._stack, AsyncExitStack()
        self._workspace = None
        self._fault = None
        await stack.aclose()


class Channel:
    """The thread and what it owns. One a process."""

    def __init__(self) -> None:
        # Loaded for ``Place``, and here: in the agent's thread, where it does not hold up the loop.
        import_module("acode_tui.workspace")
        self._loop = asyncio.new_event_loop()
        self._places: dict[str, Place] = {}
        self._writes: set[asyncio.Task[None]] = set()
        self._lock = threading.Lock()
        self._waiting = 0
        self._waiting_bytes = 0
        self._ended = False
        # As a daemon it does not hold up the end of the process before ``end`` could flush it; the connections'
        # threads are started from it, and so are daemons too.
        self._thread = threading.Thread(target=self._loop.run_forever, name="acode-recorder", daemon=True)
        self._thread.start()

    def place(self, root: Path) -> Place:
        """The one workspace of a folder, however its path is spelled."""
        # No file system has a name with NUL in it; opening will say so.
        key = str(root) if "\0" in str(root) else os.path.realpath(root)
        with self._lock:
            return self._places.setdefault(key, Place(root))

    def submit(self, place: Place, lane: Lane, write: Write, losses: Losses, size: int = 0) -> "Future[None] | None":
        """Have ``write`` done after the lane's earlier ones. The future never fails; None where it is lost at once."""
        with self._lock:
            refused = self._refusal(size)
            if refused is None:
                self._waiting += 1
                self._waiting_bytes += size
                return asyncio.run_coroutine_threadsafe(self._perform(place, lane, write, losses, size), self._loop)
        losses.add(refused)
        return None

    def _refusal(self, size: int) -> AcodeError | None:
        if self._ended:
            return TransactionError("the recorder has ended with the process")
        if self._waiting >= MAX_WAITING_WRITES or (self._waiting and self._waiting_bytes + size > MAX_WAITING_BYTES):
            return TransactionError("too many writes wait for the database already")
        return None

    def flush_and_close(self, seconds: float) -> None:
        """Wait for the writes so far, then close the workspaces. What is not done in time is lost."""
        if not self._ended:
            done = asyncio.run_coroutine_threadsafe(self._close(seconds), self._loop)
            with contextlib.suppress(TimeoutError, CancelledError):
                done.result(seconds + 2 * CLOSE_SECONDS)

    def end(self, seconds: float) -> None:
        """The same for good."""
        self.flush_and_close(seconds)
        with self._lock:
            self._ended = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(seconds)
        if not self._thread.is_alive():
            self._loop.close()

    # What follows runs in the recorder's thread.

    async def _perform(self, place: Place, lane: Lane, write: Write, losses: Losses, size: int) -> None:
        task: asyncio.Task[Any] | None = asyncio.current_task()
        assert task is not None
        self._writes.add(task)
        try:
            async with lane.turn:
                await write(await place.workspace())
            place.stalled = False
        except asyncio.CancelledError:
            losses.add(TransactionError("the write was not done when the recorder was closed"))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, recording must not break the agent; it is counted
            losses.add(error)
        finally:
            self._writes.discard(task)
            with self._lock:
                self._waiting -= 1
                self._waiting_bytes -= size

    async def _close(self, seconds: float) -> None:
        deadline = monotonic() + seconds
        while self._writes and monotonic() < deadline:
            await asyncio.wait(tuple(self._writes), timeout=deadline - monotonic())
        late = tuple(self._writes)
        for task in late:
            task.cancel()
        closing = [asyncio.create_task(place.close()) for place in self._places.values()]
        if not closing:
            return
        done, _ = await asyncio.wait([*late, *closing], timeout=CLOSE_SECONDS)
        for task in done.intersection(closing):
            error = task.exception()
            if error is not None:
                log.warning("a workspace did not close cleanly: %s", reason_of(error))


class _Process:
    """The process's one channel, made when it is first needed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.channel: Channel | None = None
        self.abandoned: list[Channel] = []

    def forked(self) -> None:
        """In a forked child the thread is gone. What it owned is the parent's: kept, so that nobody closes it here."""
        self.lock = threading.Lock()
        if self.channel is not None:
            self.abandoned.append(self.channel)
            self.channel = None


_process = _Process()
os.register_at_fork(after_in_child=_process.forked)


def channel() -> Channel:
    """The process's channel. Raises RuntimeError where no thread can be started any more."""
    with _process.lock:
        if _process.channel is None:
            _process.channel = Channel()
        return _process.channel


def close(seconds: float = EXIT_SECONDS) -> None:
    """Flush what is being recorded and close the workspaces; recording on opens them again.

    Not needed at the end of a process: that does it by itself. Of use before a workspace is moved or deleted.
    """
    with _process.lock:
        current = _process.channel
    if current is not None:
        current.flush_and_close(seconds)


@atexit.register
def _end() -> None:
    if _process.channel is not None:
        _process.channel.end(EXIT_SECONDS)


class Writes:
    """Where one run's writes go."""

    def __init__(self, root: Path) -> None:
        self.losses = Losses()
        self._root = root

    def submit(self, row: Row, write: Write, size: int = 0) -> "Future[None] | None":
        """Queue a write of ``row``; whatever keeps it from being queued is a loss, never an error."""
        try:
            opened = channel()
            return opened.submit(opened.place(self._root), row, write, self.losses, size)
        except (RuntimeError, OSError) as error:
            # No thread can be started at the very end of a process, or beyond a limit.
            self.losses.add(error)
            return None

    def patience(self) -> float:
        place = self._place()
        return 0.0 if place is None or place.stalled else PATIENCE_SECONDS

    def stall(self) -> None:
        """The database kept an agent waiting too long: do not wait again before a write has succeeded."""
        place = self._place()
        if place is not None:
            place.stalled = True

    def _place(self) -> Place | None:
        try:
            return channel().place(self._root)
        except (RuntimeError, OSError):
            return None
