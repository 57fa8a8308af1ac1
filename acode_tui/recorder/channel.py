"""The recorder's own thread: an event loop, the workspaces it has opened, and every write on its way to disk.

Sync and async agents use the same thread, from any thread and any loop. Promises:

- an error of a write ends here: it is counted as lost and never reaches the agent;
- the writes of one row happen in the order in which they were submitted;
- an agent waits for a write ``MAX_WAIT_SECONDS`` at most, then goes on while the write waits for the database; it does
  not wait again until a write has succeeded.
"""

import asyncio
import atexit
import contextlib
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, Protocol

from acode_tui.domain.errors import AcodeError, TransactionError
from acode_tui.recorder.outcome import Losses, log
from acode_tui.recorder.presence import Presence, Recording
from acode_tui.recorder.rows import Row
from acode_tui.recorder.sinks import sinks
from acode_tui.recorder.stepping import Stepping
from acode_tui.recorder.values import reason_of
from acode_tui.recorder.written import Written

if TYPE_CHECKING:
    from acode_tui.sync.ports import SyncService

MAX_WAIT_SECONDS = 5.0
EXIT_SECONDS = 10.0
"""How long the end of the process waits for writes that are under way."""

CLOSE_SECONDS = 2.0
"""How long closing waits: a write of a connection's thread may wait for a lock."""

DRAIN_SECONDS = 5.0
"""How long closing sends what waits in a folder for its database."""

REOPEN_SECONDS = 30.0
"""How long no attempt is made to open a workspace again that could not be opened."""

MAX_WAITING_WRITES = 10_000
MAX_WAITING_BYTES = 256 * 1024 * 1024
"""Limits of what waits for a database that does not answer; further writes are lost rather than kept in memory."""

Write = Callable[[Recording], Awaitable[Awaitable[object] | None]]
"""A write in its row's turn. What it returns is awaited after the turn: the next write may join its commit."""


class Lane(Protocol):
    """An object whose writes keep their order: one has the lock at a time."""

    turn: asyncio.Lock


class Place(NamedTuple):
    """Where runs are recorded: in the workspace of a folder, in a database itself, or in a folder whose records go on
    from there to a database.
    """

    folder: Path
    url: str | None = None
    spools: bool = False

    @property
    def opened(self) -> str | Path:
        """What is opened: the URL of a database, or a folder."""
        return self.folder if self.url is None or self.spools else self.url

    @property
    def key(self) -> str:
        """The same for every spelling of a folder's path."""
        if isinstance(self.opened, str):
            return self.opened
        # No file system has a name with NUL in it; opening fails with a message that says so.
        path = str(self.folder)
        return path if "\0" in path else os.path.realpath(path)


class RecordedWorkspace:
    """A workspace, opened by the first write. Used in the recorder's thread alone, except for ``stalled``.

    ``in_use`` holds the workspaces that are open or being opened. While this is the only one, the recorder's thread
    writes by itself; with others, a file system that hangs below one of them would hold up all. ``has_one_write`` says
    whether no other write is on its way.
    """

    def __init__(self, place: Place, in_use: "set[RecordedWorkspace]", has_one_write: Callable[[], bool]) -> None:
        self.place = place
        self._in_use = in_use
        self._has_one_write = has_one_write
        self.stalled = False
        self._recording: Recording | None = None
        self._presence: Presence | None = None
        self._stack = AsyncExitStack()
        self._opening: asyncio.Task[Recording] | None = None
        self._opened_in_turn = asyncio.Lock()
        self._waiting = 0
        self._failure: tuple[Exception, float] | None = None
        self._sync: SyncService | None = None
        """The sync of a folder whose records go on to a database."""

    async def open(self) -> Recording:
        """The workspace, opened if need be. While it is being opened, all wait for the same opening.

        First in, first out: a write that comes when it is open goes behind those that wait still.
        """
        if self._recording is not None and not self._waiting:
            return self._recording
        self._waiting += 1
        try:
            async with self._opened_in_turn:
                return await self._open_once()
        finally:
            self._waiting -= 1

    async def _open_once(self) -> Recording:
        if self._recording is not None:
            return self._recording
        if self._opening is None or self._opening.done():
            if self._failure is not None and monotonic() < self._failure[1]:
                raise self._failure[0]
            self._in_use.add(self)
            self._opening = asyncio.create_task(self._open())
        return await self._opening

    async def _open(self) -> Recording:
        from acode_tui.workspace import open_workspace

        opened = self.place.opened
        target = self.place.url if self.place.spools else None
        try:
            workspace = await self._stack.enter_async_context(
                open_workspace(opened, mode="recorder", sync=target is not None, target=target)
            )
            if isinstance(opened, Path):
                await workspace.write_in_loop(lambda: len(self._in_use) == 1, self._has_one_write)
            if target is not None:
                self._sync = workspace.sync
        except (AcodeError, OSError) as error:
            self._failure = (error, monotonic() + REOPEN_SECONDS)
            self._in_use.discard(self)
            raise
        recording = Recording(workspace, self._presence, place=opened)
        self._presence = recording.presence
        await recording.pause_abandoned()
        self._recording = recording
        return recording

    async def close(self) -> None:
        """Close the workspace; the next write opens it again. No write may be under way."""
        stack, self._stack = self._stack, AsyncExitStack()
        await self._send_rest()
        if self._presence is not None:
            self._presence.release()
        self._recording = None
        self._failure = None
        self._in_use.discard(self)
        await stack.aclose()

    async def _send_rest(self) -> None:
        """Send what waits to the database. What cannot be sent now stays in the folder, and is sent when it is opened
        again.
        """
        sync, self._sync = self._sync, None
        if sync is None:
            return
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await sync.sync_now()
        except (AcodeError, TimeoutError) as error:
            log.warning("records wait in %s to be sent: %s", self.place.folder, reason_of(error))

    def forked(self) -> None:
        """In a forked child: the runs are the parent's."""
        if self._presence is not None:
            self._presence.close()


