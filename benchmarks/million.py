"""A workspace file with a million sessions, made once a run by bulk SQL and thrown away at its end.

Loading row by row with triggers would take minutes. So triggers and indexes are set aside, tables are filled by one
INSERT each, and everything is put back from the schema's own text: the result has the program's schema. The search
index is made by the program itself.

Every session has its prompt, and one in five a command with its output and an answer: texts of words that are as rare
and as common as words are, some with parts, some in Chinese.
"""

import atexit
import random
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

from acode_tui.domain.codec import digest
from acode_tui.storage.sqlite.contents import pack
from acode_tui.storage.sqlite.search.index import merge, step
from benchmarks.scale import sized
from benchmarks.workspaces import make_database

SESSIONS = 1_000_000
QUICK_SESSIONS = 50_000

# Multiplying by a large odd number scatters consecutive numbers over their range, the same way every time.
_NUMBERS = """
CREATE TEMP TABLE numbers AS
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :sessions)
SELECT i, (i * 2654435761) % 4294967296 AS h, (i * 40503 + 12345) % 1000003 AS g FROM n
"""
_VERBS = ("Add", "Fix", "Refactor", "Remove", "Document", "Rename", "Test", "Speed up")
_OBJECTS = (
    "input validation", "error handling", "the retry logic", "a cache", "pagination", "the migration", "logging",
    "the snapshot tests", "rate limits", "the parser", "dark mode", "the release notes",
)  # fmt: skip

_ID = "printf('%08x-%04x-7%03x-8%03x-%012x', 25769803 + i / 10, i % 65536, h % 4096, g % 4096, {salt} * 16777216 + i)"
_CREATED = "strftime('%Y-%m-%dT%H:%M:%S', 1700000000 + i * 60, 'unixepoch') || printf('.%06dZ', h % 1000000)"
_UPDATED = (
    "strftime('%Y-%m-%dT%H:%M:%S', 1700000000 + i * 60 + h % 400000, 'unixepoch') || printf('.%06dZ', g % 1000000)"
)

_SESSIONS = f"""
INSERT INTO sessions
    (id, task_description, state, created_at, updated_at, metadata, user_id, workspace_id, sync_version)
SELECT {_ID.format(salt=1)},
    (SELECT verb FROM verbs WHERE number = h % {len(_VERBS)}) || ' ' ||
    (SELECT object FROM objects WHERE number = g % {len(_OBJECTS)}) ||
    ' in the module' || (h % 2000) || ', ticket T' || i ||
    CASE WHEN i % 25000 = 7 THEN ' (quasar)' ELSE '' END ||
    CASE WHEN i % 100 = 3 THEN ' nightly' ELSE '' END,
    CASE WHEN h % 100 < 72 THEN 'Completed' WHEN h % 100 < 84 THEN 'Failed' WHEN h % 100 < 90 THEN 'Cancelled'
         WHEN h % 100 < 94 THEN 'Paused' WHEN h % 100 < 97 THEN 'Executing' WHEN h % 100 < 98 THEN 'AwaitingApproval'
         WHEN h % 100 < 99 THEN 'Planning' ELSE 'Created' END,
    {_CREATED}, {_UPDATED},
    '{{"source": "' || CASE WHEN g % 10 < 7 THEN 'claude-code' ELSE 'codex' END ||
        '", "cwd": "/home/someone/src/project' || (h % 200) || '"}}',
    'user' || (g % 40) || '@example.org',
    printf('00000000-0000-7000-8000-%012x', h % 7), 1
FROM numbers ORDER BY i
"""

_TASKS = f"""
INSERT INTO session_tasks (id, session_id, title, state, "order", created_at, updated_at, sync_version)
SELECT {_ID.format(salt=2)}, {_ID.format(salt=1)}, 'Analyse and change ' ||
    (SELECT object FROM objects WHERE number = h % {len(_OBJECTS)}), 'Completed', 0, {_CREATED}, {_CREATED}, 1
FROM numbers ORDER BY i
"""

# One session in five has calls, one in ten thousand has thousands of them.
_STEPS = f"""
INSERT INTO steps (id, session_id, task_id, name, state, "order", created_at, updated_at, metadata, sync_version)
SELECT {_ID.format(salt=3)}, {_ID.format(salt=1)}, {_ID.format(salt=2)}, 'Read the files around', 'Completed', 0,
    {_CREATED}, {_CREATED}, json_object('model', CASE h % 4 WHEN 0 THEN 'claude-sonnet-4-5' WHEN 1 THEN 'gpt-5'
        WHEN 2 THEN 'o3' ELSE 'an unpriced model' END, 'tokens', json_object(
        'input', h % 5000, 'output', g % 900, 'cacheRead', h % 300000, 'cacheWrite', g % 4000)), 1
FROM numbers WHERE i % 5 = 0 ORDER BY i
"""

_CALLS = f"""
INSERT INTO tool_calls
    (id, session_id, step_id, tool_name, parameters, state, "order", created_at, updated_at, completed_at, sync_version)
SELECT printf('%08x-%04x-7%03x-8%03x-%012x', 25769803 + i / 10, i % 65536, h % 4096, k, 67108864 + i),
    {_ID.format(salt=1)}, {_ID.format(salt=3)},
    CASE (i + k) % 3 WHEN 0 THEN 'Bash' WHEN 1 THEN 'Read' ELSE 'Edit' END, '{{"path": "login.ts"}}', 'Succeeded', k,
    {_CREATED}, {_CREATED}, {_CREATED}, 1
FROM (SELECT i, h, g, value AS k FROM numbers, calls WHERE i % 5 = 0 AND (value < 1 OR i % 10000 = 9995))
ORDER BY i, k
"""

