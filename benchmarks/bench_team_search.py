"""Search and lists over the team's PostgreSQL: 100,000 sessions with 3,000,000 calls, filled by SQL.

Each session has the words of its texts in ``session_search``, and some 400 more of a vocabulary whose frequencies fall
off as in real texts, so that the index has the size that it has with them. Those words are never asked for.
"""

from datetime import UTC, datetime
from hashlib import md5
from typing import Any
from uuid import UUID

import asyncpg

from acode_tui.domain.states import SessionState
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.postgres.connection import PostgresConnectionFactory
from acode_tui.storage.postgres.run_state_reader import PostgresRunStateReader
from acode_tui.storage.postgres.search import PostgresRunSearch
from benchmarks.bench_apply import _target, new_database
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized
from benchmarks.servers import measured_on_a_server
from benchmarks.timing import quantile, timed
from tests.pg import Server

SESSIONS = 100_000
CALLS = 30
TARGET = 100
"""Milliseconds for a page of 50."""

_SEARCHES = {
    "a word of four sessions": "quasar",
    "a word of one session in a hundred": "nightly",
    "a word of every session": "validation",
    "two words of every session": "passed validation",
    "a phrase of every session": '"the validation of number"',
    "a prefix": "valid*",
    "a project": "project:project7 validation",
    "a user": "user:user7@example.org",
    "a tool and a word": "tool:edit pytest",
    "a word of no session": "nowhere",
}

_LISTS = {
    "newest first": SessionFilter(),
    "of one user": SessionFilter(user="user7@example.org"),
    "of one workspace": SessionFilter(workspace=str(UUID(md5(b"w7", usedforsecurity=False).hexdigest()))),
    "of one state": SessionFilter(states=(SessionState.COMPLETED,)),
    "of a state that none has": SessionFilter(states=(SessionState.FAILED,)),
    "by their beginning": SessionFilter(sort="created"),
    "by state": SessionFilter(sort="state"),
    "of one user on a day long ago": SessionFilter(
        user="user7@example.org", since=datetime(2025, 2, 1, tzinfo=UTC), until=datetime(2025, 2, 2, tzinfo=UTC)
    ),
}

