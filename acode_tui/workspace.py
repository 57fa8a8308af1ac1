"""The composition root: one workspace's config, store, outbox and sync, opened together and closed together."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from acode_tui.config import (
    ConfigWatch,
    Misconfigured,
    Settings,
    current_user,
    load_settings,
    resolve_path,
    resolve_postgres,
)
from acode_tui.config.root import AGENT_DIR, find_root
from acode_tui.config.workspace_id import keep_id, known_ids
from acode_tui.domain.clock import MonotonicClock, WallClock, system_clock
from acode_tui.domain.errors import AcodeError, DatabaseConnectionError, SchemaMismatchError, SyncError
from acode_tui.domain.ids import new_id
from acode_tui.files import PRIVATE_FOLDER, replacing, tighten
from acode_tui.logs import get_logger
from acode_tui.ops.backup import create_backup, keep_newest
from acode_tui.ops.validate import Validation, compare
from acode_tui.storage.migrations.runner import TierMigrations, packaged
from acode_tui.storage.ports import Check, DatabaseFacts, RunStateReader, SchemaStatus
from acode_tui.storage.sqlite import inspection, meta
from acode_tui.storage.sqlite.backup_files import Backup, read_backups
from acode_tui.storage.sqlite.conflicts import SqliteConflictLog
from acode_tui.storage.sqlite.connection import (
    FunctionConnection,
    has_content,
    open_reader,
    open_writer,
    prepare_file,
    require_sqlite,
)
from acode_tui.storage.sqlite.exclusive import share
from acode_tui.storage.sqlite.faults import require_content, require_rights, translated
from acode_tui.storage.sqlite.migrate import look_over, migrate, plan
from acode_tui.storage.sqlite.outbox import RetryPolicy, SqliteOutbox
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.row_checksums import SqliteRowChecksums
from acode_tui.storage.sqlite.run_import import SqliteRunImport
from acode_tui.storage.sqlite.run_rows import open_run_rows
from acode_tui.storage.sqlite.run_state_store import SqliteRunStateStore
from acode_tui.storage.sqlite.snapshot import Progress, take_snapshot
from acode_tui.storage.sqlite.sync_journal import SyncJournal
from acode_tui.storage.sqlite.transcripts import SqliteTranscriptLog
from acode_tui.storage.sqlite.trouble import WriteTrouble
from acode_tui.storage.sqlite.writer import Writer
from acode_tui.sync import conflict as conflict_rules
from acode_tui.sync.backoff import record_delay
from acode_tui.sync.service import SyncWorker
from acode_tui.sync.waking import Sleep

if TYPE_CHECKING:
    from acode_tui.ops.export import ExportFormat, ExportReport
    from acode_tui.ops.export import Progress as ExportProgress
    from acode_tui.ops.export_request import ExportRequest
    from acode_tui.ops.health import HealthReport, HealthWatch, TargetLook
    from acode_tui.ops.import_export import ImportedRuns
    from acode_tui.storage.postgres.connection import ReadPool

CONFIG_POLL_SECONDS = 2.0
"""A changed configuration is taken over within 5 s."""

log = get_logger("acode_tui.workspace")
_IGNORED = "# Written by acode-tui: what it records is not part of the repository.\n/*\n!/.gitignore\n!/config.toml\n"


class Workspace:
    """An open workspace. Made by ``open_workspace``; every part of it is closed with it."""

    def __init__(
        self,
        *,
        root: Path,
        settings: Settings,
        workspace_id: str,
        migrated: TierMigrations,
        writer: Writer,
        readers: Readers,
        watcher: FunctionConnection,
        user: str,
        mode: str,
        wall: WallClock,
        sleep: Sleep,
    ) -> None:
        self.root = root
        self.agent_dir = root / AGENT_DIR
        self.settings = settings
        self.workspace_id = workspace_id
        self.database_path = settings.persistence.sqlite.resolve(root)
        self.migrated = migrated
        self.user = user
        self.wall = wall
        self._writer = writer
        self._readers = readers
        self._watcher = watcher
        self._sleep = sleep
        self._migrations = packaged("sqlite")
        retry = _retry_policy(settings)
        self.store = SqliteRunStateStore(
            writer, readers, workspace_id=workspace_id, user_id=user, limits=settings.limits
        )
        self.outbox = SqliteOutbox(writer, readers, retry_delay=retry.delay, max_attempts=retry.max_attempts, wall=wall)
        self.conflicts = SqliteConflictLog(writer, readers, wall=wall)
        self.transcripts = SqliteTranscriptLog(writer, readers)
        self._journal = SyncJournal(
            writer,
            readers,
            workspace_id=workspace_id,
            retry=retry,
            same_content=conflict_rules.same_content,
            wall=wall,
        )
        self.sync = SyncWorker(
            self._journal,
            settings,
            user=user,
            mode=mode,
            data_version=self.data_version,
            wall=wall,
            sleep=sleep,
        )
        writer.on_commit(self.sync.local_commit)
        self._health: HealthWatch | None = None
        self._trouble = WriteTrouble(writer, self.database_path, wall=wall)

    async def data_version(self) -> int:
        """A number that changes whenever anybody, this process or another, has committed. Cheap enough to poll."""

        def read(connection: sqlite3.Connection) -> int:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

        return await self._watcher.run(read)

    async def reload(self, settings: Settings) -> None:
        """Take over changed settings without a restart: the worker's at once, what is shown at the next look."""
        self.settings = settings
        self._journal.configure(_retry_policy(settings))
        await self.sync.reconfigure(settings)

    async def follow_config(self, watch: ConfigWatch) -> None:
        """Reload whenever a configuration file changes, until cancelled. A file that is refused changes nothing."""
        while True:
            await self._sleep(CONFIG_POLL_SECONDS)
            if not watch.changed():
                continue
            try:
                await self.reload(load_settings(self.root))
                log.info("config.reloaded")
            except AcodeError as error:
                log.warning("config.refused", code=error.code, reason=error.message, hint=error.hint)

    async def schema(self) -> SchemaStatus:
        """The workspace file's schema version, and what is pending (AC-014)."""
        return await self._readers.run(lambda connection: inspection.read_schema(connection, self._migrations))

    async def migration_plan(self) -> tuple[TierMigrations, ...]:
        """What ``migrate`` would do: the workspace file, and the team's database where it is enabled and answers."""
        planned = [await self._readers.run(lambda connection: plan(connection, self._migrations))]
        if self.settings.persistence.postgres.enabled:
            planned.append(await self.sync.migrate_target(dry_run=True))
        return tuple(planned)

    async def migrate(self) -> tuple[TierMigrations, ...]:
        """Bring the team's schema up to date; the workspace file's was when it was opened. Raises AcodeError."""
        done = [self.migrated]
        if self.settings.persistence.postgres.enabled:
            done.append(await self.sync.migrate_target())
        return tuple(done)

    async def database_facts(self) -> DatabaseFacts:
        """The workspace file at a glance."""
        path = self.database_path
        return await self._readers.run(lambda connection: inspection.read_facts(connection, path, self._migrations))

    @asynccontextmanager
    async def open_team(self) -> AsyncIterator[RunStateReader]:
        """The whole team's runs, read from PostgreSQL. Raises SyncError where it is not enabled or misconfigured."""
        from acode_tui.storage.postgres.run_state_store import PostgresRunStateStore

        async with self._team_pool() as pool:
            yield PostgresRunStateStore(pool, schema=self.settings.persistence.postgres.schema)

    async def validate(self, *, progress: Callable[[int], None] | None = None) -> Validation:
        """Compare every row here with the team's database. Raises SyncError where that is not enabled."""
        from acode_tui.storage.postgres.row_checksums import PostgresRowChecksums

        async with self._team_pool() as pool:
            schema = self.settings.persistence.postgres.schema
            team = PostgresRowChecksums(pool, schema=schema, workspace_id=self.workspace_id)
            return await compare(SqliteRowChecksums(self._readers), team, progress=progress)

    @asynccontextmanager
    async def _team_pool(self) -> "AsyncIterator[ReadPool]":
        target = self.sync.require_target()
        # Here, not above: a process that stays local need not load the driver.
        from acode_tui.storage.postgres.connection import ReadPool

        postgres = self.settings.persistence.postgres
        pool = ReadPool(
            target,
            size=postgres.pool_size,
            connect_timeout=postgres.connect_timeout_seconds,
            command_timeout=postgres.command_timeout_seconds,
        )
        try:
            yield pool
        finally:
            await pool.close()

    async def backup(self, *, progress: Progress | None = None) -> Backup:
        """Copy the workspace file while writers go on; older copies beyond ``backup.max_backups`` go."""
        settings = self.settings.backup
        folder = resolve_path(self.root, settings.directory)
        return await create_backup(
            self.database_path, folder, now=self.wall(), keep=settings.max_backups, progress=progress
        )

    async def export(self, request: "ExportRequest", *, progress: "ExportProgress | None" = None) -> "ExportReport":
        """Write runs to a file; see ``ops.export_request``. Raises AcodeError, OSError; nothing is left behind then."""
        from acode_tui.ops.export_request import meet

        seconds = self.settings.persistence.sqlite.timeout_seconds
        async with open_run_rows(self.database_path, timeout_seconds=seconds) as runs:
            return await meet(
                request,
                runs,
                self.store,
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
        progress: "ExportProgress | None" = None,
    ) -> "ImportedRuns":
        """Bring the runs of an export in; see ``ops.import_export``. Raises ExportError, OSError."""
        from acode_tui.ops.import_export import import_export

        return await import_export(
            path,
            SqliteRunImport(self._writer),
            limits=self.settings.limits,
            syncs=self.settings.persistence.postgres.enabled,
            force=force,
            dry_run=dry_run,
            progress=progress,
        )

    async def export_session(self, session_id: str, format: "ExportFormat", path: Path | None = None) -> "ExportReport":
        """One run, redacted as configured; without a path, under a new name in ``.agent/exports``.

        Raises as ``export`` does; a file that is there is not replaced.
        """
        from acode_tui.ops.export_request import ExportRequest

        return await self.export(ExportRequest(format=format, path=path, sessions=(session_id,)))

    def observe(self, *, commits: Callable[[float], object], batches: Callable[[float], object]) -> None:
        """Tell how many seconds each committed group of writes and each batch of the sync took."""
        self._writer.observe(commits)
        self.sync.observe(batches)

    def write_trouble(self) -> AcodeError | None:
        """Why nothing can be written at present, None where something can: a full disk, a lock that is not given back.

        Answers at once, and may be asked several times a second.
        """
        return self._trouble.present()

    async def health(self, *, fresh: bool = False) -> "HealthReport":
        """How the workspace is, as of now or, unless ``fresh``, a few seconds ago. Never raises, changes nothing."""
        if self._health is None:
            from acode_tui.ops.health import HealthWatch

            self._health = HealthWatch(self.root, lambda: self.settings, self._look_at_target, wall=self.wall)
        return await self._health.report(fresh=fresh)

    async def _look_at_target(self, seconds: float) -> "TargetLook":
        from acode_tui.ops.health import look_at_target, seen_by_worker

        postgres = self.settings.persistence.postgres
        if self.sync.is_running:
            return await seen_by_worker(self.sync.status, enabled=postgres.enabled)
        return await look_at_target(postgres, seconds=seconds, wall=self.wall)

    async def check(self, *, deep: bool = False) -> tuple[Check, ...]:
        """Look for damage; changes nothing. Takes about as long as reading the file."""
        from acode_tui.ops.check import check_workspace_file

        seconds = self.settings.persistence.sqlite.timeout_seconds
        return await check_workspace_file(self.database_path, timeout_seconds=seconds, deep=deep)


