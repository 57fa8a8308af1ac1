"""Rebuilding a workspace file from the team's database.

A new file is built beside the old one, compared with the server row by row, and only then put in its place, in one
rename; the old file stays, under another name. Until then a failure, an interruption or a kill leaves the workspace as
it was, and a build that was begun is gone on with by the next run.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from acode_tui.config import Settings, resolve_path
from acode_tui.config.workspace_root import AGENT_DIR, known_ids, remember_id
from acode_tui.domain.clock import WallClock, format_time, system_clock
from acode_tui.domain.errors import AmbiguousIdError, NotFoundError, RecoveryError, TransactionError
from acode_tui.domain.progress import ReportProgress
from acode_tui.domain.quantities import counted, number
from acode_tui.logs import get_logger
from acode_tui.ops.recovery.rebuild import ready, rebuild
from acode_tui.ops.recovery.team_pool import open_pool
from acode_tui.storage.ports import TeamWorkspace
from acode_tui.storage.sqlite.errors import require_file
from acode_tui.storage.sqlite.files import locks as exclusive
from acode_tui.storage.sqlite.files import replace as swap
from acode_tui.storage.sqlite.files.backup_catalog import read_backups
from acode_tui.storage.sqlite.files.inspect import StandingFile, look_at

if TYPE_CHECKING:
    from acode_tui.storage.postgres.recovery_source import RecoverySource


_MOST_NAMED = 20


def chosen(
    known: Sequence[TeamWorkspace], *, named: str | None, in_file: str | None, remembered: Sequence[str]
) -> TeamWorkspace:
    """The workspace to recover, of those that the server knows.

    What was ``named`` (an id or a unique beginning), else what the file says, else what the folder remembers, the
    latest first, else the only one that there is. Raises NotFoundError, AmbiguousIdError; RecoveryError where nothing
    decides.
    """
    if not known:
        raise RecoveryError(
            "the team's database knows no workspace: nothing was ever sent to it", hint="restore a backup instead"
        )
    if named is not None:
        return _named(known, named)
    by_id = {each.id: each for each in known}
    if in_file is not None:
        # A file that says whose it is is not replaced by somebody else's.
        if in_file in by_id:
            return by_id[in_file]
        raise NotFoundError(
            f"the team's database does not know this file's workspace {in_file}; it knows {_listed(known, remembered)}",
            hint="name one with --workspace-id, or restore a backup",
        )
    for each in remembered:
        if each in by_id:
            return by_id[each]
    if len(known) == 1:
        return known[0]
    raise RecoveryError(
        f"nothing here says which workspace this was; the team's database knows {_listed(known, remembered)}",
        hint="name one with --workspace-id",
    )


def _named(known: Sequence[TeamWorkspace], named: str) -> TeamWorkspace:
    start = named.strip().lower()
    found = [each for each in known if start and each.id.startswith(start)]
    if not found:
        raise NotFoundError(
            f"the team's database knows no workspace {named[:64]!r}; it knows {_listed(known, ())}",
            hint="name one of them with --workspace-id",
        )
    if len(found) > 1:
        raise AmbiguousIdError(f"{len(found)} workspaces begin with {named[:64]!r}")
    return found[0]


def _listed(known: Sequence[TeamWorkspace], remembered: Sequence[str]) -> str:
    parts = []
    for each in known[:_MOST_NAMED]:
        was_here = ", was here before" if each.id in remembered else ""
        seen = format_time(each.last_seen_at)[:16].replace("T", " ")
        sessions = counted(each.sessions, "session")
        parts.append(f"{each.id} ({each.user} on {each.host}, {sessions}, seen {seen} UTC{was_here})")
    more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    return ", ".join(parts) + more


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
    on_progress: ReportProgress | None = None,
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
            on_progress=on_progress,
            wall=wall,
            resumable=True,
        )
        # Not in a thread: an interruption comes before it or after it.
        kept = swap.replace(database, staging, keep_as=f"corrupted-{wall():%Y%m%d_%H%M%S}")
        remember_id(root / AGENT_DIR, plan.workspace_id)
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
    return f", and {number(plan.unsent)} of its records were never sent" if plan.unsent else ""


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


def has_lived(root: Path, settings: Settings) -> bool:
    """True if its id was written down there, or there are backups: an empty file is a loss then, and no beginning."""
    return bool(known_ids(root / AGENT_DIR) or read_backups(resolve_path(root, settings.backup.directory))[0])
