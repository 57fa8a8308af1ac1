"""The web application: textual-serve's page and script, behind checks, with dashboards that are bounded and end.

A request is answered if it names this server as its host, comes from no page of another origin, and brings the cookie
that a browser gets for the token of the printed address. Otherwise nothing is served, not even a static file.
"""

import asyncio
import html
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

from acode_tui.cli.serve.access import Access
from acode_tui.cli.serve.sessions import Session, Sessions, TooManySessions
from acode_tui.processes import environment

STOP_SECONDS = 8.0
"""How long a dashboard may take to end before it is killed."""
HEARTBEAT_SECONDS = 15
"""A browser that does not answer for about this long is gone, and its dashboard ends."""

FORBIDDEN = (
    "this dashboard opens at the address that `acode-tui --serve` printed in its terminal, which is valid once: "
    "another one is printed there after each use\n"
)

_HEADERS = {
    # The page refers to a font on another host, which must not learn that it was opened.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_request_url: ContextVar[str] = ContextVar("request_url", default="")
"""The URL by which the current request reached the server."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def make_app(
    command: Sequence[str],
    host: str,
    *,
    public: bool,
    access: Access,
    on_new_token: Callable[[], object],
    sessions: Sessions | None = None,
) -> web.Application:
    """The web application. ``on_new_token`` is called when the token of ``access`` was used and is another one."""
    server = _DashboardServer(command, host, sessions or Sessions())
    app: web.Application = await server._make_app()
    app.router.add_get("/full", server.handle_full)
    app.middlewares.extend([_headers, _known_host(host, public=public), _own_origin, _admitted(access, on_new_token)])
    return app


class _Dashboard(AppService):
    """A dashboard process, started without a shell, and killed if it does not end."""

    def __init__(self, command: Sequence[str], session: Session, **rest: Any) -> None:
        super().__init__("", **rest)
        self._arguments = command
        self._session = session

    async def _open_app_process(self, width: int = 80, height: int = 24) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(self._build_environment(width=width, height=height)),
        )
        self._stdin = self._process.stdin
        return self._process

    async def send_bytes(self, data: bytes) -> bool:
        self._session.touch()
        return bool(await super().send_bytes(data))

    async def focus(self) -> None:
        self._session.touch()
        await super().focus()

    async def stop(self) -> None:
        """Ask the process to end, and wait until it has."""
        process = self._process
        if process is None:
            return
        deadline = asyncio.get_running_loop().time() + STOP_SECONDS
        try:
            # Two limits, because the first wait ends without an error if it is cancelled.
            for wait in (super().stop, process.wait):
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(deadline):
                        await wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


class _DashboardServer(Server):
    """Prints nothing, and uses the URL of the request: through a tunnel it differs from the server's own."""

    def __init__(self, command: Sequence[str], host: str, sessions: Sessions) -> None:
        super().__init__("", host=host, title="acode-tui")
        self._dashboard_command = command
        self._sessions = sessions

    @property
    def public_url(self) -> str:
        return _request_url.get()

    @public_url.setter
    def public_url(self, value: str) -> None:
        """Ignored: the URL is not fixed."""

    async def on_startup(self, app: Any) -> None:
        """Print nothing."""

    async def on_shutdown(self, app: Any) -> None:
        self._sessions.end_all()

    async def handle_full(self, request: web.Request) -> web.Response:
        """The page that a browser is sent to if no further session may be opened."""
        text = f"{self._sessions.limit} dashboards are open, which is the limit; close one and open this again\n"
        return web.Response(status=503, text=text, headers={"Refresh": "10; url=/"})

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Run a dashboard for as long as the browser is there and uses it."""
        websocket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS)
        try:
            async with self._sessions.opened() as session:
                await websocket.prepare(request)
                dashboard = _Dashboard(
                    self._dashboard_command,
                    session,
                    write_bytes=websocket.send_bytes,
                    write_str=websocket.send_str,
                    close=websocket.close,
                    download_manager=self.download_manager,
                )
                try:
                    await dashboard.start(_number(request, "width", 80), _number(request, "height", 24))
                    await self._process_messages(websocket, dashboard)
                finally:
                    await dashboard.stop()
        except TooManySessions:
            # A refused connection would be a blank page without a reason.
            await websocket.prepare(request)
            await websocket.send_json(["open_url", {"url": "/full", "new_tab": False}])
            await websocket.close()
        except asyncio.CancelledError:
            await websocket.close()
        return websocket


def _number(request: web.Request, name: str, default: int) -> int:
    return int(to_int(request.query.get(name, ""), default))


@web.middleware
async def _headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as refused:
        refused.headers.update(_HEADERS)
        raise
    if not response.prepared:
        response.headers.update(_HEADERS)
    return response


def _known_host(host: str, *, public: bool) -> Any:
    """Refuse other host names: a page of a name that is made to point here would count as the same origin."""
    own = {"localhost", "127.0.0.1", "::1", host.lower()}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not public and (request.url.host or "").lower() not in own:
            raise web.HTTPForbidden(text=f"this dashboard is at {host}; other host names are refused\n")
        _request_url.set(f"{request.scheme}://{request.host}")
        return await handler(request)

    return check


@web.middleware
async def _own_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse pages of another origin. Browsers always name the origin of a websocket, so one without it is refused."""
    origin = request.headers.get("Origin")
    if origin is None and request.path != "/ws":
        return await handler(request)
    if (origin or "").partition("://")[2].lower() != request.host.lower():
        raise web.HTTPForbidden(text="a page of another origin cannot use this dashboard\n")
    return await handler(request)


def _admitted(access: Access, on_new_token: Callable[[], object]) -> Any:
    """Refuse browsers without the cookie, and give it for a token."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        known = access.admits(request.cookies)
        token = request.query.get("token")
        if token is None or request.path != "/" or request.method != "GET":
            if not known:
                raise web.HTTPForbidden(text=FORBIDDEN)
            return await handler(request)
        # Without the token, which is of no use any more: not in the address bar, not in the history.
        rest = [(name, value) for name, value in request.query.items() if name != "token"]
        response = _go_to(str(request.rel_url.with_query(rest)))
        if not known:
            cookie = access.exchange(token)
            if cookie is None:
                raise web.HTTPForbidden(text=FORBIDDEN)
            response.set_cookie(access.cookie_name, cookie, path="/", httponly=True, samesite="Strict")
            on_new_token()
        return response

    return check


def _go_to(path: str) -> web.Response:
    """A page that goes on to ``path``.

    Not a redirect: if a link in a page of another site was followed, the browser would send no cookie on the way.
    """
    url = html.escape(path, quote=True)
    text = f'<!doctype html><meta http-equiv="refresh" content="0; url={url}"><a href="{url}">the dashboard</a>\n'
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})
