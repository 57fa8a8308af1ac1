"""Trying the ways back before they are needed: the newest backup is restored, a recovery is run, both into a scratch
folder, and what comes out is compared. The live file is only looked at; the scratch folder goes, whatever happens.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter

import msgspec

from acode_tui.config import Settings, resolve_path
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.progress import Progress, ReportStep
from acode_tui.domain.quantities import counted, number
from acode_tui.files import is_alive, make_private_folder
from acode_tui.ops.backup.restore import restore_backup
from acode_tui.ops.check import check_workspace_file
from acode_tui.ops.recovery.rebuild import ready, rebuild
from acode_tui.ops.recovery.recover import find_workspace
from acode_tui.ops.recovery.team_pool import open_pool
from acode_tui.ops.recovery.validate import compare_sessions, pages
from acode_tui.storage.ports import Check
from acode_tui.storage.sqlite.files.backup_catalog import Backup, read_backups
from acode_tui.storage.sqlite.files.inspect import StandingFile, look_at
from acode_tui.storage.sqlite.files.rebuild import read_counts
from acode_tui.storage.sqlite.runs.checksums import Onlooker, SqliteRowChecksums

_SCRATCH = ".drill-"
_IMMUTABLE = ("session_events", "artifacts")


class Likeness(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What came out beside the live file, in sessions. ``wrong`` counts rows that can never change and yet differ."""

    same: int = 0
    changed: int = 0
    only_live: int = 0
    only_scratch: int = 0
    wrong: int = 0


