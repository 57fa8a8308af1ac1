"""Readers never wait for the writer, never see half a write, and never prevent a checkpoint of the WAL."""

import asyncio
import os
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acode_tui.config import Settings
from acode_tui.domain.errors import DatabaseConnectionError, IntegrityError, NotFoundError
from acode_tui.domain.states import ArtifactType
from acode_tui.ops.export.export import ExportRequest
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.sqlite.connection import WAL_BYTES, SqliteConnectionFactory
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.workspace import Workspace, open_workspace
from tests.clocks import GUARD_SECONDS
from tests.storage.sqlite.parts import Parts, foreign, open_parts
from tests.storage.sqlite.runs.runs import make_run


@pytest.mark.ac("AC-007")
async def test_readers_see_the_last_commit_while_a_write_is_open(parts: Parts) -> None:
    session = await parts.store.create_session("committed")
    with foreign(parts.path) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE sessions SET task_description = 'not committed'")
        async with asyncio.timeout(GUARD_SECONDS):
            answers = await asyncio.gather(
                *(parts.store.get(session.id) for _ in range(8)),
                *(parts.store.get_with_hierarchy(session.id) for _ in range(8)),
            )
            page = await parts.store.list()
        assert {answer.task_description for answer in answers} == {"committed"}
        assert [each.task_description for each in page] == ["committed"]
        other.execute("COMMIT")
    assert (await parts.store.get(session.id)).task_description == "not committed"


@pytest.mark.ac("AC-007")
async def test_a_run_is_read_from_one_moment(parts: Parts) -> None:
    """A graph is several queries; a commit between them must not show."""
    await parts.store.save(make_run(1))
    session = (await parts.store.list()).sessions[0]

    def read(connection: sqlite3.Connection) -> tuple[int, int]:
        before = connection.execute("SELECT count(*) FROM session_tasks").fetchone()[0]
        with foreign(parts.path) as other:
            other.execute("DELETE FROM outbox")
            other.execute(
                'INSERT INTO session_tasks (id, session_id, title, state, "order", created_at, updated_at) '
                "VALUES ('t2', ?, 'x', 'Pending', 1, '2026', '2026')",
                (session.id,),
            )
        return before, connection.execute("SELECT count(*) FROM session_tasks").fetchone()[0]

    assert await parts.readers.run(read) == (1, 1)


async def test_a_reader_cannot_write(parts: Parts) -> None:
    with pytest.raises(Exception, match=r"readonly|read-only|query_only"):
        await parts.readers.run(lambda raw: raw.execute("DELETE FROM outbox"))


async def test_data_version_changes_when_another_process_commits_and_only_then(workspace: Workspace) -> None:
    first = await workspace.data_version()
    assert await workspace.data_version() == first
    with foreign(workspace.database_path) as other:
        other.execute("INSERT INTO workspace_meta (key, value) VALUES ('k', '1')")
    second = await workspace.data_version()
    assert second != first
    await workspace.store.create_session("our own commit counts too")
    assert await workspace.data_version() != second


async def test_the_wal_stays_small_while_readers_poll(parts: Parts) -> None:
    wal = parts.path.with_name(parts.path.name + "-wal")
    done = asyncio.Event()
    largest = 0

    async def poll() -> None:
        while not done.is_set():
            await parts.store.list()
            await asyncio.sleep(0.005)

    polling = [asyncio.create_task(poll()) for _ in range(3)]
    session = await parts.store.create_session("a lot of output")
    task = await parts.store.add_task(session.id, "task")
    step = await parts.store.add_step(task.id, "step")
    call = await parts.store.add_tool_call(step.id, "bash")
    written = 0
    for _ in range(100):
        content = os.urandom(600_000)
        await parts.store.add_artifact(call.id, ArtifactType.COMMAND_OUTPUT, "out", content, "text/plain")
        written += len(content)
        largest = max(largest, wal.stat().st_size)
    done.set()
    await asyncio.gather(*polling)
    # 16 MiB start a checkpoint; a reader may put off its end for a moment, not for the whole run.
    assert written == 60_000_000
    assert largest < 2 * WAL_BYTES


