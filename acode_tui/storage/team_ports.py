"""The ports of the team's database for recovery and comparison. They only read."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from acode_tui.config import PostgresTarget
from acode_tui.domain.clock import WallClock
from acode_tui.domain.entities import Entity
from acode_tui.domain.states import EntityType
from acode_tui.storage.conflict_ports import Conflict
from acode_tui.storage.delivery_protocol import Head, PullPage, RejectedRow, TargetFacts
from acode_tui.storage.file_ports import Check
from acode_tui.storage.run_ports import RowChecksumReader


class TeamWorkspace(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A workspace that the team's database knows, and who used it last."""

    id: str
    user: str
    host: str
    last_seen_at: datetime
    sessions: int


class TeamRows(NamedTuple):
    """Rows as they are read, and those of them that are not valid."""

    rows: Sequence[Entity]
    rejected: Sequence[RejectedRow]


class TeamCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one workspace by kind, and the last central number they carry; None where the workspace is unknown."""

    rows: dict[EntityType, int]
    change_seq: int | None


class TeamSource(Protocol):
    """Every workspace of the team, row by row. Methods raise AcodeError where the server does not answer."""

    async def require_schema(self) -> None:
        """Raise SchemaMismatchError unless the schema is exactly this program's."""
        ...

    async def workspaces(self, *, limit: int = 1000) -> tuple[TeamWorkspace, ...]:
        """The workspaces that the server knows, the last seen first."""
        ...

    async def find_workspaces(self, start: str, *, limit: int = 20) -> tuple[TeamWorkspace, ...]:
        """The workspaces whose ids begin with ``start``, the last seen first; none where no id can begin so."""
        ...

    async def head(self, workspace_id: str) -> Head | None:
        """A workspace's last central number and the incarnation that gave it; None for an unknown workspace."""
        ...

    async def counts(self, workspace_id: str) -> dict[str, int]:
        """A workspace's rows by table."""
        ...

    async def page(self, workspace_id: str, after: int) -> PullPage | None:
        """The rows after a central number, parents first; None for an unknown workspace."""
        ...

    async def conflicts(self, workspace_id: str, *, after: Conflict | None = None) -> tuple[Conflict, ...]:
        """The next settled conflicts, the oldest first; empty at the end."""
        ...

    async def sent_elsewhere(self, workspace_id: str) -> tuple[str, ...]:
        """Sessions that this workspace sent rows of and that another workspace owns, having sent rows before it."""
        ...

    async def shared(self, workspace_id: str, session_ids: Sequence[str]) -> tuple[str, ...]:
        """Those of the sessions in which another workspace has rows of its own."""
        ...

    def session_rows(self, session_id: str) -> AsyncIterator[TeamRows]:
        """Every row of a session, whichever workspace sent it, parents first, a few at a time."""
        ...

    def row_checksums(self, workspace_id: str) -> RowChecksumReader:
        """A workspace's rows in a form that can be compared with the file's."""
        ...


class TeamInspection(Protocol):
    """Whether the team's schema and rows are as they should be. Methods raise AcodeError."""

    async def check_migrations(self) -> Check:
        """Whether each applied migration is the one that was released."""
        ...

    async def check_tables(self) -> Check:
        """Whether every table and column exists with its type."""
        ...

    async def check_access(self, workspace_id: str) -> Check:
        """Whether the tables are protected as a whole, and this login may write the workspace; has its rights."""
        ...

    async def count_rows(self, workspace_id: str) -> TeamCounts:
        """How many rows of a workspace the server holds."""
        ...

    async def pruned_sessions(self, workspace_id: str) -> tuple[str, ...]:
        """The sessions with rows of a workspace that were removed from the server because of their age."""
        ...

    async def pruned_among(self, session_ids: Sequence[str]) -> set[str]:
        """Those of the sessions that were removed from the server because of their age."""
        ...

    async def count_unindexed(self, workspace_id: str) -> int:
        """How many sessions of a workspace the team's search index has no word of."""
        ...

    async def changed_after(self, kind: EntityType, ids: Sequence[str], change_seq: int) -> set[str]:
        """Those of the rows that were written after a central number."""
        ...

    def row_checksums(self, workspace_id: str) -> RowChecksumReader: ...


class Team(TeamSource, TeamInspection, Protocol):
    """The team's database as recovery and comparison read it."""


OpenTeam = Callable[[], AbstractAsyncContextManager[Team]]
"""Connects on the first read. Entering raises SyncError where PostgreSQL is not enabled or its address is unusable."""


class ProbeTarget(Protocol):
    """Connects to the server once and reports its version, schema and clock. Timeouts are in seconds.

    Raises PostgresFault.
    """

    async def __call__(
        self, target: PostgresTarget, *, schema: str, connect_timeout: float, command_timeout: float, wall: WallClock
    ) -> TargetFacts: ...
