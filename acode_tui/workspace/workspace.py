"""An open workspace: its store, outbox, conflicts and sync, and facts about its file."""

import random
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from acode_tui.config import ConfigWatch, Misconfigured, PostgresSettings, PostgresTarget, Settings, load_settings
from acode_tui.config.postgres_address import resolve_url
from acode_tui.config.workspace_root import AGENT_DIR
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.redaction import Redact, unchanged
from acode_tui.domain.validation import Limits
from acode_tui.logs import get_logger
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import DatabaseFacts, SchemaStatus, SearchHit, SearchPage, SyncTarget, TierMigrations
from acode_tui.storage.sqlite.connection import FunctionConnection
from acode_tui.storage.sqlite.files import facts
from acode_tui.storage.sqlite.migrate import plan
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.runs.store import SqliteRunStateStore
from acode_tui.storage.sqlite.runs.transcript_cursors import SqliteTranscriptLog
from acode_tui.storage.sqlite.search.faults import index_faults
from acode_tui.storage.sqlite.search.index import SqliteSearchIndex
from acode_tui.storage.sqlite.sessions.field_values import field_values
from acode_tui.storage.sqlite.sessions.run_search import SqliteRunSearch
from acode_tui.storage.sqlite.sync.conflicts import SqliteConflictLog
from acode_tui.storage.sqlite.sync.journal import SqliteSyncJournal
from acode_tui.storage.sqlite.sync.outbox import SqliteOutbox
from acode_tui.storage.sqlite.sync.records import RetryPolicy
from acode_tui.storage.sqlite.write_health import WriteHealth
from acode_tui.storage.sqlite.writer import Writer
from acode_tui.sync.classify import record_delay
from acode_tui.sync.conflict import ConflictResolver
from acode_tui.sync.wake import Sleep
from acode_tui.sync.worker import SyncWorker
from acode_tui.workspace.indexing import BackgroundIndexing
from acode_tui.workspace.operations import Operations
from acode_tui.workspace.outgoing import OutgoingRedaction

PAINTED_BATCH = 150
"""The most records that a dashboard sends at once: encoding more would delay the frame after a key."""

CONFIG_POLL_SECONDS = 2.0
"""Seconds between two checks of the configuration files: a change applies within 5 s."""

log = get_logger("acode_tui.workspace")


