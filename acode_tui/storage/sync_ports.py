"""The ports of the sync: the outbox, the lease, the pull cursor and the sync log in the workspace file, and the team's
database.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from acode_tui.config import PostgresTarget
from acode_tui.domain.entities import Entity
from acode_tui.domain.errors import SyncError
from acode_tui.domain.states import EntityType, Operation
from acode_tui.storage.conflict_ports import ConflictCounts
from acode_tui.storage.delivery_protocol import ApplyReply, ApplyRow, Head, PullPage, RejectedRow, RowKey, TargetFacts
from acode_tui.storage.schema_ports import TierMigrations

OutboxStatus = Literal["pending", "retrying", "failed", "processed", "all"]


class OutboxRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A row to deliver to the team's database, as its newest write left it; writes of a row whose record waits fold
    into it. ``outcome`` is set with ``processed_at``: applied, duplicate, superseded, conflict_local, conflict_remote
    or discarded.

    ``payload`` is the entity as JSON. Where the row has changed since or is gone it has ``id`` and ``updatedAt`` of the
    write, and a ``note`` that says so.
    """

    id: int
    idempotency_key: str
    session_id: str
    entity_type: EntityType
    entity_id: str
    operation: Operation
    payload: msgspec.Raw
    created_at: datetime
    updated_at: datetime
    processed_at: datetime | None = None
    outcome: str | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None
    failed_at: datetime | None = None
    last_error: str | None = None