@asynccontextmanager
async def open_workspace(
    path: str | Path | None = None,
    *,
    sync: bool = False,
    wall: WallClock = system_clock,
    settings: Settings | None = None,
    auto_migrate: bool | None = None,
    mode: str = "api",
    sleep: Sleep = asyncio.sleep,
) -> AsyncIterator[Workspace]:
    """Open the workspace in the folder ``path``, made if need be; without a path, the one that ``find_root`` finds.

    Brings the schema up to date first; ``auto_migrate`` overrides the setting of that name. ``sync`` starts the worker
    and follows the configuration files; ``mode`` is what other processes see of whoever holds the sync lease.
    Raises AcodeError: DatabaseConnectionError, SchemaMismatchError, MigrationError, IntegrityError, ConfigError.
    """
    require_sqlite()
    root = find_root() if path is None else Path(path).expanduser().absolute()
    watch = ConfigWatch(root)
    settings = settings or load_settings(root)
    database = settings.persistence.sqlite.resolve(root)
    timeout = settings.persistence.sqlite.timeout_seconds
    known = packaged("sqlite")
    async with AsyncExitStack() as stack:
        hold = await asyncio.to_thread(share, database, timeout_seconds=timeout)
        stack.callback(hold.close)
        is_new = await asyncio.to_thread(_prepared, root, database, settings)
        connection = await open_writer(
            database, timeout_seconds=timeout, check=lambda connection: look_over(connection, known)
        )
        clock = MonotonicClock(wall)
        writer = Writer(connection, clock, timeout_seconds=timeout)
        stack.push_async_callback(writer.close)
        allowed = settings.migrations.auto_migrate if auto_migrate is None else auto_migrate
        user = asyncio.create_task(asyncio.to_thread(current_user, settings, root))
        stack.push_async_callback(_settled, user)
        with translated(f"cannot read {database}"):
            migrated = await connection.run(
                lambda raw: _migrated(raw, root, settings, allowed=allowed or is_new, wall=wall)
            )
        workspace_id = await writer.run(_own_id)
        await asyncio.to_thread(keep_id, root / AGENT_DIR, workspace_id)
        readers = Readers(database, timeout_seconds=timeout)
        stack.push_async_callback(readers.close)
        watcher = await open_reader(database, timeout_seconds=timeout)
        stack.push_async_callback(watcher.close)
        workspace = Workspace(
            root=root,
            settings=settings,
            workspace_id=workspace_id,
            migrated=migrated,
            writer=writer,
            readers=readers,
            watcher=watcher,
            user=await user,
            mode=mode,
            wall=wall,
            sleep=sleep,
        )
        stack.push_async_callback(workspace.sync.stop)
        if sync:
            await workspace.sync.start()
            follower = asyncio.create_task(workspace.follow_config(watch), name="acode-config")
            stack.push_async_callback(_ended, follower)
        yield workspace


