"""A headless Chromium, driven over the DevTools protocol. Nothing here sleeps: everything waits for an event."""

import asyncio
import base64
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--password-store=basic",
    "--remote-debugging-port=0",
    "--use-mock-keychain",
    "--window-size=1200,800",
)


def find_chromium() -> str:
    """The program's path. Skips the test where there is none."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium here; on Debian: apt-get install chromium")


class Page:
    """One tab, and everything that its browser reported about it."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser = browser
        self._session = session
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._came = asyncio.Event()

    def receive(self, method: str, params: dict[str, Any]) -> None:
        self._events.append((method, params))
        self._came.set()

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        return await self._browser.send(method, self._session, **params)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for events until the condition is true."""
        while not condition():
            self._came.clear()
            await self._came.wait()

    def events(self, method: str) -> list[dict[str, Any]]:
        return [params for name, params in self._events if name == method]

    async def open(self, url: str) -> int:
        """Go to an address, and to where it leads; the HTTP status of the page that is there in the end."""
        loaded = len(self.events("Page.loadEventFired"))
        await self.send("Page.navigate", url=url)
        await self.until(lambda: len(self.events("Page.loadEventFired")) > loaded)
        return self.status()

    def status(self) -> int:
        """The status of the page that was received last."""
        pages = [each for each in self.events("Network.responseReceived") if each["type"] == "Document"]
        return int(pages[-1]["response"]["status"]) if pages else 0

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        answer = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def press(self, key: str) -> None:
        await self.send("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        await self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def drawn(self) -> bytes:
        """What the terminal in the page was sent."""
        frames = [each["response"] for each in self.events("Network.webSocketFrameReceived")]
        return b"".join(base64.b64decode(each["payloadData"]) for each in frames if each["opcode"] == 2)


class Browser:
    """A running browser. Pages of different contexts share no cookies."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}

    async def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        await self._socket.send_json(message if session is None else {**message, "sessionId": session})
        result: dict[str, Any] = await answer
        return result

    async def receive(self) -> None:
        """Take what the browser sends, until it ends."""
        async for raw in self._socket:
            message = raw.json()
            if waiting := self._waiting.pop(message.get("id"), None):
                if "error" in message:
                    waiting.set_exception(AssertionError(message["error"]))
                else:
                    waiting.set_result(message["result"])
            elif page := self._pages.get(message.get("sessionId")):
                page.receive(message["method"], message["params"])

    async def context(self) -> str:
        """A profile of its own, as another person's."""
        return str((await self.send("Target.createBrowserContext"))["browserContextId"])

    async def page(self, context: str) -> Page:
        target = await self.send("Target.createTarget", url="about:blank", browserContextId=context)
        session = (await self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True))["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Network", "Runtime"):
            await page.send(f"{domain}.enable")
        return page


@asynccontextmanager
async def started(program: str, folder: Path) -> AsyncIterator[Browser]:
    """A browser that keeps everything in ``folder``. Its sandbox does not work for root."""
    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else []), f"--user-data-dir={folder / 'profile'}"]
    environment = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    process = await asyncio.create_subprocess_exec(
        program,
        *flags,
        "about:blank",
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        said: list[str] = []
        address = ""
        while not address:
            line = (await process.stderr.readline()).decode(errors="replace")
            assert line, f"the browser ended: {''.join(said)}"
            said.append(line)
            address = line.partition("DevTools listening on ")[2].strip()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address, max_msg_size=0) as socket,
            asyncio.TaskGroup() as tasks,
        ):
            browser = Browser(socket)
            receiving = tasks.create_task(browser.receive())
            draining = tasks.create_task(process.stderr.read())
            yield browser
            receiving.cancel()
            draining.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
