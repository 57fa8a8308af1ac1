"""Work on a workspace's file and backups from outside: nothing here opens the workspace.

What a damaged file, a lost one, or one of a newer program leaves possible is reached through this. Each operation
imports what it needs when it is called, so that a plain command loads none of it.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from acode_tui.config import Settings, resolve_path
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.progress import ReportProgress, ReportStep

if TYPE_CHECKING:
    from acode_tui.ops.backup.restore import Restored
    from acode_tui.ops.backup.vacuum import Vacuumed
    from acode_tui.ops.health import HealthReport, HealthWatch, TargetStatus
    from acode_tui.ops.health.diagnostics import Diagnostics
    from acode_tui.ops.recovery.drill import Drill
    from acode_tui.ops.recovery.recover import Recovery, RecoveryPlan
    from acode_tui.ops.server.prune import PruneReport, PruneRequest
    from acode_tui.storage.ports import Backup, BackupStore, Check, DatabaseFiles, IncompleteBackup, Team
    from acode_tui.storage.server_ports import ServerStatus


class Maintenance:
    """Operations on the workspace at ``root``. ``environ`` is where PostgreSQL's address may come from."""

    def __init__(
        self,
        root: Path,
        settings: Settings,
        *,
        environ: Mapping[str, str] = os.environ,
        wall: WallClock = system_clock,
    ) -> None:
        self._root = root
        self._settings = settings
        self._environ = environ
        self._wall = wall
        self._database = settings.persistence.sqlite.resolve(root)
        self._seconds = settings.persistence.sqlite.timeout_seconds

    @property
    def backup_folder(self) -> Path:
        """Where this workspace's backups are."""
        return resolve_path(self._root, self._settings.backup.directory)

    def held_workspace(self) -> bool:
        """Whether a workspace was here before: an empty file is a loss then, and no beginning."""
        from acode_tui.ops.held_workspace import held_workspace

        return held_workspace(backup_store(), self._root, self._settings)

    async def create_backup(
        self,
        *,
        output: Path | None = None,
        on_progress: ReportProgress | None = None,
        expect_content: bool | None = None,
    ) -> "Backup":
        """Copy the file, of any schema version; backups beyond ``backup.max_backups`` go. See ``ops.backup.create``.

        ``output`` is a folder that is there, or a file to make, whose name ends in ``.db``; no other backup goes then.
        """
        from acode_tui.ops.backup.create import create_backup

        folder, name = self.backup_folder, None
        if output is not None:
            folder, name = (output, None) if output.is_dir() else (output.parent, output.stem)
        return await create_backup(
            database_files(),
            backup_store(),
            self._database,
            folder,
            now=self._wall(),
            keep=self._settings.backup.max_backups if output is None else None,
            name=name,
            on_progress=on_progress,
            expect_content=self.held_workspace() if expect_content is None else expect_content,
        )

    def list_backups(self) -> "tuple[tuple[Backup, ...], tuple[IncompleteBackup, ...]]":
        """The backups, newest first, and what only looks like one."""
        return backup_store().list(self.backup_folder)

    def find_backup(self, name: str) -> "Backup | IncompleteBackup":
        """A backup by name, beginning, path or ``latest``. Raises NotFoundError, AmbiguousIdError."""
        return backup_store().find(self.backup_folder, name)

    async def verify_backup(
        self,
        backup: "Backup | IncompleteBackup",
        *,
        deep: bool = False,
        on_progress: ReportProgress | None = None,
    ) -> "tuple[Check, ...]":
        """The findings of a backup's checks. See ``ops.backup.create``."""
        from acode_tui.ops.backup.create import verify_backup

        return await verify_backup(backup_store(), backup, deep=deep, on_progress=on_progress)

    def delete_backups(self, chosen: "Sequence[Backup]") -> None:
        """Delete these backups. Raises OSError."""
        from acode_tui.ops.backup.create import delete

        delete(backup_store(), self.backup_folder, chosen)

    def prune_backups(
        self, *, keep: int | None = None, dry_run: bool = False
    ) -> "tuple[tuple[Backup, ...], tuple[Backup, ...]]":
        """Delete the backups beyond the newest ``keep``; returns those that went, or would go, and those that stay."""
        from acode_tui.ops.backup.create import prune

        most = self._settings.backup.max_backups if keep is None else keep
        return prune(backup_store(), self.backup_folder, keep=most, dry_run=dry_run)

    async def restore(
        self,
        backup: "Backup",
        *,
        wait_seconds: float,
        dry_run: bool = False,
        on_step: ReportStep | None = None,
        on_progress: ReportProgress | None = None,
    ) -> "Restored":
        """Replace the file by a backup. See ``ops.backup.restore``."""
        from acode_tui.ops.backup.restore import restore_backup

        return await restore_backup(
            database_files(),
            backup_store(),
            self._database,
            backup,
            self.backup_folder,
            now=self._wall(),
            keep=self._settings.backup.max_backups,
            wait_seconds=wait_seconds,
            dry_run=dry_run,
            on_step=on_step,
            on_progress=on_progress,
        )

    async def vacuum(self, *, dry_run: bool = False, on_step: ReportStep | None = None) -> "Vacuumed":
        """Give back the file's unused space. See ``ops.backup.vacuum``."""
        from acode_tui.ops.backup.vacuum import vacuum_file

        return await vacuum_file(
            database_files(),
            self._database,
            timeout_seconds=self._seconds,
            dry_run=dry_run,
            on_step=on_step,
            expect_content=self.held_workspace(),
        )

    async def check(
        self, *, deep: bool = False, on_step: ReportStep | None = None, expect_content: bool | None = None
    ) -> "tuple[Check, ...]":
        """Look for damage; changes nothing. See ``ops.check``."""
        from acode_tui.ops.check import check_workspace_file

        return await check_workspace_file(
            database_files(),
            self._database,
            timeout_seconds=self._seconds,
            deep=deep,
            on_step=on_step,
            expect_content=self.held_workspace() if expect_content is None else expect_content,
        )

    async def check_team(self, *, on_step: ReportStep | None = None) -> "tuple[Check, ...]":
        """Compare the team's schema and rows with the file. See ``ops.check_remote``."""
        from acode_tui.ops.check_remote import check_team_database
        from acode_tui.workspace.outgoing import OutgoingRedaction

        return await check_team_database(
            database_files(),
            self._open_team,
            self._database,
            seconds=self._seconds,
            redact=OutgoingRedaction(self._settings),
            on_step=on_step,
        )

    async def plan_recovery(self, *, workspace_id: str | None = None) -> "RecoveryPlan":
        """What ``recover`` would do. See ``ops.recovery.recover``."""
        from acode_tui.ops.recovery.recover import plan_recovery

        return await plan_recovery(
            database_files(),
            backup_store(),
            self._open_team,
            self._root,
            self._settings,
            workspace_id=workspace_id,
        )

    async def recover(
        self,
        *,
        confirm: "Callable[[RecoveryPlan], bool]",
        workspace_id: str | None = None,
        on_progress: ReportProgress | None = None,
    ) -> "Recovery":
        """Rebuild the file from the team's database. See ``ops.recovery.recover``."""
        from acode_tui.ops.recovery.recover import recover

        return await recover(
            database_files(),
            backup_store(),
            self._open_team,
            self._root,
            self._settings,
            confirm=confirm,
            workspace_id=workspace_id,
            on_progress=on_progress,
            wall=self._wall,
        )

    async def drill(self, *, on_step: ReportStep = lambda _: None) -> "Drill":
        """Try restore and recovery in a scratch folder. See ``ops.recovery.drill``."""
        from acode_tui.ops.recovery.drill import drill

        return await drill(
            database_files(),
            backup_store(),
            self._open_team,
            self._root,
            self._settings,
            on_step=on_step,
            wall=self._wall,
        )

    async def server_status(self) -> "ServerStatus":
        """How large the team's database is, how it grows and what it is busy with. Raises AcodeError."""
        from acode_tui.storage.postgres.server_status import read_server_status
        from acode_tui.workspace.team import open_pool, team_address

        postgres = self._settings.persistence.postgres
        async with open_pool(team_address(self._settings, self._environ), postgres) as pool:
            return await read_server_status(pool, postgres.schema)

    async def prune_server(
        self, request: "PruneRequest", *, on_step: ReportStep, on_progress: ReportProgress
    ) -> "PruneReport":
        """Remove what is old from the team's database. See ``ops.server.prune``."""
        from acode_tui.ops.server.prune import prune
        from acode_tui.storage.sqlite.runs.run_files import SqliteRunFiles
        from acode_tui.workspace.team import open_retention

        return await prune(
            lambda: open_retention(self._settings, self._environ),
            SqliteRunFiles(),
            request,
            on_step=on_step,
            on_progress=on_progress,
            on_archive=lambda progress: on_progress(progress.rows),
        )

    async def health(self) -> "HealthReport":
        """How healthy the workspace is. Never raises, changes nothing."""
        return await self.health_watch().report()

    def health_watch(self) -> "HealthWatch":
        """The health checks of a workspace that this process has not opened, perhaps because it cannot."""

        async def look(seconds: float) -> "TargetStatus":
            return await inspect_target(self._settings, seconds=seconds, wall=self._wall, environ=self._environ)

        return make_health_watch(self._root, lambda: self._settings, look, wall=self._wall)

    @asynccontextmanager
    async def _open_team(self) -> "AsyncIterator[Team]":
        from acode_tui.workspace.team import open_team

        async with open_team(self._settings, self._environ) as team:
            yield team