class Workspace(Operations):
    """An open workspace. Made by ``open_workspace``; every part of it is closed with it."""

    has_file = True

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
        target: str | None = None,
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
        self.outgoing = OutgoingRedaction(settings)
        self.index = SqliteSearchIndex(readers.connections, readers)
        self.store = SqliteRunStateStore(
            writer,
            readers,
            workspace_id=workspace_id,
            user_id=user,
            limits=settings.limits,
            index=self.index,
            wall=self.local_wall,
            price=self._price_runs,
        )
        self._search = SqliteRunSearch(readers, index=self.index, wall=self.local_wall)
        self.outbox = SqliteOutbox(writer, readers, retry=_retry_policy(settings), wall=wall, redact=self.outgoing)
        self.conflicts = SqliteConflictLog(writer, readers, wall=wall)
        self.transcripts = SqliteTranscriptLog(writer, readers)
        self._journal = SqliteSyncJournal(writer, readers, workspace_id=workspace_id, wall=wall, redact=self.outgoing)
        self.sync = SyncWorker(
            self.outbox,
            self._journal,
            settings,
            make_target=partial(make_sync_target, wall=wall, limits=settings.limits, redact=self.outgoing),
            target_schema_version=packaged("postgres")[-1].version,
            user=user,
            mode=mode,
            largest_batch=PAINTED_BATCH if mode == "dashboard" else None,
            data_version=self.data_version,
            resolve=None if target is None else partial(_resolve, target),
            wall=wall,
            sleep=sleep,
        )
        self.indexing = BackgroundIndexing(self.index, sleep)
        writer.on_commit(self.sync.local_commit)
        writer.on_commit(self.indexing.committed)
        self._write_health = WriteHealth(writer, self.database_path, wall=wall)

    async def search(self, query: str, *, limit: int = 50, after: str | None = None) -> SearchPage:
        """The places in this workspace's runs that a query finds, newest runs first, of everything that is committed.

        ``after`` is the ``next_cursor`` of the page before; a page has 1 to 200 hits. Raises ValidationError for what
        is no query (docs/search.md), IntegrityError where the index is missing or damaged.
        """
        return await self._search.search(query, limit=limit, after=after)

    async def hits_in(
        self, query: str, session_ids: Sequence[str], *, most: int = 4
    ) -> dict[str, tuple[SearchHit, ...]]:
        """By session, of those given, the first ``most`` places in it that a query finds. Raises ValidationError."""
        return await self._search.hits_in(query, session_ids, most=most)

    async def field_values(self, field: str, *, most: int = 500) -> tuple[str, ...]:
        """Values that a field of the query language has in this workspace's runs, as far as they are indexed.

        Those used last come first where that is known. A field without stored values, such as ``is``, has none.
        """

        def read(connection: sqlite3.Connection) -> tuple[str, ...]:
            with index_faults():
                return field_values(connection, field, most)

        return await self._readers.run(read)

    async def data_version(self) -> int:
        """A number that changes whenever this process or another one has committed. Cheap enough to poll."""

        def read(connection: sqlite3.Connection) -> int:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

        return await self._watcher.run(read)

    async def reload(self, settings: Settings) -> None:
        """Apply changed settings without a restart: the worker's at once, the displayed ones at the next refresh."""
        self.settings = settings
        self.log_withheld()
        self.outgoing.configure(settings)
        self.outbox.configure(_retry_policy(settings))
        await self.sync.reconfigure(settings)

    def log_withheld(self) -> None:
        """Log once for each content of the workspace's file that it asks for what was not approved."""
        if self.settings.withheld:
            log.warning(
                "config.untrusted",
                withheld=list(self.settings.withheld),
                hint="see `acode-tui trust --show`, then approve the file with `acode-tui trust`",
            )

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
        """The workspace file's schema version and pending migrations (AC-014)."""
        return await self._readers.run(lambda connection: facts.read_schema_status(connection, self._migrations))

    async def migration_plan(self) -> tuple[TierMigrations, ...]:
        """What ``migrate`` would do: the workspace file, and the team's database where it is enabled and answers."""
        planned = [await self._readers.run(lambda connection: plan(connection, self._migrations))]
        if self.settings.persistence.postgres.enabled:
            planned.append(await self.sync.migrate_target(dry_run=True))
        return tuple(planned)

    async def migrate(self) -> tuple[TierMigrations, ...]:
        """Migrate the team's schema; the workspace file's was migrated when it was opened. Raises AcodeError."""
        done = [self.migrated]
        if self.settings.persistence.postgres.enabled:
            done.append(await self.sync.migrate_target())
        return tuple(done)

    async def database_facts(self) -> DatabaseFacts:
        """The workspace file's size, schema and number of sessions."""
        path = self.database_path
        return await self._readers.run(lambda connection: facts.read_facts(connection, path, self._migrations))

    def observe(self, *, commits: Callable[[float], object], batches: Callable[[float], object]) -> None:
        """Report how many seconds each committed group of writes and each batch of the sync took."""
        self._writer.observe(commits)
        self.sync.observe(batches)

    async def write_in_loop(self, allowed: Callable[[], bool], at_once: Callable[[], bool]) -> None:
        """Write in the loop's thread where ``allowed()``: see ``Writer.run_in_loop``."""
        await self._writer.run_in_loop(allowed, at_once)

    def write_error(self) -> AcodeError | None:
        """Why nothing can be written at present, such as a full disk or a lock that is held; None where writes succeed.

        Answers at once, and may be called several times a second.
        """
        return self._write_health.current_error()


def make_sync_target(
    address: PostgresTarget,
    postgres: PostgresSettings,
    *,
    wall: WallClock = system_clock,
    limits: Limits | None = None,
    redact: Redact[Any] = unchanged,
) -> SyncTarget:
    """The team's database at an address, not yet connected.

    ``limits`` bound the values of rows that are read; ``redact`` makes the form of a row that is sent.
    """
    # Here, not above: a process that never syncs need not load the driver.
    from acode_tui.storage.postgres.sync_target import PostgresSyncTarget

    return PostgresSyncTarget(
        address,
        ConflictResolver(redact),
        schema=postgres.schema,
        connect_timeout=postgres.connect_timeout_seconds,
        command_timeout=postgres.command_timeout_seconds,
        wall=wall,
        limits=limits,
        statement_cache=postgres.statement_cache,
    )


def _resolve(url: str, settings: Settings) -> PostgresTarget | Misconfigured:
    return resolve_url(url, settings.persistence.postgres)


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
