"""``--serve``: the dashboard in a browser ends with the server and is not accessible to others."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from acode_tui.cli.main import cli
from acode_tui.cli.serve import make_app
from tests.clocks import GUARD_SECONDS


def run(*arguments: str) -> int:
    code = cli.main([*arguments], standalone_mode=False)
    assert isinstance(code, int)
    return code


@asynccontextmanager
async def listening(host: str = "127.0.0.1", *, public: bool = False) -> AsyncIterator[int]:
    """The web application on a free port, with another program instead of dashboards."""
    runner = web.AppRunner(await make_app(["false"], host, public=public))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def status(port: int, path: str = "/", **headers: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}", headers=headers) as answer,
    ):
        return answer.status


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_a_public_address_requires_serve_public(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--serve", "--serve-host", host) == 2
    error = capsys.readouterr().err
    assert "--serve-public" in error
    assert "password" in error


@pytest.mark.parametrize(
    "arguments",
    [
        ["--serve-port", "8000"],
        ["--serve-public"],
        ["--serve", "--headless"],
        ["--serve", "session", "list"],
        ["--serve", "--serve-port", "70000"],
    ],
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    assert run(*arguments) == 2


def test_without_the_extra_the_error_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "textual_serve", None)
    assert run("--workspace", str(tmp_path), "--serve") == 1
    assert capsys.readouterr().err == (
        "error: --serve requires the package textual_serve; install the extra: pip install 'acode-tui[serve]'\n"
    )


async def test_a_port_in_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with listening() as port:
        code = await asyncio.to_thread(run, "--workspace", str(tmp_path), "--serve", "--serve-port", str(port))
    assert code == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: 127.0.0.1:{port}: ACODE-IO-001")
    assert error.count("\n") == 1


async def test_only_host_names_of_this_machine_are_accepted(tmp_path: Path) -> None:
    async with listening() as port:
        assert await status(port) == 200
        assert await status(port, Host=f"localhost:{port}") == 200
        assert await status(port, Host="localhost:9999") == 200, "through a tunnel the port is another"
        assert await status(port, Host=f"rebound.example:{port}") == 403
    async with listening("runs.example", public=True) as port:
        assert await status(port, Host="runs.example") == 200
        assert await status(port, Host="10.0.0.7:8000") == 200


async def test_a_page_of_another_origin_can_neither_read_nor_send_keys() -> None:
    async with listening() as port:
        assert await status(port, Origin=f"http://127.0.0.1:{port}") == 200
        for path in ("/", "/ws", "/static/js/textual.js"):
            assert await status(port, path, Origin="https://elsewhere.example") == 403
            assert await status(port, path, Origin="null") == 403
            assert await status(port, path, Origin=f"http://localhost:{port}") == 403


async def test_the_page_uses_the_url_of_the_request_and_no_other_host() -> None:
    async with listening() as port, aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/", headers={"Host": "localhost:8022"}) as answer:
            page = await answer.text()
            policy = answer.headers["Content-Security-Policy"]
        assert "http://localhost:8022/static/js/textual.js" in page
        assert "ws://localhost:8022/ws" in page
        assert "default-src 'self'" in policy
        assert "http" not in policy


async def test_a_visitors_dashboard_process_ends_with_the_server(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "acode_tui", "--workspace", str(tmp_path), "--serve", "--serve-port", "0"]
    server = await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.PIPE)
    assert server.stderr is not None
    try:
        async with asyncio.timeout(GUARD_SECONDS), aiohttp.ClientSession() as session:
            address = (await server.stderr.readline()).decode().partition(" is at ")[2].partition(";")[0]
            async with session.ws_connect(f"{address}/ws?width=100&height=30", origin=address) as window:
                drawn = b""
                while not (b"Outbox" in drawn and b"No runs recorded here yet" in drawn):
                    message = await window.receive()
                    assert message.type is aiohttp.WSMsgType.BINARY
                    drawn += message.data
                assert dashboards(tmp_path)
                server.send_signal(signal.SIGTERM)
                async for _ in window:
                    pass  # until it is closed
            assert await server.wait() == 0
            async with asyncio.timeout(GUARD_SECONDS):
                # Its terminal is closed a moment before the process ends.
                for _ in iter(lambda: dashboards(tmp_path), []):
                    await asyncio.sleep(0.02)
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()


def dashboards(root: Path) -> list[str]:
    """Processes with this workspace other than the server."""
    found = []
    for listing in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(listing.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if str(root) in line and "--serve" not in line]