class OutboxStats(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The backlog's counts. ``pending`` counts unprocessed records that are not dead letters;
    ``retrying`` those of them that were refused at least once; ``failed`` the dead letters.
    """

    pending: int = 0
    oldest_pending_at: datetime | None = None
    retrying: int = 0
    failed: int = 0
    next_attempt_at: datetime | None = None


class Outbox(Protocol):
    """The queue of writes that the team's database has not yet confirmed. At most one record a row waits unclaimed."""

    async def enqueue(self, kind: EntityType, entity_id: str) -> OutboxRecord:
        """Queue an entity's present row again; its own writes are queued by the store."""
        ...

    async def get_pending(self, limit: int) -> tuple[OutboxRecord, ...]:
        """Records due now, in ``created_at, id`` order, none behind an unfinished one of its lane that is not due."""
        ...

    async def mark_processed(self, record_id: int, outcome: str = "applied") -> None:
        """End a record; one that has ended stays as it is. Raises NotFoundError."""
        ...

    async def mark_failed(self, record_id: int, error: str, *, dead: bool = False, token: str | None = None) -> bool:
        """Count a refusal: one attempt more, the next one backed off; a dead letter at the last attempt, or at once
        if ``dead``. Returns whether the record is a dead letter now.

        With ``token`` the lease must be held by it (LeaseLostError). Raises NotFoundError.
        """
        ...

    async def pending_count(self) -> int:
        """Unprocessed records, dead letters not counted."""
        ...

    async def stats(self) -> OutboxStats: ...

    async def get(self, record_id: int) -> OutboxRecord: ...

    async def last_refused(self) -> OutboxRecord | None:
        """The unfinished record that the server refused last, with its error; None where there is none."""
        ...

    async def list(
        self, *, status: OutboxStatus = "pending", limit: int = 100, after: OutboxRecord | None = None
    ) -> tuple[OutboxRecord, ...]:
        """Records of one status; ``after`` is the record that the page before ended with, as it was read."""
        ...

    async def retry(self, record_ids: Sequence[int] | None = None) -> tuple[int, ...]:
        """Make dead letters and backing-off records (all, or these) due now with attempts 0; returns their ids."""
        ...

    async def discard(self, record_ids: Sequence[int]) -> int:
        """End dead letters unsent, outcome ``discarded``; returns how many."""
        ...


class RecordKey(NamedTuple):
    """An outbox record by id and idempotency key: into whichever later writes fold, it keeps its id, not its key."""

    id: int
    key: str


class ClaimedRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A row to deliver in its newest version, and the older records of that row that end with it, oldest first."""

    row: ApplyRow
    superseded: tuple[RecordKey, ...] = ()

    @property
    def oldest_id(self) -> int:
        """The id of the row's oldest record: where its lane waits if the row is refused."""
        return self.superseded[0].id if self.superseded else self.row.record_id


class QueuedPage(NamedTuple):
    """A page of sessions that was queued: the records made, the id to go on after (None at the end), the sessions."""

    made: int
    after: str | None
    sessions: tuple[str, ...]


class Delivered(NamedTuple):
    """A batch, and what the team's database did with it."""

    batch: Sequence[ClaimedRecord]
    reply: ApplyReply


class NextBatch(NamedTuple):
    """The records to send next, and how many conflicts were new in what was acknowledged before."""

    records: tuple[ClaimedRecord, ...] = ()
    conflicts: int = 0


class ExpiredRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A processed record past its retention. With ``needs_ledger`` it may go only if the ledger holds its key."""

    id: int
    session_id: str
    idempotency_key: str
    needs_ledger: bool


class DeliveryOutbox(Outbox, Protocol):
    """The outbox as the sync worker uses it: in batches, under the lease."""

    async def claim(
        self,
        token: str,
        *,
        max_records: int,
        max_bytes: int,
        beside: Sequence[ClaimedRecord] = (),
        delivered: Delivered | None = None,
        with_former: bool = False,
    ) -> NextBatch:
        """The next batch of what ``get_pending`` lists, each row once in its newest version; empty when nothing is due.

        At most ``max_records`` rows and about ``max_bytes`` of payload and content. A claimed record may have been
        sent: it stays as it is until it ends, and later writes of its row make another record. ``beside`` is a batch
        in flight: its records are left out. ``delivered`` is acknowledged in the same transaction, before. With
        ``with_former`` each row comes with the stamps that were sent of it before.

        Raises LeaseLostError.
        """
        ...

    async def acknowledge(self, token: str, delivered: Delivered) -> int:
        """Mark a delivered batch processed and bring its rows into step with the central ones, in one transaction.

        Returns how many conflicts are new. Raises LeaseLostError.
        """
        ...

    async def queue_unsent(
        self,
        *,
        after: str,
        limit: int,
        everything: bool,
        new_incarnation: bool = False,
        waiting: bool = False,
        queued: frozenset[str] = frozenset(),
        kept_since: datetime | None = None,
    ) -> QueuedPage:
        """Queue the rows of one page of sessions that were never synced; with ``everything``, all their rows.

        ``after`` is the session id that the page before ended with. ``new_incarnation``: the server's versions of these
        rows no longer count. ``waiting``: only sessions with a record in the outbox. ``queued``: sessions to leave out.
        ``kept_since``: since when no record was deleted; see ``ApplyRow.is_copy``.
        """
        ...

    async def resend_position(self, incarnation: str) -> str:
        """The session that an interrupted re-send to this incarnation ended with; empty where there was none."""
        ...

    async def note_resend(self, incarnation: str, after: str | None) -> None:
        """Note up to which session a re-send got; None at its end."""
        ...

    async def count_unsent(self, *, everything: bool) -> int:
        """How many rows ``queue_unsent`` is about; with ``everything``, all there are."""
        ...

    async def expired(self, *, before: datetime, after_id: int, limit: int) -> tuple[ExpiredRecord, ...]:
        """One page, by id, of the records that were processed before a moment."""
        ...

    async def delete_records(self, ids: Sequence[int]) -> int:
        """Delete processed records; returns how many."""
        ...


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a sync worker: stored with each heartbeat and shown by every process.

    ``state`` is a ``SyncState``; ``reason`` and ``hint`` say why it is not idle. ``rate`` is records per second over
    the last drain.
    """

    state: str
    reason: str = ""
    hint: str = ""
    rate: float = 0.0
    last_sync_at: datetime | None = None
    next_attempt_at: datetime | None = None
    schema_version: str | None = None
    target_schema_version: str | None = None
    latency_ms: float | None = None
    clock_offset_ms: float | None = None


HEARTBEAT_SECONDS = 5.0
"""How often the holder of the lease renews it."""

LEASE_SECONDS = 20.0
"""How long a lease outlives its last heartbeat: a standby takes over within 30 s of a holder's death."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Which process drains the workspace. ``holder`` is ``host:pid``; ``mode`` is dashboard, headless or api;
    ``state`` is the holder's ``SyncState``.
    """

    token: str
    holder: str
    pid: int
    mode: str
    state: str
    acquired_at: datetime
    heartbeat_at: datetime
    expires_at: datetime


class LeaseLostError(SyncError):
    """Another worker has taken over; this one's batch in flight is sent again and comes back as duplicates."""

    default_hint = "nothing to do: the other worker goes on"


class LeaseStore(Protocol):
    """The lease row. A token that was given up or lost is never valid again."""

    async def acquire_lease(self, token: str, *, mode: str, status: WorkerStatus) -> Lease | None:
        """Take or renew the lease; None on success, else the live lease of another worker."""
        ...

    async def renew_lease(self, token: str, status: WorkerStatus) -> None:
        """A heartbeat, with the worker's status. Raises LeaseLostError."""
        ...

    async def release_lease(self, token: str, status: WorkerStatus) -> None:
        """Give the lease up, if ``token`` holds it; the time of the last sync is kept."""
        ...

    async def live_lease(self) -> Lease | None:
        """The lease, if its holder may still be at work."""
        ...

    def is_live(self, lease: Lease | None) -> bool:
        """Whether a lease's holder may still be at work: it has not expired, nor is a process of this host gone."""
        ...


class PullCursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far this replica pulled: the last central number whose rows are here, and the incarnation that gave it."""

    change_seq: int
    incarnation: str


class PullCursorStore(Protocol):
    """The rows that other replicas wrote, and how far they were pulled. Every write needs the lease's token."""

    async def pull_cursor(self) -> PullCursor | None:
        """How far this replica pulled; None before its first sync."""
        ...

    async def set_pull_cursor(self, token: str, cursor: PullCursor) -> None:
        """Begin following a central database, or start over with a new incarnation. Raises LeaseLostError."""
        ...

    async def adopt(
        self,
        token: str,
        pulled: Sequence[Entity],
        cursor: PullCursor | None,
        rejected: Sequence[RejectedRow] = (),
        gone: Sequence[RowKey] = (),
    ) -> int:
        """Write pulled rows and move the cursor, in one transaction; returns how many rows were new or newer.

        ``rejected`` rows are kept aside, ``gone`` ones are not any more: the server does not have them. Raises
        LeaseLostError.
        """
        ...

    async def read_again(self, *, limit: int) -> list[RowKey]:
        """Rows that are kept aside and worth reading again: their parent is here, or their stamp is not ahead."""
        ...

    async def kept_aside(self, after: RowKey | None, *, limit: int) -> list[RowKey]:
        """All rows that are kept aside, page by page."""
        ...


class LogEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A row of the sync log: a drain that did something, or a change of state."""

    at: datetime
    event: str
    state: str
    message: str = ""
    synced: int = 0
    duplicates: int = 0
    superseded: int = 0
    conflicts: int = 0
    failed: int = 0
    pulled: int = 0
    duration_ms: int = 0


class SyncLog(Protocol):
    """What the sync did, for people to read."""

    async def append_log(self, entry: LogEntry, *, synced_at: datetime | None = None) -> None:
        """Add a row, the oldest beyond a limit go; ``synced_at`` is kept as the time of the last sync."""
        ...

    async def log_tail(self, limit: int) -> tuple[LogEntry, ...]:
        """The newest rows, newest first. Raises SyncError for a negative limit."""
        ...


class SyncSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a status shows of the workspace file. ``worker`` is what the last heartbeat stored;
    ``last_stamp`` is the last one that the workspace's clock has issued.
    """

    outbox: OutboxStats
    conflicts: ConflictCounts
    lease: Lease | None
    last_sync_at: datetime | None
    duplicates: int
    worker: WorkerStatus | None
    last_stamp: datetime | None = None


class SyncJournal(LeaseStore, PullCursorStore, SyncLog, Protocol):
    """What the sync worker keeps in the workspace file beside the outbox.

    Its writes do not count as local commits, so the worker does not wake itself.
    """

    @property
    def workspace_id(self) -> str: ...

    @property
    def host(self) -> str:
        """This machine's name, as it stands in a lease's holder."""
        ...

    async def snapshot(self) -> SyncSnapshot:
        """The workspace's side of the status, from one read transaction."""
        ...

    async def last_acknowledged(self) -> tuple[str, str] | None:
        """Session id and key of the record that was acknowledged last; None if there is none."""
        ...


class SyncTarget(Protocol):
    """The team's database as the sync worker uses it: one connection, one operation at a time.

    Every operation has a deadline, and raises PostgresFault where the database cannot be reached or refuses.
    """

    @property
    def address(self) -> PostgresTarget:
        """Where it connects to."""
        ...

    @property
    def is_connected(self) -> bool:
        """Whether a connection is open as far as this side knows."""
        ...

    async def connect(self) -> None:
        """Open the connection if it is not open."""
        ...

    async def close(self) -> None:
        """Close the connection, within two seconds."""
        ...

    def terminate(self) -> None:
        """Drop the connection at once; an operation in flight, connecting included, fails with a PostgresFault."""
        ...

    async def probe(self) -> TargetFacts:
        """Versions, round trip, clock, whether it takes writes. Does not check the schema."""
        ...

    async def check_schema(self) -> str:
        """The schema's version; PostgresFault of kind SCHEMA if it is not the one that this program needs."""
        ...

    async def migrate(self, *, distribute: bool = False, dry_run: bool = False) -> TierMigrations:
        """Bring the schema up to date. Raises MigrationError."""
        ...

    async def register_workspace(self, workspace_id: str, *, user: str, host: str, version: str) -> Head:
        """Make the workspace known, or note that it was seen; returns its head."""
        ...

    async def head(self, workspace_id: str) -> Head | None:
        """A workspace's head; None if the database does not know the workspace (any more)."""
        ...

    async def renew_incarnation(self, workspace_id: str) -> Head:
        """Give the workspace a new incarnation, before everything is sent again to a server that went back in time."""
        ...

    async def prepare(self, batch: Sequence[ApplyRow]) -> Any:
        """What ``apply`` would do first with a batch, before it needs the connection; for its ``prepared``."""
        ...

    async def apply(
        self,
        workspace_id: str,
        batch: Sequence[ApplyRow],
        *,
        incarnation: str,
        cursor: int = 0,
        prepared: Any = None,
    ) -> ApplyReply:
        """Deliver a batch in one transaction."""
        ...

    async def pull(self, workspace_id: str, after_seq: int) -> PullPage:
        """One page of the workspace's rows with a ``change_seq`` above ``after_seq``."""
        ...

    async def read_again(self, keys: Sequence[RowKey]) -> tuple[list[Entity], list[RejectedRow]]:
        """Rows by key, parents first, those that are still not valid apart. A row that is gone is in neither."""
        ...

    async def ledger_has(self, keys: Sequence[tuple[str, str]]) -> set[str]:
        """Which of these (session id, idempotency key) the ledger holds."""
        ...
