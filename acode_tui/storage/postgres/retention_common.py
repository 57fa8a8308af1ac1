"""What the removal of old rows needs on one server and on distributed tables alike."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.postgres.identifiers import Connection

LOCK_SECONDS = 5
"""How long a group waits for a lock that a laptop has."""
STATEMENT_SECONDS = 60
TRIES = 5
"""How often a group is tried that collides with batches."""

SESSIONS = TABLES[EntityType.SESSION].name
CHILDREN = tuple(table.name for table in TABLES.values() if table.kind is not EntityType.SESSION)
FOLLOWERS = ("sync_inbox", "sync_conflicts", "session_search")
"""Tables with rows of sessions that are not counted."""

COLLISIONS = (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError, asyncpg.SerializationError)


def old_session(name: str, cutoff: str, horizon: str) -> str:
    """The condition that a session ``s`` is old, and that nothing of it was written within the horizon.

    ``name`` is the quoted schema; the others are SQL expressions of stamps.
    """
    fresh = [
        f"NOT EXISTS (SELECT 1 FROM {name}.{table} AS c WHERE c.session_id = s.id "  # noqa: S608
        f"AND c.synced_at >= {horizon}::timestamptz)"
        for table in CHILDREN
    ]
    stamps = f"s.updated_at < {cutoff}::timestamptz AND s.synced_at < {horizon}::timestamptz"
    return " AND ".join([stamps, *fresh])


@asynccontextmanager
async def bounded(connection: Connection, *, everywhere: bool = False) -> AsyncIterator[None]:
    """A transaction that ends by itself where it waits, or works, for too long; ``everywhere``: on each node too."""
    async with connection.transaction():
        limits = f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'"
        if everywhere:
            limits = f"SET LOCAL citus.propagate_set_commands = 'local'; {limits}"
        await connection.execute(limits)
        yield