async def test_no_read_transaction_outlives_its_read(parts: Parts) -> None:
    await parts.store.create_session("x")
    await asyncio.gather(*(parts.store.list() for _ in range(6)))
    for _ in range(3):
        assert not await parts.readers.run(lambda raw: False)
    with foreign(parts.path) as other:
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


async def test_a_read_that_fails_leaves_its_connection_usable(parts: Parts) -> None:
    for _ in range(10):
        with pytest.raises(NotFoundError):
            await parts.store.get("0190d6a1-0000-7000-8000-00000000000a")
        with pytest.raises(Exception, match="has lost a table: nowhere"):
            await parts.readers.run(lambda raw: raw.execute("SELECT * FROM nowhere"))
    assert (await parts.store.list()).total == 0


ENDLESS = "WITH RECURSIVE n (x) AS (SELECT started() UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"


async def test_a_cancelled_read_is_ended_and_its_connection_is_used_again(database: Path) -> None:
    async with open_parts(database):
        pass
    readers = Readers(SqliteConnectionFactory(database), size=1)
    started, loop = asyncio.Event(), asyncio.get_running_loop()

    def signal() -> int:
        loop.call_soon_threadsafe(started.set)
        return 1

    def endless(raw: sqlite3.Connection) -> Any:
        raw.create_function("started", 0, signal)
        return raw.execute(ENDLESS).fetchone()

    try:
        for _ in range(3):
            running = asyncio.create_task(readers.run(endless))
            await started.wait()
            started.clear()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            async with asyncio.timeout(GUARD_SECONDS):
                assert await readers.run(lambda raw: raw.execute("SELECT 1").fetchone()) == (1,)
                assert not await readers.run(lambda raw: raw.execute("SELECT count(*) FROM outbox").fetchone()[0])
    finally:
        await readers.close()


async def test_reads_that_wait_while_the_workspace_closes_fail_with_an_error(database: Path) -> None:
    """A connection that they opened would never be closed, which the suite turns into an error."""
    async with open_parts(database):
        pass
    readers = Readers(SqliteConnectionFactory(database), size=2)
    reads = [
        asyncio.create_task(readers.run(lambda raw: raw.execute("SELECT count(*) FROM outbox").fetchone()))
        for _ in range(12)
    ]
    for _ in range(3):
        await asyncio.sleep(0)
    await readers.close()
    answers = await asyncio.gather(*reads, return_exceptions=True)
    assert all(answer == (0,) or isinstance(answer, DatabaseConnectionError) for answer in answers)
    with pytest.raises(DatabaseConnectionError):
        await readers.run(lambda raw: None)


async def test_an_artifact_that_was_tampered_with_is_not_handed_out(parts: Parts) -> None:
    await parts.store.save(make_run(1))
    session = (await parts.store.list()).sessions[0]
    artifact = (await parts.store.get_with_hierarchy(session.id)).tasks[0].steps[0].tool_calls[0].artifacts[0]
    assert artifact.content is None
    assert await parts.store.get_artifact_content(artifact.id) == b"content 1.0\x00"
    with foreign(parts.path) as other:
        other.execute("DROP TRIGGER artifacts_no_update")
        other.execute("UPDATE artifacts SET content = ? WHERE id = ?", (b"content 1.1\x00", artifact.id))
    with pytest.raises(IntegrityError, match=r"ACODE-DB-007.*does not match its hash"):
        await parts.store.get_artifact_content(artifact.id)
    assert (await parts.store.get_artifact(artifact.id)).size == artifact.size


TORN: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda stored: stored[:-9],
    "no stream": lambda stored: b"\xff" + stored[1:],
    "another content of the same size": lambda stored: zlib.compress(b"y" * 5_000, 1),
    "a larger content": lambda stored: zlib.compress(b"x" * 9_000, 1),
    "a smaller content": lambda stored: zlib.compress(b"x" * 4_000, 1),
    "empty": lambda stored: b"",
}


