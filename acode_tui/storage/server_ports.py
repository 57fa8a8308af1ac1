"""The ports of the team's database for its operator: how large it is, and the removal of what is old."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from acode_tui.domain.progress import Progress
from acode_tui.storage.run_ports import RunRows


class PruneBounds(NamedTuple):
    """What is old: last changed, or applied, before ``cutoff``.

    ``horizon``: nothing goes that was written to the server since then, nor what was applied within as long a time
    before its workspace was last seen. A laptop that is away may send that once more.
    """

    cutoff: datetime
    horizon: datetime


class OldSession(NamedTuple):
    """A session that may go, as a position in the order of age."""

    updated_at: datetime
    id: str


class LedgerPart(NamedTuple):
    """Rows of one part of the ledger: those that go, and those that are old and stay because a laptop may need them."""

    pruned: int
    kept: int
    progress: Progress


class TeamRetention(Protocol):
    """Removes old rows in short transactions. Methods raise AcodeError."""

    async def start(self, *, need_rights: bool) -> datetime:
        """Check the schema and, if ``need_rights``, that this login may delete. Returns the server's time.

        Raises SchemaMismatchError, and SyncError where it may not.
        """
        ...

    async def begin(self, cutoff: datetime, archive: str | None) -> str:
        """Note that a pruning begins; returns its id."""
        ...

    async def end(self, prune_id: str) -> None:
        """Note that it ended."""
        ...

    def prune_ledger(self, prune_id: str | None, bounds: PruneBounds) -> AsyncIterator[LedgerPart]:
        """Delete old ledger rows, a part in each transaction; only count them without a ``prune_id``."""
        ...

    async def old_sessions(
        self, bounds: PruneBounds, *, after: OldSession | None, limit: int
    ) -> tuple[OldSession, ...]:
        """The next sessions that may go, oldest first."""
        ...

    async def prune_sessions(self, prune_id: str, bounds: PruneBounds, ids: Sequence[str]) -> dict[str, int]:
        """Remove those of the sessions that may still go, with all their rows. Returns the removed rows by table."""
        ...

    async def count_rows(self, ids: Sequence[str]) -> dict[str, int]:
        """The rows of these sessions by table."""
        ...

    def run_rows(self) -> RunRows:
        """The rows of sessions, for an archive."""
        ...


OpenRetention = Callable[[], AbstractAsyncContextManager[TeamRetention]]
"""Connects on the first use. Entering raises SyncError where PostgreSQL is not enabled or its address is unusable."""


class TableSize(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One table. ``rows`` and ``dead_rows`` are PostgreSQL's estimates; None before the first ANALYZE."""

    table: str
    rows: int | None
    bytes: int
    index_bytes: int
    dead_rows: int
    vacuumed_at: datetime | None


class Growth(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Sessions that began within the last ``days`` days, and what that makes a day at the average size of a session."""

    days: int
    sessions: int
    bytes_a_day: int | None


class Connections(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Connections to the server: all, those of this program, and how many there may be."""

    used: int
    acode: int
    most: int


class SlowStatement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A statement that the server spent much time on, as ``pg_stat_statements`` has it."""

    statement: str
    calls: int
    mean_ms: float
    total_seconds: float


class LastPrune(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The last pruning; ``ended_at`` is None where it was interrupted."""

    cutoff: datetime
    ledger_rows: int
    sessions: int
    pruned_by: str
    started_at: datetime
    ended_at: datetime | None


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The team's database. ``nodes`` is how many servers hold it: more than one where the tables are ``distributed``.

    ``slow_statements`` is None where the server does not collect them; ``hint`` says what would make it.
    """

    server_version: str
    schema_version: str
    distributed: bool
    nodes: int
    database_bytes: int
    tables: tuple[TableSize, ...]
    growth: Growth
    workspaces: int
    oldest_session_at: datetime | None
    connections: Connections
    slow_statements: tuple[SlowStatement, ...] | None
    hint: str
    last_prune: LastPrune | None
