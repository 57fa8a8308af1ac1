"""A served dashboard's web application on a free port, and a browser's requests to it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from aiohttp import web

from acode_tui.cli.serve.access import Access
from acode_tui.cli.serve.app import make_app
from acode_tui.cli.serve.sessions import Sessions


class Served(NamedTuple):
    port: int
    access: Access
    issued: list[str]
    """The tokens that were issued after the first."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def cookie(self) -> dict[str, str]:
        """The cookie that a browser gets for the token."""
        async with browser() as visitor, visitor.get(f"{self.address}/?token={self.access.token}") as answer:
            assert answer.status == 200
            return {name: morsel.value for name, morsel in answer.cookies.items()}

    async def status(self, path: str = "/", *, cookies: dict[str, str] | None = None, **headers: str) -> int:
        async with (
            browser(cookies) as visitor,
            visitor.get(f"{self.address}{path}", headers=headers) as answer,
        ):
            return answer.status


def browser(cookies: dict[str, str] | None = None) -> aiohttp.ClientSession:
    """A browser with these cookies. Unlike aiohttp's own jar it keeps cookies of an address without a name."""
    return aiohttp.ClientSession(cookies=cookies, cookie_jar=aiohttp.CookieJar(unsafe=True))


@asynccontextmanager
async def listening(
    host: str = "127.0.0.1",
    *,
    public: bool = False,
    command: Sequence[str] = ("false",),
    sessions: Sessions | None = None,
) -> AsyncIterator[Served]:
    """The web application; without a ``command`` its dashboards end at once."""
    access = Access()
    issued: list[str] = []
    app = await make_app(
        command,
        host,
        public=public,
        access=access,
        on_new_token=lambda: issued.append(access.token),
        sessions=sessions,
    )
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Served(int(runner.addresses[0][1]), access, issued)
    finally:
        await runner.cleanup()


@asynccontextmanager
async def window(served: Served, cookies: dict[str, str]) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """The websocket that a page opens."""
    async with (
        browser(cookies) as visitor,
        visitor.ws_connect(f"{served.address}/ws?width=100&height=30", origin=served.address) as opened,
    ):
        yield opened