@pytest.mark.parametrize("tear", TORN.values(), ids=TORN)
async def test_a_damaged_compressed_content_is_reported_and_not_handed_out(
    workspace: Workspace, tmp_path: Path, tear: Callable[[bytes], bytes]
) -> None:
    run = make_run(1)
    await workspace.store.save(run)
    call = run.tasks[0].steps[0].tool_calls[0]
    added = await workspace.store.add_artifact(call.id, ArtifactType.COMMAND_OUTPUT, "out", b"x" * 5_000, "text/plain")
    with foreign(workspace.database_path) as other:
        (stored,) = other.execute("SELECT content FROM artifacts WHERE id = ?", (added.id,)).fetchone()
        assert len(stored) < 100
        other.execute("DROP TRIGGER artifacts_no_update")
        other.execute("UPDATE artifacts SET content = ? WHERE id = ?", (tear(stored), added.id))
    with pytest.raises(IntegrityError, match=f"the content of artifact {added.id} does not match its hash"):
        await workspace.store.get_artifact_content(added.id)
    with pytest.raises(IntegrityError, match="does not match its hash"):
        await workspace.export(ExportRequest(path=tmp_path / "x.json"))
    found = {each.name: each.description for each in await workspace.check() if not each.ok}
    assert found["artifact hashes"] == f"1 of 3 differ from their hashes: {added.id}"


@pytest.mark.parametrize("size", [2**30, 2**63 - 1])
async def test_a_size_that_no_content_has_is_damage(workspace: Workspace, size: int) -> None:
    run = make_run(1)
    await workspace.store.save(run)
    artifact = run.tasks[0].steps[0].tool_calls[0].artifacts[0]
    with foreign(workspace.database_path) as other:
        other.execute("DROP TRIGGER artifacts_no_update")
        other.execute("UPDATE artifacts SET size = ? WHERE id = ?", (size, artifact.id))
    with pytest.raises(IntegrityError, match="does not match its hash"):
        await workspace.store.get_artifact_content(artifact.id)
    found = {each.name for each in await workspace.check(deep=True) if not each.ok}
    assert "artifact hashes" in found


async def test_db_check_finds_damage(workspace: Workspace) -> None:
    await workspace.store.save(make_run(1))
    assert len(await workspace.store.list(SessionFilter(text="validation"))) == 1
    assert all(each.ok for each in await workspace.check())
    with foreign(workspace.database_path) as other:
        other.execute("PRAGMA foreign_keys = OFF")
        other.execute("UPDATE session_totals SET sessions = 7")
        other.execute("UPDATE steps SET task_id = 'nobody'")
        other.execute("UPDATE outbox SET entity_id = 'nobody' WHERE id = 1")
        other.execute("DROP TRIGGER artifacts_no_update")
        other.execute("UPDATE artifacts SET content = x'00'")
        other.execute("DELETE FROM search_documents")
    found = {each.name: each.ok for each in await workspace.check()}
    assert found == {
        "integrity": True,
        "foreign keys": False,
        "migrations": True,
        "tables": True,
        "indexes": True,
        "triggers": False,
        "outbox": False,
        "traces": True,
        "counters": False,
        "artifact hashes": False,
        "figures": True,
        "search": False,
        "quarantine": True,
    }


async def test_facts_about_the_file(tmp_path: Path, plain_settings: Settings) -> None:
    async with open_workspace(tmp_path, settings=plain_settings) as ws:
        await ws.store.create_session("x")
        facts = await ws.database_facts()
        assert facts.path == str(tmp_path / ".agent" / "workspace.db")
        assert facts.journal_mode == "wal"
        assert facts.sessions == 1
        assert facts.last_modified is not None
        assert facts.size_bytes >= os.stat(facts.path).st_size
