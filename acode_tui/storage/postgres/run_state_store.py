"""Runs recorded straight into PostgreSQL: the whole ``RunStateStore`` without a workspace file.

The rules are ``storage.run_writes``; a write is planned by ``planned_writes`` and delivered by ``group_writer`` through
the sync's own protocol, so its rows have a ledger entry, a version and a number as those of every workspace do.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid5

from acode_tui.domain.clock import MonotonicClock, WallClock, system_clock
from acode_tui.domain.entities import Artifact, SessionGraph
from acode_tui.domain.redaction import Redact, unchanged
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.domain.validation import Limits, require_id
from acode_tui.storage.delivery_protocol import Head
from acode_tui.storage.postgres.connection import ReadPool
from acode_tui.storage.postgres.group_writer import GroupWriter
from acode_tui.storage.postgres.identifiers import Connection
from acode_tui.storage.postgres.known_rows import HOLDERS, Need
from acode_tui.storage.postgres.plan_save import Stored, plain_rows, plan_save, read_stored
from acode_tui.storage.postgres.planned_writes import PlannedWrites
from acode_tui.storage.postgres.run_state_reader import PostgresRunStateReader
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.storage.run_writes import E, M, RunStateWrites, Transition
from acode_tui.storage.transcript_ports import SaveResult

_DIRECT_WORKSPACES = UUID("b6b4f0a4-5e0c-5c53-8a44-6a0a7a6d2f1e")
"""Namespace of the workspaces of logins. Must never change: each login would get another workspace."""


def workspace_of_login(user: str, database: str, schema: str) -> str:
    """The id of the workspace that a login records into without a workspace file: always the same one."""
    return str(uuid5(_DIRECT_WORKSPACES, "\x1f".join((user, database, schema))))


class PostgresRunStateStore(RunStateWrites, PostgresRunStateReader):
    """``RunStateStore`` over the team's database. It reads all runs, and writes those of its own workspace."""

    def __init__(
        self,
        pool: ReadPool,
        target: PostgresSyncTarget,
        *,
        head: Head,
        workspace_id: str,
        user_id: str | None = None,
        register: Any,
        limits: Limits | None = None,
        redact: Redact[Any] = unchanged,
        wall: WallClock = system_clock,
        local_wall: WallClock | None = None,
    ) -> None:
        """``register`` returns the workspace's head; ``local_wall`` is the time in the machine's time zone."""
        RunStateWrites.__init__(self, workspace_id=workspace_id, user_id=user_id, limits=limits)
        PostgresRunStateReader.__init__(self, pool, schema=target.schema, wall=local_wall or wall)
        self._redact = redact
        self._writer = GroupWriter(
            target,
            self._snapshot,
            register,
            workspace_id=workspace_id,
            head=head,
            clock=MonotonicClock(wall),
            limits=self._limits,
            redact=redact,
        )

    async def close(self) -> None:
        """Deliver what waits, then close the connections."""
        await self._writer.close()
        await super().close()

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Connection]:
        async with (
            self._open() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    async def _add(self, entity: type[E], parent_id: str, *, own_id: str | None = None, **fields: Any) -> E:
        if entity.kind is EntityType.SESSION:
            need = None if own_id is None else Need((EntityType.SESSION,), own_id, children=False)
        elif entity is Artifact:
            need = Need(HOLDERS, require_id(parent_id), children=False)
        else:
            need = Need(TABLES[entity.kind].parent_kinds, require_id(parent_id), children=True)
        added: E = await self._writer.run(_Addition(entity, need, own_id, fields))
        return added

    async def _transition(self, entity: type[M], entity_id: str, wanted: Transition[M]) -> M:
        need = Need((entity.kind,), require_id(entity_id), children=True)
        changed: M = await self._writer.run(_Change(entity, need, wanted))
        return changed

    async def _save(self, graph: SessionGraph) -> SaveResult:
        result: SaveResult = await self._writer.run(_GraphSave(graph, self._workspace_id, self._redact))
        return result


class _Addition:
    loads = False

    def __init__(self, entity: type[Any], need: Need | None, own_id: str | None, fields: dict[str, Any]) -> None:
        self.needs = () if need is None else (need,)
        self._own_id = own_id
        self._entity = entity
        self._need = need
        self._fields = fields

    async def load(self, connection: Connection, schema: str) -> None:
        """Nothing beyond its needs."""

    def plan(self, planned: PlannedWrites) -> Any:
        return planned.add(self._entity, self._need, self._fields, own_id=self._own_id)


class _Change:
    loads = False

    def __init__(self, entity: type[Any], need: Need, wanted: Transition[Any]) -> None:
        self.needs = (need,)
        self._entity = entity
        self._wanted = wanted

    async def load(self, connection: Connection, schema: str) -> None:
        """Nothing beyond its needs."""

    def plan(self, planned: PlannedWrites) -> Any:
        return planned.transition(self._entity, self.needs[0], self._wanted)


class _GraphSave:
    loads = True
    needs: Sequence[Need] = ()

    def __init__(self, graph: SessionGraph, workspace_id: str, redact: Redact[Any]) -> None:
        self._rows = plain_rows(graph, workspace_id)
        self._redact = redact
        self._stored: Stored = {}

    async def load(self, connection: Connection, schema: str) -> None:
        self._stored = await read_stored(connection, schema, self._rows)

    def plan(self, planned: PlannedWrites) -> SaveResult:
        return plan_save(planned, self._rows, self._stored, self._redact)
