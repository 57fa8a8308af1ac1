"""``--serve``: the dashboard in a browser ends with the server and is not accessible to others."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.cli.main import cli
from acode_tui.cli.serve.access import MAX_BROWSERS, Access
from acode_tui.cli.serve.app import FORBIDDEN
from acode_tui.cli.serve.sessions import Sessions
from acode_tui.processes import python_command
from tests.cli.served import Served, browser, listening, window
from tests.clocks import GUARD_SECONDS
from tests.sync.fake_time import FakeTime


def run(*arguments: str) -> int:
    code = cli.main([*arguments], standalone_mode=False)
    assert isinstance(code, int)
    return code


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_a_public_address_requires_serve_public(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--serve", "--serve-host", host) == 2
    error = capsys.readouterr().err
    assert "--serve-public" in error
    assert "nothing is encrypted" in error


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
    async with listening() as served:
        code = await asyncio.to_thread(run, "--workspace", str(tmp_path), "--serve", "--serve-port", str(served.port))
    assert code == 1
    error = capsys.readouterr().err
    assert error == (
        f"error: ACODE-CONFIG-001: --serve-port {served.port}: another program listens on 127.0.0.1:{served.port}; "
        "choose another port; `ss -ltnp` shows which program uses this one\n"
    )


def test_a_host_that_is_not_this_machine_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--serve", "--serve-public", "--serve-host", "192.0.2.77", "--serve-port", "0")
    assert run("--workspace", str(tmp_path), *arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ACODE-CONFIG-001: --serve-port 0: 192.0.2.77 is no address of this machine; ")
    assert error.count("\n") == 1


PATHS = ("/", "/ws", "/full", "/static/js/textual.js", "/static/", "/download/x", "/nothing", "//", "/?token=")


@pytest.mark.parametrize("path", PATHS)
async def test_without_token_and_cookie_nothing_is_served(path: str) -> None:
    async with listening() as served:
        of_another_server = {served.access.cookie_name: Access().token, "acode-tui-0": "x"}
        for cookies in ({}, of_another_server):
            async with (
                browser(cookies) as visitor,
                visitor.get(f"{served.address}{path}", headers=own(served)) as answer,
            ):
                assert answer.status == 403
                assert await answer.text() == FORBIDDEN
        for method in ("HEAD", "POST", "PUT", "OPTIONS"):
            async with (
                browser() as visitor,
                visitor.request(method, f"{served.address}{path}", headers=own(served)) as answer,
            ):
                assert answer.status == 403
        assert served.issued == []


def own(served: Served) -> dict[str, str]:
    """A websocket's Origin."""
    return {"Origin": served.address}


async def test_a_token_is_exchanged_for_a_cookie_once() -> None:
    async with listening() as served, browser() as visitor, browser() as other:
        token = served.access.token
        async with visitor.get(f"{served.address}/?fontsize=20&token={token}") as answer:
            assert answer.status == 200
            assert "url=/?fontsize=20" in await answer.text(), "and the address that follows is without the token"
            assert token not in await answer.text()
            (cookie,) = answer.cookies.values()
        assert cookie["httponly"]
        assert cookie["samesite"] == "Strict"
        assert cookie["path"] == "/"
        assert not cookie["domain"]
        assert not cookie["max-age"]
        assert not cookie["expires"]
        assert len(cookie.value) >= 43
        assert token not in cookie.value
        async with other.get(f"{served.address}/?token={token}") as answer:
            assert answer.status == 403
            assert not answer.cookies
        async with visitor.get(f"{served.address}/") as answer:
            assert answer.status == 200
            assert "textual.js" in await answer.text()
        (after,) = served.issued
        assert after != token
        async with other.get(f"{served.address}/?token={after}") as answer:
            assert answer.status == 200, "a second browser comes with the next one"
        async with visitor.get(f"{served.address}/") as answer:
            assert answer.status == 200, "and the first stays"


async def test_only_the_pages_own_request_uses_a_token() -> None:
    """An unfurled or checked link is no visit; a browser that has the cookie needs none."""
    async with listening() as served:
        token = served.access.token
        async with browser() as visitor, visitor.head(f"{served.address}/?token={token}") as answer:
            assert answer.status == 403
        assert await served.status(f"/static/js/textual.js?token={token}") == 403
        assert await served.status(f"/?token={token}", Origin="https://elsewhere.example") == 403
        assert await served.status(f"/?token={token}", Host="rebound.example") == 403
        assert served.access.token == token
        cookies = await served.cookie()
        token = served.access.token
        assert await served.status(f"/?token={token}", cookies=cookies) == 200
        assert await served.status("/?token=wrong", cookies=cookies) == 200
        assert served.access.token == token


@given(st.text(), st.text())
def test_no_other_text_is_a_token_or_a_cookie(token: str, cookie: str) -> None:
    access = Access()
    assert access.exchange(token) is None
    assert not access.admits({access.cookie_name: cookie})
    given = access.exchange(access.token)
    assert given is not None
    assert access.exchange(given) is None
    assert not access.admits({access.cookie_name: access.token})
    assert not access.admits({access.cookie_name: cookie})
    assert not access.admits({Access().cookie_name: given})
    assert access.admits({access.cookie_name: given})


def test_the_number_of_browsers_is_bounded() -> None:
    access = Access()
    given = [access.exchange(access.token) or "" for _ in range(MAX_BROWSERS + 1)]
    assert len({*given}) == len(given)
    assert [access.admits({access.cookie_name: each}) for each in given] == [False] + [True] * MAX_BROWSERS


