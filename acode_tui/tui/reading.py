"""One reading of what the header and the panes show, from the workspace's ports."""

import asyncio

from acode_tui.tui.ports import DashboardWorkspace
from acode_tui.tui.state import Overview


async def read_overview(workspace: DashboardWorkspace) -> Overview:
    """Everything at a glance; the parts are read side by side."""
    schema, outbox, counts, sync = await asyncio.gather(
        workspace.schema(), workspace.outbox.stats(), workspace.conflicts.counts(), workspace.sync.status()
    )
    last = await workspace.conflicts.list(limit=1) if counts.total else ()
    return Overview(schema=schema, outbox=outbox, conflicts=counts, last_conflict=last[0] if last else None, sync=sync)