_CHUNKS = 2_000
_FILL = """
SET session_replication_role = replica; SET synchronous_commit = off; SET maintenance_work_mem = '512MB';
CREATE UNLOGGED TABLE made AS
SELECT n, md5('s' || n)::uuid AS id, md5('t' || n)::uuid AS task, md5('p' || n)::uuid AS step,
    timestamptz '2025-01-01 00:00Z' + n * interval '5 min' AS at, md5('w' || n % 500)::uuid AS workspace,
    'Fix the thing number ' || n || ' in module' || n % 2000
        || CASE WHEN n % ({sessions} / 4) = 7 THEN ' quasar' ELSE '' END
        || CASE WHEN n % 100 = 3 THEN ' nightly' ELSE '' END AS description
FROM generate_series(0, {sessions} - 1) AS n;
INSERT INTO workspaces (id, user_name, host, version) SELECT DISTINCT workspace, 'someone', 'laptop', '1' FROM made;
INSERT INTO sessions SELECT id, description, 'Completed', at, at + interval '10 min',
    jsonb_build_object('source', CASE WHEN n % 3 = 0 THEN 'codex' ELSE 'claude-code' END,
        'cwd', '/home/someone/src/project' || n % 300, 'gitBranch', 'branch' || n % 1000),
    'user' || n % 500 || '@example.org', workspace, 1, 1 FROM made;
INSERT INTO session_tasks (id, session_id, title, state, "order", created_at, updated_at, workspace_id, change_seq)
    SELECT task, id, 'Analyse and change', 'Completed', 0, at, at, workspace, 1 FROM made;
INSERT INTO steps (id, session_id, task_id, name, state, "order", created_at, updated_at, workspace_id, change_seq)
    SELECT step, id, task, 'Read the files around', 'Completed', 0, at, at, workspace, 1 FROM made;
INSERT INTO tool_calls (id, session_id, step_id, tool_name, parameters, state, "order", created_at, updated_at,
        completed_at, result, workspace_id, change_seq)
    SELECT md5('c' || n || '.' || k)::uuid, id, step, (ARRAY['Bash', 'Read', 'Edit', 'Grep'])[1 + (n + k) % 4],
        jsonb_build_object('command', 'pytest -q tests/test_' || (n * 7 + k) % 5000 || '.py && echo done',
            'path', 'src/mod' || n % 2000 || '/file' || k || '.py'),
        'Succeeded', k, at, at, at,
        jsonb_build_object('stdout', 'the validation of number ' || (n * 31 + k) || ' passed in ' || k || ' seconds'),
        workspace, 1
    FROM made, generate_series(0, {calls} - 1) AS k;
CREATE UNLOGGED TABLE chunks AS SELECT c, array_to_tsvector(array_agg(DISTINCT w)) AS words
    FROM (SELECT c, 'w' || to_hex(floor(exp(random() * ln(200000)))::bigint * 2654435761 % 4294967296) AS w
        FROM generate_series(0, {chunks} - 1) AS c, generate_series(1, 200)) AS drawn GROUP BY c;
CREATE UNIQUE INDEX ON chunks (c);
DROP INDEX session_search_by_word;
INSERT INTO session_search SELECT id, workspace, 1, 0,
    array_to_tsvector(string_to_array(lower(description)
        || ' the of number passed in seconds stdout validation pytest q tests test py echo done command src path bash '
        || 'read edit grep analyse and change files around is=session tool=bash tool=read tool=edit tool=grep '
        || 'user=user' || n % 500 || '@example.org project=project' || n % 300, ' '))
    || a.words || b.words || c.words
FROM made
    JOIN chunks AS a ON a.c = n * 7919::bigint % {chunks} JOIN chunks AS b ON b.c = n * 104729::bigint % {chunks}
    JOIN chunks AS c ON c.c = n * 1299709::bigint % {chunks};
CREATE INDEX session_search_by_word ON session_search USING gin (document);
"""


def run() -> list[Measure]:
    return measured_on_a_server(_measure)


async def _measure(server: Server) -> list[Measure]:
    url = await new_database(server, "team_search")
    await fill(url, sized(SESSIONS, 5_000))
    pool = PostgresConnectionFactory(_target(url)).read_pool(size=1)
    search, store = PostgresRunSearch(pool), PostgresRunStateReader(pool)
    measures = []
    for name, query in _SEARCHES.items():
        asked: dict[str, Any] = {"hits": lambda query=query: search.search(query)}
        if "phrase" not in name:
            # Sessions of a phrase are read as a whole, however many there are on the page.
            asked["sessions"] = lambda query=query: store.list(SessionFilter(text=query))
        for what, ask in asked.items():
            await ask()
            samples = [await timed(ask()) for _ in range(sized(20, 5))]
            title = f"team's {what}, {name}, 95th percentile"
            measures.append(at_most(title, quantile(samples, 0.95) * 1e3, "ms", TARGET))
    for name, given in _LISTS.items():
        after = (await store.list(given)).next_cursor
        for what, cursor in (("first", None), ("next", after)):
            if what == "next" and after is None:
                continue
            samples = [await timed(store.list(given, after=cursor)) for _ in range(sized(20, 5))]
            title = f"team's {what} page {name}, 95th percentile"
            measures.append(at_most(title, quantile(samples, 0.95) * 1e3, "ms", TARGET))
    await pool.close()
    return measures


async def fill(url: str, sessions: int) -> None:
    """Fill a migrated database with sessions and their calls, on the server itself."""
    connection = await asyncpg.connect(url, command_timeout=3_600)
    for statement in _FILL.format(sessions=sessions, calls=CALLS, chunks=_CHUNKS).strip().split(";\n"):
        await connection.execute(statement)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
