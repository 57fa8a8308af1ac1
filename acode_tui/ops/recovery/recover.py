"""Rebuilding a workspace file from the team's database.

A new file is built beside the old one, compared with the server row by row, and only then put in its place, in one
rename; the old file stays, under another name. Until then a failure, an interruption or a kill leaves the workspace as
it was, and a build that was begun is gone on with by the next run.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from acode_tui.config import Settings, resolve_path
from acode_tui.config.root import AGENT_DIR
from acode_tui.config.workspace_root import keep_id, known_ids
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.errors import RecoveryError, TransactionError
from acode_tui.logs import get_logger
from acode_tui.ops.recovery.rebuild import Progress, ready, rebuild
from acode_tui.ops.recovery.team_pool import open_pool
from acode_tui.ops.whose import chosen
from acode_tui.storage.ports import TeamWorkspace
from acode_tui.storage.sqlite.errors import require_file
from acode_tui.storage.sqlite.files import locks as exclusive
from acode_tui.storage.sqlite.files import replace as swap
from acode_tui.storage.sqlite.files.backup_catalog import read_backups
from acode_tui.storage.sqlite.standing import StandingFile, look_at

if TYPE_CHECKING:
    from acode_tui.storage.postgres.read_back import RecoverySource

log = get_logger("acode_tui.ops")

STAGING = ".recovering"
"""What is added to the file's name while the new one is built."""

_TRY_SECONDS = 0.1

Confirm = Callable[["RecoveryPlan"], bool]


class RecoveryPlan(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a recovery would do. ``unsent`` are records of the old file that the server never got; None if unreadable.

    ``counts`` are the rows a table that the server holds for the workspace.
    """

    workspace_id: str
    path: str
    file: str
    """``missing``, ``damaged``, ``sound``, or ``unusable``: another program's, a newer one's, or not to be read."""
    reason: str
    unsent: int | None
    counts: dict[str, int]


class Recovery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a recovery did. ``compared`` and ``matching`` are sessions; ``kept_as`` is where the old file is."""

    workspace_id: str
    path: str
    kept_as: str | None
    unsent: int | None
    counts: dict[str, int]
    conflicts: int
    compared: int
    matching: int
    mismatched: tuple[str, ...] = ()
    duration_seconds: float


async def plan_recovery(root: Path, settings: Settings, *, workspace_id: str | None = None) -> RecoveryPlan:
    """What ``recover`` would do; touches nothing. Raises AcodeError where it could not be done."""
    database = settings.persistence.sqlite.resolve(root)
    require_file(database)
    async with open_pool(settings) as pool:
        source = await ready(pool, settings)
        return await _plan(source, root, settings, await asyncio.to_thread(look_at, database), workspace_id)


async def recover(
    root: Path,
    settings: Settings,
    *,
    confirm: Confirm,
    workspace_id: str | None = None,
    progress: Progress | None = None,
    wall: WallClock = system_clock,
) -> Recovery:
    """Rebuild the workspace file in ``root``; nobody may have it open.

    ``workspace_id`` (a unique beginning is enough) says which of the server's workspaces; without it the file, what the
    folder remembers, or the only one there is. ``confirm`` is asked before a file that is not damaged is replaced.
    Raises AcodeError; the file is then as it was.
    """
    started = perf_counter()
    database = settings.persistence.sqlite.resolve(root)
    staging = database.with_name(database.name + STAGING)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(settings))
        source = await ready(pool, settings)
        await _alone(stack, database)
        standing = await asyncio.to_thread(look_at, database)
        plan = await _plan(source, root, settings, standing, workspace_id)
        if standing.exists and not standing.is_damaged and not confirm(plan):
            why = f"it is sound{_unsent(plan)}" if standing.is_sound else standing.reason
            raise RecoveryError(
                f"{database} is not damaged: {why}; nothing was changed",
                hint="add --force to replace it all the same, the old file is kept",
            )
        rebuilt = await rebuild(
            pool,
            source,
            settings,
            plan.workspace_id,
            staging,
            total=sum(plan.counts.values()),
            lock_folder=root / AGENT_DIR / "locks",
            progress=progress,
            wall=wall,
            resumable=True,
        )
        # Not in a thread: an interruption comes before it or after it.
        kept = swap.replace(database, staging, keep_as=f"corrupted-{wall():%Y%m%d_%H%M%S}")
        keep_id(root / AGENT_DIR, plan.workspace_id)
    seconds = perf_counter() - started
    log.info("recovered", database="sqlite", rows=sum(rebuilt.counts.values()), duration_ms=round(seconds * 1000))
    return Recovery(
        workspace_id=plan.workspace_id,
        path=str(database),
        kept_as=None if kept is None else str(kept),
        unsent=plan.unsent,
        counts=rebuilt.counts,
        conflicts=rebuilt.conflicts,
        compared=rebuilt.compared,
        matching=rebuilt.compared,
        duration_seconds=seconds,
    )


async def _alone(stack: AsyncExitStack, database: Path) -> None:
    """Have the file alone until the stack ends; not in a thread, which could not be broken off."""
    tries = round(exclusive.EXCLUSIVE_SECONDS / _TRY_SECONDS)
    while True:
        try:
            stack.enter_context(exclusive.exclusive(database, timeout_seconds=0))
            return
        except TransactionError:
            if tries <= 0:
                raise
        tries -= 1
        await asyncio.sleep(_TRY_SECONDS)


def _unsent(plan: RecoveryPlan) -> str:
    return f", and {plan.unsent:,} of its records were never sent" if plan.unsent else ""


async def find_workspace(
    source: "RecoverySource", root: Path, settings: Settings, standing: StandingFile, *, named: str | None = None
) -> TeamWorkspace:
    """Which of the server's workspaces this folder holds, or held. Raises AcodeError where nothing decides."""
    backups, _ = await asyncio.to_thread(read_backups, resolve_path(root, settings.backup.directory))
    remembered = (*known_ids(root / AGENT_DIR), *(each.workspace_id for each in backups if each.workspace_id))
    return chosen(await source.workspaces(), named=named, in_file=standing.workspace_id, remembered=remembered)


async def _plan(
    source: "RecoverySource", root: Path, settings: Settings, standing: StandingFile, named: str | None
) -> RecoveryPlan:
    workspace = await find_workspace(source, root, settings, standing, named=named)
    state = "sound" if standing.is_sound else "damaged" if standing.is_damaged else "unusable"
    return RecoveryPlan(
        workspace_id=workspace.id,
        path=str(settings.persistence.sqlite.resolve(root)),
        file=state if standing.exists else "missing",
        reason=standing.reason,
        unsent=standing.pending,
        counts=await source.counts(workspace.id),
    )