class _QueuedWrite:
    """A write on its way to disk; ``done`` is set once it is there or lost. An agent that waits cannot cancel it."""

    __slots__ = ("done", "lane", "losses", "recorded", "running", "size", "write")

    def __init__(self, recorded: RecordedWorkspace, lane: Lane, write: Write, losses: Losses, size: int) -> None:
        self.recorded = recorded
        self.lane = lane
        self.write = write
        self.losses = losses
        self.size = size
        self.running: Stepping | None = None
        self.done = Written()


class Channel:
    """The thread and what it owns. One per process."""

    def __init__(self) -> None:
        # ``RecordedWorkspace`` needs it. Loaded in the agent's thread, it does not hold up the loop.
        import_module("acode_tui.workspace.opening")
        self._loop = asyncio.new_event_loop()
        self._workspaces: dict[str, RecordedWorkspace] = {}
        self._in_use: set[RecordedWorkspace] = set()
        self._writes: set[_QueuedWrite] = set()
        self._arrived: deque[_QueuedWrite] = deque()
        self._bell = _bell()
        if self._bell is not None:
            self._loop.add_reader(self._bell, self._answer_bell)
        self._lock = threading.Lock()
        self._waiting = 0
        self._waiting_bytes = 0
        self._ended = False
        # As a daemon it does not hold up the end of the process before ``end`` could flush it; the connections'
        # threads are started from it, and so are daemons too.
        self._thread = threading.Thread(target=self._loop.run_forever, name="acode-recorder", daemon=True)
        self._thread.start()

    def workspace(self, place: Place) -> RecordedWorkspace:
        """The workspace of a place, one a process."""
        with self._lock:
            made = RecordedWorkspace(place, self._in_use, lambda: self._waiting == 1)
            return self._workspaces.setdefault(place.key, made)

    def submit(
        self, recorded: RecordedWorkspace, lane: Lane, write: Write, losses: Losses, size: int = 0
    ) -> "Written | None":
        """Queue ``write`` behind the lane's earlier ones. None means lost at once."""
        queued = _QueuedWrite(recorded, lane, write, losses, size)
        with self._lock:
            refused = self._refusal(size)
            if refused is None:
                self._waiting += 1
                self._waiting_bytes += size
                self._arrived.append(queued)
                if self._bell is not None:
                    os.eventfd_write(self._bell, 1)
                else:
                    self._loop.call_soon_threadsafe(self._begin_arrived)
                return queued.done
        losses.add(refused)
        return None

    def _refusal(self, size: int) -> AcodeError | None:
        if self._ended:
            return TransactionError("the recorder has ended with the process")
        if self._waiting >= MAX_WAITING_WRITES or (self._waiting and self._waiting_bytes + size > MAX_WAITING_BYTES):
            return TransactionError("too many writes wait for the database already")
        return None

    def flush_and_close(self, seconds: float) -> None:
        """Wait for the writes so far, then close the workspaces. Writes that take longer than ``seconds`` are lost."""
        if not self._ended:
            done = asyncio.run_coroutine_threadsafe(self._close(seconds), self._loop)
            with contextlib.suppress(TimeoutError, CancelledError):
                done.result(seconds + CLOSE_SECONDS + self._closing_seconds())
            sinks().flush(seconds)

    def end(self, seconds: float) -> None:
        """Flush, close, and end the thread."""
        self.flush_and_close(seconds)
        with self._lock:
            self._ended = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(seconds)
        if not self._thread.is_alive():
            self._loop.close()
            if self._bell is not None:
                os.close(self._bell)

    def forked(self) -> None:
        """In a forked child, which has none of this channel's threads: give up what marks its runs as recorded."""
        for recorded in self._workspaces.values():
            recorded.forked()

    # What follows runs in the recorder's thread.

    def _answer_bell(self) -> None:
        assert self._bell is not None
        os.eventfd_read(self._bell)
        self._begin_arrived()

    def _begin_arrived(self) -> None:
        while self._arrived:
            self._begin(self._arrived.popleft())

    def _begin(self, queued: "_QueuedWrite") -> None:
        self._writes.add(queued)
        queued.running = Stepping(self._perform(queued))
        queued.running.start()

    async def _perform(self, queued: "_QueuedWrite") -> None:
        try:
            async with queued.lane.turn:
                writing = await queued.write(await queued.recorded.open())
            if writing is not None:
                await writing
            queued.recorded.stalled = False
        except asyncio.CancelledError:
            queued.losses.add(_not_done())
            raise
        except Exception as error:  # noqa: BLE001 - recording must not break the agent; the loss is counted
            queued.losses.add(error)
        finally:
            self._settle(queued)

    def _settle(self, queued: "_QueuedWrite") -> None:
        self._writes.discard(queued)
        with self._lock:
            self._waiting -= 1
            self._waiting_bytes -= queued.size
        queued.done.set()

    def _closing_seconds(self) -> float:
        spools = any(each.place.spools for each in tuple(self._workspaces.values()))
        return CLOSE_SECONDS + (DRAIN_SECONDS if spools else 0.0)

    async def _close(self, seconds: float) -> None:
        deadline = monotonic() + seconds
        self._begin_arrived()
        while self._writes and monotonic() < deadline:
            await asyncio.wait(_endings(self._writes), timeout=deadline - monotonic())
        late = _endings(self._writes)
        for queued in tuple(self._writes):
            if queued.running is not None:
                queued.running.cancel()
        closing = [asyncio.create_task(each.close()) for each in self._workspaces.values()]
        if not closing:
            return
        done, _ = await asyncio.wait([*late, *closing], timeout=self._closing_seconds())
        for task in done.intersection(closing):
            error = task.exception()
            if error is not None:
                log.warning("a workspace did not close cleanly: %s", reason_of(error))


