"""What goes into a batch and what comes out of it: the values of the apply protocol."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

import msgspec

from acode_tui.domain.entities import Entity
from acode_tui.domain.errors import SyncError
from acode_tui.domain.states import EntityType
from acode_tui.storage.conflict_ports import Conflict

Outcome = Literal["applied", "duplicate", "converged", "conflict_local", "conflict_remote"]


class ConflictRules(Protocol):
    """The pure rules that settle a conflict; ``acode_tui.sync.conflict`` is one as it stands."""

    def content_digest(self, entity: Entity) -> bytes: ...

    def same_content(self, local: Entity, remote: Entity) -> bool: ...

    def resolve(self, local: Entity, remote: Entity) -> Literal["local", "remote"]: ...


class ApplyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One record to deliver.

    ``record_id`` is the caller's own and comes back in the result. ``entity`` is the plain row as its payload has it,
    an artifact's with its content loaded; ``base`` is the local row's ``sync_version``, 0 if it was never synced.
    ``ancestors`` are older versions of the same row that this record supersedes and that may have been sent before a
    crash: a remote row that still is one of them is no conflict.
    """

    record_id: int
    idempotency_key: str
    session_id: str
    entity: Entity
    base: int = 0
    ancestors: Sequence[Entity] = ()

    @property
    def kind(self) -> EntityType:
        return self.entity.kind


class ApplyResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one record.

    ``sync_version`` is the central row's now, and what the local row is in step with from here on (events and
    artifacts have none: 1). ``remote`` is the central row where the local one may have to adopt it: always for
    ``duplicate`` and ``conflict_remote``, and for ``converged`` where the central stamp is the later one.
    ``conflict`` is what both sides record; its id is the same however often the delivery is repeated.
    """

    record_id: int
    outcome: Outcome
    sync_version: int
    remote: Entity | None = None
    conflict: Conflict | None = None


class ApplyReply(msgspec.Struct, frozen=True, kw_only=True):
    """Results in the batch's order. ``change_seq`` is the number that the batch's rows carry: where it is the local
    mark + 1, nobody else wrote in between and the mark may move to it without a pull.
    """

    results: tuple[ApplyResult, ...]
    change_seq: int


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace's row: the last number given out, and which life of the database gave it."""

    change_seq: int
    incarnation: str


class TargetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe saw. Times in seconds; ``clock_offset`` is the server's clock minus this machine's."""

    server_version: str
    schema_version: str | None
    latency: float
    clock_offset: float
    read_only: bool
    distributed: bool
    server_time: datetime


class PullPage(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a workspace in an order they can be inserted in. Once they are written the mark moves to ``upto``;
    there is more while ``upto < head.change_seq``. Parents that a row needs are there even if they did not change.
    """

    rows: Sequence[Entity]
    upto: int
    head: Head


class FaultKind(StrEnum):
    """Where the failure lies. ``SERVER`` is the server's own report and carries its SQLSTATE."""

    SERVER = "server"
    ROW_SECURITY = "row_security"
    UNKNOWN_HOST = "unknown_host"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    TLS = "tls"
    PASSWORD_MISSING = "password_missing"  # noqa: S105
    ENCODING = "encoding"
    SCHEMA = "schema"
    SERVER_TOO_OLD = "server_too_old"
    REMOTE_BEHIND = "remote_behind"
    CONTENDED = "contended"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One failure: its kind, the server's SQLSTATE if it sent one, a sentence for people, and what to do."""

    kind: FaultKind
    sentence: str
    hint: str = ""
    sqlstate: str | None = None


class PostgresFault(SyncError):
    """Raised by everything that talks to PostgreSQL for the sync. Any open transaction was rolled back, or its
    outcome is unknown because the connection was lost: the ledger makes sending again harmless either way.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.sentence, hint=fault.hint or None)
        self.fault = fault
