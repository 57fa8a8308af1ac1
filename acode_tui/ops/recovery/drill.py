"""``db drill``: trying restore and recovery before they are needed.

The newest backup is restored and a recovery is run, both into a scratch folder, and the results are compared with the
live file, which is only read. The scratch folder is removed in every case.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import msgspec

from acode_tui.config import Settings, resolve_path
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.progress import Progress, ReportStep
from acode_tui.domain.quantities import counted, number
from acode_tui.files import is_alive, make_private_folder
from acode_tui.ops.backup.restore import restore_backup
from acode_tui.ops.check import check_workspace_file
from acode_tui.ops.recovery.rebuild import rebuild
from acode_tui.ops.recovery.recover import find_workspace
from acode_tui.ops.recovery.validate import compare_sessions, session_id_pages
from acode_tui.storage.ports import Backup, BackupStore, Check, DatabaseFiles, Depth, FileReport, OpenTeam

SECONDS = 60.0
"""How long each read of a file may wait for locks."""

_SCRATCH = ".drill-"
_IMMUTABLE = ("session_events", "artifacts")


class Comparison(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The result beside the live file, in sessions. ``wrong`` counts rows that can never change and yet differ."""

    same: int = 0
    changed: int = 0
    only_live: int = 0
    only_scratch: int = 0
    wrong: int = 0


class Attempt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One way of recovery. ``live`` is None where there was no live file to compare with."""

    ok: bool
    name: str
    created_at: str | None = None
    counts: dict[str, int] = {}
    checks: tuple[Check, ...] = ()
    live: Comparison | None = None


class Drill(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Both attempts. ``recovery`` is None where no server is enabled; ``ok`` says whether every attempt succeeded."""

    ok: bool
    backup: Attempt
    recovery: Attempt | None
    duration_seconds: float


class _DrillSetup(NamedTuple):
    """What both attempts work with; ``live`` is the report of the workspace file, ``scratch`` a folder to fill."""

    files: DatabaseFiles
    backups: BackupStore
    root: Path
    settings: Settings
    live: FileReport
    scratch: Path
    on_step: ReportStep
    wall: WallClock

    @property
    def database(self) -> Path:
        """The workspace file."""
        return self.settings.persistence.sqlite.resolve(self.root)


async def drill(
    files: DatabaseFiles,
    backups: BackupStore,
    open_team: OpenTeam,
    root: Path,
    settings: Settings,
    *,
    on_step: ReportStep = lambda _: None,
    wall: WallClock = system_clock,
) -> Drill:
    """Try a restore and a recovery. An attempt that fails is part of the result and raises nothing.

    Needs as much room beside the workspace's file as that and the newest backup take. Raises OSError without it.
    """
    started = perf_counter()
    database = settings.persistence.sqlite.resolve(root)
    live = await asyncio.to_thread(files.inspect, database, Depth.CONTENT)
    async with _scratch(database.parent) as scratch:
        setup = _DrillSetup(files, backups, root, settings, live, scratch, on_step, wall)
        backup = await _try_backup(setup)
        recovery = await _try_recovery(setup, open_team) if settings.persistence.postgres.enabled else None
    tried = [each for each in (backup, recovery) if each is not None]
    return Drill(
        ok=all(each.ok for each in tried),
        backup=backup,
        recovery=recovery,
        duration_seconds=perf_counter() - started,
    )


async def _try_backup(setup: _DrillSetup) -> Attempt:
    folder = resolve_path(setup.root, setup.settings.backup.directory)
    newest = _newest(await asyncio.to_thread(setup.backups.list, folder), setup.live.workspace_id)
    if newest is None:
        return _failed("", "there is no backup yet; make one with `acode-tui db backup`")
    restored = setup.scratch / "restored.db"
    setup.on_step(f"restoring {newest.name}")
    try:
        done = await restore_backup(
            setup.files,
            setup.backups,
            restored,
            newest,
            setup.scratch / "backups",
            now=setup.wall(),
            keep=1,
            wait_seconds=0,
            on_step=setup.on_step,
        )
        checks = await _check(setup, restored)
        counts = await asyncio.to_thread(setup.files.row_counts, restored, seconds=SECONDS)
        checks += _check_counts(newest.counts, counts)
        comparison = await _compare(setup, restored)
    except AcodeError as error:
        return _failed(newest.name, str(error), created_at=newest.created_at)
    return _attempt(newest.name, done.counts, checks, comparison, setup.live, created_at=newest.created_at)


