"""What an import and its reader process say to each other, as frames over a socket: a length, then MessagePack.

The reader speaks first: its version. The import answers with a ``Setup`` and an order: groups of files. Each group is
answered by the list of what came of its files. The end of the stream ends the reader.
"""

import socket
from datetime import datetime
from struct import Struct
from typing import Any, TypeVar

import msgspec

from acode_tui.domain.validation import Limits
from acode_tui.ingest.group_reader import FileRead
from acode_tui.storage.ports import TranscriptFile

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
VERSION = msgspec.msgpack.Decoder(str)


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
