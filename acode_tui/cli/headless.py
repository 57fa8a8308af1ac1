"""The worker without a terminal, for systemd and cron. No Textual anywhere near it.

Log lines go to standard error as JSON. SIGTERM and SIGINT let the batch in hand finish and end within 10 s; SIGHUP, or
a changed configuration file, takes over new settings. A second worker waits as a standby.
"""

import asyncio
import signal
from typing import TYPE_CHECKING

from acode_tui import logs
from acode_tui.cli.faults import FAULT
from acode_tui.cli.invocation import Invocation
from acode_tui.cli.loop import run_async
from acode_tui.cli.metrics import served_metrics
from acode_tui.cli.notify import notify
from acode_tui.cli.signals import handled
from acode_tui.domain.errors import AcodeError

if TYPE_CHECKING:
    from acode_tui.workspace import Workspace

STATUS_SECONDS = 5.0
"""How often the log and systemd hear of a changed state."""

log = logs.get_logger("acode_tui.headless")


def run_headless(invocation: Invocation, *, once: bool, metrics: int | None = None) -> int:
    """Run until a signal comes, or with ``once`` until nothing is due; answers the exit code.

    With ``once``: 0 if nothing is left, 1 if something failed or remains. ``metrics`` is a port for Prometheus.
    """
    # Settings first: they know the secrets that the log must hide.
    settings = invocation.settings
    invocation.start_log(stderr=True)
    from acode_tui.workspace import open_workspace

    async def run() -> int:
        async with open_workspace(invocation.root, sync=not once, settings=settings, mode="headless") as workspace:
            if once:
                return await _drain(workspace)
            async with served_metrics(workspace, metrics):
                return await _serve(workspace, invocation)

    return run_async(run())


async def _drain(workspace: "Workspace") -> int:
    """Send what is due. A signal ends it after the batch in hand."""
    with handled({signal.SIGINT: workspace.sync.wind_down, signal.SIGTERM: workspace.sync.wind_down}):
        report = await workspace.sync.sync_now()
    log.info(
        "headless.drained",
        synced=report.synced,
        duplicates=report.duplicates,
        superseded=report.superseded,
        conflicts=report.conflicts,
        failed=report.failed,
        remaining=report.remaining,
    )
    return FAULT if report.failed or report.remaining else 0


async def _serve(workspace: "Workspace", invocation: Invocation) -> int:
    stop = asyncio.Event()
    hang_up = asyncio.Event()
    with handled({signal.SIGINT: stop.set, signal.SIGTERM: stop.set, signal.SIGHUP: hang_up.set}):
        log.info("headless.started", database=str(workspace.database_path))
        notify("READY=1", invocation.environ)
        watching = asyncio.create_task(_watch(workspace, invocation, hang_up), name="acode-headless")
        try:
            stopping = asyncio.create_task(stop.wait(), name="acode-signals")
            await asyncio.wait({stopping, watching}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if watching.done():
                watching.result()
        finally:
            watching.cancel()
            await asyncio.wait([watching])
        notify("STOPPING=1", invocation.environ)
        log.info("headless.stopping")
        # Leaving the block that opened the workspace stops the worker; signals are kept until then.
        await workspace.sync.stop()
    return 0


async def _watch(workspace: "Workspace", invocation: Invocation, hang_up: asyncio.Event) -> None:
    """Report each change of state; take over new settings when asked to."""
    shown = ""
    while True:
        status = await workspace.sync.status()
        if status.state != shown:
            shown = status.state
            log.info("headless.state", state=shown, reason=status.reason, hint=status.hint, pending=status.pending)
            notify(f"STATUS={shown}: {status.pending} pending", invocation.environ)
        try:
            async with asyncio.timeout(STATUS_SECONDS):
                await hang_up.wait()
        except TimeoutError:
            continue
        hang_up.clear()
        await _reload(workspace, invocation)


async def _reload(workspace: "Workspace", invocation: Invocation) -> None:
    from acode_tui.config import load_settings

    try:
        await workspace.reload(load_settings(invocation.root, environ=invocation.environ))
        log.info("config.reloaded")
    except AcodeError as error:
        log.warning("config.refused", code=error.code, reason=error.message, hint=error.hint)
