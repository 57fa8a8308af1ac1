"""A small HTTP server for POST requests, on loopback. What clients may take of it is bounded: time, size, connections.

One request a connection. A request must name this machine as its host and come from no page of a browser: any page that
a user visits could otherwise write into their runs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from acode_tui.ops.health.metrics_http import ADDRESS, names_this_machine
from acode_tui.receiver.errors import RefusedError


class Limits(msgspec.Struct, frozen=True):
    """What clients may take. ``held_bytes`` is for all bodies that are being received or worked on at once."""

    connections: int = 64
    head_bytes: int = 16 * 1024
    head_seconds: float = 10.0
    body_bytes: int = 32 * 1024 * 1024
    body_seconds: float = 30.0
    held_bytes: int = 96 * 1024 * 1024
    send_seconds: float = 10.0


class Request(NamedTuple):
    """A request whose head was read. Header names are in lower case; ``media`` is without parameters."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def media(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def encoding(self) -> str:
        return self.headers.get("content-encoding", "").strip().lower()


class Answer(NamedTuple):
    """An answer."""

    status: HTTPStatus
    media: str
    body: bytes
    retry_seconds: int = 0


RETRY_SECONDS = 5

Check = Callable[[Request], None]
"""Looks at the head, before the body is read. Raises RefusedError."""
Handle = Callable[[Request, bytes], Awaitable[Answer]]
Refuse = Callable[[str, RefusedError], Answer]
"""Makes the answer to a request with this media type that is refused."""


class HttpServer:
    """Serves until ``close``."""

    def __init__(self, check: Check, handle: Handle, refuse: Refuse, limits: Limits | None = None) -> None:
        self._check = check
        self._handle = handle
        self._refuse = refuse
        self._limits = limits or Limits()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._held = 0
        self.port = 0

    async def open(self, port: int) -> None:
        """Listen; 0 takes any free port. Raises OSError where the port cannot be used."""
        limit = self._limits.head_bytes
        self._server = await asyncio.start_server(self._accept, ADDRESS, port, limit=limit, reuse_address=True)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self, seconds: float = 5.0) -> None:
        """Stop listening, let requests end for some seconds, and end the others; harmless if repeated."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        if self._open:
            _, late = await asyncio.wait(self._open, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= self._limits.connections:
            # Without an answer: that would have to be waited for too. An exporter sends again.
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer), name="acode-receive")
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = False
        try:
            answer = await self._answer(reader, writer)
            if answer is not None:
                writer.transport.set_write_buffer_limits(0)
                writer.write(_response(answer))
                async with asyncio.timeout(self._limits.send_seconds):
                    await writer.drain()
                sent = True
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass  # too slow, or gone: nothing was acknowledged
        finally:
            if sent:
                writer.close()
            else:
                # Closed, it would stay until the client takes what is left.
                writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer | None:
        limits = self._limits
        try:
            async with asyncio.timeout(limits.head_seconds):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            refused = RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head of the request is too large")
            return self._refuse("", refused)
        request = None
        held = 0
        try:
            request = _read_head(head)
            self._check(request)
            length = _length_of(request, limits.body_bytes)
            held = self._hold(length)
            if request.headers.get("expect", "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            async with asyncio.timeout(limits.body_seconds):
                if request.headers.get("transfer-encoding"):
                    body = await _read_chunks(reader, limits.body_bytes)
                else:
                    body = await reader.readexactly(length)
            return await self._handle(request, body)
        except RefusedError as refused:
            return self._refuse(request.media if request is not None else "", refused)
        finally:
            self._held -= held

    def _hold(self, length: int) -> int:
        if self._held and self._held + length > self._limits.held_bytes:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once", retry=True)
        self._held += length
        return length


def _read_head(head: bytes) -> Request:
    """The head of a request that may be answered. Raises RefusedError."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "this is no HTTP request")
    pairs = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    if not names_this_machine([value for name, value in pairs if name == "host"]):
        raise RefusedError(HTTPStatus.FORBIDDEN, f"this receiver is at {ADDRESS}; other host names are refused")
    if any(name == "origin" for name, _ in pairs):
        raise RefusedError(HTTPStatus.FORBIDDEN, "pages of a browser cannot send to this receiver")
    if len({name for name, _ in pairs if name in _ONCE}) != sum(name in _ONCE for name, _ in pairs):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "a header that may be given once is given twice")
    method, target, _ = parts
    return Request(method, target.partition("?")[0], dict(pairs))


_ONCE = ("content-length", "transfer-encoding", "content-type", "content-encoding")


def _length_of(request: Request, limit: int) -> int:
    """How much memory the body may need. Raises RefusedError."""
    chunked = request.headers.get("transfer-encoding", "").lower()
    length = request.headers.get("content-length", "")
    if chunked:
        if chunked != "chunked" or length:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "give a length, or the transfer encoding chunked")
        return limit
    if not length:
        raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "the request has no length")
    if not (length.isascii() and length.isdigit()):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the length is no number")
    if len(length) > 12 or int(length) > limit:
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {limit} bytes")
    return int(length)


async def _read_chunks(reader: asyncio.StreamReader, limit: int) -> bytes:
    body = bytearray()
    while True:
        line = await _line(reader)
        digits = line.partition(b";")[0].strip()
        if not digits or len(digits) > 8 or digits.strip(b"0123456789abcdefABCDEF"):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a chunk has no length")
        length = int(digits, 16)
        if len(body) + length > limit:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {limit} bytes")
        if length == 0:
            while await _line(reader):
                pass  # trailers
            return bytes(body)
        body += await reader.readexactly(length)
        if await _line(reader):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a chunk is longer than its length")


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\n")).rstrip(b"\r\n")
    except asyncio.LimitOverrunError:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "a line of the chunked body is too long") from None


def _response(answer: Answer) -> bytes:
    retry = f"Retry-After: {answer.retry_seconds}\r\n" if answer.retry_seconds else ""
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\nContent-Type: {answer.media}\r\n{retry}"
        f"Content-Length: {len(answer.body)}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + answer.body