async def diagnose(
    root: Path, *, environ: Mapping[str, str] = os.environ, wall: WallClock = system_clock
) -> "Diagnostics":
    """A report of the workspace that is safe to publish. See ``ops.health.diagnostics``."""
    from acode_tui.ops.health import diagnostics

    def make_watch(settings: Settings) -> "HealthWatch":
        return Maintenance(root, settings, environ=environ, wall=wall).health_watch()

    return await diagnostics.diagnose(database_files(), make_watch, root, environ=environ, wall=wall)


def make_health_watch(
    root: Path,
    settings: Callable[[], Settings],
    look: "Callable[[float], Awaitable[TargetStatus]]",
    *,
    wall: WallClock,
) -> "HealthWatch":
    """The health checks over SQLite files; ``look`` returns the status of the team's database."""
    from acode_tui.ops.health import HealthWatch

    return HealthWatch(
        database_files(), backup_store(), root, settings, look, postgres_version=postgres_version(), wall=wall
    )


async def inspect_target(
    settings: Settings, *, seconds: float, wall: WallClock, environ: Mapping[str, str] = os.environ
) -> "TargetStatus":
    """The status of the team's database, from a connection of its own. Never raises."""
    from acode_tui.ops.health import inspect_target as look
    from acode_tui.workspace.team import probe_target

    return await look(
        settings.persistence.postgres,
        probe_target,
        wanted_version=postgres_version(),
        seconds=seconds,
        wall=wall,
        environ=environ,
    )


def provisioning_sql(
    settings: Settings, role: str | None, *, shared: bool = False, prune_role: str | None = None
) -> str:
    """The SQL that makes the team's tables, grants a role what the sync needs, and protects each member's rows.

    Connects to nothing. ``shared`` leaves the protection out. ``prune_role`` may remove what is old.
    """
    from acode_tui.storage.postgres.provisioning import provisioning_sql as make

    postgres = settings.persistence.postgres
    return make(postgres.schema, role, shared=shared, prune_role=prune_role, distribute=postgres.distribute)


def database_files() -> "DatabaseFiles":
    """Workspace files over SQLite."""
    from acode_tui.storage.sqlite.files.database_files import SqliteDatabaseFiles

    return SqliteDatabaseFiles()


def backup_store() -> "BackupStore":
    """Backups over SQLite."""
    from acode_tui.storage.sqlite.files.backup_store import SqliteBackupStore

    return SqliteBackupStore()


def postgres_version() -> str:
    from acode_tui.storage.migrations.runner import packaged

    return packaged("postgres")[-1].version
