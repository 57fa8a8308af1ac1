"""Reading in another process, while this one stores: the two halves of an import cost about the same.

Nothing depends on the other process. Until it is up, and from the moment it fails, groups are read here; a group
that it was working on is simply read again. It has no terminal, a session of its own, and ends with the socket.
"""

import os
import pkgutil
import select
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import PurePath
from threading import Lock

import msgspec

from acode_tui import __version__
from acode_tui.ingest.group_reader import FileDue, FileRead, GroupReader, Prepare
from acode_tui.ingest.state import decode_state
from acode_tui.ingest.usage import Claims
from acode_tui.ingest.wire import ANSWER, VERSION, Link, Ordered, Settings, Setup
from acode_tui.logs import get_logger

log = get_logger("acode_tui.ingest")

APART_BYTES = 8 * 1024 * 1024
"""What must be due, beside the largest file, for a process to be worth its start."""

PATIENCE = 0.0
"""Seconds to wait for the other process to be up before a group is read here."""

_BOOT = (
    "import sys; sys.path[:] = sys.argv[3:];"
    " from acode_tui.ingest.reader_process import main; main(int(sys.argv[1]), sys.argv[2])"
)


def worthwhile(due: Sequence[FileDue], prepare: Prepare) -> bool:
    """Whether the files are large enough, and this program such, that a process of their own can read them."""
    sizes = [file.size for file in due]
    if len(due) < 2 or sum(sizes) - max(sizes) < APART_BYTES:
        return False
    return _cores() > 1 and function_name(prepare) is not None


class ReaderProcess:
    """The other process, as seen from here. ``kill`` may be called from any thread."""

    def __init__(self, prepare: str) -> None:
        """Starts it; ``prepare`` is a ``function_name``. Raises OSError where that cannot be done."""
        if not _is_python(sys.executable or "") or getattr(sys, "frozen", False):
            raise OSError("this program has no Python interpreter of its own to start")
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            try:
                command = [sys.executable, "-P", "-c", _BOOT, str(number), prepare, *filter(None, sys.path)]
                # Modules are found where this program finds them, and nowhere else: not in the current directory.
                self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and nothing from outside
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[number],
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        self._socket = ours
        self._link = Link(ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_up(self, patience: float = 0.0) -> bool:
        """Whether it has said that it is there, or has ended, within so many seconds."""
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        return bool(waiting.poll(patience * 1_000))

    def begin(self, setup: Setup) -> None:
        """Tell it what to read for. Raises OSError, EOFError, ValueError."""
        found = VERSION.decode(self._link.receive())
        if found != __version__:
            raise ValueError(f"it is of version {found}")
        self._link.send(setup)

    def order(self, groups: Sequence[Sequence[FileDue]]) -> None:
        """Have it read groups, and answer one after the other. Raises OSError, ValueError."""
        self._link.send([[Ordered(os.fsencode(file.path), file.known) for file in group] for group in groups])

    def receive(self) -> memoryview:
        """What it answers of the next group, to be decoded before the one after. Raises OSError, EOFError."""
        return self._link.receive()

    def kill(self) -> None:
        """End it, whatever it is at; whoever waits for an answer is told that it has gone."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Give back the socket, once nobody waits for an answer."""
        self._socket.close()


class GroupSource:
    """Reads the groups of one import in order, here or in the other process. Used by one thread at a time."""

    def __init__(self, reader: GroupReader, claims: Claims, settings: Settings) -> None:
        self._reader = reader
        self._claims = claims
        self._settings = settings
        self._process: ReaderProcess | None = None
        self._ordered = False
        self._stopped = False
        self._lock = Lock()

    @property
    def is_apart(self) -> bool:
        """Whether there is another process."""
        return self._process is not None

    def start_process(self) -> None:
        """Have the other process start; it is used from the group on at which it is up."""
        with self._lock:
            name = function_name(self._reader.prepare)
            if self._stopped or name is None:
                return
            try:
                self._process = ReaderProcess(name)
            except OSError as error:
                log.warning("import.reader_failed", reason=str(error))
                return
            if self._stopped:
                self._give_up(self._process)

    def read(self, groups: Sequence[Sequence[FileDue]], index: int) -> list[FileRead]:
        """What came of a group, of all that an import reads: it is the next one, and the others follow."""
        with self._lock:
            process = self._process
            if process is not None:
                try:
                    if self._ordered or process.is_up(PATIENCE):
                        return self._apart(process, groups, index)
                except (OSError, EOFError, ValueError, msgspec.MsgspecError) as error:
                    self._give_up(process)
                    if self._stopped:
                        return []
                    log.warning("import.reader_failed", reason=str(error) or "it ended", pid=process.pid)
            return self._reader.read(groups[index])

    def _apart(self, process: ReaderProcess, groups: Sequence[Sequence[FileDue]], index: int) -> list[FileRead]:
        if not self._ordered:
            process.begin(Setup(self._settings, self._claims.held()))
            # All that is left at once: it never waits for an order, and goes on while an answer is stored.
            process.order(groups[index:])
            self._ordered = True
        found = ANSWER.decode(process.receive())
        if len(found) != len(groups[index]):
            raise ValueError("it answered another order")
        for file in found:
            if file.cursor is not None:
                state = decode_state(file.cursor.state)
                self._claims.note(state.session, state.claimed)
        return found

    def _give_up(self, process: ReaderProcess) -> None:
        self._process, self._ordered = None, False
        process.kill()
        process.close()

    def stop(self) -> None:
        """End the other process, if there is one, whatever it is at. For any thread."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """Give back what is held, when the thread that reads has come to its end."""
        with self._lock:
            if self._process is not None:
                self._give_up(self._process)


def function_name(prepare: Prepare) -> str | None:
    """``module:name`` where another process finds this function by it."""
    name = f"{getattr(prepare, '__module__', '')}:{getattr(prepare, '__qualname__', '')}"
    try:
        return name if pkgutil.resolve_name(name) is prepare else None
    except (ValueError, ImportError, AttributeError):
        return None


def _cores() -> int:
    """Processors that this program may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_python(executable: str) -> bool:
    """An embedding program may name itself here, and would be started a second time."""
    return PurePath(executable).name.lower().startswith(("python", "pypy"))
