"""``--serve`` in a real browser: the printed address opens the dashboard once, and nothing else does."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from acode_tui import SessionState, open_workspace
from tests.clocks import GUARD_SECONDS
from tests.e2e.browser import Browser, Page, find_chromium, started

TASK = "Validate the login form"


class Served:
    """A running ``acode-tui --serve``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def next_address(self) -> str:
        """The address that it prints next."""
        assert self._process.stderr is not None
        line = (await self._process.stderr.readline()).decode()
        return line.partition(" is at ")[2].partition(" ")[0].strip()


@asynccontextmanager
async def served(root: Path) -> AsyncIterator[Served]:
    environment = {**os.environ, "HOME": str(root), "XDG_CONFIG_HOME": str(root), "TEXTUAL_ANIMATIONS": "none"}
    command = [sys.executable, "-m", "acode_tui", "--workspace", str(root), "--serve", "--serve-port", "0"]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.PIPE)
    try:
        yield Served(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    root.mkdir()
    async with open_workspace(root) as workspace:
        session = await workspace.store.create_session(TASK, metadata={"cwd": str(root)})
        await workspace.store.transition_session(session.id, SessionState.PLANNING, reason="start")
    return root


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    program = find_chromium()
    folder = tmp_path / "browser"
    folder.mkdir()
    async with started(program, folder) as browser:
        yield browser


async def shows(page: Page, text: str) -> None:
    await page.until(lambda: text.encode() in page.drawn())


async def body(page: Page) -> str:
    return str(await page.evaluate("document.body.innerText"))


@pytest.mark.timeout(180)
async def test_the_printed_address_opens_the_dashboard_in_one_browser(root: Path, browser: Browser) -> None:
    async with asyncio.timeout(GUARD_SECONDS * 2), served(root) as server:
        address = await server.next_address()
        plain, _, token = address.partition("?token=")
        mine, other = await browser.context(), await browser.context()

        page = await browser.page(mine)
        assert await page.open(plain) == 403
        assert "printed in its terminal" in await body(page)
        assert await page.open(f"{plain}static/js/textual.js") == 403
        assert await page.evaluate(REFUSED_SOCKET.replace("URL", f"{plain.replace('http', 'ws')}ws")) == "closed"

        await page.open(address)
        await shows(page, TASK)
        await page.until(lambda: page.status() == 200)
        assert await page.evaluate("document.body.classList.contains('-first-byte')")
        assert await page.evaluate("document.querySelector('canvas, .xterm-rows') !== null"), "it is a terminal"
        assert token not in str(await page.evaluate("location.href"))
        assert await page.evaluate("document.cookie") == "", "no script reads the cookie"

        before = len(page.drawn())
        await page.evaluate("document.querySelector('.xterm-helper-textarea').focus()")
        await page.press("?")
        await page.until(lambda: b"Send the backlog" in page.drawn()[before:])

        stranger = await browser.page(other)
        assert await stranger.open(address) == 403, "the address was used"
        await stranger.open(await server.next_address())
        await shows(stranger, TASK)


REFUSED_SOCKET = (
    "new Promise(done => { const socket = new WebSocket('URL');"
    " socket.onopen = () => done('open'); socket.onclose = () => done('closed') })"
)


@pytest.mark.timeout(180)
async def test_a_page_of_another_origin_in_the_same_browser_gets_nothing(root: Path, browser: Browser) -> None:
    """The browser sends the cookie along to all ports of this machine, so it is the origin that decides."""
    async with asyncio.timeout(GUARD_SECONDS * 2), served(root) as server, another_site() as site:
        address = await server.next_address()
        plain = address.partition("?token=")[0]
        context = await browser.context()
        page = await browser.page(context)
        await page.open(address)
        await shows(page, TASK)

        hostile = await browser.page(context)
        assert await hostile.open(site) == 200
        assert await hostile.evaluate(REFUSED_SOCKET.replace("URL", f"{plain.replace('http', 'ws')}ws")) == "closed"
        assert (
            await hostile.evaluate(f"fetch('{plain}', {{credentials: 'include'}}).then(() => 'read', () => 'refused')")
            == "refused"
        )
        assert (
            await hostile.evaluate(
                f"new Promise(done => {{ const frame = document.createElement('iframe'); frame.src = '{plain}';"
                " frame.onload = () => { try { done(frame.contentDocument ? 'read' : 'refused') }"
                " catch (error) { done('refused') } }; document.body.append(frame) })"
            )
            == "refused"
        )


@asynccontextmanager
async def another_site() -> AsyncIterator[str]:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>elsewhere</title><body></body>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()