async def _try_recovery(setup: _DrillSetup, open_team: OpenTeam) -> Attempt:
    recovered = setup.scratch / "recovered.db"

    def show(progress: Progress) -> None:
        setup.on_step(f"recovering: {number(progress.done)} of {number(progress.total or 0)} {progress.unit}")

    name = "postgres"
    try:
        async with open_team() as team:
            setup.on_step("asking the server")
            await team.require_schema()
            workspace = await find_workspace(team, setup.backups, setup.root, setup.settings, setup.live)
            name = workspace.id
            total = sum((await team.counts(workspace.id)).values())
            rebuilt = await rebuild(
                setup.files,
                team,
                workspace.id,
                recovered,
                total=total,
                lock_folder=setup.scratch / "locks",
                on_progress=show,
                wall=setup.wall,
                resumable=False,
            )
        matching = f"all {number(rebuilt.compared)} sessions match the server row by row"
        checks = (Check(name="server", ok=True, description=matching), *await _check(setup, recovered))
        comparison = await _compare(setup, recovered)
    except AcodeError as error:
        return _failed(name, str(error))
    return _attempt(name, rebuilt.counts, checks, comparison, setup.live)


def _newest(found: tuple[Sequence[Backup], object], workspace_id: str | None) -> Backup | None:
    """The folder may hold other workspaces' backups; where the file names no workspace, any of them will do."""
    return next((each for each in found[0] if workspace_id in (None, each.workspace_id)), None)


async def _check(setup: _DrillSetup, path: Path) -> tuple[Check, ...]:
    return await check_workspace_file(
        setup.files,
        path,
        timeout_seconds=SECONDS,
        deep=True,
        on_step=lambda name: setup.on_step(f"checking: {name}"),
    )


def _check_counts(promised: dict[str, int], found: dict[str, int]) -> tuple[Check, ...]:
    wrong = [
        f"{name} {number(found.get(name, 0))} instead of {number(count)}"
        for name, count in promised.items()
        if found.get(name, 0) != count
    ]
    description = "; ".join(wrong) or f"{number(sum(promised.values()))} rows, as the manifest says"
    return (Check(name="counts", ok=not wrong, description=description),)


async def _compare(setup: _DrillSetup, result: Path) -> Comparison | None:
    """Compare session by session. The live file may have changed since; rows that can never change must be the same."""
    if not setup.live.is_sound:
        return None
    came_out = setup.files.row_checksums(result, seconds=SECONDS)
    present = setup.files.row_checksums(setup.database, seconds=SECONDS)
    same = changed = only_live = only_scratch = wrong = 0
    async for ids in session_id_pages(came_out, present):
        found: dict[str, set[str]] = {each: set() for each in ids}
        for row in await compare_sessions(came_out, present, ids):
            if row.table == "sessions" and row.finding != "differs":
                found[row.session_id].add(row.finding)
            else:
                found[row.session_id].add("differs")
            wrong += row.finding == "differs" and row.table in _IMMUTABLE
        only_live += sum("missing in sqlite" in each for each in found.values())
        only_scratch += sum("missing in postgres" in each for each in found.values())
        changed += sum(each == {"differs"} for each in found.values())
        same += sum(not each for each in found.values())
        setup.on_step(f"compared: {number(same + changed + only_live + only_scratch)} sessions")
    return Comparison(same=same, changed=changed, only_live=only_live, only_scratch=only_scratch, wrong=wrong)


def _attempt(
    name: str,
    counts: dict[str, int],
    checks: tuple[Check, ...],
    comparison: Comparison | None,
    live: FileReport,
    *,
    created_at: str | None = None,
) -> Attempt:
    if comparison is None:
        checks += (Check(name="live file", ok=True, description=f"not compared: {live.reason}"),)
    else:
        description = (
            f"{counted(comparison.same, 'session')} the same, {number(comparison.changed)} changed since, "
            f"{number(comparison.only_live)} new"
        )
        if comparison.wrong:
            description = f"{number(comparison.wrong)} events or artifacts differ, which never change"
        checks += (Check(name="live file", ok=not comparison.wrong, description=description),)
    return Attempt(
        ok=all(each.ok for each in checks),
        name=name,
        created_at=created_at,
        counts=counts,
        checks=checks,
        live=comparison,
    )


def _failed(name: str, why: str, *, created_at: str | None = None) -> Attempt:
    return Attempt(
        ok=False, name=name, created_at=created_at, checks=(Check(name="way back", ok=False, description=why),)
    )


@asynccontextmanager
async def _scratch(beside: Path) -> AsyncIterator[Path]:
    """A private folder on the disk where a restore would be; those of drills that were killed go first."""
    was_there = beside.is_dir()
    await asyncio.to_thread(make_private_folder, beside)
    await asyncio.to_thread(_sweep, beside)
    folder = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-", dir=beside))
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        if not was_there:
            with suppress(OSError):
                beside.rmdir()


def _sweep(beside: Path) -> None:
    for left in beside.glob(f"{_SCRATCH}*"):
        pid = left.name.removeprefix(_SCRATCH).partition("-")[0]
        if pid.isdigit() and not is_alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
