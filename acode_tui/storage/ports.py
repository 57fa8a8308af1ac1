"""What the rest of the program asks of storage: Protocols and their values, without a database.

The ports of conflicts, files, row streams, schemas, the sync and the team stand in modules of their own and are
imported from here. A backend is chosen once, in ``acode_tui.workspace``. Both tiers pass the same conformance suite for
``RunStateReader``.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from acode_tui.domain.entities import (
    Artifact,
    Json,
    Session,
    SessionEvent,
    SessionGraph,
    SessionSummary,
    SessionTask,
    Step,
    ToolCall,
)
from acode_tui.domain.states import ArtifactType, EntityType, SessionState, StepState, TaskState
from acode_tui.storage.conflict_ports import Conflict, ConflictCounts, ConflictLog, QuarantinedRow
from acode_tui.storage.cursors import SortKey
from acode_tui.storage.figures_ports import KEYS, By, Counts, Figures, PriceRow, RunFigures, Tokens, Usage, require_by
from acode_tui.storage.file_ports import (
    Backup,
    BackupKind,
    BackupStore,
    Check,
    DatabaseFiles,
    Depth,
    FileAccess,
    FileHealth,
    FileInspection,
    FileProbe,
    FileRebuild,
    FileRebuilding,
    FileReport,
    FileSpace,
    FileVacuum,
    IncompleteBackup,
    LocalCounts,
    QueueFacts,
)
from acode_tui.storage.run_ports import (
    RowChecksumReader,
    RowChecksums,
    RowSink,
    RunFileReader,
    RunFiles,
    RunRows,
)
from acode_tui.storage.schema_ports import AppliedMigration, SchemaStatus, Tier, TierMigrations
from acode_tui.storage.search_ports import (
    IndexSize,
    RunHitsReader,
    RunSearch,
    SearchedSession,
    SearchHit,
    SearchIndex,
    SearchPage,
)
from acode_tui.storage.sync_ports import (
    HEARTBEAT_SECONDS,
    LEASE_SECONDS,
    ClaimedRecord,
    Delivered,
    DeliveryOutbox,
    ExpiredRecord,
    Lease,
    LeaseLostError,
    LeaseStore,
    LogEntry,
    NextBatch,
    Outbox,
    OutboxRecord,
    OutboxStats,
    OutboxStatus,
    PullCursor,
    PullCursorStore,
    QueuedPage,
    RecordKey,
    SyncJournal,
    SyncLog,
    SyncSnapshot,
    SyncTarget,
    WorkerStatus,
)
from acode_tui.storage.team_ports import (
    OpenTeam,
    ProbeTarget,
    Team,
    TeamCounts,
    TeamInspection,
    TeamRows,
    TeamSource,
    TeamWorkspace,
)
from acode_tui.storage.transcript_ports import SaveResult, TranscriptFile, TranscriptLog

__all__ = [
    "HEARTBEAT_SECONDS",
    "KEYS",
    "LEASE_SECONDS",
    "AppliedMigration",
    "Backup",
    "BackupKind",
    "BackupStore",
    "By",
    "Check",
    "ClaimedRecord",
    "Conflict",
    "ConflictCounts",
    "ConflictLog",
    "Counts",
    "DatabaseFacts",
    "DatabaseFiles",
    "Delivered",
    "DeliveryOutbox",
    "Depth",
    "ExpiredRecord",
    "Figures",
    "FileAccess",
    "FileHealth",
    "FileInspection",
    "FileProbe",
    "FileRebuild",
    "FileRebuilding",
    "FileReport",
    "FileSpace",
    "FileVacuum",
    "IncompleteBackup",
    "IndexSize",
    "Lease",
    "LeaseLostError",
    "LeaseStore",
    "LocalCounts",
    "LogEntry",
    "NextBatch",
    "OpenTeam",
    "Outbox",
    "OutboxRecord",
    "OutboxStats",
    "OutboxStatus",
    "PriceRow",
    "ProbeTarget",
    "PullCursor",
    "PullCursorStore",
    "QuarantinedRow",
    "QueueFacts",
    "QueuedPage",
    "RecordKey",
    "RowChecksumReader",
    "RowChecksums",
    "RowSink",
    "RunFigures",
    "RunFileReader",
    "RunFiles",
    "RunHitsReader",
    "RunRows",
    "RunSearch",
    "RunStateReader",
    "RunStateStore",
    "SaveResult",
    "SchemaStatus",
    "SearchHit",
    "SearchIndex",
    "SearchPage",
    "SearchedSession",
    "SessionFilter",
    "SessionPage",
    "SessionPart",
    "SyncJournal",
    "SyncLog",
    "SyncSnapshot",
    "SyncTarget",
    "Team",
    "TeamCounts",
    "TeamInspection",
    "TeamRows",
    "TeamSource",
    "TeamWorkspace",
    "Tier",
    "TierMigrations",
    "Tokens",
    "TranscriptFile",
    "TranscriptLog",
    "Usage",
    "WorkerStatus",
    "require_by",
]


class SessionFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which sessions to list; every given part must hold. Times are aware; ``since`` is included, ``until`` is not.

    ``text`` is a query, see ``domain.search.query``: the runs that it finds are listed.
    ``folded`` leaves out runs that another stored run started, unless there is a text; ``parent`` lists those of one
    run. Both are of the workspace file alone: the team's database keeps no index of parents.
    ``sort`` names the time that pages are ordered by, newest first, and that ``since`` and ``until`` bound; or it is
    ``state``: in the order of ``STATE_ORDER``, and those of a state by their last activity, which is bounded too. Or it
    is ``took``, ``failed``, ``tokens``, ``cost`` or ``calls``: the largest first, of the workspace file alone, and
    nothing is folded.
    """

    states: Sequence[SessionState] = ()
    text: str | None = None
    user: str | None = None
    workspace: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    folded: bool = False
    parent: str | None = None
    sort: SortKey = "updated"


class SessionPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One page, newest first. A cursor is opaque and None where there is no page that way.

    ``total`` counts the whole filter, or is None where counting would not be cheap.
    """

    sessions: tuple[SessionSummary, ...]
    next_cursor: str | None = None
    previous_cursor: str | None = None
    total: int | None = None

    def __iter__(self) -> Iterator[SessionSummary]:
        return iter(self.sessions)

    def __len__(self) -> int:
        return len(self.sessions)


class SessionPart(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A run with some of its steps; ``whole`` if those are all."""

    graph: SessionGraph
    whole: bool


class RunStateReader(Protocol):
    """Reading runs, the same over SQLite and PostgreSQL. Unknown ids raise NotFoundError."""

    async def get(self, session_id: str) -> Session: ...

    async def list(
        self,
        filter: SessionFilter | None = None,
        *,
        limit: int = 50,
        after: str | None = None,
        before: str | None = None,
    ) -> SessionPage:
        """One keyset page of at most ``limit`` (1 to 200) sessions, after or before a cursor."""
        ...

    async def count(self, filter: SessionFilter | None = None) -> int:
        """How many sessions fit, exactly, however long that takes."""
        ...

    async def count_by_state(self, filter: SessionFilter | None = None) -> dict[SessionState, int] | None:
        """How many fit of each state, the filter's own states left aside; None where counting would not be cheap."""
        ...

    async def count_unknown(self) -> int:
        """How many sessions no page shows, as their state is not known here. Of very many not all are counted."""
        ...

    async def count_before(self, filter: SessionFilter, cursor: str) -> int | None:
        """How many fit that stand before the page after ``cursor``; None where counting would not be cheap."""
        ...

    async def get_events(self, session_id: str) -> tuple[SessionEvent, ...]:
        """A session's events, oldest first."""
        ...

    async def get_with_hierarchy(self, session_id: str) -> SessionGraph:
        """The whole run, artifact content not loaded."""
        ...

    async def get_part(self, session_id: str, *, steps: int, from_end: bool = False) -> SessionPart:
        """The first or the last ``steps`` steps of a run with the tasks that they belong to, at most as many tasks, and
        everything below them; artifact content not loaded.
        """
        ...

    async def get_artifact(self, artifact_id: str) -> Artifact:
        """An artifact's metadata, content not loaded."""
        ...

    async def get_artifact_content(self, artifact_id: str) -> bytes:
        """An artifact's bytes, verified against its hash (IntegrityError if they differ)."""
        ...

    async def get_artifact_contents(self, artifact_ids: Sequence[str]) -> dict[str, bytes]:
        """The bytes of several artifacts by their ids, in one read; unknown ids are left out."""
        ...

    async def get_artifacts_of(self, session_ids: Sequence[str], types: Sequence[ArtifactType]) -> tuple[Artifact, ...]:
        """The artifacts of these types in several sessions, oldest first, in one read; unknown ids have none."""
        ...

    async def resolve_id(self, kind: EntityType, prefix: str) -> str:
        """The one id that begins with ``prefix``. Raises NotFoundError or AmbiguousIdError."""
        ...


