"""``db server prune``: removes from the team's database what is older than an age.

That is the ledger's rows and, where the operator says so, whole sessions: archived to a file before, or dropped. Rows
go in groups, each in one short transaction. An interruption leaves every group whole, and the next pruning goes on.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter

import msgspec

from acode_tui.domain.errors import ValidationError
from acode_tui.domain.progress import Progress, ReportProgress, ReportStep
from acode_tui.domain.schema import TABLES
from acode_tui.logs import get_logger
from acode_tui.ops.export.export import Origin, ReportExport, export_runs
from acode_tui.storage.group_size import GroupSize
from acode_tui.storage.ports import RunFiles
from acode_tui.storage.server_ports import OldSession, OpenRetention, PruneBounds, TeamRetention
from acode_tui.version import VERSION

HORIZON = timedelta(days=30)
"""How long a laptop may be away and still send again what it sent last. Nothing younger is removed."""

_PAGE = 500
"""Sessions that are listed at once."""

log = get_logger("acode_tui.ops")


class PruneRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to remove. Sessions go only with ``archive``, the file that holds them then, or with ``drop``."""

    older_than: timedelta
    archive: Path | None = None
    drop: bool = False
    dry_run: bool = False


class PruneReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was removed, or would be. ``rows`` are those of the sessions, by table.

    ``ledger_kept`` are old rows of the ledger that stay because a laptop may need them.
    """

    cutoff: datetime
    dry_run: bool
    ledger_rows: int
    ledger_kept: int
    sessions: int
    rows: dict[str, int]
    archive: str | None
    duration_seconds: float


async def prune(
    open_retention: OpenRetention,
    run_files: RunFiles,
    request: PruneRequest,
    *,
    on_step: ReportStep,
    on_progress: ReportProgress,
    on_archive: ReportExport | None = None,
) -> PruneReport:
    """Remove what is older than the age. Ages are of the server's clock.

    Raises ValidationError for an age within the horizon; SyncError where this login may not delete; ExportError and
    OSError where the archive cannot be written: no session is removed then.
    """
    if request.older_than < HORIZON:
        raise ValidationError(
            "--older-than",
            f"must be at least {HORIZON.days} days",
            hint="a laptop that was away for as long may still send again what the server has",
        )
    started = perf_counter()
    async with open_retention() as team:
        now = await team.start(need_rights=not request.dry_run)
        bounds = PruneBounds(cutoff=now - request.older_than, horizon=now - HORIZON)
        removal = _Removal(team, bounds, on_progress)
        archived = None
        if request.archive is not None and not request.dry_run:
            on_step("archive")
            archived = await _archive(team, run_files, request.archive, bounds, now, on_archive)
        if not request.dry_run:
            removal.prune_id = await team.begin(bounds.cutoff, str(request.archive) if archived else None)
        if request.archive is not None or request.drop:
            on_step("sessions")
            await removal.remove_sessions(archived)
        on_step("ledger")
        await removal.remove_ledger()
        if removal.prune_id is not None:
            await team.end(removal.prune_id)
    seconds = perf_counter() - started
    report = PruneReport(
        cutoff=bounds.cutoff,
        dry_run=request.dry_run,
        ledger_rows=removal.ledger_rows,
        ledger_kept=removal.ledger_kept,
        sessions=removal.rows["sessions"],
        rows={table.name: removal.rows[table.name] for table in TABLES.values()},
        archive=str(request.archive) if archived else None,
        duration_seconds=seconds,
    )
    if not request.dry_run:
        log.info("pruned", database="postgres", rows=report.ledger_rows, sessions=report.sessions)
    return report


async def _archive(
    team: TeamRetention,
    run_files: RunFiles,
    path: Path,
    bounds: PruneBounds,
    now: datetime,
    on_archive: ReportExport | None,
) -> list[str]:
    """Write every old session into one export; returns their ids. Without any, no file is made.

    A session that changes afterwards has a row that is younger than the horizon, so it is not removed.
    """
    sessions = [each.id async for page in _old_sessions(team, bounds) for each in page]
    if sessions:
        await export_runs(
            team.run_rows(),
            run_files,
            "json",
            path,
            origin=Origin(workspace_id="", schema_version=None, program_version=VERSION),
            sessions=sessions,
            # The team's database has what its members sent, and nothing else is hidden from its operator.
            redaction=None,
            now=now,
            progress=on_archive,
        )
    return sessions


async def _old_sessions(team: TeamRetention, bounds: PruneBounds) -> AsyncIterator[Sequence[OldSession]]:
    after: OldSession | None = None
    while page := await team.old_sessions(bounds, after=after, limit=_PAGE):
        yield page
        after = page[-1]


class _Removal:
    """What one pruning removes and counts. It only counts without a ``prune_id``."""

    def __init__(self, team: TeamRetention, bounds: PruneBounds, on_progress: ReportProgress) -> None:
        self._team = team
        self._bounds = bounds
        self._on_progress = on_progress
        self.prune_id: str | None = None
        self.ledger_rows = self.ledger_kept = 0
        self.rows: Counter[str] = Counter()

    async def remove_sessions(self, archived: Sequence[str] | None) -> None:
        """Remove the sessions that are archived, or all old ones."""
        size = GroupSize(20, _PAGE)
        if archived is not None:
            await self._remove_groups(archived, size, len(archived))
            return
        async for page in _old_sessions(self._team, self._bounds):
            await self._remove_groups([each.id for each in page], size, None)

    async def _remove_groups(self, ids: Sequence[str], size: GroupSize, total: int | None) -> None:
        done = 0
        while done < len(ids):
            group = ids[done : done + size.size]
            started = perf_counter()
            if self.prune_id is None:
                removed = await self._team.count_rows(group)
            else:
                removed = await self._team.prune_sessions(self.prune_id, self._bounds, group)
            size.took(perf_counter() - started)
            self.rows.update(removed)
            done += len(group)
            self._on_progress(Progress(self.rows["sessions"], total, "sessions"))

    async def remove_ledger(self) -> None:
        """Remove old rows from the ledger, part by part. Rows that come meanwhile are not old."""
        async for part in self._team.prune_ledger(self.prune_id, self._bounds):
            self.ledger_rows += part.pruned
            self.ledger_kept += part.kept
            self._on_progress(part.progress)
