"""Opens stores that record straight into a test's database, and reads that database for assertions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.redaction import Redact, unchanged
from acode_tui.domain.schema import TABLES
from acode_tui.storage.postgres.connection import PostgresConnectionFactory
from acode_tui.storage.postgres.run_state_store import PostgresRunStateStore
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.sync.conflict import ConflictResolver
from tests.pg import Database
from tests.storage.postgres.conftest import WORKSPACE, target_of


@asynccontextmanager
async def open_direct(
    database: Database,
    *,
    port: int | None = None,
    workspace_id: str = WORKSPACE,
    redact: Redact[Any] = unchanged,
    wall: WallClock = system_clock,
) -> AsyncIterator[PostgresRunStateStore]:
    """A store of user ``ada``; ``port`` is that of a proxy in front of the server."""
    address = target_of(database, port=port)
    target = PostgresSyncTarget(address, ConflictResolver(redact))

    async def register() -> Any:
        return await target.register_workspace(workspace_id, user="ada", host="runner", version="1")

    store = PostgresRunStateStore(
        PostgresConnectionFactory(address).read_pool(size=2),
        target,
        head=await register(),
        workspace_id=workspace_id,
        user_id="ada",
        register=register,
        redact=redact,
        wall=wall,
    )
    try:
        yield store
    finally:
        await store.close()


class Server:
    """A ``Tier`` over a test's database."""

    def __init__(self, store: PostgresRunStateStore, database: Database) -> None:
        self.store = store
        self._database = database

    async def stored(self) -> Any:
        tables = (*(table.name for table in TABLES.values()), "sync_inbox", "session_search", "sync_conflicts")
        connection = await self._database.connect()
        try:
            return {name: await connection.fetch(f"SELECT * FROM {name} ORDER BY 1, 2") for name in tables}
        finally:
            await connection.close()

    async def schema(self) -> Any:
        return await self._database.fetch(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'public' ORDER BY 1, 2"
        )

    async def require_sound(self) -> None:
        """Each row has one ledger entry, and a number that its workspace's head has given."""
        for kind, table in TABLES.items():
            session = "t.id" if kind.value == "session" else "t.session_id"
            found = await self._database.fetch(
                f"SELECT t.id FROM {table.name} AS t JOIN workspaces AS w ON w.id = t.workspace_id "
                f"WHERE t.change_seq NOT BETWEEN 1 AND w.change_seq OR NOT EXISTS (SELECT 1 FROM sync_inbox AS i "
                f"WHERE i.session_id = {session} AND i.change_seq = t.change_seq "
                f"AND i.idempotency_key LIKE '{kind.value}:' || t.id || ':%')"
            )
            assert found == [], table.name
        assert await self._database.fetch("SELECT id FROM sync_conflicts") == []