def _bell() -> int | None:
    """What wakes the loop with one short call of the system on each side; None where the system has no such thing.

    ``call_soon_threadsafe`` sends through a socket, which the loop then reads until it is empty.
    """
    if not hasattr(os, "eventfd"):
        return None
    with contextlib.suppress(OSError):  # no file may be opened: the loop has what it needs already
        return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    return None


def _endings(writes: "set[_QueuedWrite]") -> "list[asyncio.Future[None]]":
    return [queued.done.future() for queued in writes]


def _not_done() -> TransactionError:
    return TransactionError("the write was not done when the recorder was closed")


class _Process:
    """The process's one channel, created by the first recording."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.channel: Channel | None = None
        self.abandoned: list[Channel] = []

    def forked(self) -> None:
        """In a forked child the thread is gone; what it owned is the parent's, kept so that nothing closes it."""
        self.lock = threading.Lock()
        if self.channel is not None:
            self.channel.forked()
            self.abandoned.append(self.channel)
            self.channel = None


_process = _Process()
os.register_at_fork(after_in_child=_process.forked)


def channel() -> Channel:
    """The process's channel. Raises RuntimeError where no thread can be started."""
    with _process.lock:
        if _process.channel is None:
            _process.channel = Channel()
        return _process.channel


def close(seconds: float = EXIT_SECONDS) -> None:
    """Flush what is being recorded and close the workspaces; recording on opens them again.

    The end of a process does so by itself. Call it before a workspace is moved or deleted.
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
    """The writes of one run."""

    def __init__(self, place: Place) -> None:
        self.losses = Losses()
        self._place = place
        self._found: tuple[Channel, RecordedWorkspace] | None = None

    def submit(self, row: Row, write: Write, size: int = 0) -> "Written | None":
        """Queue a write of ``row``. A write that cannot be queued is a loss, never an error."""
        try:
            opened, recorded = self._workspace()
            return opened.submit(recorded, row, write, self.losses, size)
        except (RuntimeError, OSError) as error:
            # No thread can be started at the very end of a process, or beyond a limit.
            self.losses.add(error)
            return None

    def wait_seconds(self) -> float:
        """How long an agent waits for a write at present."""
        return 0.0 if self._found is None or self._found[1].stalled else MAX_WAIT_SECONDS

    def stall(self) -> None:
        """A write took longer than ``MAX_WAIT_SECONDS``: do not wait again before one has succeeded."""
        if self._found is not None:
            self._found[1].stalled = True

    def _workspace(self) -> tuple[Channel, RecordedWorkspace]:
        """The process's channel and this run's workspace there. The path is resolved once a run, not for each write."""
        opened = channel()
        if self._found is None or self._found[0] is not opened:
            self._found = opened, opened.workspace(self._place)
        return self._found