async def migration_plan(root: Path, settings: Settings) -> tuple[TierMigrations, ...]:
    """What ``db migrate`` would do to both tiers, PostgreSQL only where it is enabled; touches nothing.

    The workspace file is not even made. Raises AcodeError where PostgreSQL is enabled and cannot be used.
    """
    return (await _file_plan(root, settings), *await _team_plan(settings))


async def _team_plan(settings: Settings) -> tuple[TierMigrations, ...]:
    postgres = settings.persistence.postgres
    if not postgres.enabled:
        return ()
    address = resolve_postgres(postgres)
    if isinstance(address, Misconfigured):
        raise SyncError(address.reason, hint=address.hint)
    from acode_tui.storage.postgres.sync_target import SyncTarget

    target = SyncTarget(address, conflict_rules, schema=postgres.schema)
    try:
        return (await target.migrate(distribute=postgres.distribute, dry_run=True),)
    finally:
        await target.close()


async def _file_plan(root: Path, settings: Settings) -> TierMigrations:
    known = packaged("sqlite")
    database = settings.persistence.sqlite.resolve(root)
    if not await asyncio.to_thread(database.exists):
        return TierMigrations(tier="sqlite", to_version=known[-1].version, pending=tuple(m.version for m in known))
    connection = await open_reader(database, timeout_seconds=settings.persistence.sqlite.timeout_seconds)
    try:
        with translated(f"cannot read {database}"):
            return await connection.run(lambda raw: plan(raw, known))
    finally:
        await connection.close()


