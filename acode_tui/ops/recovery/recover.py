"""``db recover``: rebuilding a workspace file from the team's database.

A new file is built beside the old one, compared with the server row by row, and only then put in its place, in one
rename; the old file stays, under another name. Until then a failure, an interruption or a kill leaves the workspace as
it was, and the next run continues a build that was begun.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter

import msgspec

from acode_tui.config import Settings, resolve_path
from acode_tui.config.workspace_root import AGENT_DIR, known_ids, remember_id
from acode_tui.domain.clock import WallClock, format_time, system_clock
from acode_tui.domain.errors import AmbiguousIdError, NotFoundError, RecoveryError, TransactionError
from acode_tui.domain.progress import ReportProgress
from acode_tui.domain.quantities import counted, number
from acode_tui.logs import get_logger
from acode_tui.ops.recovery.rebuild import rebuild
from acode_tui.storage.ports import (
    BackupStore,
    DatabaseFiles,
    Depth,
    FileAccess,
    FileReport,
    OpenTeam,
    TeamSource,
    TeamWorkspace,
)

STAGING = ".recovering"
"""The suffix of the new file while it is built."""

EXCLUSIVE_SECONDS = 2.0
"""How long a recovery waits for other processes to close the file."""

_RETRY_SECONDS = 0.1
_MOST_NAMED = 20

log = get_logger("acode_tui.ops")


class RecoveryPlan(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a recovery would do. ``unsent`` are records of the old file that the server never got; None if unreadable.

    ``counts`` are the rows by table that the server holds for the workspace.
    """

    workspace_id: str
    path: str
    file: str
    """``missing``, ``damaged``, ``sound``, or ``unusable``: of another or a newer program, or unreadable."""
    reason: str
    unsent: int | None
    counts: dict[str, int]


class Recovery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a recovery did. ``compared`` and ``matching`` are sessions; ``kept_as`` is where the old file is;
    ``quarantined`` are rows of the server that are not valid and were kept aside.
    """

    workspace_id: str
    path: str
    kept_as: str | None
    unsent: int | None
    counts: dict[str, int]
    conflicts: int
    compared: int
    matching: int
    mismatched: tuple[str, ...] = ()
    quarantined: int = 0
    duration_seconds: float


Confirm = Callable[[RecoveryPlan], bool]


async def plan_recovery(
    files: DatabaseFiles,
    backups: BackupStore,
    open_team: OpenTeam,
    root: Path,
    settings: Settings,
    *,
    workspace_id: str | None = None,
) -> RecoveryPlan:
    """What ``recover`` would do; changes nothing. Raises AcodeError where it could not be done."""
    database = settings.persistence.sqlite.resolve(root)
    files.require_file(database)
    async with open_team() as team:
        await team.require_schema()
        present = await asyncio.to_thread(files.inspect, database, Depth.CONTENT)
        return await _plan(team, backups, root, settings, present, workspace_id)


async def recover(
    files: DatabaseFiles,
    backups: BackupStore,
    open_team: OpenTeam,
    root: Path,
    settings: Settings,
    *,
    confirm: Confirm,
    workspace_id: str | None = None,
    on_progress: ReportProgress | None = None,
    wall: WallClock = system_clock,
) -> Recovery:
    """Rebuild the workspace file in ``root``; no other process may have it open.

    ``workspace_id`` (a unique beginning is enough) names one of the server's workspaces; see ``choose_workspace`` for
    what decides without it. ``confirm`` is asked before a file that is not damaged is replaced. Raises AcodeError; the
    file is then as it was.
    """
    started = perf_counter()
    database = settings.persistence.sqlite.resolve(root)
    staging = database.with_name(database.name + STAGING)
    async with AsyncExitStack() as stack:
        team = await stack.enter_async_context(open_team())
        await team.require_schema()
        await _enter_exclusive(stack, files, database)
        present = await asyncio.to_thread(files.inspect, database, Depth.CONTENT)
        plan = await _plan(team, backups, root, settings, present, workspace_id)
        if present.exists and not present.is_damaged and not confirm(plan):
            unsent = f", and {number(plan.unsent)} of its records were never sent" if plan.unsent else ""
            why = f"it is sound{unsent}" if present.is_sound else present.reason
            raise RecoveryError(
                f"{database} is not damaged: {why}; nothing was changed",
                hint="add --force to replace it all the same, the old file is kept",
            )
        rebuilt = await rebuild(
            files,
            team,
            plan.workspace_id,
            staging,
            total=sum(plan.counts.values()),
            lock_folder=root / AGENT_DIR / "locks",
            on_progress=on_progress,
            wall=wall,
            resumable=True,
        )
        # Not in a thread: an interruption comes before it or after it.
        kept = files.replace(database, staging, keep_as=f"corrupted-{wall():%Y%m%d_%H%M%S}")
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
        quarantined=rebuilt.quarantined,
        duration_seconds=seconds,
    )


async def find_workspace(
    team: TeamSource,
    backups: BackupStore,
    root: Path,
    settings: Settings,
    present: FileReport,
    *,
    named: str | None = None,
) -> TeamWorkspace:
    """Which of the server's workspaces this folder holds, or held. Raises AcodeError where nothing decides."""
    made, _ = await asyncio.to_thread(backups.list, resolve_path(root, settings.backup.directory))
    remembered = (*known_ids(root / AGENT_DIR), *(each.workspace_id for each in made if each.workspace_id))
    known = await _candidates(team, named=named, in_file=present.workspace_id, remembered=remembered)
    return choose_workspace(known, named=named, in_file=present.workspace_id, remembered=remembered)


