"""A look at the team's database: versions, round trip, clock, whether it takes writes. Changes nothing."""

from datetime import timedelta
from time import perf_counter

from acode_tui.config.postgres_address import PostgresTarget
from acode_tui.domain.clock import WallClock
from acode_tui.domain.errors import SchemaMismatchError
from acode_tui.storage.delivery_protocol import TargetFacts
from acode_tui.storage.postgres import migrate
from acode_tui.storage.postgres.citus import has_citus
from acode_tui.storage.postgres.connection import DRIVER_ERRORS, connect, deadline
from acode_tui.storage.postgres.errors import fault_of
from acode_tui.storage.postgres.fault import PostgresFault
from acode_tui.storage.postgres.types import Connection

_LOOK = """
SELECT clock_timestamp() AS now, current_setting('server_version') AS version,
    current_setting('transaction_read_only')::boolean OR pg_is_in_recovery() AS read_only
"""


async def facts_of(connection: Connection, *, schema: str, wall: WallClock, distributed: bool) -> TargetFacts:
    """What a connection lets see. Never raises for a schema."""
    before, started = wall(), perf_counter()
    row = await connection.fetchrow(_LOOK)
    latency = perf_counter() - started
    assert row is not None
    return TargetFacts(
        server_version=row["version"],
        schema_version=await migrate.schema_version(connection, schema),
        latency=latency,
        clock_offset=(row["now"] - before - timedelta(seconds=latency / 2)).total_seconds(),
        read_only=row["read_only"],
        distributed=distributed,
        server_time=row["now"],
    )


async def probe(
    target: PostgresTarget, *, schema: str, connect_timeout: float, command_timeout: float, wall: WallClock
) -> TargetFacts:
    """The same over a connection made for it. Timeouts in seconds. Raises PostgresFault."""
    connection = await connect(target, connect_timeout=connect_timeout)
    try:
        with deadline(connection, command_timeout):
            facts = await facts_of(connection, schema=schema, wall=wall, distributed=await has_citus(connection))
            await connection.close()
            return facts
    except (*DRIVER_ERRORS, SchemaMismatchError) as error:
        raise PostgresFault(fault_of(error, target)) from None
    finally:
        if not connection.is_closed():
            connection.terminate()
