"""The process that reads the files of a large import, and the messages between it and the importing process.

It imports what reading takes and nothing else: on most imports its start is a tenth of all that it does.
"""

import gc
import os
import pkgutil
import signal
import socket
from datetime import datetime
from pathlib import Path
from struct import Struct
from typing import Any

import msgspec

from acode_tui.domain.validation import Limits
from acode_tui.ingest.added_formats import assume_none
from acode_tui.ingest.file_reader import FileReader
from acode_tui.ingest.groups import DueFile, GroupReader, Prepare, PreparedFile
from acode_tui.ingest.registry import formats
from acode_tui.ingest.usage import Claims
from acode_tui.storage.transcript_ports import TranscriptFile
from acode_tui.version import VERSION


def main(descriptor: int, prepare: str, *added: str) -> None:
    """Serve one import over the socket of this descriptor. ``prepare`` names a function as ``module:name``.

    ``added`` are the names of the formats of other packages: without any, this process does not look for them.
    """
    if not added:
        assume_none()
    # Ctrl-C is for the import, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as end:
        try:
            _serve(Channel(end), pkgutil.resolve_name(prepare))
        except (EOFError, ConnectionError):
            return


def _serve(channel: "Channel", prepare: Prepare) -> None:
    formats()
    # The announcement promises that all modules are loaded.
    channel.send(VERSION)
    setup = SETUP.decode(channel.receive())
    files = FileReader(**msgspec.structs.asdict(setup.settings))
    reader = GroupReader(files, prepare, Claims(setup.claims))
    # Reference counting frees what a group leaves behind; a search for cycles finds none and takes its time.
    gc.freeze()
    gc.disable()
    for group in REQUEST.decode(channel.receive()):
        due = [DueFile(Path(os.fsdecode(file.path)), 0, file.known, file.resume, file.within) for file in group]
        channel.send(reader.read(due))


class ReadSettings(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """The arguments of the import's ``FileReader``. ``now`` is the time of the import."""

    workspace_id: str
    user_id: str | None
    limits: Limits
    now: datetime
    format: str | None


class Setup(msgspec.Struct, array_like=True, frozen=True):
    """What a reader needs before the first group. ``claims`` are those of all sessions read so far."""

    settings: ReadSettings
    claims: dict[str, bytes]


class RequestedFile(msgspec.Struct, array_like=True, frozen=True):
    """A file to read. The path is bytes, since a file's name need not be text."""

    path: bytes
    known: TranscriptFile | None
    resume: bytes = b""
    within: tuple[str, ...] = ()


ANNOUNCEMENT = msgspec.msgpack.Decoder(str)
SETUP = msgspec.msgpack.Decoder(Setup)
REQUEST = msgspec.msgpack.Decoder(list[list[RequestedFile]])
REPLY = msgspec.msgpack.Decoder(list[PreparedFile])

_LENGTH = Struct(">Q")
_encode = msgspec.msgpack.Encoder().encode


class Channel:
    """One end of the socket: messages as frames, each preceded by its length."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._buffer = bytearray()

    def send(self, message: Any) -> None:
        """Send one message. Raises OSError when the other end is gone, ValueError for what cannot be encoded."""
        body = _encode(message)
        self._end.sendall(_LENGTH.pack(len(body)))
        self._end.sendall(body)

    def receive(self) -> memoryview:
        """The next message, undecoded, valid until the next call. Raises EOFError when the other end has closed."""
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        return self._exactly(length)

    def _exactly(self, length: int) -> memoryview:
        if len(self._buffer) < length:
            # Kept for the frames that follow: they are of one size, and new memory has to be made zeros first.
            self._buffer = bytearray(length)
        data = memoryview(self._buffer)[:length]
        rest = data
        while rest:
            # In one call, however long it takes: this thread then need not ask for the interpreter between pieces.
            count = self._end.recv_into(rest, 0, socket.MSG_WAITALL)
            if count == 0:
                raise EOFError
            rest = rest[count:]
        return data
