"""Reads groups of files in a second process while this one stores: the two halves of an import cost about the same.

The import never depends on the second process, the reader. Until it is ready, and from the moment it fails, groups
are read in this process; a group that the reader was working on is read again. The reader has no terminal and a
session of its own, and ends when its socket closes.
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

from acode_tui.ingest.added_formats import added_formats
from acode_tui.ingest.cursor import decode_state
from acode_tui.ingest.groups import DueFile, GroupReader, Prepare, PreparedFile
from acode_tui.ingest.reader_process import (
    ANNOUNCEMENT,
    REPLY,
    Channel,
    ReadSettings,
    RequestedFile,
    Setup,
)
from acode_tui.ingest.usage import Claims
from acode_tui.logs import get_logger
from acode_tui.processes import environment, python_command
from acode_tui.version import VERSION

PARALLEL_BYTES = 8 * 1024 * 1024
"""Bytes that must be due, beside the largest file, for a second process to be worth its start."""

READY_SECONDS = 0.0
"""How long a group waits for the reader to be ready before it is read in this process."""

_READER = "from acode_tui.ingest.reader_process import main; main(int(sys.argv[1]), *sys.argv[2:])"

log = get_logger("acode_tui.ingest")


def is_worthwhile(due: Sequence[DueFile], prepare: Prepare) -> bool:
    """Whether enough is due to be read by a second process, and a second process can do it."""
    sizes = [file.size for file in due]
    if len(due) < 2 or sum(sizes) - max(sizes) < PARALLEL_BYTES:
        return False
    return _cores() > 1 and function_name(prepare) is not None


class GroupSource:
    """Reads the groups of one import in order, in this process or in the reader. Used by one thread at a time."""

    def __init__(self, reader: GroupReader, claims: Claims, settings: ReadSettings) -> None:
        self._reader = reader
        self._claims = claims
        self._settings = settings
        self._process: ReaderProcess | None = None
        self._requested = False
        self._stopped = False
        self._lock = Lock()

    @property
    def has_process(self) -> bool:
        """Whether a second process runs."""
        return self._process is not None

    def start_process(self) -> None:
        """Start the second process. It reads from the first group on for which it is ready."""
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
                self._end_process(self._process)

    def read(self, groups: Sequence[Sequence[DueFile]], index: int) -> list[PreparedFile]:
        """The results of group ``index`` of all that the import reads. Groups are asked for in their order."""
        with self._lock:
            process = self._process
            if process is not None:
                try:
                    if self._requested or process.is_ready(READY_SECONDS):
                        return self._read_in_process(process, groups, index)
                except (OSError, EOFError, ValueError, msgspec.MsgspecError) as error:
                    self._end_process(process)
                    if self._stopped:
                        return []
                    log.warning("import.reader_failed", reason=str(error) or "it ended", pid=process.pid)
            return self._reader.read(groups[index])

    def read_whole(self, file: DueFile) -> PreparedFile:
        """Read a file from its first line, in this process."""
        with self._lock:
            return self._reader.read([file._replace(resume=b"")])[0]

    def _read_in_process(
        self, process: "ReaderProcess", groups: Sequence[Sequence[DueFile]], index: int
    ) -> list[PreparedFile]:
        if not self._requested:
            process.set_up(Setup(self._settings, self._claims.held()))
            # All remaining groups at once: the reader never waits for a request, and goes on while a reply is stored.
            process.request(groups[index:])
            self._requested = True
        found = REPLY.decode(process.receive())
        if len(found) != len(groups[index]):
            raise ValueError("it answered another request")
        for file in found:
            if file.cursor is not None:
                state = decode_state(file.cursor.state)
                self._claims.note(state.session, state.claimed)
        return found

    def _end_process(self, process: "ReaderProcess") -> None:
        self._process, self._requested = None, False
        process.kill()
        process.close()

    def stop(self) -> None:
        """Kill the second process, if there is one. May be called from any thread."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """Release the process and its socket, when the reading thread has ended."""
        with self._lock:
            if self._process is not None:
                self._end_process(self._process)


class ReaderProcess:
    """The second process. ``kill`` may be called from any thread."""

    def __init__(self, prepare: str) -> None:
        """Starts it. ``prepare`` is a ``function_name``. Raises OSError where a process cannot be started."""
        if not _is_python(sys.executable or "") or getattr(sys, "frozen", False):
            raise OSError("this program has no Python interpreter of its own to start")
        ours, theirs = socket.socketpair()
        with theirs:
            descriptor = theirs.fileno()
            try:
                self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and nothing from outside
                    python_command(_READER, str(descriptor), prepare, *(added.name for added in added_formats())),
                    env=environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[descriptor],
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        self._socket = ours
        self._channel = Channel(ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_ready(self, seconds: float = 0.0) -> bool:
        """Whether it has announced itself, or has ended, within so many seconds."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(seconds * 1_000))

    def set_up(self, setup: Setup) -> None:
        """Check its version and send what it needs before the first group. Raises OSError, EOFError, ValueError."""
        found = ANNOUNCEMENT.decode(self._channel.receive())
        if found != VERSION:
            raise ValueError(f"it is of version {found}")
        self._channel.send(setup)

    def request(self, groups: Sequence[Sequence[DueFile]]) -> None:
        """Have it read groups; it replies to one after the other. Raises OSError, ValueError."""
        self._channel.send(
            [
                [RequestedFile(os.fsencode(file.path), file.known, file.resume, file.within) for file in group]
                for group in groups
            ]
        )

    def receive(self) -> memoryview:
        """Its reply to the next group, to be decoded before the one after. Raises OSError, EOFError."""
        return self._channel.receive()

    def kill(self) -> None:
        """Kill the process at once. A thread that waits for a reply gets EOFError."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Close the socket, once no thread waits for a reply."""
        self._socket.close()


def function_name(prepare: Prepare) -> str | None:
    """``module:name`` where another process finds this function by that name, else None."""
    name = f"{getattr(prepare, '__module__', '')}:{getattr(prepare, '__qualname__', '')}"
    try:
        return name if pkgutil.resolve_name(name) is prepare else None
    except (ValueError, ImportError, AttributeError):
        return None


def _cores() -> int:
    """Processors that this program may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_python(executable: str) -> bool:
    """Whether this is a Python interpreter. An embedding program may name itself, and must not be started again."""
    return PurePath(executable).name.lower().startswith(("python", "pypy"))
