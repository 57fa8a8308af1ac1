"""The part of a workspace that the dashboard uses. ``acode_tui.workspace.Workspace`` and the tests' fake have it."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from acode_tui.config import Settings
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.progress import ReportProgress
from acode_tui.storage.ports import (
    ConflictLog,
    Outbox,
    RunStateReader,
    RunStateStore,
    SchemaStatus,
    SearchHit,
    TierMigrations,
    TranscriptLog,
)
from acode_tui.sync.ports import SyncService

if TYPE_CHECKING:
    from acode_tui.ops.export.export import ExportProgress, ExportReport
    from acode_tui.ops.health import HealthReport
    from acode_tui.ops.stats.report import Stats
    from acode_tui.storage.ports import Backup, Check, IncompleteBackup

ExportForm = Literal["markdown", "html", "json"]


class DashboardWorkspace(Protocol):
    """An open workspace. Calls may run concurrently; none blocks the event loop."""

    @property
    def root(self) -> Path: ...

    @property
    def agent_dir(self) -> Path: ...

    @property
    def has_file(self) -> bool:
        """Whether the runs are in a workspace file, and not in PostgreSQL itself."""
        ...

    @property
    def settings(self) -> Settings: ...

    @property
    def workspace_id(self) -> str: ...

    @property
    def user(self) -> str: ...

    @property
    def store(self) -> RunStateStore: ...

    @property
    def outbox(self) -> Outbox: ...

    @property
    def conflicts(self) -> ConflictLog: ...

    @property
    def sync(self) -> SyncService: ...

    @property
    def transcripts(self) -> TranscriptLog: ...

    async def data_version(self) -> int:
        """A number that changes whenever any process has committed."""
        ...

    async def hits_in(
        self, query: str, session_ids: Sequence[str], *, most: int = 4
    ) -> dict[str, tuple[SearchHit, ...]]:
        """By session, of those given, the first ``most`` places in it that a query finds. Raises ValidationError."""
        ...

    async def field_values(self, field: str, *, most: int = 500) -> tuple[str, ...]:
        """Values that a field of the query language has in this workspace's runs."""
        ...

    async def schema(self) -> SchemaStatus: ...

    async def migration_plan(self) -> tuple[TierMigrations, ...]:
        """What ``migrate`` would do to each tier; PostgreSQL only if it is enabled. Raises AcodeError."""
        ...

    async def migrate(self) -> tuple[TierMigrations, ...]:
        """Bring both tiers up to date. Raises AcodeError."""
        ...

    def write_error(self) -> AcodeError | None:
        """Why the file cannot be written at present; None if it can. Does no I/O."""
        ...

    async def health(self, *, fresh: bool = False) -> "HealthReport":
        """The health checks; unless ``fresh``, the report may be a few seconds old. Never raises."""
        ...

    async def backups(self) -> "tuple[tuple[Backup, ...], tuple[IncompleteBackup, ...]]":
        """The backups, newest first, and what only looks like one. Raises OSError."""
        ...

    async def verify_backup(self, backup: "Backup") -> "tuple[Check, ...]":
        """The findings of a backup's checks."""
        ...

    async def backup(self, *, progress: ReportProgress | None = None) -> "Backup":
        """Copy the workspace file while writers go on; ``progress`` receives pages. Raises AcodeError."""
        ...

    async def export_session(
        self,
        session_id: str,
        format: ExportForm,
        path: Path | None = None,
        *,
        progress: "Callable[[ExportProgress], None] | None" = None,
    ) -> "ExportReport":
        """Write one run to a file, redacted as configured; without a path, under a name of its own.

        Raises AcodeError, OSError. An existing file is not replaced; a cancelled export leaves no file.
        """
        ...

    async def stats(self, query: str = "", by: str = "day", *, progress: ReportProgress | None = None) -> "Stats":
        """What the runs that a query finds used and cost. Raises ValidationError, IntegrityError."""
        ...

    async def stats_team(self, query: str = "", by: str = "day") -> "Stats":
        """The same of the whole team's runs. Raises AcodeError."""
        ...

    async def costs(self, session_ids: Sequence[str]) -> dict[str, float | None]:
        """What each of these runs cost in US dollars; None without a known price; one without usage is left out."""
        ...

    def open_team(self) -> AbstractAsyncContextManager[RunStateReader]:
        """The whole team's runs over PostgreSQL. Raises SyncError if that is off or misconfigured."""
        ...


WorkspaceOpener = Callable[[], AbstractAsyncContextManager[DashboardWorkspace]]
"""Opens the workspace; the end of the context stops the worker and closes the files."""


class MigrationConsent(msgspec.Struct, frozen=True):
    """For a workspace whose migrations need the user's consent: ``due`` names those that are pending, ``opening`` runs
    them and opens it.
    """

    due: Callable[[], Awaitable[Sequence[str]]]
    opening: WorkspaceOpener