async def test_only_host_names_of_this_machine_are_accepted(tmp_path: Path) -> None:
    async with listening() as served:
        cookies = await served.cookie()
        assert await served.status(cookies=cookies) == 200
        assert await served.status(cookies=cookies, Host=f"localhost:{served.port}") == 200
        assert await served.status(cookies=cookies, Host="localhost:9999") == 200, (
            "through a tunnel the port is another"
        )
        assert await served.status(cookies=cookies, Host=f"rebound.example:{served.port}") == 403
    async with listening("runs.example", public=True) as served:
        cookies = await served.cookie()
        assert await served.status(cookies=cookies, Host="runs.example") == 200
        assert await served.status(cookies=cookies, Host="10.0.0.7:8000") == 200


async def test_a_page_of_another_origin_can_neither_read_nor_send_keys() -> None:
    async with listening() as served:
        cookies = await served.cookie()
        assert await served.status(cookies=cookies, Origin=served.address) == 200
        for path in ("/", "/ws", "/static/js/textual.js"):
            for origin in ("https://elsewhere.example", "null", f"http://localhost:{served.port}"):
                assert await served.status(path, cookies=cookies, Origin=origin) == 403
        assert await served.status("/ws", cookies=cookies) == 403, "a browser names the origin of every websocket"


async def test_the_page_uses_the_url_of_the_request_and_no_other_host() -> None:
    async with listening() as served, browser(await served.cookie()) as visitor:
        async with visitor.get(f"{served.address}/", headers={"Host": "localhost:8022"}) as answer:
            page = await answer.text()
            policy = answer.headers["Content-Security-Policy"]
        assert "http://localhost:8022/static/js/textual.js" in page
        assert "ws://localhost:8022/ws" in page
        assert "default-src 'self'" in policy
        assert "http" not in policy


def stays(folder: Path) -> list[str]:
    """In place of a dashboard: a process that ends with its standard input, not when it is asked to."""
    return python_command("print('__GANGLION__', flush=True); sys.stdin.buffer.read()", str(folder))


async def closed(page: aiohttp.ClientWebSocketResponse) -> list[str]:
    """What a page received until its websocket was closed."""
    return [message.data async for message in page]


async def test_sessions_are_bounded_and_the_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acode_tui.cli.serve.app.STOP_SECONDS", 0.1)
    sessions = Sessions(limit=2, wait_seconds=0.05)
    async with (
        asyncio.timeout(GUARD_SECONDS),
        listening(command=stays(tmp_path), sessions=sessions) as served,
        AsyncExitStack() as stack,
    ):
        cookies = await served.cookie()
        first, _ = [await stack.enter_async_context(window(served, cookies)) for _ in range(2)]
        async with window(served, cookies) as third:
            assert await closed(third) == ['["open_url", {"url": "/full", "new_tab": false}]']
        async with browser(cookies) as visitor, visitor.get(f"{served.address}/full") as answer:
            assert answer.status == 503
            assert "2 dashboards are open" in await answer.text()
        await first.close()
        sessions._wait_seconds = GUARD_SECONDS
        async with window(served, cookies) as third:
            await third.send_json(["ping", "1"])
            assert (await third.receive()).data == '["pong", "1"]', "there is room again"


async def test_a_session_that_nobody_uses_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acode_tui.cli.serve.app.STOP_SECONDS", 0.1)
    time = FakeTime(loops=1)
    sessions = Sessions(idle_seconds=100, now=lambda: time.now.timestamp(), sleep=time.sleep)
    async with asyncio.timeout(GUARD_SECONDS), listening(command=stays(tmp_path), sessions=sessions) as served:
        cookies = await served.cookie()
        async with window(served, cookies) as page:

            async def still_there(*message: object) -> None:
                await page.send_json(message)
                await page.send_json(["ping", "1"])
                assert (await page.receive()).data == '["pong", "1"]'

            await still_there("stdin", "x")
            await time.advance(99)
            await still_there("stdin", "x")
            await time.advance(99)
            await still_there("focus")
            await time.advance(99)
            await still_there("resize", {"width": 80, "height": 24})
            time.loops = 0
            await time.advance(1)
            assert await closed(page) == [], "neither a ping nor a resized window is somebody"
            assert dashboards(tmp_path) == []


async def test_a_visitors_dashboard_process_ends_with_the_server(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "acode_tui", "--workspace", str(tmp_path), "--serve", "--serve-port", "0"]
    server = await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.PIPE)
    assert server.stderr is not None
    try:
        async with asyncio.timeout(GUARD_SECONDS), browser() as visitor:
            first = (await server.stderr.readline()).decode().partition(" is at ")[2].partition(" ")[0]
            address, _, token = first.partition("/?token=")
            async with visitor.get(first) as answer:
                assert answer.status == 200
            line = (await server.stderr.readline()).decode()
            assert line.startswith(f"a browser has used that address; the next one is at {address}/?token=")
            assert token not in line
            async with visitor.ws_connect(f"{address}/ws?width=100&height=30", origin=address) as page:
                drawn = b""
                while not (b"Outbox" in drawn and b"No runs recorded here yet" in drawn):
                    message = await page.receive()
                    assert message.type is aiohttp.WSMsgType.BINARY
                    drawn += message.data
                assert dashboards(tmp_path)
                server.send_signal(signal.SIGTERM)
                async for _ in page:
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
