"""Filling a new workspace file from the team's database, and proving that it holds what that one does.

Other machines may send meanwhile. So what differs is pulled and compared again before it counts as wrong.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import msgspec

from acode_tui.domain.clock import WallClock, format_time
from acode_tui.domain.errors import DatabaseConnectionError, IntegrityError, RecoveryError
from acode_tui.domain.incoming import MAX_NUMBER
from acode_tui.domain.progress import ReportProgress, progress_after
from acode_tui.domain.quantities import number
from acode_tui.ops.recovery.validate import Mismatch, compare, compare_sessions
from acode_tui.storage.delivery_protocol import exhausted_fault
from acode_tui.storage.ports import FileRebuild, FileRebuilding, PullCursor, RowChecksumReader, TeamSource

SESSIONS_AT_ONCE = 500
COMPARISONS = 5
"""How often rows that differ are compared again before they count as damaged."""


class _Counter:
    """Reports how far a part of the rebuild is."""

    def __init__(self, unit: str, total: int, report: ReportProgress | None) -> None:
        self._unit = unit
        self._total = total
        self._report = report
        self._started = perf_counter()

    def show(self, done: int) -> None:
        if self._report is not None:
            self._report(progress_after(perf_counter() - self._started, done, self._total, self._unit))


class Rebuilt(msgspec.Struct, frozen=True):
    """Rows by table, settled conflicts, how many sessions were compared with the server and found the same, and how
    many rows of it are kept aside because they are not valid.
    """

    counts: dict[str, int]
    conflicts: int
    compared: int
    quarantined: int


async def rebuild(
    files: FileRebuilding,
    team: TeamSource,
    workspace_id: str,
    path: Path,
    *,
    total: int,
    lock_folder: Path,
    on_progress: ReportProgress | None,
    wall: WallClock,
    resumable: bool,
) -> Rebuilt:
    """Make a whole, closed, compared file at ``path``; a rebuild that fails is removed.

    Progress is in rows while the server is read, then in sessions while both sides are compared. A ``resumable``
    rebuild stays where the server stopped answering, and the next run continues it. Raises AcodeError.
    """
    file: FileRebuild | None = None
    try:
        file = await _open(files, team, workspace_id, path, lock_folder, wall)
        conflicts = await fill(team, file, workspace_id, total=total, on_progress=on_progress)
        compared = await verify(team, file, team.row_checksums(workspace_id), workspace_id, on_progress=on_progress)
        rebuilt = Rebuilt(await file.counts(), conflicts, compared, len(await file.kept_aside()))
        await file.finish(synced_at=format_time(wall()))
    except BaseException as error:
        if file is not None:
            await file.abandon()
        if resumable and file is not None and isinstance(error, DatabaseConnectionError):
            hint = f"{error.hint}; the workspace is as it was, and what was read is kept: run it again to go on"
            raise DatabaseConnectionError(error.message, hint=hint.lstrip("; ")) from error
        await asyncio.to_thread(files.remove, path)
        raise
    return rebuilt


async def _open(
    files: FileRebuilding, team: TeamSource, workspace_id: str, path: Path, lock_folder: Path, wall: WallClock
) -> FileRebuild:
    """A rebuild that an earlier run left, if the server is still the same incarnation; else a new one."""
    file = await files.open_rebuild(path, workspace_id=workspace_id, lock_folder=lock_folder, wall=wall)
    cursor, head = await file.cursor(), await team.head(workspace_id)
    if cursor is None:
        return file
    if head is not None and head.incarnation == cursor.incarnation and head.change_seq >= cursor.change_seq:
        return file
    await file.abandon()
    await asyncio.to_thread(files.remove, path)
    return await files.open_rebuild(path, workspace_id=workspace_id, lock_folder=lock_folder, wall=wall)


async def fill(
    team: TeamSource,
    file: FileRebuild,
    workspace_id: str,
    *,
    total: int,
    on_progress: ReportProgress | None = None,
) -> int:
    """Write everything that the server has of the workspace; returns how many settled conflicts are among it.

    Continues where an earlier run stopped. Raises RecoveryError where the server's incarnation changes meanwhile.
    """
    counter = _Counter("rows", total, on_progress)
    already = sum((await file.counts()).values())
    done = await _pull(team, file, workspace_id, already, counter.show)
    await _fill_shared(team, file, workspace_id, done, counter.show)
    conflicts, last = 0, None
    while page := await team.conflicts(workspace_id, after=last):
        await file.adopt_conflicts(page)
        conflicts, last = conflicts + len(page), page[-1]
    return conflicts


async def verify(
    team: TeamSource,
    file: FileRebuild,
    expected: RowChecksumReader,
    workspace_id: str,
    *,
    on_progress: ReportProgress | None = None,
) -> int:
    """How many sessions were compared, every row of them the same on both sides. Raises IntegrityError."""
    local = file.checksums
    counter = _Counter("sessions", (await file.counts())["sessions"], on_progress)
    found = await compare(local, expected, on_progress=lambda progress: counter.show(progress.done))
    mismatched = await _unexpected(file, found.mismatched)
    for _ in range(COMPARISONS):
        if not mismatched:
            return found.compared
        await _pull(team, file, workspace_id)
        sessions = sorted({each.session_id for each in mismatched})
        await _adopt_sessions(team, file, sessions)
        again = [
            each
            for start in range(0, len(sessions), SESSIONS_AT_ONCE)
            for each in await compare_sessions(local, expected, sessions[start : start + SESSIONS_AT_ONCE])
        ]
        mismatched = await _unexpected(file, again)
    if not mismatched:
        return found.compared
    first = mismatched[0]
    raise IntegrityError(
        f"{number(len(mismatched))} recovered rows differ from the team's database, first {first.table} {first.id}",
        hint="the workspace is as it was; try again, or restore a backup",
    )


async def _unexpected(file: FileRebuild, found: Sequence[Mismatch]) -> list[Mismatch]:
    """The rows that differ, without those that are kept aside because they are not valid."""
    aside = await file.kept_aside() if found else set()
    return [each for each in found if (each.table, each.id) not in aside]


async def _pull(
    team: TeamSource,
    file: FileRebuild,
    workspace_id: str,
    done: int = 0,
    show: Callable[[int], None] = lambda _: None,
) -> int:
    """Write the rows after the cursor, page by page; the next page is requested while one is written."""
    cursor = await file.cursor()
    if cursor is None:
        head = await team.head(workspace_id)
        if head is None:
            raise _reset()
        cursor = PullCursor(change_seq=0, incarnation=head.incarnation)
    coming = asyncio.ensure_future(team.page(workspace_id, cursor.change_seq))
    try:
        while True:
            page = await coming
            if page is None or page.head.incarnation != cursor.incarnation or page.head.change_seq < cursor.change_seq:
                raise _reset()
            if page.head.change_seq >= MAX_NUMBER:
                fault = exhausted_fault()
                raise RecoveryError(fault.sentence, hint=fault.hint)
            cursor = PullCursor(change_seq=page.upto, incarnation=cursor.incarnation)
            is_last = page.upto >= page.head.change_seq
            if not is_last:
                coming = asyncio.ensure_future(team.page(workspace_id, cursor.change_seq))
            done += await file.adopt(page.rows, page.rejected, cursor)
            show(done)
            if is_last:
                return done
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def _fill_shared(
    team: TeamSource, file: FileRebuild, workspace_id: str, done: int, show: Callable[[int], None]
) -> None:
    """Write the rows of this workspace's sessions that another workspace sent first, such as those of a transcript that
    was imported on two machines: they were here as well, and a run is whole or of no use."""
    await _adopt_sessions(team, file, await team.sent_elsewhere(workspace_id))
    after = ""
    while ids := await file.checksums.session_ids(after=after, limit=SESSIONS_AT_ONCE):
        done += await _adopt_sessions(team, file, await team.shared(workspace_id, ids))
        show(done)
        after = ids[-1]


async def _adopt_sessions(team: TeamSource, file: FileRebuild, session_ids: Sequence[str]) -> int:
    written = 0
    for session_id in session_ids:
        async for part in team.session_rows(session_id):
            written += await file.adopt(*part)
    return written


def _reset() -> RecoveryError:
    return RecoveryError(
        "the team's database was reset or restored while it was read", hint="nothing was changed; try again"
    )