def _migrated(
    connection: sqlite3.Connection, root: Path, settings: Settings, *, allowed: bool, wall: WallClock
) -> TierMigrations:
    known = packaged("sqlite")
    planned = plan(connection, known)
    if planned.pending and not allowed:
        raise SchemaMismatchError(
            f"{len(planned.pending)} migrations are pending and migrations.auto_migrate is off",
            hint="run `acode-tui db migrate`",
        )

    def backup(version: str) -> None:
        folder = resolve_path(root, settings.backup.directory)
        now: datetime = wall()
        made = take_snapshot(connection, folder, now=now, suffix="_pre_migrate", schema_version=version)
        keep_newest(folder, keep=settings.backup.max_backups, made=made)

    return migrate(
        connection,
        known,
        lock_path=root / AGENT_DIR / "locks" / "migrate.lock",
        lock_timeout_seconds=settings.migrations.lock_timeout_seconds,
        backup=backup if settings.migrations.backup_before_migrate else None,
        wall=wall,
    )


def _prepared(root: Path, database: Path, settings: Settings) -> bool:
    """Make what is missing, with the modes it should have; True if the file is new. Raises AcodeError."""
    agent_dir = root / AGENT_DIR
    if not has_content(database):
        backups = resolve_path(root, settings.backup.directory)
        require_content(database, has_lived=bool(known_ids(agent_dir) or read_backups(backups)[0]))
    is_new = prepare_file(database)
    require_rights(database)
    tighten(agent_dir, PRIVATE_FOLDER)
    if is_new:
        _keep_out_of_git(agent_dir)
    return is_new


def _own_id(connection: sqlite3.Connection) -> str:
    """The workspace's id, given once and for ever."""
    known = meta.read(connection, meta.WORKSPACE_ID)
    if known is None:
        known = new_id()
        meta.store(connection, meta.WORKSPACE_ID, known)
    return known


def _keep_out_of_git(agent_dir: Path) -> None:
    """Tell git to leave recorded runs alone; a file that is there already is somebody's own. Raises AcodeError."""
    if not agent_dir.is_dir():
        return
    try:
        with suppress(FileExistsError), replacing(agent_dir / ".gitignore", overwrite=False) as file:
            file.write(_IGNORED.encode())
    except OSError as error:
        raise DatabaseConnectionError(f"cannot begin a workspace in {agent_dir}: {error.strerror or error}") from error


def _retry_policy(settings: Settings) -> RetryPolicy:
    sync = settings.persistence.sync

    def delay(refusals: int) -> float:
        return record_delay(
            refusals,
            initial_seconds=sync.initial_backoff_seconds,
            max_seconds=sync.max_backoff_seconds,
            jitter=sync.jitter,
            random=random.random,
        )

    return RetryPolicy(delay, sync.max_retry_attempts)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])


async def _settled(task: "asyncio.Task[str]") -> None:
    """Wait for a task whose answer may no longer be wanted."""
    await asyncio.wait([task])
