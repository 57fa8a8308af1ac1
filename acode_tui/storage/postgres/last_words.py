"""What a server, or a pooler before it, said when it ended a connection in the middle of an operation.

The driver reports such an end without the message that came before it (``query_wait_timeout`` of pgbouncer, a shutdown
by an administrator), so the messages are read on their way to it.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Any

_KEPT = 4096
"""Bytes of the end of what was received; a message of an error is a few hundred."""


class LastWords(asyncio.Protocol):
    """Passes everything on to the driver's protocol, and reports the error that came last when the connection ends."""

    def __init__(self, inner: Any, report: Callable[[str], None]) -> None:
        self._inner = inner
        self._report = report
        self._tail = b""

    def data_received(self, data: bytes) -> None:
        self._tail = data[-_KEPT:] if len(data) >= _KEPT else (self._tail + data)[-_KEPT:]
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        ended: bool | None = self._inner.eof_received()
        return ended

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if words := final_error(self._tail):
            self._report(words)
        self._inner.connection_lost(exc)


def listen(connection: Any, report: Callable[[str], None]) -> None:
    """Read along on an open connection of the driver; ``report`` is called before an operation in flight fails."""
    transport = connection._transport
    transport.set_protocol(LastWords(transport.get_protocol(), report))


def final_error(data: bytes) -> str:
    """The text of the error message that the data ends with; empty if it ends otherwise."""
    start = len(data)
    while (start := data.rfind(b"E", 0, start)) >= 0:
        if len(data) - start < 6 or data[start + 5 : start + 6] != b"S":
            continue
        (length,) = struct.unpack("!i", data[start + 1 : start + 5])
        if start + 1 + length == len(data):
            fields = data[start + 5 :].split(b"\0")
            return next((each[1:].decode(errors="replace") for each in fields if each[:1] == b"M"), "")
    return ""
