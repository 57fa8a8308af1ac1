"""What ``--headless --metrics`` tells Prometheus, and for how long."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from acode_tui import __version__, logs
from acode_tui.sync.ports import SyncState

if TYPE_CHECKING:
    from acode_tui.ops.health.metrics import Sample
    from acode_tui.workspace import Workspace

_STATES = tuple(state.value for state in SyncState)

log = logs.get_logger("acode_tui.headless")


@asynccontextmanager
async def served_metrics(workspace: "Workspace", port: int | None) -> AsyncIterator[None]:
    """Serve the workspace's numbers on ``port`` for the length of the block; None serves nothing.

    Raises ConfigError where the port cannot be had.
    """
    if port is None:
        yield
        return
    # Here, not above: who does not ask for numbers does not load what serves them.
    from acode_tui.ops.health.metrics import ADDRESS, MetricsServer

    server = MetricsServer(lambda: take_sample(workspace))
    await server.open(port)
    workspace.observe(commits=server.observe_commit, batches=server.observe_batch)
    log.info("metrics.serving", address=f"http://{ADDRESS}:{server.port}/metrics")
    try:
        yield
    finally:
        await server.close()


async def take_sample(workspace: "Workspace") -> "Sample":
    """The workspace's numbers now. Raises AcodeError where its file cannot be read."""
    from acode_tui.ops.health.metrics import Sample

    status = await workspace.sync.status()
    facts = await workspace.database_facts()
    health = await workspace.health()
    return Sample(
        version=__version__,
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
