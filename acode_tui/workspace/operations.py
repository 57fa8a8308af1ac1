"""The operations of an open workspace beside its store: backup, export, import, checks, comparison with the team.

Each imports what it needs when it is called, so that opening a workspace costs none of it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from acode_tui.config import Settings
from acode_tui.domain.clock import WallClock
from acode_tui.domain.progress import ReportProgress
from acode_tui.storage.ports import Backup, Check, IncompleteBackup, RunStateReader, SearchPage, TierMigrations

if TYPE_CHECKING:
    from acode_tui.ops.export.export import ExportFormat, ExportReport, ExportRequest, ReportExport
    from acode_tui.ops.export.import_ import ImportedRuns
    from acode_tui.ops.health import HealthReport, HealthWatch, TargetStatus
    from acode_tui.ops.recovery.validate import Validation
    from acode_tui.ops.stats.rates import PriceList
    from acode_tui.ops.stats.report import Stats
    from acode_tui.storage.postgres.connection import ReadPool
    from acode_tui.storage.sqlite.readers import Readers
    from acode_tui.storage.sqlite.runs.store import SqliteRunStateStore
    from acode_tui.storage.sqlite.search.index import SqliteSearchIndex
    from acode_tui.storage.sqlite.writer import Writer
    from acode_tui.sync.worker import SyncWorker
    from acode_tui.workspace.maintenance import Maintenance
    from acode_tui.workspace.outgoing import OutgoingRedaction


class Operations:
    """The part of ``Workspace`` that rests on ``ops``."""

    root: Path
    agent_dir: Path
    settings: Settings
    workspace_id: str
    database_path: Path
    migrated: TierMigrations
    wall: WallClock
    store: "SqliteRunStateStore"
    sync: "SyncWorker"
    outgoing: "OutgoingRedaction"
    _writer: "Writer"
    _readers: "Readers"
    index: "SqliteSearchIndex"
    _health: "HealthWatch | None" = None
    _prices: "PriceList | None" = None
    _priced_at: int | None = None
    """The version of the data for which every run had its cost."""

    if TYPE_CHECKING:

        async def data_version(self) -> int:
            """Defined by ``Workspace``."""
            ...

    def local_wall(self) -> datetime:
        """The time in the machine's time zone: a date in a query is a day there."""
        return self.wall().astimezone()

    async def repair_clock(self) -> timedelta | None:
        """Bring new stamps back where the workspace's clock is ahead of this machine's and the reachable server's.

        Returns by how much it was ahead; None if it was not. No stored stamp changes.
        """
        from acode_tui.storage.sqlite.sync.clock_repair import repair_clock

        offset = (await self.sync.probe()).clock_offset_ms or 0.0
        now = self.wall()
        server_time = now + timedelta(milliseconds=offset)
        return await self._writer.run(
            lambda connection: repair_clock(connection, self._writer.clock, now=now, server_time=server_time)
        )

    @asynccontextmanager
    async def open_team(self) -> AsyncIterator[RunStateReader]:
        """The whole team's runs, read from PostgreSQL. Raises SyncError where it is not enabled or misconfigured."""
        from acode_tui.storage.postgres.run_state_reader import PostgresRunStateReader

        async with self._team_pool(reads=True) as pool:
            yield PostgresRunStateReader(pool, schema=self.settings.persistence.postgres.schema, wall=self.local_wall)

    async def search_team(self, query: str, *, limit: int = 50, after: str | None = None) -> SearchPage:
        """The places in the whole team's runs that a query finds; see ``Workspace.search``.

        A page may have fewer hits than ``limit`` and yet a cursor, where matches are far between. Raises
        ValidationError, SyncError where PostgreSQL is not enabled, and SchemaMismatchError.
        """
        from acode_tui.storage.postgres.search import PostgresRunSearch

        async with self._team_pool(reads=True) as pool:
            schema = self.settings.persistence.postgres.schema
            return await PostgresRunSearch(pool, schema=schema, wall=self.local_wall).search(
                query, limit=limit, after=after
            )

    async def stats(self, query: str = "", by: str = "day", *, progress: ReportProgress | None = None) -> "Stats":
        """What this workspace's runs used and cost, by ``day``, ``model``, ``agent``, ``project`` or ``tool``.

        ``query`` chooses the runs, ``since:`` and ``before:`` in it whole days in UTC (docs/stats.md). ``progress``
        receives rows where many were not counted yet. Raises ValidationError, IntegrityError where the search index is
        missing or damaged.
        """
        from acode_tui.ops.stats.report import read_stats
        from acode_tui.storage.sqlite.sessions.run_figures import SqliteRunFigures

        await self.index.catch_up(progress)
        figures = SqliteRunFigures(self._readers, index=self.index, wall=self.wall)
        return await read_stats(figures, self._price_list(), query, by)

    async def stats_team(self, query: str = "", by: str = "day") -> "Stats":
        """The same of the whole team's runs, read from PostgreSQL.

        Raises ValidationError, also where the query finds very many runs, and SyncError where it is not enabled.
        """
        from acode_tui.ops.stats.report import read_stats
        from acode_tui.storage.postgres.run_figures import PostgresRunFigures

        async with self._team_pool(reads=True) as pool:
            figures = PostgresRunFigures(pool, schema=self.settings.persistence.postgres.schema, wall=self.wall)
            return await read_stats(figures, self._price_list(), query, by)

    async def costs(self, session_ids: Sequence[str]) -> dict[str, float | None]:
        """What each of these runs of this workspace cost in US dollars, as far as it is counted and priced.

        None for a run none of whose usage has a known price. A run without usage is left out.
        """
        from acode_tui.ops.stats.rates import total_cost
        from acode_tui.storage.sqlite.sessions.run_figures import SqliteRunFigures

        usage = await SqliteRunFigures(self._readers, index=self.index).usage_of(session_ids)
        rates = await self._price_list().rates({each.model for of_run in usage.values() for each in of_run})
        return {session: total_cost(of_run, rates) for session, of_run in usage.items()}

    async def _price_runs(self) -> None:
        """See to it that every run has its cost by the prices of now, for the order by cost."""
        version = await self.data_version()
        if version == self._priced_at:
            return
        from acode_tui.ops.stats.rates import price_rows
        from acode_tui.storage.sqlite.sessions.run_figures import SqliteRunFigures

        models = await SqliteRunFigures(self._readers, index=self.index).models()
        rates = await self._price_list().rates(models)
        asked = [model for model in models if model in rates]
        await self.index.price(asked, price_rows(asked, rates))
        if len(asked) == len([model for model in models if model]):
            self._priced_at = version

    def _price_list(self) -> "PriceList":
        from acode_tui.ops.stats.rates import PriceList

        if self._prices is None:
            self._prices = PriceList()
        return self._prices

    async def validate(self, *, progress: ReportProgress | None = None) -> "Validation":
        """Compare every row here with the team's database. Raises SyncError where that is not enabled."""
        from acode_tui.ops.recovery.validate import compare
        from acode_tui.storage.postgres.team import PostgresTeam
        from acode_tui.storage.sqlite.runs.checksums import SqliteRowChecksums

        async with self._team_pool() as pool:
            team = PostgresTeam(pool, schema=self.settings.persistence.postgres.schema, limits=self.settings.limits)
            sent = SqliteRowChecksums(self._readers, redact=self.outgoing)
            plain = SqliteRowChecksums(self._readers)
            return await compare(
                sent,
                team.row_checksums(self.workspace_id),
                also=plain,
                pruned_among=team.pruned_among,
                on_progress=progress,
            )

    @asynccontextmanager
    async def _team_pool(self, *, reads: bool = False) -> "AsyncIterator[ReadPool]":
        """Connections to the primary; ``reads``: to the replica, if the settings name one. Raises SyncError."""
        target = self.sync.require_target()
        # Here, not above: a process that stays local need not load any of it.
        from acode_tui.workspace.team import open_pool, read_address

        if reads:
            target = read_address(self.settings.persistence.postgres, target)
        async with open_pool(target, self.settings.persistence.postgres) as pool:
            yield pool

    @property
    def _maintenance(self) -> "Maintenance":
        from acode_tui.workspace.maintenance import Maintenance

        return Maintenance(self.root, self.settings, wall=self.wall)

    async def backup(self, *, progress: ReportProgress | None = None) -> Backup:
        """Copy the workspace file while writers go on; older copies beyond ``backup.max_backups`` go."""
        return await self._maintenance.create_backup(on_progress=progress, expect_content=True)

    async def backups(self) -> tuple[tuple[Backup, ...], tuple[IncompleteBackup, ...]]:
        """The backups, newest first, and what only looks like one."""
        return await asyncio.to_thread(self._maintenance.list_backups)

    async def verify_backup(self, backup: Backup) -> tuple[Check, ...]:
        """The findings of a backup's checks: manifest, size, hash and integrity."""
        return await self._maintenance.verify_backup(backup)

    async def export(self, request: "ExportRequest", *, progress: "ReportExport | None" = None) -> "ExportReport":
        """Write runs to a file; see ``ops.export``. Raises AcodeError, OSError; nothing is left behind then."""
        from acode_tui.ops.export.export import run_export
        from acode_tui.storage.sqlite.runs.run_files import SqliteRunFiles
        from acode_tui.storage.sqlite.runs.stream import open_run_rows

        seconds = self.settings.persistence.sqlite.timeout_seconds
        async with open_run_rows(self.database_path, timeout_seconds=seconds) as runs:
            return await run_export(
                request,
                runs,
                self.store,
                SqliteRunFiles(),
                agent_dir=self.agent_dir,
                workspace_id=self.workspace_id,
                schema_version=self.migrated.to_version,
                settings=self.settings.export,
                now=self.wall(),
                progress=progress,
            )

    async def import_export(
        self,
        path: Path,
        *,
        force: bool = False,
        dry_run: bool = False,
        progress: "ReportExport | None" = None,
    ) -> "ImportedRuns":
        """Bring the runs of an export in; see ``ops.export.import_``. Raises ExportError, OSError."""
        from acode_tui.ops.export.import_ import import_export
        from acode_tui.storage.sqlite.runs.run_files import SqliteRunFiles
        from acode_tui.storage.sqlite.runs.save_graph import SqliteRunImport

        return await import_export(
            path,
            SqliteRunImport(self._writer),
            SqliteRunFiles(),
            limits=self.settings.limits,
            syncs=self.settings.persistence.postgres.enabled,
            force=force,
            dry_run=dry_run,
            progress=progress,
        )

    async def export_session(
        self,
        session_id: str,
        format: "ExportFormat",
        path: Path | None = None,
        *,
        progress: "ReportExport | None" = None,
    ) -> "ExportReport":
        """One run, redacted as configured; without a path, under a new name in ``.agent/exports``.

        Raises as ``export`` does; a file that is there is not replaced, and where it is cancelled nothing is left.
        """
        from acode_tui.ops.export.export import ExportRequest

        return await self.export(ExportRequest(format=format, path=path, sessions=(session_id,)), progress=progress)

    async def health(self, *, fresh: bool = False) -> "HealthReport":
        """How healthy the workspace is, now or, unless ``fresh``, a few seconds ago. Never raises, changes nothing."""
        if self._health is None:
            from acode_tui.workspace.maintenance import make_health_watch

            self._health = make_health_watch(self.root, lambda: self.settings, self._inspect_target, wall=self.wall)
        return await self._health.report(fresh=fresh)

    async def _inspect_target(self, seconds: float) -> "TargetStatus":
        if self.sync.is_running:
            from acode_tui.ops.health import status_from_worker

            return await status_from_worker(self.sync.status, enabled=self.settings.persistence.postgres.enabled)
        from acode_tui.workspace.maintenance import inspect_target

        return await inspect_target(self.settings, seconds=seconds, wall=self.wall)

    async def check(self, *, deep: bool = False) -> tuple[Check, ...]:
        """Look for damage; changes nothing. Takes about as long as reading the file."""
        return await self._maintenance.check(deep=deep, expect_content=True)
