"""Filling a new workspace file from the team's database, and proving that it holds what that one does.

Other machines may send meanwhile. So what differs is pulled once more and looked at again, before it counts as wrong.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from acode_tui.config import Settings
from acode_tui.domain.clock import WallClock, format_time
from acode_tui.domain.errors import DatabaseConnectionError, IntegrityError, RecoveryError
from acode_tui.domain.progress import ReportProgress, progress_after
from acode_tui.domain.quantities import number
from acode_tui.ops.recovery.validate import Mismatch, compare, compare_sessions
from acode_tui.storage.ports import PullCursor, RowChecksumReader
from acode_tui.storage.sqlite.files.paths import remove_database
from acode_tui.storage.sqlite.files.rebuild import Building, open_building
from acode_tui.storage.sqlite.runs.checksums import SqliteRowChecksums

if TYPE_CHECKING:
    from acode_tui.storage.postgres.connection import ReadPool
    from acode_tui.storage.postgres.recovery_source import RecoverySource

SESSIONS_AT_ONCE = 500
LOOKS = 5
"""How often rows that differ are looked at again before they count as damaged."""


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
    """Rows a table, settled conflicts, and how many sessions were compared with the server and found the same."""

    counts: dict[str, int]
    conflicts: int
    compared: int


async def ready(pool: "ReadPool", settings: Settings) -> "RecoverySource":
    """The server, once it answers and its schema fits. Raises AcodeError."""
    from acode_tui.storage.postgres.recovery_source import RecoverySource

    source = RecoverySource(pool, schema=settings.persistence.postgres.schema)
    await source.require_schema()
    return source


async def rebuild(
    pool: "ReadPool",
    source: "RecoverySource",
    settings: Settings,
    workspace_id: str,
    path: Path,
    *,
    total: int,
    lock_folder: Path,
    on_progress: ReportProgress | None,
    wall: WallClock,
    resumable: bool,
) -> Rebuilt:
    """Make a whole, closed, compared file at ``path``; one that is broken off is removed.

    Progress is in rows while the server is read, then in sessions while both sides are compared.


    ``resumable``: it stays where it is only that the server did not answer, and the next run goes on from there.
    """
    from acode_tui.storage.postgres.compare import PostgresRowChecksums

    building: Building | None = None
    try:
        building = await _begun(source, workspace_id, path, lock_folder, wall)
        conflicts = await fill(source, building, workspace_id, total=total, on_progress=on_progress)
        team = PostgresRowChecksums(pool, schema=settings.persistence.postgres.schema, workspace_id=workspace_id)
        compared = await verified(source, building, team, workspace_id, on_progress=on_progress)
        rebuilt = Rebuilt(await building.counts(), conflicts, compared)
        await building.finish(synced_at=format_time(wall()))
    except BaseException as error:
        if building is not None:
            await building.abandon()
        if resumable and building is not None and isinstance(error, DatabaseConnectionError):
            hint = f"{error.hint}; the workspace is as it was, and what was read is kept: run it again to go on"
            raise DatabaseConnectionError(error.message, hint=hint.lstrip("; ")) from error
        await asyncio.to_thread(remove_database, path)
        raise
    return rebuilt


async def _begun(
    source: "RecoverySource", workspace_id: str, path: Path, lock_folder: Path, wall: WallClock
) -> Building:
    """A build that an earlier run left, if it is of the same life of the server; else a new one."""
    building = await open_building(path, workspace_id=workspace_id, lock_folder=lock_folder, wall=wall)
    mark, head = await building.mark(), await source.head(workspace_id)
    if mark is None:
        return building
    if head is not None and head.incarnation == mark.incarnation and head.change_seq >= mark.change_seq:
        return building
    await building.abandon()
    await asyncio.to_thread(remove_database, path)
    return await open_building(path, workspace_id=workspace_id, lock_folder=lock_folder, wall=wall)


async def fill(
    source: "RecoverySource",
    building: Building,
    workspace_id: str,
    *,
    total: int,
    on_progress: ReportProgress | None = None,
) -> int:
    """Everything that the server has of the workspace; answers how many settled conflicts are among it.

    Goes on where an earlier run stopped. Raises RecoveryError where the server began another life meanwhile.
    """
    counter = _Counter("rows", total, on_progress)
    already = sum((await building.counts()).values())
    done = await _pull(source, building, workspace_id, already, counter.show)
    await _fill_shared(source, building, workspace_id, done, counter.show)
    conflicts, last = 0, None
    while page := await source.conflicts(workspace_id, after=last):
        await building.adopt_conflicts(page)
        conflicts, last = conflicts + len(page), page[-1]
    return conflicts


async def verified(
    source: "RecoverySource",
    building: Building,
    team: RowChecksumReader,
    workspace_id: str,
    *,
    on_progress: ReportProgress | None = None,
) -> int:
    """How many sessions were compared, every row of them the same on both sides. Raises IntegrityError."""
    local = SqliteRowChecksums(building.readers)
    counter = _Counter("sessions", (await building.counts())["sessions"], on_progress)
    found = await compare(local, team, on_progress=lambda progress: counter.show(progress.done))
    mismatched: Sequence[Mismatch] = found.mismatched
    for _ in range(LOOKS):
        if not mismatched:
            return found.compared
        await _pull(source, building, workspace_id)
        sessions = sorted({each.session_id for each in mismatched})
        await _adopt_sessions(source, building, sessions)
        mismatched = [
            each
            for start in range(0, len(sessions), SESSIONS_AT_ONCE)
            for each in await compare_sessions(local, team, sessions[start : start + SESSIONS_AT_ONCE])
        ]
    if not mismatched:
        return found.compared
    first = mismatched[0]
    raise IntegrityError(
        f"{number(len(mismatched))} recovered rows differ from the team's database, first {first.table} {first.id}",
        hint="the workspace is as it was; try again, or restore a backup",
    )


async def _pull(
    source: "RecoverySource",
    building: Building,
    workspace_id: str,
    done: int = 0,
    show: Callable[[int], None] = lambda _: None,
) -> int:
    """Rows after the mark, page by page; the next page is on its way while one is written."""
    mark = await building.mark()
    if mark is None:
        head = await source.head(workspace_id)
        if head is None:
            raise _gone()
        mark = PullCursor(change_seq=0, incarnation=head.incarnation)
    coming = asyncio.ensure_future(source.page(workspace_id, mark.change_seq))
    try:
        while True:
            page = await coming
            if page is None or page.head.incarnation != mark.incarnation or page.head.change_seq < mark.change_seq:
                raise _gone()
            mark = PullCursor(change_seq=page.upto, incarnation=mark.incarnation)
            is_last = page.upto >= page.head.change_seq
            if not is_last:
                coming = asyncio.ensure_future(source.page(workspace_id, mark.change_seq))
            done += await building.adopt(page.rows, mark)
            show(done)
            if is_last:
                return done
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def _fill_shared(
    source: "RecoverySource", building: Building, workspace_id: str, done: int, show: Callable[[int], None]
) -> None:
    """The rows of this workspace's sessions that another workspace was first to send, such as a transcript's that was
    imported on two machines: they were here as well, and a run is whole or of no use."""
    await _adopt_sessions(source, building, await source.sent_elsewhere(workspace_id))
    local, after = SqliteRowChecksums(building.readers), ""
    while ids := await local.session_ids(after=after, limit=SESSIONS_AT_ONCE):
        done += await _adopt_sessions(source, building, await source.shared(workspace_id, ids))
        show(done)
        after = ids[-1]


async def _adopt_sessions(source: "RecoverySource", building: Building, session_ids: Sequence[str]) -> int:
    written = 0
    for session_id in session_ids:
        async for part in source.session_rows(session_id):
            written += await building.adopt(part)
    return written


def _gone() -> RecoveryError:
    return RecoveryError(
        "the team's database was reset or restored while it was read", hint="nothing was changed; try again"
    )