_CALL_ID = "printf('%08x-%04x-7%03x-8%03x-%012x', 25769803 + i / 10, i % 65536, h % 4096, 0, 67108864 + i)"


def _contents(salt: int, kind: str, name: str, step: str, call: str, text: str, where: str) -> str:
    return f"""
INSERT INTO artifacts (id, session_id, task_id, step_id, tool_call_id, type, name, content_hash, content_type, size,
    created_at, updated_at, content)
SELECT {_ID.format(salt=salt)}, {_ID.format(salt=1)}, {_ID.format(salt=2)}, {step}, {call}, '{kind}', {name}, p.hash,
    'text/plain', p.size, {_CREATED}, {_CREATED}, p.content
FROM numbers JOIN texts AS p ON p.number = {text} WHERE {where} ORDER BY i
"""


_PROMPTS = _contents(5, "UserPrompt", "'prompt'", "NULL", "NULL", "h % {count}", "1")
_OUTPUTS = _contents(6, "CommandOutput", "'output'", _ID.format(salt=3), _CALL_ID, "{count} + g % {count}", "i % 5 = 0")
_ANSWERS = _contents(7, "ModelResponse", "'answer'", _ID.format(salt=3), "NULL", "(h / 7) % {count}", "i % 5 = 0")

TEXTS = 4_096
"""Different prompts, and as many different outputs, three times as long. A session has one by its number."""

_OUTBOX = """
INSERT INTO outbox (idempotency_key, session_id, entity_type, entity_id, operation, payload, created_at, updated_at)
SELECT 'session:' || id || ':' || updated_at, id, 'session', id, 'update',
    json_object('id', id, 'updatedAt', updated_at), updated_at, updated_at
FROM sessions ORDER BY rowid DESC LIMIT 10000
"""


def first_of_last(days: int) -> str:
    """The first of so many last days that the sessions began on."""
    last = datetime.fromtimestamp(1_700_000_000 + 60 * sized(SESSIONS, QUICK_SESSIONS), UTC)
    return f"{last - timedelta(days=days - 1):%Y-%m-%d}"


@cache
def million_sessions() -> Path:
    """The file's workspace folder; made on first use, gone when the process ends."""
    folder = TemporaryDirectory(prefix="acode-benchmark-million-")
    atexit.register(folder.cleanup)
    total = sized(SESSIONS, QUICK_SESSIONS)
    sys.stderr.write(f"making a workspace of {total:,} sessions\n")
    fill(make_database(Path(folder.name)), total)
    return Path(folder.name)


def fill(path: Path, sessions: int) -> None:
    """Load ``sessions`` runs into a new workspace file."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("journal_mode = DELETE", "synchronous = OFF", "cache_size = -400000", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.execute("BEGIN")
        put_back = _set_aside(connection)
        _vocabulary(connection)
        connection.execute(_NUMBERS, {"sessions": sessions})
        for statement in (_SESSIONS, _TASKS, _STEPS, _CALLS, _OUTBOX):
            connection.execute(statement)
        for statement in (_PROMPTS, _OUTPUTS, _ANSWERS):
            connection.execute(statement.replace("{count}", str(TEXTS)))
        connection.execute("INSERT INTO session_totals SELECT state, count(*) FROM sessions GROUP BY state")
        for statement in put_back:
            connection.execute(statement)
        connection.execute("COMMIT")
        while step(connection):
            pass
        while merge(connection):
            pass
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
    finally:
        connection.close()


def _set_aside(connection: sqlite3.Connection) -> list[str]:
    """Drop the indexes and triggers that would be maintained row by row; returns the statements that create them."""
    found = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql IS NOT NULL"
    ).fetchall()
    for kind, name, _ in found:
        connection.execute(f'DROP {kind} "{name}"')
    return [sql for _, _, sql in found]


def _vocabulary(connection: sqlite3.Connection) -> None:
    for table, column, words in (("verbs", "verb", _VERBS), ("objects", "object", _OBJECTS)):
        connection.execute(f"CREATE TEMP TABLE {table} (number INTEGER PRIMARY KEY, {column} TEXT)")
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", enumerate(words))
    connection.execute("CREATE TEMP TABLE calls (value INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO calls VALUES (?)", [(number,) for number in range(3000)])
    connection.execute("CREATE TEMP TABLE texts (number INTEGER PRIMARY KEY, content BLOB, size INTEGER, hash TEXT)")
    connection.executemany("INSERT INTO texts VALUES (?, ?, ?, ?)", _texts())


_PLANTED = {
    64: "connection pool exhausted",
    100: "修复登录表单的错误",
    50: "refreshAccessToken in src/auth/session_store.py",
    1000: "xylograph",
}
"""What one text in so many has."""


def _texts() -> Iterator[tuple[int, bytes, int, str]]:
    """Prompts of some 60 words and outputs of some 180, of a vocabulary in which the n-th word is n times as rare."""
    chance = random.Random(7)
    syllables = [first + second for first in "bcdfglmnprstv" for second in ("a", "e", "i", "o", "u", "an", "er", "is")]
    vocabulary = ["".join(chance.choices(syllables, k=chance.randint(1, 4))) for _ in range(20_000)]
    weights = list(accumulate(1 / rank for rank in range(1, len(vocabulary) + 1)))
    for number in range(2 * TEXTS):
        words = chance.choices(vocabulary, cum_weights=weights, k=60 if number < TEXTS else 180)
        words += [planted for every, planted in _PLANTED.items() if number % every == every - 1]
        content = " ".join(words).encode()
        yield number, pack(content), len(content), digest(content)
