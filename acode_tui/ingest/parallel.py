"""Reading in another process, while this one stores: the two halves of an import cost about the same.

Nothing depends on the other process. Until it is up, and from the moment it fails, groups are read here; a group
that it was working on is simply read again. It has no terminal, a session of its own, and ends with the socket.
"""

import gc
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePath
from struct import Struct
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import msgspec

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.validation import Limits
from acode_tui.ingest.cursor import decode_state
from acode_tui.ingest.file_reader import FileReader, UnknownFormatError
from acode_tui.ingest.format import Counts, SkippedLines
from acode_tui.ingest.registry import formats
from acode_tui.ingest.usage import Claims
from acode_tui.logs import get_logger
from acode_tui.storage.ports import TranscriptFile
from acode_tui.version import VERSION

GROUP_FILES = 50
GROUP_BYTES = 2 * 1024 * 1024
"""A group ends at whichever comes first; a larger file is a group of its own."""

log = get_logger("acode_tui.ingest")

Prepare = Callable[[SessionGraph, bool], Any]
"""``TranscriptLog.prepare``."""


class FileDue(NamedTuple):
    """A file that is to be read, its size when it was found, and what is known of it from the last time."""

    path: Path
    size: int
    known: TranscriptFile | None


class FileRead(msgspec.Struct, array_like=True):
    """What came of a file: its cursor and its runs, prepared; or, without a cursor, why it could not be read."""

    cursor: TranscriptFile | None = None
    runs: list[Any] = []
    counts: Counts = msgspec.field(default_factory=Counts)
    skipped: SkippedLines = msgspec.field(default_factory=SkippedLines)
    problem: str = ""


class GroupReader:
    """Reads groups in order; ``claims`` is what sessions read so far have counted, and grows with each group."""

    def __init__(self, reader: FileReader, prepare: Prepare, claims: Claims) -> None:
        self._reader = reader
        self.prepare = prepare
        self._claims = claims

    def read(self, group: Sequence[FileDue]) -> list[FileRead]:
        """One answer a file, in the group's order. A file that cannot be read stops nothing."""
        return [self._read(file) for file in group]

    def _read(self, file: FileDue) -> FileRead:
        try:
            found = self._reader.read(file.path, file.known, self._claims)
            runs = [self.prepare(graph, file.known is None) for graph in found.parsed.graphs]
        except OSError as error:
            return FileRead(problem=error.strerror or type(error).__name__)
        except UnknownFormatError:
            return FileRead(problem="not a transcript of a known format; name it with --format")
        except ValidationError as error:
            return FileRead(problem=error.message)
        except Exception as error:
            # A defect of a reader costs the file that shows it, not the import of all the others.
            log.error("import.defect", file=str(file.path), exc_info=error)
            return FileRead(problem=f"cannot be read because of a defect ({type(error).__name__}); please report it")
        return FileRead(found.cursor, runs, found.parsed.counts, found.parsed.skipped)


def in_groups(files: Sequence[FileDue]) -> Iterator[list[FileDue]]:
    """The files in their order, as groups that are read together."""
    group: list[FileDue] = []
    size = 0
    for file in files:
        if group and (len(group) >= GROUP_FILES or size + file.size > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(file)
        size += file.size
    if group:
        yield group


T = TypeVar("T")

_LENGTH = Struct(">Q")
_encode = msgspec.msgpack.Encoder().encode


class Settings(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """What all files of an import are read by; ``now`` is its own time."""

    workspace_id: str
    user_id: str | None
    limits: Limits
    now: datetime
    format: str | None


class Setup(msgspec.Struct, array_like=True, frozen=True):
    """What a reader must know before the first group. ``claims`` are those of all sessions read so far."""

    settings: Settings
    claims: dict[str, bytes]


class Ordered(msgspec.Struct, array_like=True, frozen=True):
    """A file to be read; its path as bytes, since a name need not be text."""

    path: bytes
    known: TranscriptFile | None


SETUP = msgspec.msgpack.Decoder(Setup)
ORDER = msgspec.msgpack.Decoder(list[list[Ordered]])
ANSWER = msgspec.msgpack.Decoder(list[FileRead])
VERSION_ANSWER = msgspec.msgpack.Decoder(str)


class Link:
    """One end of the socket."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._held = bytearray()

    def send(self, message: Any) -> None:
        """Raises OSError when the other end is gone, ValueError for what cannot be encoded."""
        body = _encode(message)
        self._end.sendall(_LENGTH.pack(len(body)))
        self._end.sendall(body)

    def receive(self) -> memoryview:
        """The next frame, undecoded, until the next one is received. Raises EOFError when the other end has closed."""
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        return self._exactly(length)

    def _exactly(self, length: int) -> memoryview:
        if len(self._held) < length:
            # Kept for the frames that follow: they are of one size, and new memory has to be made zeros first.
            self._held = bytearray(length)
        data = memoryview(self._held)[:length]
        rest = data
        while rest:
            # In one call, however long it takes: this thread then need not ask for the interpreter between pieces.
            count = self._end.recv_into(rest, 0, socket.MSG_WAITALL)
            if count == 0:
                raise EOFError
            rest = rest[count:]
        return data


APART_BYTES = 8 * 1024 * 1024
"""What must be due, beside the largest file, for a process to be worth its start."""

PATIENCE = 0.0
"""Seconds to wait for the other process to be up before a group is read here."""

_BOOT = (
    "import sys; sys.path[:] = sys.argv[3:];"
    " from acode_tui.ingest.parallel import main; main(int(sys.argv[1]), sys.argv[2])"
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
        found = VERSION_ANSWER.decode(self._link.receive())
        if found != VERSION:
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


def main(descriptor: int, prepare: str) -> None:
    """Serve one import over the socket of this descriptor; ``prepare`` names a function as ``module:name``."""
    # Ctrl-C is for the import, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as end:
        try:
            _serve(Link(end), pkgutil.resolve_name(prepare))
        except (EOFError, ConnectionError):
            return


def _serve(link: Link, prepare: Prepare) -> None:
    formats()
    # Whoever hears this may rely on it: all is loaded.
    link.send(VERSION)
    setup = SETUP.decode(link.receive())
    files = FileReader(**msgspec.structs.asdict(setup.settings))
    reader = GroupReader(files, prepare, Claims(setup.claims))
    # What a group leaves behind is freed by counting references; looking for cycles finds none and takes its time.
    gc.freeze()
    gc.disable()
    for group in ORDER.decode(link.receive()):
        link.send(reader.read([FileDue(Path(os.fsdecode(file.path)), 0, file.known) for file in group]))
