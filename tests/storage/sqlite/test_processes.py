"""Several processes write one file: none loses a write, none sees "database is locked"."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.storage.sqlite.parts import assert_sound, count, foreign, log_queued_writes, open_parts, rows
from tests.storage.sqlite.processes import child, finished, go, ready


@pytest.mark.ac("AC-008")
async def test_two_processes_incrementing_lose_nothing(database: Path) -> None:
    async with open_parts(database):
        pass
    with foreign(database) as connection:
        connection.execute("INSERT INTO workspace_meta (key, value) VALUES ('k-counter', '0')")
    with child("increment", database, 200) as one, child("increment", database, 200) as two:
        for process in (one, two):
            ready(process)
        for process in (one, two):
            go(process)
        for process in (one, two):
            finished(process)
    assert rows(database, "SELECT value FROM workspace_meta WHERE key = 'k-counter'") == [("400",)]


@pytest.mark.ac("AC-043")
async def test_two_processes_in_a_frozen_clock_never_share_a_stamp(database: Path) -> None:
    async with open_parts(database):
        pass
    with child("record", database, 60) as one, child("record", database, 60) as two:
        for process in (one, two):
            ready(process)
        # Once they have opened it: a file with a trigger of another's is refused.
        log_queued_writes(database)
        for process in (one, two):
            go(process)
        for process in (one, two):
            finished(process)
    assert count(database, "sessions") == 120
    assert count(database, "queued_writes", "kind = 'session'") > 120
    keys = rows(database, "SELECT key FROM queued_writes")
    assert len(set(keys)) == len(keys)
    assert len(set(rows(database, "SELECT updated_at FROM sessions"))) == 120
    assert_sound(database)


@pytest.mark.ac("AC-011")
def test_processes_that_open_a_new_workspace_at_once_migrate_it_once(database: Path) -> None:
    with ExitStack() as stack:
        children = [stack.enter_context(child("migrate", database)) for _ in range(4)]
        for process in children:
            ready(process)
        for process in children:
            go(process)
        assert {finished(process) for process in children} == {"open\n"}
    versions = [row[0] for row in rows(database, "SELECT version FROM schema_migrations ORDER BY version")]
    assert versions == sorted(set(versions))
    assert versions[:2] == ["1.0.0", "1.1.0"]
    assert rows(database, "PRAGMA journal_mode") == [("wal",)]
