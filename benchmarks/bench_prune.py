"""Pruning the team's PostgreSQL: 600,000 calls in 20,000 sessions with their ledger, filled by SQL; half of it is old.

Also the bytes of a call there: of its row, its index entries, its words and its ledger rows.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from time import perf_counter

import asyncpg

from acode_tui.domain.progress import Progress
from acode_tui.ops.server.prune import PruneReport, PruneRequest, prune
from acode_tui.storage.postgres.connection import PostgresConnectionFactory
from acode_tui.storage.postgres.retention import PostgresRetention
from acode_tui.storage.server_ports import TeamRetention
from acode_tui.storage.sqlite.runs.run_files import SqliteRunFiles
from benchmarks.bench_apply import _target, new_database
from benchmarks.bench_team_search import CALLS, fill
from benchmarks.result import Measure, at_most, no_less
from benchmarks.scale import sized
from benchmarks.servers import measured_on_a_server
from tests.pg import Server

SESSIONS = 20_000
_TABLES = ("sessions", "session_tasks", "steps", "tool_calls")
_STAMPS = """
SET session_replication_role = replica; SET synchronous_commit = off;
UPDATE workspaces SET change_seq = 2;
INSERT INTO sync_inbox (session_id, idempotency_key, key_digest, workspace_id, payload_sha256, change_seq, applied_at)
    SELECT session_id, key, hashtextextended(key, 0), workspace_id, sha256(id::text::bytea), 1,
        CASE WHEN get_byte(uuid_send(session_id), 0) < 128 THEN now() - interval '1 year' ELSE now() END
    FROM tool_calls, generate_series(0, 100, 100) AS sent, LATERAL (SELECT
        'tool_call:' || id || ':2025-01-01T00:00:00.' || lpad(("order" + sent)::text, 6, '0') || 'Z' AS key) AS k;
"""
_AGED = """
UPDATE {table} SET synced_at = now() - interval '1 year', updated_at = now() - interval '1 year'
    WHERE get_byte(uuid_send({session}), 0) < 128
"""


def run() -> list[Measure]:
    return measured_on_a_server(_measure)


async def _measure(server: Server) -> list[Measure]:
    url = await new_database(server, "prune")
    sessions = sized(SESSIONS, 1_000)
    await fill(url, sessions)
    connection = await asyncpg.connect(url, command_timeout=3_600)
    for statement in _STAMPS.strip().split(";\n"):
        await connection.execute(statement)
    await connection.execute("VACUUM FULL")
    total = await connection.fetchval(
        "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT IN ('made', 'chunks')"
    )
    ledger = await connection.fetchval("SELECT pg_total_relation_size('sync_inbox')")
    for table in _TABLES:
        await connection.execute(_AGED.format(table=table, session="id" if table == "sessions" else "session_id"))
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    calls = sessions * CALLS
    pool = PostgresConnectionFactory(_target(url)).read_pool(size=2)

    @asynccontextmanager
    async def retention() -> AsyncIterator[TeamRetention]:
        yield PostgresRetention(pool)

    longest, before = 0.0, perf_counter()

    def group(_: Progress) -> None:
        nonlocal longest, before
        longest, before = max(longest, perf_counter() - before), perf_counter()

    def begun(_: str) -> None:
        nonlocal before
        before = perf_counter()

    async def pruned(request: PruneRequest) -> PruneReport:
        return await prune(retention, SqliteRunFiles(), request, on_step=begun, on_progress=group)

    rows = await pruned(PruneRequest(older_than=timedelta(days=90)))
    whole = await pruned(PruneRequest(older_than=timedelta(days=90), drop=True))
    await pool.close()
    return [
        at_most("bytes of a call on the server, its two ledger rows included", float(total) / calls, "bytes", 2_800),
        at_most("of them in the ledger", float(ledger) / calls, "bytes", 1_000),
        no_less("ledger rows pruned", rows.ledger_rows / rows.duration_seconds, "rows/s", 50_000),
        no_less("sessions of 30 calls dropped", whole.sessions / whole.duration_seconds, "sessions/s", 200),
        at_most("longest transaction of a pruning", longest, "s", 5),
    ]
