"""What both ends of a delivery agree on: batches and their results, pages of a pull, and the faults of a target."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol

import msgspec

from acode_tui.domain.entities import Entity
from acode_tui.domain.errors import SyncError
from acode_tui.domain.states import EntityType
from acode_tui.storage.conflict_ports import Conflict

Outcome = Literal["applied", "duplicate", "converged", "conflict_local", "conflict_remote"]


class ConflictRules(Protocol):
    """The pure rules that settle a conflict: ``acode_tui.sync.conflict.ConflictResolver``."""

    def content_digest(self, entity: Entity) -> bytes: ...

    def same_content(self, local: Entity, remote: Entity) -> bool: ...

    def is_redacted_form(self, local: Entity, remote: Entity) -> bool: ...

    def resolve(self, local: Entity, remote: Entity) -> Literal["local", "remote"]: ...


class RejectedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the team's database that is not valid here: kept aside, never written to its table.

    ``excerpt`` is the beginning of its text, for people. It is worth reading again once ``parent`` is here, or once it
    is ``retry_at``; with neither, when the program starts anew, with other limits or a newer version perhaps.
    """

    kind: EntityType
    id: str
    session_id: str
    change_seq: int
    reason: str
    excerpt: str = ""
    parent: tuple[EntityType, str] | None = None
    retry_at: datetime | None = None

    @property
    def key(self) -> "RowKey":
        return RowKey(self.kind, self.session_id, self.id)


class RowKey(NamedTuple):
    """A row of the team's database. Of a session, both ids are its own."""

    kind: EntityType
    session_id: str
    id: str


def row_key(entity: Entity) -> RowKey:
    """The key of an entity's row."""
    return RowKey(entity.kind, getattr(entity, "session_id", entity.id), entity.id)


class ApplyRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One record to deliver.

    ``record_id`` is the caller's own and comes back in the result. ``entity`` is the row as the payload has it, an
    artifact's with its content loaded; ``base`` is the local row's ``sync_version``, 0 if it was never synced.
    ``ancestors`` are older versions of the same row that this record supersedes and that may have been sent before a
    crash: a remote row that equals one of them is no conflict. ``original`` is the row as it is here where ``entity``
    hides something of it, an artifact's without content: a remote row that equals it was sent in the clear.

    Where everything is sent again to a server that lost what it had, versions say nothing. Then ``former`` are the
    stamps of earlier versions that this workspace file has sent: a remote row with one of them is no conflict. And
    ``is_copy`` says that the row was not written here but taken over from another replica, and not edited since.

    ``digest`` is that of the entity's content where the caller knows it already.
    """

    record_id: int
    idempotency_key: str
    session_id: str
    entity: Entity
    base: int = 0
    ancestors: Sequence[Entity] = ()
    original: Entity | None = None
    former: Sequence[datetime] = ()
    is_copy: bool = False
    digest: bytes | None = None

    @property
    def kind(self) -> EntityType:
        return self.entity.kind


class ApplyResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The result of one record.

    ``sync_version`` is the central row's after the batch, and the version that the local row is based on from then on
    (1 for events and artifacts, which have none). ``remote`` is the central row where the local one may have to adopt
    it: always for ``duplicate`` and ``conflict_remote``, and for ``converged`` where the central stamp is later.
    ``conflict`` is what both sides record; its id is the same however often the delivery is repeated. ``rejected`` is a
    central row that is not valid: never adopted, and overwritten by the record where rows of its kind can be.
    """

    record_id: int
    outcome: Outcome
    sync_version: int
    remote: Entity | None = None
    conflict: Conflict | None = None
    rejected: RejectedRow | None = None


class ApplyReply(msgspec.Struct, frozen=True, kw_only=True):
    """Results in the batch's order. ``change_seq`` is the number that the batch's rows carry: where it is the pull
    cursor's + 1, no other replica wrote in between and the cursor may move to it without a pull.
    """

    results: tuple[ApplyResult, ...]
    change_seq: int


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace's row in the team's database: the last number given out, and the incarnation that gave it."""

    change_seq: int
    incarnation: str


class TargetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a probe. Times in seconds; ``clock_offset`` is the server's clock minus this machine's."""

    server_version: str
    schema_version: str | None
    latency: float
    clock_offset: float
    read_only: bool
    distributed: bool
    server_time: datetime


class PullPage(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a workspace, parents before their children. Once they are written the pull cursor moves to ``upto``;
    there are more while ``upto < head.change_seq``. Parents that a row needs are included even if they did not change.
    ``rejected`` are those of the rows that are not valid.
    """

    rows: Sequence[Entity]
    rejected: Sequence[RejectedRow] = ()
    upto: int
    head: Head


class FaultKind(StrEnum):
    """What failed. ``SERVER`` is an error that the server reported; its fault has the SQLSTATE."""

    SERVER = "server"
    ROW_SECURITY = "row_security"
    FOREIGN_WORKSPACE = "foreign_workspace"
    UNKNOWN_HOST = "unknown_host"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    TLS = "tls"
    PASSWORD_MISSING = "password_missing"  # noqa: S105
    PASSWORD_COMMAND = "password_command"  # noqa: S105
    ENCODING = "encoding"
    SCHEMA = "schema"
    SERVER_TOO_OLD = "server_too_old"
    REMOTE_BEHIND = "remote_behind"
    CONTENDED = "contended"
    OUTDATED = "outdated"
    EXHAUSTED = "exhausted"
    PRUNED = "pruned"
    """A run that was removed because of its age, written by a program that has no copy of it."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One failure of the team's database: kind, a sentence for people, what to do, and the SQLSTATE if there is one.

    ``before_batch``: no record was looked at, at a login for instance, so none can be to blame.
    """

    kind: FaultKind
    sentence: str
    hint: str = ""
    sqlstate: str | None = None
    before_batch: bool = False


def exhausted_fault() -> Fault:
    """The fault of a head that has no number left: this program gives them one by one, so somebody wrote it."""
    return Fault(
        kind=FaultKind.EXHAUSTED,
        sentence="the team's database has no number left for changes of this workspace: somebody set its change_seq",
        hint="ask the operator to set workspaces.change_seq back to the largest change_seq of the workspace's rows",
    )


class PostgresFault(SyncError):
    """Raised by every operation of a ``SyncTarget``. Any open transaction was rolled back, or its outcome is unknown
    because the connection was lost: the ledger makes sending again harmless either way.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.sentence, hint=fault.hint or None)
        self.fault = fault
