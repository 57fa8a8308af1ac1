"""``--serve``: the dashboard in a browser. Every visitor gets a dashboard of their own, as a process.

Nobody is asked who they are. So only this machine is listened to, unless a flag says otherwise, and a page from
elsewhere that is open in the same browser can neither read what is shown nor press a key: its address is looked at.
"""

import asyncio
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import click

from acode_tui.cli.faults import describe_os_error
from acode_tui.cli.headless import handled
from acode_tui.cli.invocation import Invocation, run_async

if TYPE_CHECKING:
    from aiohttp import web
    from textual_serve.server import Server

EXTRA = "pip install 'acode-tui[serve]'"
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000

_HEADERS = {
    # The page names a font elsewhere; nobody needs to hear that it was opened.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_SHUTDOWN_SECONDS = 5.0
_asked_at: ContextVar[str] = ContextVar("asked_at", default="")
"""The address by which the present request came."""

Handler = Callable[["web.Request"], Awaitable["web.StreamResponse"]]


def require_loopback(host: str, *, public: bool) -> None:
    """Refuse an address that others can reach, unless they are meant to. Raises UsageError."""
    from acode_tui.config.postgres_address import is_local

    if not public and not is_local(host):
        raise click.UsageError(
            f"--serve-host {host}: others could reach it, and nobody is asked for a password; use `ssh -L` with the "
            "default, or add --serve-public where everybody who can reach it may read and change everything"
        )


def run_serve(invocation: Invocation, *, host: str, port: int, public: bool, arguments: Sequence[str]) -> int:
    """Serve until SIGINT or SIGTERM; answers the exit code. ``arguments`` go before a visitor's dashboard's own."""
    require_loopback(host, public=public)
    try:
        import textual_serve  # noqa: F401 - whether it is there
    except ModuleNotFoundError as missing:
        raise click.ClickException(f"--serve needs the package {missing.name}; it is in the extra: {EXTRA}") from None
    # What is wrong with the settings is better said here than to the first visitor.
    root = invocation.root
    _ = invocation.settings
    command = [sys.executable, "-m", "acode_tui", "--workspace", str(root), *arguments]

    def tell(address: str) -> None:
        click.echo(f"the dashboard of {root} is at {address}; Ctrl-C ends it", err=True)

    try:
        run_async(serve(command, host, port, public=public, ready=tell))
    except OSError as error:
        raise click.ClickException(f"{host}:{port}: {describe_os_error(error)}; see --serve-port") from None
    return 0


async def serve(command: Sequence[str], host: str, port: int, *, public: bool, ready: Callable[[str], object]) -> None:
    """Listen, tell the address, and serve until a signal comes. Raises OSError where one cannot listen there."""
    from aiohttp import web

    stop = asyncio.Event()
    runner = web.AppRunner(
        await make_app(command, host, public=public), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        with handled({signal.SIGINT: stop.set, signal.SIGTERM: stop.set}):
            named = f"[{host}]" if ":" in host else host
            ready(f"http://{named}:{runner.addresses[0][1]}")
            await stop.wait()
    finally:
        await runner.cleanup()


async def make_app(command: Sequence[str], host: str, *, public: bool) -> "web.Application":
    """The web application: textual-serve's, guarded."""
    app: web.Application = await _server(command, host)._make_app()
    app.middlewares.append(_guard(host, public=public))
    return app


def _server(command: Sequence[str], host: str) -> "Server":
    from textual_serve import server

    visits: set[asyncio.Task[Any]] = set()

    class DashboardServer(server.Server):
        """Silent, and at whatever address it is asked by: through a tunnel that is another than its own."""

        @property
        def public_url(self) -> str:
            return _asked_at.get()

        @public_url.setter
        def public_url(self, value: str) -> None:
            """Not a fixed one."""

        async def on_startup(self, app: Any) -> None:
            """Nothing to say."""

        async def handle_websocket(self, request: Any) -> Any:
            visit = asyncio.current_task()
            assert visit is not None
            visits.add(visit)
            try:
                return await super().handle_websocket(request)
            finally:
                visits.discard(visit)

        async def on_shutdown(self, app: Any) -> None:
            """Every visitor's dashboard is left, as by its own key."""
            for visit in visits:
                visit.cancel()

    return DashboardServer(shlex.join(command), host=host, title="acode-tui")


def _guard(host: str, *, public: bool) -> Any:
    from aiohttp import web

    own = {"localhost", "127.0.0.1", "::1", host.lower()}

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = (request.url.host or "").lower()
        if not public and name not in own:
            raise web.HTTPForbidden(text=f"this dashboard is at {host}; it does not answer to another name\n")
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2].lower() != request.host.lower():
            raise web.HTTPForbidden(text="a page from elsewhere may not use this dashboard\n")
        _asked_at.set(f"{request.scheme}://{request.host}")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    return guard