async def _candidates(
    team: TeamSource, *, named: str | None, in_file: str | None, remembered: Sequence[str]
) -> Sequence[TeamWorkspace]:
    """The workspaces that are asked for, or the list of those that were seen last where the server knows none of them.

    Looked up by id: the list has an end, and a workspace that is recovered may be the oldest of all.
    """
    starts = remembered if in_file is None else (in_file,)
    if named is not None:
        starts = (_start(named),)
    found = {each.id: each for start in dict.fromkeys(starts) for each in await team.find_workspaces(start)}
    return tuple(found.values()) or await team.workspaces()


def choose_workspace(
    known: Sequence[TeamWorkspace], *, named: str | None, in_file: str | None, remembered: Sequence[str]
) -> TeamWorkspace:
    """The workspace to recover, of those that the server knows.

    The one that is ``named`` (by its id or a unique beginning), else the one that the file holds, else the one that the
    folder remembers, the latest first, else the only one that the server knows. Raises NotFoundError,
    AmbiguousIdError; RecoveryError where nothing decides.
    """
    if not known:
        raise RecoveryError(
            "the team's database knows no workspace: nothing was ever sent to it", hint="restore a backup instead"
        )
    if named is not None:
        return _named(known, named)
    by_id = {each.id: each for each in known}
    if in_file is not None:
        # A file that names its workspace is not replaced by another workspace's.
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
    start = _start(named)
    found = [each for each in known if start and each.id.startswith(start)]
    if not found:
        raise NotFoundError(
            f"the team's database knows no workspace {named[:64]!r}; it knows {_listed(known, ())}",
            hint="name one of them with --workspace-id",
        )
    if len(found) > 1:
        raise AmbiguousIdError(f"more than one workspace begins with {named[:64]!r}")
    return found[0]


def _start(named: str) -> str:
    return named.strip().lower()


def _listed(known: Sequence[TeamWorkspace], remembered: Sequence[str]) -> str:
    parts = []
    for each in known[:_MOST_NAMED]:
        was_here = ", was here before" if each.id in remembered else ""
        seen = format_time(each.last_seen_at)[:16].replace("T", " ")
        parts.append(
            f"{each.id} ({each.user} on {each.host}, {counted(each.sessions, 'session')}, seen {seen} UTC{was_here})"
        )
    # Without a number: the server's list of them ends somewhere.
    more = " and others" if len(known) > _MOST_NAMED else ""
    return ", ".join(parts) + more


async def _plan(
    team: TeamSource,
    backups: BackupStore,
    root: Path,
    settings: Settings,
    present: FileReport,
    named: str | None,
) -> RecoveryPlan:
    workspace = await find_workspace(team, backups, root, settings, present, named=named)
    state = "sound" if present.is_sound else "damaged" if present.is_damaged else "unusable"
    return RecoveryPlan(
        workspace_id=workspace.id,
        path=str(settings.persistence.sqlite.resolve(root)),
        file=state if present.exists else "missing",
        reason=present.reason,
        unsent=present.pending,
        counts=await team.counts(workspace.id),
    )


async def _enter_exclusive(stack: AsyncExitStack, files: FileAccess, database: Path) -> None:
    """Have the file alone until the stack ends; not in a thread, which could not be cancelled."""
    tries = round(EXCLUSIVE_SECONDS / _RETRY_SECONDS)
    while True:
        try:
            stack.enter_context(files.exclusive(database, seconds=0))
            return
        except TransactionError:
            if tries <= 0:
                raise
        tries -= 1
        await asyncio.sleep(_RETRY_SECONDS)
