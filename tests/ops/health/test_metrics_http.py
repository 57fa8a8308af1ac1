"""The metrics' HTTP server: other host names are refused, and no client takes more than its share."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress

import pytest

from acode_tui.ops.health.metrics_http import ADDRESS, Limits, Page, PageServer
from tests.clocks import GUARD_SECONDS

GET = "GET /metrics HTTP/1.1\r\nHost: {}\r\nAccept: text/plain\r\n\r\n"
LARGE = b"x" * 16_000_000
"""More than the system keeps for a client that does not read."""


@asynccontextmanager
async def serving(limits: Limits | None = None, *, body: bytes = b"up 1\n") -> AsyncIterator[PageServer]:
    async def page(accept: str) -> Page:
        return Page(accept or "none", body)

    server = PageServer(page, limits)
    await server.open(0)
    try:
        async with asyncio.timeout(GUARD_SECONDS):
            yield server
    finally:
        await server.close()


async def ask(server: PageServer, request: str | bytes) -> bytes:
    """Everything that the server sends until it closes the connection."""
    reader, writer = await asyncio.open_connection(ADDRESS, server.port)
    with closing(writer):
        writer.write(request.encode() if isinstance(request, str) else request)
        return await reader.read()


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{}", "localhost:{}", "LOCALHOST", "[::1]:{}", "127.0.0.1", "localhost:9999"]
)
async def test_a_request_that_names_this_machine_is_answered(host: str) -> None:
    async with serving() as server:
        answer = await ask(server, GET.format(host.format(server.port)))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n")
        assert answer.endswith(b"\r\n\r\nup 1\n")


@pytest.mark.parametrize(
    "request_text",
    [
        GET.format("rebound.example"),
        GET.format("rebound.example:9187"),
        GET.format("127.0.0.1.rebound.example"),
        GET.format("127.0.0.2"),
        GET.format("0.0.0.0"),
        GET.format(""),
        GET.format("localhost, rebound.example"),
        GET.format("localhost\r\nHost: rebound.example"),
        GET.format("localhost:80@rebound.example"),
        "GET /metrics HTTP/1.1\r\n\r\n",
        "GET /metrics HTTP/1.0\r\n\r\n",
    ],
)
async def test_any_other_host_is_refused(request_text: str) -> None:
    async with serving() as server:
        answer = await ask(server, request_text)
        assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert b"up 1" not in answer


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200"),
        ("GET /metrics?name[]=x HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        ("GET /metrics/../x HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", b"405"),
        ("GET /metrics\r\nHost: localhost\r\n\r\n", b"400"),
        ("\x16\x03\x01\r\n\r\n", b"400"),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: " + "x" * 9000 + "\r\n\r\n", b"431"),
        ("x" * 20_000, b"431"),
    ],
)
async def test_what_is_no_such_request_is_refused(request_text: str, status: bytes) -> None:
    async with serving() as server:
        answer = await ask(server, request_text.encode("latin-1"))
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"up 1" not in answer or (status == b"200" and not request_text.startswith("HEAD"))


@pytest.mark.parametrize("sent", [b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"])
async def test_a_client_that_does_not_finish_its_request_is_ended(sent: bytes) -> None:
    async with serving(Limits(head_seconds=0.05)) as server:
        assert await gone(ask(server, sent))


async def gone(asking: Awaitable[bytes]) -> bool:
    """Whether nothing was answered; an aborted connection may be an error or an end."""
    try:
        return await asking == b""
    except ConnectionError:
        return True


async def test_a_client_that_does_not_read_is_ended() -> None:
    async with serving(Limits(send_seconds=0.05, connections=1), body=LARGE) as server:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(slow, (ADDRESS, server.port))
            await loop.sock_sendall(slow, GET.format("localhost").encode())
            await until(lambda: bool(server._open))
            await until(lambda: not server._open)
            received = 0
            with suppress(ConnectionError):
                while part := await loop.sock_recv(slow, 1 << 20):
                    received += len(part)
            assert received < len(LARGE), "it was ended before it had read everything"


async def until(condition: Callable[[], bool]) -> None:
    for _ in iter(condition, True):
        await asyncio.sleep(0)


async def test_connections_are_bounded_and_free_again() -> None:
    async with serving(Limits(connections=3)) as server, AsyncExitStack() as stack:
        held = [await asyncio.open_connection(ADDRESS, server.port) for _ in range(3)]
        for _, writer in held:
            stack.callback(writer.close)
        await until(lambda: len(server._open) == 3)
        assert await gone(ask(server, GET.format("localhost")))
        held[0][1].close()
        await until(lambda: len(server._open) == 2)
        assert b"up 1" in await ask(server, GET.format("localhost"))


async def test_closing_ends_connections_at_once() -> None:
    async with serving(body=LARGE) as server:
        idle, first = await asyncio.open_connection(ADDRESS, server.port)
        _, second = await asyncio.open_connection(ADDRESS, server.port)
        second.write(GET.format("localhost").encode())
        await until(lambda: len(server._open) == 2)
        await server.close()
        await server.close()
        assert await gone(idle.read())
        for writer in (first, second):
            writer.close()
