"""The sync worker without a terminal, for systemd and cron. Textual is never imported.

Log lines go to standard error as JSON. SIGTERM and SIGINT let the batch in flight finish and end the process within
10 s; SIGHUP, or a changed configuration file, loads new settings. A second worker waits as a standby.
"""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from acode_tui import logs
from acode_tui.cli.errors import FAILURE
from acode_tui.cli.event_loop import run_async
from acode_tui.cli.invocation import Invocation
from acode_tui.domain.errors import AcodeError, SyncError
from acode_tui.sync.ports import SyncState
from acode_tui.version import VERSION

if TYPE_CHECKING:
    from acode_tui.ops.health.metrics import Sample
    from acode_tui.workspace import Workspace


@contextmanager
def handled(handlers: Mapping[signal.Signals, Callable[[], object]]) -> Iterator[None]:
    """Call these handlers on the event loop when their signal comes, for the length of the block.

    Only the main thread receives signals: in another thread the block just runs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


log = logs.get_logger("acode_tui.headless")


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send ``READY=1``, ``STOPPING=1`` or ``STATUS=...`` to systemd; returns whether it was sent."""
    address = environ.get("NOTIFY_SOCKET")
    if not address or address[0] not in "/@":
        return False
    # An @ replaces the NUL of Linux's abstract sockets.
    name = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(state.encode(), name)
        except OSError as error:
            log.warning("headless.notify", reason=error.strerror or type(error).__name__)
            return False
    return True


_STATES = tuple(state.value for state in SyncState)


@asynccontextmanager
async def served_metrics(workspace: "Workspace", port: int | None) -> AsyncIterator[None]:
    """Serve the workspace's metrics on ``port`` for the length of the block; None serves nothing.

    Raises ConfigError where the port is not available.
    """
    if port is None:
        yield
        return
    # Here, not above: without a port the metrics library is not loaded.
    from acode_tui.ops.health.metrics import MetricsServer
    from acode_tui.ops.health.metrics_http import ADDRESS

    server = MetricsServer(lambda: take_sample(workspace))
    await server.open(port)
    workspace.observe(commits=server.observe_commit, batches=server.observe_batch)
    log.info("metrics.serving", address=f"http://{ADDRESS}:{server.port}/metrics")
    try:
        yield
    finally:
        await server.close()


async def take_sample(workspace: "Workspace") -> "Sample":
    """The workspace's metrics now. Raises AcodeError where its file cannot be read."""
    from acode_tui.ops.health.metrics import Sample

    status = await workspace.sync.status()
    facts = await workspace.database_facts()
    health = await workspace.health()
    return Sample(
        version=VERSION,
        now=workspace.wall(),
        pending=status.pending,
        oldest_pending_at=status.oldest_pending_at,
        retrying=status.retrying,
        attempts=await workspace.outbox.attempts(),
        dead_letters=status.failed,
        conflicts=status.conflicts,
        unreviewed_conflicts=status.unreviewed_conflicts,
        duplicates=status.duplicates,
        rate=status.rate,
        state=status.state.value,
        states=_STATES,
        last_sync_at=status.last_sync_at,
        next_attempt_at=status.next_attempt_at,
        latency_seconds=None if status.latency_ms is None else status.latency_ms / 1000,
        clock_offset_seconds=None if status.clock_offset_ms is None else status.clock_offset_ms / 1000,
        database_bytes=facts.size_bytes,
        sessions=facts.sessions,
        health={check.name: check.status for check in health.checks},
    )


STATUS_SECONDS = 5.0
"""How often the state is compared with the one that was last logged and sent to systemd."""


def run_headless(invocation: Invocation, *, once: bool, metrics: int | None = None) -> int:
    """Run until a signal ends it, or with ``once`` until nothing is due; returns the exit code.

    With ``once``: 0 if nothing is left, 1 if something failed or remains. ``metrics`` is a port for Prometheus.
    """
    # Settings first: they name the secrets that the log must hide.
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
    """Send what is due. A signal ends it after the batch in flight."""
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
    return FAILURE if report.failed or report.remaining else 0


async def _serve(workspace: "Workspace", invocation: Invocation) -> int:
    stop = asyncio.Event()
    reload_asked = asyncio.Event()
    with handled({signal.SIGINT: stop.set, signal.SIGTERM: stop.set, signal.SIGHUP: reload_asked.set}):
        log.info("headless.started", database=str(workspace.database_path))
        notify("READY=1", invocation.environ)
        watching = asyncio.create_task(_watch(workspace, invocation, reload_asked), name="acode-headless")
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
        # Within the block, so that a further signal does not end the process while the worker stops.
        await workspace.sync.stop()
    return 0


async def _watch(workspace: "Workspace", invocation: Invocation, reload_asked: asyncio.Event) -> None:
    """Log each change of state and send it to systemd; load new settings when ``reload_asked`` is set."""
    reported = ""
    while True:
        if not workspace.sync.is_running:
            # The process ends, so that its supervisor starts it again; otherwise it would look alive.
            raise SyncError("the sync worker has ended", hint="start the process again; the log says why it ended")
        status = await workspace.sync.status()
        if status.state != reported:
            reported = status.state
            log.info("headless.state", state=reported, reason=status.reason, hint=status.hint, pending=status.pending)
            notify(f"STATUS={reported}: {status.pending} pending", invocation.environ)
        try:
            async with asyncio.timeout(STATUS_SECONDS):
                await reload_asked.wait()
        except TimeoutError:
            continue
        reload_asked.clear()
        await _reload(workspace, invocation)


async def _reload(workspace: "Workspace", invocation: Invocation) -> None:
    from acode_tui.config import load_settings

    try:
        await workspace.reload(load_settings(invocation.root, environ=invocation.environ))
        log.info("config.reloaded")
    except AcodeError as error:
        log.warning("config.refused", code=error.code, reason=error.message, hint=error.hint)
