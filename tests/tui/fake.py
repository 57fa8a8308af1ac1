"""A workspace in memory, for states that are hard to produce with a real one, and for stable pictures."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from acode_tui.config import Settings
from acode_tui.domain.entities import (
    Artifact,
    SessionEvent,
    SessionGraph,
    SessionSummary,
)
from acode_tui.domain.errors import AcodeError, AmbiguousIdError, NotFoundError, SyncError
from acode_tui.domain.progress import Progress, ReportProgress
from acode_tui.domain.search.match import contains
from acode_tui.domain.search.query import Term, parse_query
from acode_tui.domain.states import STATE_ORDER, ArtifactType, EntityType, SessionState
from acode_tui.ops.export.export import ExportFormat, ExportProgress, ExportReport
from acode_tui.ops.health import HealthReport
from acode_tui.ops.stats.report import Stats
from acode_tui.storage.cursors import SortKey, cursor_above, end_cursor
from acode_tui.storage.ports import (
    AppliedMigration,
    Backup,
    Check,
    Conflict,
    ConflictCounts,
    IncompleteBackup,
    OutboxRecord,
    OutboxStats,
    SchemaStatus,
    SearchHit,
    SessionFilter,
    SessionPage,
    SessionPart,
    TierMigrations,
)
from acode_tui.sync.ports import SyncReport, SyncState, SyncStatus
from tests.domain.graphs import part_of
from tests.tui.recorded import (
    BACKUP,
    CONTENTS,
    EMPTY_STATS,
    NOW,
    WORKSPACE,
    conflict,
    fake_id,
    graph,
    health_report,
    record,
    stats,
    summary,
)

__all__ = ["NOW", "FakeWorkspace", "conflict", "fake_id", "graph", "online", "record", "summary"]


def _parent(session: SessionSummary) -> str | None:
    return (session.metadata or {}).get("parentSessionId")


def _terms(text: str | None) -> tuple[Term, ...]:
    return parse_query(text, now=NOW).terms if text else ()


class FakeStore:
    def __init__(self, sessions: list[SessionSummary]) -> None:
        self.sessions = sessions
        self.graphs: dict[str, SessionGraph] = {}
        self.contents = dict(CONTENTS)
        self.events: dict[str, list[SessionEvent]] = {}
        self.counting_is_expensive = False

    async def list(
        self,
        filter: SessionFilter | None = None,
        *,
        limit: int = 50,
        after: str | None = None,
        before: str | None = None,
    ) -> SessionPage:
        wanted = filter or SessionFilter()
        fitting = [
            session
            for session in self.sessions
            if (not wanted.states or session.state in wanted.states)
            and (wanted.since is None or session.updated_at >= wanted.since)
            and all(contains(term, session.task_description) for term in _terms(wanted.text))
            and (wanted.parent is None or _parent(session) == wanted.parent)
            and not (wanted.folded and any(each.id == _parent(session) for each in self.sessions))
        ]
        if wanted.sort == "state":
            fitting.sort(key=lambda session: STATE_ORDER.index(session.state))
        if before is not None:
            behind = int(before) if before.isdigit() else len(fitting)
            if behind == len(fitting) and before != end_cursor(wanted.sort):
                behind = _below(before, fitting)
            start = max(behind - limit, 0)
        else:
            start = int(after) if after and after.isdigit() else _below(after, fitting)
        more = start + limit < len(fitting)
        return SessionPage(
            sessions=tuple(fitting[start : start + limit]),
            next_cursor=str(start + limit) if more else None,
            previous_cursor=str(start) if start else None,
            total=len(fitting),
        )

    async def count_unknown(self) -> int:
        return 0

    async def count_by_state(self, filter: SessionFilter | None = None) -> dict[SessionState, int] | None:
        if filter is not None and filter.text:
            return None
        return {state: sum(session.state is state for session in self.sessions) for state in SessionState}

    async def count_before(self, filter: SessionFilter, cursor: str) -> int | None:
        if self.counting_is_expensive:
            return None
        fitting = list(self.sessions)
        if filter.sort == "state":
            fitting.sort(key=lambda session: STATE_ORDER.index(session.state))
        return _below(cursor, fitting)

    async def resolve_id(self, kind: EntityType, prefix: str) -> str:
        found = [session.id for session in self.sessions if session.id.startswith(prefix)]
        if not found:
            raise NotFoundError(f"no {kind} begins with {prefix}")
        if len(found) > 1:
            raise AmbiguousIdError(f"{len(found)} ids begin with {prefix}", hint="type more of it")
        return found[0]

    async def get(self, session_id: str) -> SessionSummary:
        for session in self.sessions:
            if session.id == session_id:
                return session
        raise NotFoundError(f"no session {session_id}")

    async def get_events(self, session_id: str) -> tuple[SessionEvent, ...]:
        return tuple(self.events.get(session_id, ()))

    async def get_with_hierarchy(self, session_id: str) -> SessionGraph:
        await self.get(session_id)
        return self.graphs.get(session_id) or graph(int(session_id[9:13], 16))

    async def get_part(self, session_id: str, *, steps: int, from_end: bool = False) -> SessionPart:
        return part_of(await self.get_with_hierarchy(session_id), steps, from_end=from_end)

    async def get_artifact_content(self, artifact_id: str) -> bytes:
        return self.contents[artifact_id]

    async def get_artifact_contents(self, artifact_ids: Sequence[str]) -> dict[str, bytes]:
        return {each: await self.get_artifact_content(each) for each in artifact_ids}

    async def get_artifacts_of(self, session_ids: Sequence[str], types: Sequence[ArtifactType]) -> tuple[Artifact, ...]:
        graphs = [await self.get_with_hierarchy(each) for each in session_ids]
        artifacts = [each for graph in graphs for each in graph.entities() if isinstance(each, Artifact)]
        return tuple(sorted((each for each in artifacts if each.type in types), key=lambda each: each.created_at))


def _below(after: str | None, fitting: list[SessionSummary]) -> int:
    """The index of the first session after a cursor."""
    if after is None:
        return 0
    orders: tuple[SortKey, ...] = ("updated", "created", "state")
    return next(i for i, each in enumerate(fitting) if after in [cursor_above(sort, each) for sort in orders])


class FakeOutbox:
    def __init__(self, stats: OutboxStats, records: Sequence[OutboxRecord] = ()) -> None:
        self.figures = stats
        self.records = list(records)
        self.retried: list[list[int] | None] = []
        self.discarded: list[list[int]] = []

    async def stats(self) -> OutboxStats:
        return self.figures

    async def last_refused(self) -> OutboxRecord | None:
        refused = [record for record in self.records if record.attempts]
        return refused[-1] if refused else None

    async def list(
        self, *, status: str = "pending", limit: int = 100, after: OutboxRecord | None = None
    ) -> tuple[OutboxRecord, ...]:
        chosen = {
            "failed": [record for record in self.records if record.failed_at],
            "retrying": [record for record in self.records if record.attempts and not record.failed_at],
        }.get(status, self.records)
        start = next((index + 1 for index, record in enumerate(chosen) if record is after), 0)
        return tuple(chosen[start : start + limit])

    async def retry(self, record_ids: Sequence[int] | None = None) -> tuple[int, ...]:
        self.retried.append(None if record_ids is None else list(record_ids))
        return tuple([record.id for record in self.records] if record_ids is None else record_ids)

    async def discard(self, record_ids: Sequence[int]) -> int:
        self.discarded.append(list(record_ids))
        self.records = [record for record in self.records if record.id not in record_ids]
        return len(record_ids)


class FakeConflicts:
    def __init__(self, conflicts: Sequence[Conflict] = ()) -> None:
        self.conflicts = list(conflicts)
        self.aside = 0

    async def counts(self) -> ConflictCounts:
        unreviewed = sum(conflict.reviewed_at is None for conflict in self.conflicts)
        return ConflictCounts(total=len(self.conflicts), unreviewed=unreviewed, quarantined=self.aside)

    async def list(
        self, *, unreviewed_only: bool = False, limit: int = 100, after: Conflict | None = None
    ) -> tuple[Conflict, ...]:
        chosen = [item for item in self.conflicts if not unreviewed_only or item.reviewed_at is None]
        start = next((index + 1 for index, item in enumerate(chosen) if after and item.id == after.id), 0)
        return tuple(chosen[start : start + limit])

    async def mark_reviewed(self, conflict_id: str) -> Conflict:
        index = next(i for i, conflict in enumerate(self.conflicts) if conflict.id == conflict_id)
        self.conflicts[index] = msgspec.structs.replace(self.conflicts[index], reviewed_at=NOW)
        return self.conflicts[index]

    async def take_other(self, conflict_id: str) -> Conflict:
        return await self.mark_reviewed(conflict_id)


class FakeSync:
    def __init__(self, status: SyncStatus) -> None:
        self.figures = status
        self.paused = 0
        self.resumed = 0
        self.syncs = 0

    async def status(self) -> SyncStatus:
        return self.figures

    async def stop(self) -> None:
        return None

    async def pause(self) -> None:
        self.paused += 1
        self.figures = msgspec.structs.replace(self.figures, state=SyncState.PAUSED)

    async def resume(self) -> None:
        self.resumed += 1
        self.figures = msgspec.structs.replace(self.figures, state=SyncState.IDLE)

    async def sync_now(self, **_: object) -> SyncReport:
        self.syncs += 1
        if self.figures.state is SyncState.DISABLED:
            raise SyncError("sync is off [/foo]", hint="enable persistence.postgres")
        return SyncReport(synced=47)


class FakeWorkspace:
    """A DashboardWorkspace whose parts a test sets."""

    has_file = True

    def __init__(self, sessions: int = 120) -> None:
        self.root = Path("/home/ada/src/shop")
        self.agent_dir = self.root / ".agent"
        self.settings = Settings()
        self.workspace_id = WORKSPACE
        self.store = FakeStore([summary(number) for number in range(sessions)])
        self.outbox = FakeOutbox(OutboxStats())
        self.conflicts = FakeConflicts()
        self.sync = FakeSync(SyncStatus(state=SyncState.DISABLED))
        self.team: FakeStore | AcodeError = SyncError("PostgreSQL is off", hint="enable persistence.postgres")
        self.team_open = 0
        self.remote_plan: TierMigrations | AcodeError | None = None
        self.schema_status = SchemaStatus(
            tier="sqlite",
            version="1.2.0",
            target="1.2.0",
            description="sync and import",
            applied_at=NOW - timedelta(days=3),
        )
        self.version = 1
        self.report = health_report()
        self.failing_write: AcodeError | None = None
        self.examined = 0
        self.exported: list[tuple[str, str, Path | None]] = []
        self.backing_up = asyncio.Event()
        self.backing_up.set()
        self.exporting = asyncio.Event()
        self.exporting.set()
        self.refuses: AcodeError | None = None
        self.figures: dict[str, Stats] | AcodeError = stats()
        self.asked: list[tuple[str, str]] = []
        self.made: list[Backup] = []
        self.incomplete: list[IncompleteBackup] = []
        self.findings: tuple[Check, ...] = ()
        self.prices: dict[str, float | None] = {}
        self.values: dict[str, tuple[str, ...]] = {}
        self.counting: Progress | None = None
        self.counted = asyncio.Event()

    async def data_version(self) -> int:
        return self.version

    async def hits_in(
        self, query: str, session_ids: Sequence[str], *, most: int = 4
    ) -> dict[str, tuple[SearchHit, ...]]:
        return {}

    async def field_values(self, field: str, *, most: int = 500) -> tuple[str, ...]:
        return self.values.get(field, ())

    async def schema(self) -> SchemaStatus:
        return self.schema_status

    async def migration_plan(self) -> tuple[TierMigrations, ...]:
        schema = self.schema_status
        here = TierMigrations(
            tier="sqlite", from_version=schema.version, to_version=schema.target, pending=schema.pending
        )
        if isinstance(self.remote_plan, AcodeError):
            raise self.remote_plan
        return (here,) if self.remote_plan is None else (here, self.remote_plan)

    async def migrate(self) -> tuple[TierMigrations, ...]:
        here, *there = await self.migration_plan()
        done = [
            msgspec.structs.replace(
                tier,
                applied=tuple(
                    AppliedMigration(version=version, description="", checksum="") for version in tier.pending
                ),
                pending=(),
            )
            for tier in there
        ]
        self.remote_plan = msgspec.structs.replace(done[0], from_version=done[0].to_version) if done else None
        return (here, *done)

    def write_error(self) -> AcodeError | None:
        return self.failing_write

    async def health(self, *, fresh: bool = False) -> HealthReport:
        self.examined += 1
        return self.report

    async def stats(self, query: str = "", by: str = "day", *, progress: ReportProgress | None = None) -> Stats:
        self.asked.append((query, by))
        if isinstance(self.figures, AcodeError):
            raise self.figures
        if progress is not None and self.counting is not None:
            progress(self.counting)
            await self.counted.wait()
        return self.figures.get(by, EMPTY_STATS)

    async def costs(self, session_ids: Sequence[str]) -> dict[str, float | None]:
        return {each: self.prices[each] for each in session_ids if each in self.prices}

    async def stats_team(self, query: str = "", by: str = "day") -> Stats:
        self.asked.append((query, f"team's {by}"))
        return self.figures[by] if isinstance(self.figures, dict) else EMPTY_STATS

    async def backups(self) -> tuple[tuple[Backup, ...], tuple[IncompleteBackup, ...]]:
        return tuple(self.made), tuple(self.incomplete)

    async def verify_backup(self, backup: Backup) -> tuple[Check, ...]:
        return self.findings

    async def backup(self, *, progress: ReportProgress | None = None) -> Backup:
        if progress is not None:
            progress(Progress(1_200_000, 4_200_000, "pages"))
        await self.backing_up.wait()
        if self.refuses is not None:
            raise self.refuses
        return BACKUP

    async def export_session(
        self,
        session_id: str,
        format: ExportFormat,
        path: Path | None = None,
        *,
        progress: Callable[[ExportProgress], None] | None = None,
    ) -> ExportReport:
        self.exported.append((session_id, format, path))
        if progress is not None:
            progress(ExportProgress(sessions=Progress(0, 1, "sessions"), rows=Progress(3_120, 12_000, "rows")))
        await self.exporting.wait()
        if path is not None and path.name == "taken":
            raise FileExistsError(17, "File exists", str(path))
        return ExportReport(
            path=str(path or "/home/ada/src/shop/.agent/exports/acode_session_0190d6a1.md"),
            format=format,
            redacted=True,
            counts={},
            redactions={"api key": 2},
            redaction_log=None,
            size_bytes=48_000,
            dry_run=False,
            duration_seconds=0.1,
        )

    @asynccontextmanager
    async def open_team(self) -> AsyncIterator[Any]:
        if isinstance(self.team, AcodeError):
            raise self.team
        self.team_open += 1
        try:
            yield self.team
        finally:
            self.team_open -= 1

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[Any]:
        yield self


def online(workspace: FakeWorkspace) -> FakeWorkspace:
    """Give a workspace a PostgreSQL, a backlog that is being sent, refused records and conflicts."""
    workspace.outbox = FakeOutbox(
        OutboxStats(
            pending=4_872,
            oldest_pending_at=NOW - timedelta(hours=3, minutes=12),
            retrying=2,
            failed=1,
            next_attempt_at=NOW + timedelta(seconds=38),
        ),
        [record(1), record(2, attempts=1), record(3, attempts=10, dead=True, error="22P02: invalid text [/red]")],
    )
    workspace.conflicts = FakeConflicts([conflict(0), conflict(1, "local", reviewed=True), conflict(2, reviewed=True)])
    workspace.sync = FakeSync(
        SyncStatus(
            state=SyncState.SYNCING,
            target="db.example.org:5432/runs",
            pending=4_872,
            rate=812.0,
            last_sync_at=NOW - timedelta(seconds=4),
            schema_version="1.2.0",
            target_schema_version="1.2.0",
        )
    )
    return workspace


@asynccontextmanager
async def holding(fake: FakeWorkspace) -> AsyncIterator[None]:
    """Keep the backup running until ``backing_up`` is set, or until the end: quitting waits for it."""
    fake.backing_up.clear()
    try:
        yield
    finally:
        fake.backing_up.set()


@asynccontextmanager
async def exporting_slowly(fake: FakeWorkspace) -> AsyncIterator[None]:
    """Keep the export running until ``exporting`` is set, or until the end."""
    fake.exporting.clear()
    try:
        yield
    finally:
        fake.exporting.set()
