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

from acode_tui.config import Settings
from acode_tui.config.root import AGENT_DIR
from acode_tui.config.workspace_id import keep_id, known_ids
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.errors import DatabaseConnectionError, RecoveryError
from acode_tui.domain.times import format_time
from acode_tui.logs import get_logger
from acode_tui.ops.rebuild import Progress, fill, verified
from acode_tui.ops.team import open_pool
from acode_tui.ops.whose import chosen
from acode_tui.storage.sqlite import swap
from acode_tui.storage.sqlite.building import Building, open_building, remove
from acode_tui.storage.sqlite.exclusive import exclusive
from acode_tui.storage.sqlite.standing import StandingFile, look_at

if TYPE_CHECKING:
    from acode_tui.storage.postgres.connection import ReadPool
    from acode_tui.storage.postgres.recovery import RecoverySource

log = get_logger("acode_tui.ops")

STAGING = ".recovering"
"""What is added to the file's name while the new one is built."""

Confirm = Callable[["RecoveryPlan"], bool]


class RecoveryPlan(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a recovery would do. ``unsent`` are records of the old file that the server never got; None if unreadable.

    ``counts`` are the rows a table that the server holds for the workspace.
    """

    workspace_id: str
    path: str
    file: str
    """``missing``, ``damaged`` or ``sound``."""
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
    async with open_pool(settings) as pool:
        source = await _ready(pool, settings)
        return await _plan(source, root, database, await asyncio.to_thread(look_at, database), workspace_id)


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
    folder remembers, or the only one there is. ``confirm`` is asked before a file that is sound is replaced.
    Raises AcodeError; the file is then as it was.
    """
    started = perf_counter()
    database = settings.persistence.sqlite.resolve(root)
    staging = database.with_name(database.name + STAGING)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(settings))
        source = await _ready(pool, settings)
        alone = exclusive(database)
        await asyncio.to_thread(alone.__enter__)
        stack.push(alone.__exit__)
        standing = await asyncio.to_thread(look_at, database)
        plan = await _plan(source, root, database, standing, workspace_id)
        if standing.is_sound and not confirm(plan):
            raise RecoveryError(
                f"{database} is sound, and {plan.unsent or 0:,} of its records were never sent",
                hint="nothing was changed; add --force to replace it all the same, the old file is kept",
            )
        rebuilt = await _rebuild(pool, source, plan, staging, settings, root=root, progress=progress, wall=wall)
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


class _Rebuilt(msgspec.Struct, frozen=True):
    counts: dict[str, int]
    conflicts: int
    compared: int


async def _ready(pool: "ReadPool", settings: Settings) -> "RecoverySource":
    """The server, once it answers and its schema fits."""
    from acode_tui.storage.postgres.recovery import RecoverySource

    source = RecoverySource(pool, schema=settings.persistence.postgres.schema)
    await source.require_schema()
    return source


async def _plan(
    source: "RecoverySource", root: Path, database: Path, standing: StandingFile, named: str | None
) -> RecoveryPlan:
    workspace = chosen(
        await source.workspaces(),
        named=named,
        in_file=standing.workspace_id,
        remembered=known_ids(root / AGENT_DIR),
    )
    state = "sound" if standing.is_sound else "damaged" if standing.exists else "missing"
    return RecoveryPlan(
        workspace_id=workspace.id,
        path=str(database),
        file=state,
        reason=standing.reason,
        unsent=standing.pending,
        counts=await source.counts(workspace.id),
    )


async def _rebuild(
    pool: "ReadPool",
    source: "RecoverySource",
    plan: RecoveryPlan,
    path: Path,
    settings: Settings,
    *,
    root: Path,
    progress: Progress | None,
    wall: WallClock,
) -> _Rebuilt:
    """A whole, closed file at ``path``. One that is broken off goes, unless it was the server that did not answer."""
    building: Building | None = None
    try:
        building = await _begun(source, plan.workspace_id, path, root, wall)
        rebuilt = await _filled(pool, source, building, plan, settings, progress)
        await building.finish(synced_at=format_time(wall()))
    except BaseException as error:
        if building is not None:
            await building.abandon()
        if building is not None and isinstance(error, DatabaseConnectionError):
            hint = f"{error.hint}; the workspace is as it was, and what was read is kept: run it again to go on"
            raise DatabaseConnectionError(error.message, hint=hint.lstrip("; ")) from error
        await asyncio.to_thread(remove, path)
        raise
    return rebuilt


async def _begun(source: "RecoverySource", workspace_id: str, path: Path, root: Path, wall: WallClock) -> Building:
    """A build that an earlier run left, if it is of the same life of the server; else a new one."""
    locks = root / AGENT_DIR / "locks"
    building = await open_building(path, workspace_id=workspace_id, lock_folder=locks, wall=wall)
    mark, head = await building.mark(), await source.head(workspace_id)
    if mark is None or (
        head is not None and head.incarnation == mark.incarnation and head.change_seq >= mark.change_seq
    ):
        return building
    await building.abandon()
    await asyncio.to_thread(remove, path)
    return await open_building(path, workspace_id=workspace_id, lock_folder=locks, wall=wall)


async def _filled(
    pool: "ReadPool",
    source: "RecoverySource",
    building: Building,
    plan: RecoveryPlan,
    settings: Settings,
    progress: Progress | None,
) -> _Rebuilt:
    from acode_tui.storage.postgres.row_checksums import PostgresRowChecksums

    schema = settings.persistence.postgres.schema
    conflicts = await fill(source, building, plan.workspace_id, total=sum(plan.counts.values()), progress=progress)
    team = PostgresRowChecksums(pool, schema=schema, workspace_id=plan.workspace_id)
    compared = await verified(source, building, team, plan.workspace_id, progress=progress)
    return _Rebuilt(await building.counts(), conflicts, compared)