class RunStateStore(RunStateReader, Protocol):
    """Reading and writing runs. A write returns once it is on disk together with its outbox records."""

    async def create_session(
        self,
        task_description: str,
        *,
        metadata: Json | None = None,
        user_id: str | None = None,
        session_id: str | None = None,
    ) -> Session:
        """Record a new session in state Created. ``session_id``: an id of the caller's that no session has."""
        ...

    async def transition_session(
        self, session_id: str, to_state: SessionState, *, reason: str = "", metadata: Json | None = None
    ) -> Session:
        """Change the state and append the event; the keys of ``metadata`` are set in what the session has."""
        ...

    async def add_task(
        self,
        session_id: str,
        title: str,
        *,
        description: str | None = None,
        metadata: Json | None = None,
        started: bool = False,
    ) -> SessionTask:
        """A new task, Pending or, where it is ``started`` already, InProgress: one write instead of two."""
        ...

    async def transition_task(self, task_id: str, to_state: TaskState) -> SessionTask: ...

    async def add_step(
        self,
        task_id: str,
        name: str,
        *,
        description: str | None = None,
        metadata: Json | None = None,
        started: bool = False,
    ) -> Step:
        """A new step, Pending or, where it is ``started`` already, InProgress."""
        ...

    async def transition_step(self, step_id: str, to_state: StepState, *, metadata: Json | None = None) -> Step: ...

    async def add_tool_call(
        self, step_id: str, tool_name: str, parameters: Any = None, *, started: bool = False
    ) -> ToolCall:
        """A new tool call, Pending or, where it is ``started`` already, Executing."""
        ...

    async def start_tool_call(self, tool_call_id: str) -> ToolCall: ...

    async def complete_tool_call(self, tool_call_id: str, *, result: Any = None) -> ToolCall: ...

    async def fail_tool_call(self, tool_call_id: str, error_message: str) -> ToolCall: ...

    async def cancel_tool_call(self, tool_call_id: str, reason: str = "") -> ToolCall: ...

    async def add_artifact(
        self,
        parent_id: str,
        type: ArtifactType,
        name: str,
        content: bytes,
        content_type: str,
    ) -> Artifact:
        """Keep a content of the task, step or tool call with the id ``parent_id``."""
        ...

    async def save(self, graph: SessionGraph) -> SaveResult:
        """Bring the stored run to the graph's: insert what is new, update what differs, enqueue only that.

        Nothing is deleted. An unchanged graph writes nothing. Session, task, step and tool call rows whose content
        differs take the graph's ``updated_at`` if it is later than the stored one, else the clock's next stamp. The
        session's is raised to the latest stamp that is written below it.
        """
        ...


class DatabaseFacts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The workspace file at a glance; ``size_bytes`` includes the WAL.

    ``shared_file_system`` names the file system if two kernels may share it: there the file has no WAL.
    """

    path: str
    size_bytes: int
    schema_version: str | None
    target_version: str
    journal_mode: str
    sessions: int
    last_modified: datetime | None
    shared_file_system: str | None = None
