"""What one connection shows about a server: versions, latency, clock offset and whether it accepts writes."""

from datetime import timedelta
from time import perf_counter

from acode_tui.domain.clock import WallClock
from acode_tui.domain.errors import SchemaMismatchError
from acode_tui.storage.delivery_protocol import PostgresFault, TargetFacts
from acode_tui.storage.postgres import migrate
from acode_tui.storage.postgres.citus import is_distributed
from acode_tui.storage.postgres.connection import PostgresConnectionFactory, deadline
from acode_tui.storage.postgres.errors import DRIVER_ERRORS, translate_to_fault
from acode_tui.storage.postgres.identifiers import Connection
from acode_tui.storage.postgres.pooler import pinned

_FACTS = """
SELECT clock_timestamp() AS now, current_setting('server_version') AS version,
    current_setting('transaction_read_only')::boolean OR pg_is_in_recovery() AS read_only
"""


async def read_facts(connection: Connection, *, schema: str, wall: WallClock, distributed: bool) -> TargetFacts:
    """Facts about the server that the connection belongs to. A missing or different schema is not an error."""
    started = perf_counter()
    # One round trip: a statement with rows takes two the first time.
    await connection.execute("SELECT 1")
    latency = perf_counter() - started
    before, started = wall(), perf_counter()
    row = await connection.fetchrow(_FACTS)
    asked = perf_counter() - started
    assert row is not None
    return TargetFacts(
        server_version=row["version"],
        schema_version=await migrate.schema_version(connection, schema),
        latency=latency,
        clock_offset=(row["now"] - before - timedelta(seconds=asked / 2)).total_seconds(),
        read_only=row["read_only"],
        distributed=distributed,
        server_time=row["now"],
    )


async def probe(connections: PostgresConnectionFactory, *, schema: str, wall: WallClock) -> TargetFacts:
    """The same over a new connection, which is closed afterwards. Raises PostgresFault."""
    connection = await connections.connect()
    try:
        with deadline(connection, connections.command_timeout):
            async with pinned(connection, pooled=connections.is_pooled):
                distributed = await is_distributed(connection, schema)
                facts = await read_facts(connection, schema=schema, wall=wall, distributed=distributed)
            await connection.close()
            return facts
    except (*DRIVER_ERRORS, SchemaMismatchError) as error:
        raise PostgresFault(translate_to_fault(error, connections.target)) from None
    finally:
        if not connection.is_closed():
            connection.terminate()
