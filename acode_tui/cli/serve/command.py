"""The option ``--serve``: listen, print the address with its token, and serve until a signal."""

import asyncio
import signal
from collections.abc import Callable, Sequence

import click

from acode_tui.cli.event_loop import run_async
from acode_tui.cli.headless import handled
from acode_tui.cli.invocation import Invocation
from acode_tui.domain.display import clean
from acode_tui.processes import python_command

EXTRA = "pip install 'acode-tui[serve]'"
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000
DASHBOARD = "from acode_tui.__main__ import main; main()"

_SHUTDOWN_SECONDS = 10.0


def require_loopback(host: str, *, public: bool) -> None:
    """Raise UsageError for an address that other machines can reach, unless ``public``."""
    from acode_tui.config.postgres_address import is_local

    if not public and not is_local(host):
        raise click.UsageError(
            f"--serve-host {host}: other machines can reach it, and nothing is encrypted; use `ssh -L`, or add "
            "--serve-public on a network that you trust"
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

    def print_address(address: str, *, again: bool) -> None:
        if again:
            click.echo(f"a browser has used that address; the next one is at {address}", err=True)
        else:
            # A space after the address: terminals may take a sign for a part of it, and of the token.
            click.echo(f"the dashboard of {clean(str(root))} is at {address} (Ctrl-C ends it)", err=True)

    try:
        run_async(serve(command, host, port, public=public, on_address=print_address))
    except OSError as error:
        from acode_tui.ops.health.metrics_http import cannot_listen

        raise cannot_listen("--serve-port", host, port, error) from None
    return 0


async def serve(
    command: Sequence[str], host: str, port: int, *, public: bool, on_address: Callable[..., object]
) -> None:
    """Listen and serve until a signal. Raises OSError if it cannot listen.

    ``on_address(address, again=...)`` is called with an address that is valid once: first, and after each use.
    """
    from aiohttp import web

    from acode_tui.cli.serve.access import Access
    from acode_tui.cli.serve.app import make_app

    access = Access()

    def address() -> str:
        named = f"[{host}]" if ":" in host else host
        return f"http://{named}:{runner.addresses[0][1]}/?token={access.token}"

    stop = asyncio.Event()
    app = await make_app(
        command, host, public=public, access=access, on_new_token=lambda: on_address(address(), again=True)
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        with handled({signal.SIGINT: stop.set, signal.SIGTERM: stop.set}):
            on_address(address(), again=False)
            await stop.wait()
    finally:
        await runner.cleanup()
