"""A workspace without a file: its runs are recorded in and read from the team's database itself."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from socket import gethostname
from time import monotonic
from typing import TYPE_CHECKING, Any

from acode_tui.config import Misconfigured, PostgresTarget, Settings, current_user, load_settings
from acode_tui.config.postgres_address import resolve_url
from acode_tui.config.workspace_root import AGENT_DIR, find_folder
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.errors import AcodeError, ConfigError, SchemaMismatchError
from acode_tui.domain.progress import ReportProgress
from acode_tui.domain.validation import require_uuid
from acode_tui.logs import add_secrets, get_logger
from acode_tui.storage.delivery_protocol import PostgresFault
from acode_tui.storage.ports import (
    RunStateReader,
    SchemaStatus,
    SearchHit,
    SearchPage,
    TierMigrations,
)
from acode_tui.sync.conflict import ConflictResolver
from acode_tui.version import VERSION
from acode_tui.workspace.no_file import NoConflicts, NoOutbox, NoSync, NoTranscripts, needs_file
from acode_tui.workspace.outgoing import OutgoingRedaction
from acode_tui.workspace.team import open_pool

if TYPE_CHECKING:
    from acode_tui.ops.health import HealthReport, TargetStatus
    from acode_tui.ops.stats.rates import PriceList
    from acode_tui.ops.stats.report import Stats
    from acode_tui.storage.postgres.connection import ReadPool
    from acode_tui.storage.postgres.run_state_store import PostgresRunStateStore
    from acode_tui.storage.postgres.sync_target import PostgresSyncTarget

ALLOWED_OFFSET_SECONDS = 2.0
"""How far the server's clock may be from this machine's before a line of the log says so."""

_MIGRATE = "run `acode-tui --workspace postgresql://... db migrate` as a role that may create tables"

POLL_SECONDS = 2.0
"""How often at most the server is asked whether something was written."""

log = get_logger("acode_tui.workspace")


class DirectWorkspace:
    """An open database that runs are recorded in. What ``Workspace`` has beside this needs a file, and raises."""

    has_file = False

    def __init__(
        self,
        *,
        address: PostgresTarget,
        settings: Settings,
        root: Path,
        workspace_id: str,
        user: str,
        store: "PostgresRunStateStore",
        pool: "ReadPool",
        migrated: TierMigrations,
        wall: WallClock,
    ) -> None:
        self.address = address
        self.settings = settings
        self.root = root
        self.agent_dir = root / AGENT_DIR
        self.workspace_id = workspace_id
        self.user = user
        self.store = store
        self.wall = wall
        self.migrated = migrated
        self.outbox = NoOutbox()
        self.conflicts = NoConflicts()
        self.transcripts = NoTranscripts()
        self.sync = NoSync(address.display, migrated.to_version or "")
        self._pool = pool
        self._prices: PriceList | None = None
        self._version, self._asked_again_at = 0, 0.0

    def __getattr__(self, name: str) -> Any:
        from acode_tui.workspace.workspace import Workspace

        if hasattr(Workspace, name):
            raise needs_file("this")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def _schema(self) -> str:
        return self.settings.persistence.postgres.schema

    def local_wall(self) -> datetime:
        """The time in the machine's time zone: a date in a query is a day there."""
        return self.wall().astimezone()

    async def search(self, query: str, *, limit: int = 50, after: str | None = None) -> SearchPage:
        """The places in all runs of the database that a query finds. Raises ValidationError."""
        from acode_tui.storage.postgres.search import PostgresRunSearch

        search = PostgresRunSearch(self._pool, schema=self._schema, wall=self.local_wall)
        return await search.search(query, limit=limit, after=after)

    search_team = search

    async def hits_in(
        self, query: str, session_ids: Sequence[str], *, most: int = 4
    ) -> dict[str, tuple[SearchHit, ...]]:
        """By session, of those given, the first ``most`` places in it that a query finds. Raises ValidationError."""
        from acode_tui.storage.postgres.search import PostgresRunSearch

        search = PostgresRunSearch(self._pool, schema=self._schema, wall=self.local_wall)
        return await search.hits_in(query, session_ids, most=most)

    async def field_values(self, field: str, *, most: int = 500) -> tuple[str, ...]:
        """None: the database keeps no index of values."""
        return ()

    async def costs(self, session_ids: Sequence[str]) -> dict[str, float | None]:
        """None: the database keeps no figures of single runs."""
        return {}

    async def stats(self, query: str = "", by: str = "day", *, progress: ReportProgress | None = None) -> "Stats":
        """What all runs of the database used and cost. Raises ValidationError."""
        return await self.stats_team(query, by)

    async def stats_team(self, query: str = "", by: str = "day") -> "Stats":
        """The same."""
        from acode_tui.ops.stats.rates import PriceList
        from acode_tui.ops.stats.report import read_stats
        from acode_tui.storage.postgres.run_figures import PostgresRunFigures

        self._prices = self._prices or PriceList()
        figures = PostgresRunFigures(self._pool, schema=self._schema, wall=self.wall)
        return await read_stats(figures, self._prices, query, by)

    @asynccontextmanager
    async def open_team(self) -> AsyncIterator[RunStateReader]:
        """All runs of the database."""
        yield self.store

    async def data_version(self) -> int:
        """A number that changes whenever a process has written. Asked every few seconds, however often it is called."""
        now = monotonic()
        if now >= self._asked_again_at:
            self._asked_again_at = now + POLL_SECONDS
            self._version = await self.store.data_version()
        return self._version

    async def schema(self) -> SchemaStatus:
        """The database's schema, which was checked when it was opened."""
        version = self.migrated.to_version or ""
        return SchemaStatus(tier="postgres", version=version, target=version)

    async def migration_plan(self) -> tuple[TierMigrations, ...]:
        """Nothing: a database whose schema is not this program's is not opened."""
        version = self.migrated.to_version
        return (TierMigrations(tier="postgres", from_version=version, to_version=version),)

    async def migrate(self) -> tuple[TierMigrations, ...]:
        """What was done when the database was opened with ``auto_migrate``."""
        return (self.migrated,)

    async def health(self, *, fresh: bool = False) -> "HealthReport":
        """Whether the database answers and takes writes. Never raises."""
        return await read_health(self.address, self.settings, wall=self.wall)

    def write_error(self) -> AcodeError | None:
        """None: a write that fails says so itself."""
        return None


