"""The part of a workspace that the dashboard uses. ``acode_tui.workspace.Workspace`` is one; tests bring others."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from acode_tui.config import Settings
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.progress import ReportProgress
from acode_tui.storage.ports import (
    ConflictLog,
    Outbox,
    RunStateReader,
    RunStateStore,
    SchemaStatus,
    TierMigrations,
    TranscriptLog,
)
from acode_tui.sync.ports import SyncService

if TYPE_CHECKING:
    from acode_tui.ops.export.export import ExportProgress, ExportReport
    from acode_tui.ops.health import HealthReport
    from acode_tui.storage.sqlite.files.backup_catalog import Backup

ExportForm = Literal["markdown", "html", "json"]


class DashboardWorkspace(Protocol):
    """An open workspace. Everything may be called at once; nothing here blocks the event loop."""

    @property
    def root(self) -> Path: ...

    @property
    def agent_dir(self) -> Path: ...

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
        """Another number whenever any process has committed."""
        ...

    async def schema(self) -> SchemaStatus: ...

    async def migration_plan(self) -> tuple[TierMigrations, ...]:
        """What ``migrate`` would do, tier by tier; PostgreSQL only where it is enabled. Raises AcodeError."""
        ...

    async def migrate(self) -> tuple[TierMigrations, ...]:
        """Bring both tiers up to date. Raises AcodeError."""
        ...

    def write_trouble(self) -> AcodeError | None:
        """Why nothing can be written at present, None where something can. Answers at once."""
        ...

    async def health(self, *, fresh: bool = False) -> "HealthReport":
        """How the workspace is; unless ``fresh``, as of a few seconds ago. Never raises."""
        ...

    async def backup(self, *, progress: ReportProgress | None = None) -> "Backup":
        """Copy the workspace file while writers go on; ``progress`` is told how much of how much. Raises AcodeError."""
        ...

    async def export_session(
        self,
        session_id: str,
        format: ExportForm,
        path: Path | None = None,
        *,
        progress: "Callable[[ExportProgress], None] | None" = None,
    ) -> "ExportReport":
        """Write one run to a file, redacted as configured; without a path under a name of its own.

        Raises AcodeError, OSError. A file that is there is not replaced, and where it is cancelled nothing is left.
        """
        ...

    def open_team(self) -> AbstractAsyncContextManager[RunStateReader]:
        """The whole team's runs over PostgreSQL. Raises SyncError where that is off or misconfigured."""
        ...


Opening = Callable[[], AbstractAsyncContextManager[DashboardWorkspace]]
"""Opens the workspace; leaving it stops the worker and closes the files."""


@dataclass(frozen=True, slots=True)
class MigrateOnly:
    """What to do where migrations may not run by themselves: ``due`` names those that wait, ``opening`` runs them."""

    due: Callable[[], Awaitable[Sequence[str]]]
    opening: Opening
