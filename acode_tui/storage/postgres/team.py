"""``Team`` over PostgreSQL: the team's database as recovery and comparison read it."""

from collections.abc import Sequence

from acode_tui.domain.states import EntityType
from acode_tui.storage.ports import Check, TeamCounts
from acode_tui.storage.postgres import access_check, compare, schema_check
from acode_tui.storage.postgres.compare import PostgresRowChecksums
from acode_tui.storage.postgres.recovery_source import RecoverySource


class PostgresTeam(RecoverySource):
    """The ``Team`` of one schema, over a pool that the caller closes."""

    def row_checksums(self, workspace_id: str) -> PostgresRowChecksums:
        return PostgresRowChecksums(self._pool, schema=self._schema, workspace_id=workspace_id, rules=self._rules)

    async def check_migrations(self) -> Check:
        return await schema_check.check_migrations(self._pool, self._schema)

    async def check_tables(self) -> Check:
        return await schema_check.check_tables(self._pool, self._schema)

    async def check_access(self, workspace_id: str) -> Check:
        return await access_check.check_access(self._pool, self._schema, workspace_id)

    async def count_rows(self, workspace_id: str) -> TeamCounts:
        return await compare.count_rows(self._pool, self._schema, workspace_id)

    async def pruned_sessions(self, workspace_id: str) -> tuple[str, ...]:
        return await compare.pruned_sessions(self._pool, self._schema, workspace_id)

    async def pruned_among(self, session_ids: Sequence[str]) -> set[str]:
        return await compare.pruned_among(self._pool, self._schema, session_ids)

    async def count_unindexed(self, workspace_id: str) -> int:
        return await compare.count_unindexed(self._pool, self._schema, workspace_id)

    async def changed_after(self, kind: EntityType, ids: Sequence[str], change_seq: int) -> set[str]:
        return await compare.changed_after(self._pool, self._schema, kind, ids, change_seq)