@asynccontextmanager
async def open_direct(
    url: str,
    *,
    workspace_id: str | None = None,
    settings: Settings | None = None,
    migrate: bool = False,
    wall: WallClock = system_clock,
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[DirectWorkspace]:
    """Open the database at a ``postgresql://`` URL. Its runs are those of ``workspace_id``, by default the login's own.

    ``migrate`` brings the schema up to date first. Raises ConfigError for a URL that is none, DatabaseConnectionError
    where the server cannot be used, SchemaMismatchError where the schema is not this program's.
    """
    from acode_tui.storage.postgres.errors import translate
    from acode_tui.storage.postgres.run_state_store import PostgresRunStateStore, workspace_of_login
    from acode_tui.storage.postgres.sync_target import PostgresSyncTarget

    root = find_folder()
    settings = settings or load_settings(root, environ=environ)
    postgres = settings.persistence.postgres
    address = direct_address(url, settings, environ)
    own_id = (
        workspace_of_login(address.user, address.database, postgres.schema)
        if workspace_id is None
        else require_uuid(workspace_id, "workspace_id")
    )
    redact = OutgoingRedaction(settings)
    user = await asyncio.to_thread(current_user, settings, root)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(address, postgres))
        target = PostgresSyncTarget(
            address,
            ConflictResolver(redact),
            schema=postgres.schema,
            connect_timeout=postgres.connect_timeout_seconds,
            command_timeout=postgres.command_timeout_seconds,
            wall=wall,
            limits=settings.limits,
            statement_cache=postgres.statement_cache,
        )
        stack.push_async_callback(target.close)
        register = partial(target.register_workspace, own_id, user=user, host=gethostname(), version=VERSION)
        try:
            migrated = await _prepare(target, distribute=postgres.distribute, migrate=migrate)
            head = await register()
        except PostgresFault as error:
            failure = translate(error)
            if isinstance(failure, SchemaMismatchError):
                failure = SchemaMismatchError(failure.message, hint=f"{_MIGRATE}, or {failure.hint}")
            raise failure from None
        store = PostgresRunStateStore(
            pool,
            target,
            head=head,
            workspace_id=own_id,
            user_id=user,
            register=register,
            limits=settings.limits,
            redact=redact,
            wall=wall,
        )
        stack.push_async_callback(store.close)
        yield DirectWorkspace(
            address=address,
            settings=settings,
            root=root,
            workspace_id=own_id,
            user=user,
            store=store,
            pool=pool,
            migrated=migrated,
            wall=wall,
        )


def direct_address(url: str, settings: Settings, environ: Mapping[str, str] = os.environ) -> PostgresTarget:
    """The address of a URL; its secrets are hidden in the log from now on. Raises ConfigError, which quotes none."""
    address = resolve_url(url, settings.persistence.postgres, environ)
    if isinstance(address, Misconfigured):
        raise ConfigError(address.reason, hint=address.hint)
    add_secrets(address.secrets)
    return address


async def read_health(address: PostgresTarget, settings: Settings, *, wall: WallClock = system_clock) -> "HealthReport":
    """Whether a database answers, has this program's schema and takes writes. Never raises."""
    from acode_tui.ops.health.direct import examine_database
    from acode_tui.ops.health.target import inspect_address
    from acode_tui.workspace.maintenance import postgres_version
    from acode_tui.workspace.team import probe_target

    wanted = postgres_version()

    async def inspect(seconds: float) -> "TargetStatus":
        return await inspect_address(
            address,
            settings.persistence.postgres,
            probe_target,
            wanted_version=wanted,
            seconds=seconds,
            wall=wall,
        )

    return await examine_database(inspect, settings.health, wanted_version=wanted)


async def _prepare(target: "PostgresSyncTarget", *, distribute: bool, migrate: bool) -> TierMigrations:
    """Check the schema, after its migration where that is wanted. Raises PostgresFault, MigrationError."""
    if migrate:
        migrated = await target.migrate(distribute=distribute)
    else:
        version = await target.check_schema()
        migrated = TierMigrations(tier="postgres", from_version=version, to_version=version)
    facts = await target.probe()
    if abs(facts.clock_offset) > ALLOWED_OFFSET_SECONDS:
        log.warning("clock.offset", database="postgres", seconds=round(facts.clock_offset, 1))
    return migrated
