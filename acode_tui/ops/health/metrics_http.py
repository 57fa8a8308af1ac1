"""A small HTTP server for one page, on loopback. What a client may take of it is bounded: time, size, connections.

One request a connection. A request must name this machine as its host: a page of another name that is made to point
here would otherwise count as the same origin, and its script could read the answer.
"""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import msgspec

from acode_tui.domain.errors import ConfigError

PATH = "/metrics"
ADDRESS = "127.0.0.1"
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Limits(msgspec.Struct, frozen=True):
    """What clients may take. ``send_seconds`` is for an answer that is not read."""

    connections: int = 16
    head_bytes: int = 8192
    head_seconds: float = 5.0
    send_seconds: float = 5.0


class Page(msgspec.Struct, frozen=True):
    """An answer."""

    content_type: str
    body: bytes


MakePage = Callable[[str], Awaitable[Page]]
"""Makes the page for an ``Accept`` header."""


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class PageServer:
    """Serves until ``close``."""

    def __init__(self, make_page: MakePage, limits: Limits | None = None) -> None:
        self._make_page = make_page
        self._limits = limits or Limits()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.port = 0

    async def open(self, port: int) -> None:
        """Listen; 0 takes any free port. Raises OSError where the port cannot be used."""
        self._server = await asyncio.start_server(self._accept, ADDRESS, port, limit=self._limits.head_bytes)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end all connections; harmless if repeated."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)
        await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= self._limits.connections:
            # Without an answer: that would have to be waited for too.
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer), name="acode-metrics")
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = False
        try:
            answer = await self._answer(reader)
            writer.transport.set_write_buffer_limits(0)
            writer.write(answer)
            async with asyncio.timeout(self._limits.send_seconds):
                await writer.drain()
            sent = True
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass  # too slow, or gone
        finally:
            if sent:
                writer.close()
            else:
                # Closed, it would stay until the client takes what is left.
                writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _text("the request is too large"))
        try:
            method, accept = _read_request(head)
        except _RefusedError as refused:
            return _response(refused.status, _text(str(refused)))
        return _response(HTTPStatus.OK, await self._make_page(accept), head_only=method == "HEAD")


def _read_request(head: bytes) -> tuple[str, str]:
    """The method and the ``Accept`` header of a request that may be answered."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "this is no HTTP request")
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    hosts = [value for name, value in headers if name == "host"]
    if not names_this_machine(hosts):
        raise _RefusedError(HTTPStatus.FORBIDDEN, f"these metrics are at {ADDRESS}; other host names are refused")
    method, target, _ = parts
    if method not in ("GET", "HEAD"):
        raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD are allowed")
    if target.partition("?")[0] != PATH:
        raise _RefusedError(HTTPStatus.NOT_FOUND, f"the metrics are at {PATH}")
    return method, ",".join(value for name, value in headers if name == "accept")


def names_this_machine(hosts: Sequence[str]) -> bool:
    """Whether a request's ``Host`` headers are one, and name this machine by one of its own names."""
    return len(hosts) == 1 and _without_port(hosts[0].lower()) in _OWN_NAMES


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _text(text: str) -> Page:
    return Page("text/plain; charset=utf-8", f"{text}\n".encode())


def _response(status: HTTPStatus, page: Page, *, head_only: bool = False) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {page.content_type}\r\n"
        f"Content-Length: {len(page.body)}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (b"" if head_only else page.body)


def cannot_listen(option: str, host: str, port: int, error: OSError) -> ConfigError:
    """The error for the option whose port, or host, cannot be listened on."""
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"{option} {port}: another program listens on {host}:{port}",
            hint="choose another port; `ss -ltnp` shows which program uses this one",
        )
    if error.errno == errno.EACCES:
        return ConfigError(f"{option} {port}: this user may not use the port", hint="choose one from 1024 up")
    if error.errno == errno.EADDRNOTAVAIL:
        return ConfigError(f"{option} {port}: {host} is no address of this machine", hint="choose one that it has")
    return ConfigError(f"{option} {port}: {host} cannot be listened on", hint="choose another host or port")