class Tried(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One way back. ``live`` is None where there was no live file to compare with."""

    ok: bool
    name: str
    created_at: str | None = None
    counts: dict[str, int] = {}
    checks: tuple[Check, ...] = ()
    live: Likeness | None = None


class Drill(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was tried. ``recovery`` is None where no server is enabled. ``ok`` is whether every way tried leads back."""

    ok: bool
    backup: Tried
    recovery: Tried | None
    duration_seconds: float


async def drill(
    root: Path, settings: Settings, *, on_step: ReportStep = lambda _: None, wall: WallClock = system_clock
) -> Drill:
    """Try both ways. Never raises for a way that does not lead back: that is what the answer is for.

    Needs as much room beside the workspace's file as that and the newest backup take. Raises OSError without it.
    """
    started = perf_counter()
    database = settings.persistence.sqlite.resolve(root)
    live = await asyncio.to_thread(look_at, database)
    async with _scratch(database.parent) as scratch:
        backup = await _try_backup(root, settings, live, scratch, on_step, wall)
        recovery = None
        if settings.persistence.postgres.enabled:
            recovery = await _try_recovery(root, settings, live, scratch, on_step, wall)
    tried = [each for each in (backup, recovery) if each is not None]
    return Drill(
        ok=all(each.ok for each in tried),
        backup=backup,
        recovery=recovery,
        duration_seconds=perf_counter() - started,
    )


async def _try_backup(
    root: Path, settings: Settings, live: StandingFile, scratch: Path, on_step: ReportStep, wall: WallClock
) -> Tried:
    folder = resolve_path(root, settings.backup.directory)
    newest = _newest(await asyncio.to_thread(read_backups, folder), live.workspace_id)
    if newest is None:
        return _failed("", "there is no backup yet; make one with `acode-tui db backup`")
    restored = scratch / "restored.db"
    on_step(f"restoring {newest.name}")
    try:
        done = await restore_backup(
            restored, newest, scratch / "backups", now=wall(), keep=1, wait_seconds=0, on_step=on_step
        )
        checks = await _look_over(restored, on_step)
        checks += _counted(newest.counts, await _counts(restored))
        likeness = await _compare(restored, settings.persistence.sqlite.resolve(root), live, on_step)
    except AcodeError as error:
        return _failed(newest.name, str(error), created_at=newest.created_at)
    return _tried(newest.name, done.counts, checks, likeness, live, created_at=newest.created_at)


async def _try_recovery(
    root: Path, settings: Settings, live: StandingFile, scratch: Path, on_step: ReportStep, wall: WallClock
) -> Tried:
    recovered = scratch / "recovered.db"

    def show(progress: Progress) -> None:
        on_step(f"recovering: {number(progress.done)} of {number(progress.total or 0)} {progress.unit}")

    name = "postgres"
    try:
        async with open_pool(settings) as pool:
            on_step("asking the server")
            source = await ready(pool, settings)
            workspace = await find_workspace(source, root, settings, live)
            name = workspace.id
            total = sum((await source.counts(workspace.id)).values())
            locks = scratch / "locks"
            rebuilt = await rebuild(
                pool,
                source,
                settings,
                workspace.id,
                recovered,
                total=total,
                lock_folder=locks,
                on_progress=show,
                wall=wall,
                resumable=False,
            )
        matching = f"all {number(rebuilt.compared)} sessions match the server row by row"
        checks = (Check(name="server", ok=True, description=matching), *await _look_over(recovered, on_step))
        likeness = await _compare(recovered, settings.persistence.sqlite.resolve(root), live, on_step)
    except AcodeError as error:
        return _failed(name, str(error))
    return _tried(name, rebuilt.counts, checks, likeness, live)


def _newest(found: tuple[Sequence[Backup], object], workspace_id: str | None) -> Backup | None:
    """The folder may hold other workspaces' backups; where the file does not say whose it is, any will do."""
    return next((each for each in found[0] if workspace_id in (None, each.workspace_id)), None)


async def _look_over(path: Path, on_step: ReportStep) -> tuple[Check, ...]:
    return await check_workspace_file(
        path, timeout_seconds=60, deep=True, on_step=lambda question: on_step(f"checking: {question}")
    )


async def _counts(path: Path) -> dict[str, int]:
    return await Onlooker(path, seconds=60).run(read_counts)


def _counted(promised: dict[str, int], found: dict[str, int]) -> tuple[Check, ...]:
    wrong = [
        f"{name} {number(found.get(name, 0))} instead of {number(count)}"
        for name, count in promised.items()
        if found.get(name, 0) != count
    ]
    description = "; ".join(wrong) or f"{number(sum(promised.values()))} rows, as the manifest says"
    return (Check(name="counts", ok=not wrong, description=description),)


async def _compare(scratch: Path, database: Path, live: StandingFile, on_step: ReportStep) -> Likeness | None:
    """Session by session. The live file has gone on since; but what can never change must be the same."""
    if not live.is_sound:
        return None
    came_out = SqliteRowChecksums(Onlooker(scratch, seconds=60))
    present = SqliteRowChecksums(Onlooker(database, seconds=60))
    same = changed = only_live = only_scratch = wrong = 0
    async for ids in pages(came_out, present):
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
        on_step(f"compared: {number(same + changed + only_live + only_scratch)} sessions")
    return Likeness(same=same, changed=changed, only_live=only_live, only_scratch=only_scratch, wrong=wrong)


def _tried(
    name: str,
    counts: dict[str, int],
    checks: tuple[Check, ...],
    likeness: Likeness | None,
    live: StandingFile,
    *,
    created_at: str | None = None,
) -> Tried:
    if likeness is None:
        checks += (Check(name="live file", ok=True, description=f"not compared: {live.reason}"),)
    else:
        description = (
            f"{counted(likeness.same, 'session')} the same, {number(likeness.changed)} changed since, "
            f"{number(likeness.only_live)} new"
        )
        if likeness.wrong:
            description = f"{number(likeness.wrong)} events or artifacts differ, which never change"
        checks += (Check(name="live file", ok=not likeness.wrong, description=description),)
    return Tried(
        ok=all(each.ok for each in checks),
        name=name,
        created_at=created_at,
        counts=counts,
        checks=checks,
        live=likeness,
    )


def _failed(name: str, why: str, *, created_at: str | None = None) -> Tried:
    return Tried(
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
