"""Reads what the header and the panes show, from the workspace's ports."""

import asyncio
import shutil

from msgspec.structs import replace

from acode_tui.domain.errors import AcodeError
from acode_tui.storage.ports import SchemaStatus
from acode_tui.tui.ports import DashboardWorkspace
from acode_tui.tui.state import DiskSpace, Overview


async def read_overview(workspace: DashboardWorkspace) -> Overview:
    """The whole overview; its parts are read concurrently. Raises AcodeError."""
    (schema, schema_error), outbox, counts, sync, space = await asyncio.gather(
        _schema(workspace),
        workspace.outbox.stats(),
        workspace.conflicts.counts(),
        workspace.sync.status(),
        asyncio.to_thread(_disk_space, workspace),
    )
    last = await workspace.conflicts.list(limit=1) if counts.total else ()
    refused = await workspace.outbox.last_refused() if outbox.retrying or outbox.failed else None
    return Overview(
        schema=schema,
        outbox=outbox,
        conflicts=counts,
        last_conflict=last[0] if last else None,
        sync=sync,
        last_refused=refused,
        schema_error=schema_error,
        space=space,
    )


async def read_without_commit(workspace: DashboardWorkspace, known: Overview) -> Overview:
    """The overview where nothing was committed since ``known``: only the sync status and the disk are read. Raises
    AcodeError.
    """
    sync, space = await asyncio.gather(workspace.sync.status(), asyncio.to_thread(_disk_space, workspace))
    return replace(known, sync=sync, space=space)


async def _schema(workspace: DashboardWorkspace) -> tuple[SchemaStatus, AcodeError | None]:
    """The schema, and why it cannot be used, such as a newer program having migrated the file meanwhile."""
    try:
        return await workspace.schema(), None
    except AcodeError as error:
        return SchemaStatus(tier="sqlite", version=None, target="", pending=()), error


def _disk_space(workspace: DashboardWorkspace) -> DiskSpace | None:
    """The space on the workspace's disk; None if the system does not report it."""
    try:
        usage = shutil.disk_usage(workspace.agent_dir)
    except OSError:
        return None
    return DiskSpace(free=usage.free, total=usage.total)
