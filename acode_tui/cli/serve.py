"""``--serve``: the dashboard in a browser. Every visitor has a dashboard process of their own.

There is no authentication. So the server listens on loopback only, unless a flag allows more, and checks the Origin of
every request: another page in the same browser can neither read the dashboard nor send keys to it.
"""

import asyncio
import shlex
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import click

from acode_tui.cli.errors import describe_os_error
from acode_tui.cli.event_loop import run_async
from acode_tui.cli.headless import handled
from acode_tui.cli.invocation import Invocation
from acode_tui.domain.display import clean
from acode_tui.processes import environment, python_command

if TYPE_CHECKING:
    from aiohttp import web
    from textual_serve.server import Server

EXTRA = "pip install 'acode-tui[serve]'"
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000

_HEADERS = {
    # The page refers to a font on another host, which must not learn that it was opened.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_SHUTDOWN_SECONDS = 5.0
_request_url: ContextVar[str] = ContextVar("request_url", default="")
"""The URL by which the current request reached the server."""

DASHBOARD = "from acode_tui.__main__ import main; main()"

Handler = Callable[["web.Request"], Awaitable["web.StreamResponse"]]


def require_loopback(host: str, *, public: bool) -> None:
    """Raise UsageError for an address that other machines can reach, unless ``public``."""
    from acode_tui.config.postgres_address import is_local

    if not public and not is_local(host):
        raise click.UsageError(
            f"--serve-host {host}: other machines can reach it, and there is no password; use `ssh -L` or "
            "add --serve-public if everyone who can reach it may read and change everything"
        )


def run_serve(invocation: Invocation, *, host: str, port: int, public: bool, arguments: Sequence[str]) -> int:
    """Serve until SIGINT or SIGTERM and return the exit code. ``arguments`` are options for every dashboard process."""
    require_loopback(host, public=public)
    try:
        import textual_serve  # noqa: F401 - check that it is installed
    except ModuleNotFoundError as missing:
        raise click.ClickException(f"--serve requires the package {missing.name}; install the extra: {EXTRA}") from None
    # Load the settings now, so that an error in them is printed here and not to the first visitor.
    root = invocation.root
    _ = invocation.settings
    command = python_command(DASHBOARD, "--workspace", str(root), *arguments)

    def print_address(address: str) -> None:
        click.echo(f"the dashboard of {clean(str(root))} is at {address}; Ctrl-C ends it", err=True)

    try:
        run_async(serve(command, host, port, public=public, on_ready=print_address))
    except OSError as error:
        raise click.ClickException(f"{host}:{port}: {describe_os_error(error)}; see --serve-port") from None
    return 0


async def serve(
    command: Sequence[str], host: str, port: int, *, public: bool, on_ready: Callable[[str], object]
) -> None:
    """Listen, pass the address to ``on_ready``, and serve until a signal. Raises OSError if it cannot listen."""
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
            on_ready(f"http://{named}:{runner.addresses[0][1]}")
            await stop.wait()
    finally:
        await runner.cleanup()


async def make_app(command: Sequence[str], host: str, *, public: bool) -> "web.Application":
    """The web application of textual-serve, with the checks of ``_guard``."""
    app: web.Application = await _server(command, host)._make_app()
    app.middlewares.append(_guard(host, public=public))
    return app


def _server(command: Sequence[str], host: str) -> "Server":
    from textual_serve import server

    visits: set[asyncio.Task[Any]] = set()

    class DashboardServer(server.Server):
        """Prints nothing, and uses the URL of the request: through a tunnel it differs from the server's own."""

        @property
        def public_url(self) -> str:
            return _request_url.get()

        @public_url.setter
        def public_url(self, value: str) -> None:
            """Ignored: the URL is not fixed."""

        async def on_startup(self, app: Any) -> None:
            """Print nothing."""

        async def handle_websocket(self, request: Any) -> Any:
            visit = asyncio.current_task()
            assert visit is not None
            visits.add(visit)
            try:
                return await super().handle_websocket(request)
            finally:
                visits.discard(visit)

        async def on_shutdown(self, app: Any) -> None:
            """End every visitor's dashboard."""
            for visit in visits:
                visit.cancel()

    return DashboardServer(_shell_line(command), host=host, title="acode-tui")


def _shell_line(command: Sequence[str]) -> str:
    """The command for the shell that textual-serve starts with this process's own environment."""
    safe = environment()
    # An empty PYTHONPATH counts as none.
    assigned = [f"{name}={shlex.quote(safe.get(name, ''))}" for name in ("PYTHONPATH", "PYTHONSAFEPATH")]
    return " ".join([*assigned, shlex.join(command)])


def _guard(host: str, *, public: bool) -> Any:
    from aiohttp import web

    own = {"localhost", "127.0.0.1", "::1", host.lower()}

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = (request.url.host or "").lower()
        if not public and name not in own:
            raise web.HTTPForbidden(text=f"this dashboard is at {host}; other host names are refused\n")
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2].lower() != request.host.lower():
            raise web.HTTPForbidden(text="a page of another origin cannot use this dashboard\n")
        _request_url.set(f"{request.scheme}://{request.host}")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    return guard
