"""The worker without a terminal: runs the workspace with its sync until SIGINT or SIGTERM."""

import asyncio
import signal

from acode_tui import logs
from acode_tui.cli.invocation import Invocation

log = logs.get_logger("acode_tui.headless")


def run_headless(invocation: Invocation, *, once: bool) -> int:
    """Run until a signal comes, or with ``once`` until nothing is due; answers the exit code.

    With ``once``: 0 if nothing is left, 1 if something failed or remains.
    """
    from acode_tui.workspace import open_workspace

    settings = invocation.settings
    invocation.start_log(stderr=True)

    async def drain() -> int:
        async with open_workspace(invocation.root, settings=settings) as workspace:
            report = await workspace.sync.sync_now()
        return 1 if report.failed or report.remaining else 0

    async def serve() -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with open_workspace(invocation.root, sync=True, settings=settings):
            log.info("headless.started")
            await stop.wait()
            log.info("headless.stopping")
        return 0

    return asyncio.run(drain() if once else serve())
