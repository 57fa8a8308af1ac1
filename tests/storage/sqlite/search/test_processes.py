"""The index beside others: another process finds a word at once, a killed indexer loses nothing, a full disk stops no
recording."""

import asyncio
import random
import resource
from pathlib import Path

import pytest

from acode_tui.domain.errors import AcodeError, DiskFullError
from acode_tui.domain.progress import ReportProgress
from acode_tui.domain.states import ArtifactType
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.sqlite.search import documents
from acode_tui.storage.sqlite.search.check import differences
from acode_tui.storage.sqlite.search.index import step
from acode_tui.workspace import Workspace, open_workspace
from acode_tui.workspace.indexing import DELAY_SECONDS, BackgroundIndexing
from tests.conftest import PLAIN_SETTINGS
from tests.storage.sqlite.parts import Parts, foreign, open_parts
from tests.storage.sqlite.processes import child, finished
from tests.storage.sqlite.runs.runs import make_run

_COVERED = ("sessions", "tool_calls", "artifacts")


async def test_a_word_of_every_kind_of_text_is_found_with_its_place(parts: Parts, workspace: Workspace) -> None:
    """13 words, each in one place."""
    store = workspace.store
    session = await store.create_session("alfaword " + "x " * 400 + "deepword", metadata={"note": "bravoword"})
    task = await store.add_task(session.id, "charlieword", description="deltaword")
    work = await store.add_step(task.id, "echoword", description="foxtrotword")
    call = await store.add_tool_call(work.id, "golfword", {"command": "cat hotelword\nindiaword"})
    await store.complete_tool_call(call.id, result={"stdout": "julietword"})
    failing = await store.add_tool_call(work.id, "Bash", {})
    await store.fail_tool_call(failing.id, "kiloword")
    await store.add_artifact(call.id, ArtifactType.FILE_WRITE, "limaword.py", b"def mikeWord(): pass", "text/x-python")
    await store.add_artifact(task.id, ArtifactType.USER_PROMPT, "prompt", b"novemberword", "text/plain")
    await store.add_artifact(work.id, ArtifactType.REASONING, "thought", b"oscarword", "text/plain")
    kinds = {
        "deepword": "session",
        "bravoword": "session",
        "charlieword": "task",
        "deltaword": "task",
        "echoword": "step",
        "foxtrotword": "step",
        "golfword": "call",
        "hotelword": "call",
        "indiaword": "call",
        "julietword": "result",
        "kiloword": "error",
        "limaword": "content",
        "mike": "content",
        "novemberword": "prompt",
        "oscarword": "reasoning",
    }
    for word, kind in kinds.items():
        page = await workspace.search(word)
        assert [(hit.kind, hit.session_id) for hit in page.hits] == [(kind, session.id)], word
        assert page.total == 1
        assert "**" in page.hits[0].snippet


async def test_a_word_is_found_at_once_by_another_process(database: Path) -> None:
    with child("record_words", database, 30) as process:
        assert process.stdout is not None
        found = 0
        while (line := process.stdout.readline()) and line != "end\n":
            async with open_parts(database) as parts:
                assert len(await parts.store.list(SessionFilter(text=line.strip()))) == 1, line
            found += 1
        finished(process)
    assert found == 30


async def test_kill_9_while_indexing_loses_nothing(database: Path) -> None:
    async with open_parts(database) as parts:
        for number in range(60):
            await parts.store.save(make_run(number, calls=3))
    for _ in range(6):
        with child("index", database) as process:
            assert process.stdout is not None
            for _ in range(random.randint(1, 4)):
                process.stdout.readline()
            process.kill()
        with foreign(database) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert differences(connection, deep=True) == ()
    async with open_parts(database) as parts:
        assert (await parts.store.list(SessionFilter(text="validation"))).total == 60
    with foreign(database) as connection:
        assert differences(connection, deep=True) == ()
        # Nothing was indexed twice.
        covered = "SELECT sum(has_session), sum(more_calls + 1), sum(more_artifacts + 1) FROM search_documents"
        rows = [connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in _COVERED]
        assert connection.execute(covered).fetchone() == tuple(rows)


async def test_a_full_disk_while_indexing_stops_no_recording_and_a_search_says_so(workspace: Workspace) -> None:
    for number in range(20):
        await workspace.store.save(make_run(number))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    original = documents.insert_documents

    def on_a_full_disk(*given: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        original(*given)  # type: ignore[arg-type]

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("acode_tui.storage.sqlite.search.catch_up.insert_documents", on_a_full_disk)
            with pytest.raises(DiskFullError, match="the search index could not be brought up to date") as caught:
                await workspace.search("validation")
        assert "free some space" in caught.value.hint
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await workspace.store.create_session("recorded all the same")
    assert len((await workspace.search("recorded")).hits) == 1
    assert (await workspace.search("validation", limit=100)).total is not None


class Index:
    """Counts how often it is asked to catch up; fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.asked: asyncio.Queue[float] = asyncio.Queue()

    async def catch_up(self) -> None:
        self.asked.put_nowait(0)
        if self.failures:
            self.failures -= 1
            raise DiskFullError("the disk is full")


async def test_commits_are_indexed_together_after_a_while() -> None:
    index, slept, wake = Index(), asyncio.Queue[float](), asyncio.Event()

    async def sleep(seconds: float) -> None:
        slept.put_nowait(seconds)
        await wake.wait()

    indexing = BackgroundIndexing(index, sleep)  # type: ignore[arg-type]
    running = asyncio.create_task(indexing.run())
    for _ in range(5):
        indexing.committed()
    assert await slept.get() == DELAY_SECONDS
    assert index.asked.empty()
    wake.set()
    await index.asked.get()
    running.cancel()
    await asyncio.wait([running])
    assert index.asked.empty()


async def test_what_cannot_be_indexed_is_tried_again_after_the_next_write() -> None:
    index = Index(failures=2)
    indexing = BackgroundIndexing(index, lambda seconds: asyncio.sleep(0))  # type: ignore[arg-type]
    running = asyncio.create_task(indexing.run())
    for _ in range(3):
        indexing.committed()
        await index.asked.get()
    assert not running.done()
    running.cancel()
    await asyncio.wait([running])
    assert index.failures == 0


async def test_an_open_workspace_indexes_what_it_writes(tmp_path: Path) -> None:
    """Without a search: the index's own connection has committed once the next word is found by reading alone."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(0)

    async with open_workspace(tmp_path, settings=PLAIN_SETTINGS, sleep=sleep) as workspace:
        caught_up = asyncio.Event()
        original = workspace.index.catch_up

        async def catch_up(on_progress: ReportProgress | None = None) -> None:
            await original(on_progress)
            caught_up.set()

        workspace.index.catch_up = catch_up  # type: ignore[method-assign]
        await workspace.store.create_session("zebra")
        await caught_up.wait()
        with foreign(workspace.database_path) as other:
            assert other.execute("SELECT upto FROM search_marks WHERE kind = 'session'").fetchone() == (1,)


async def test_an_index_that_was_left_behind_takes_up_from_its_marks(parts: Parts) -> None:
    for number in range(5):
        await parts.store.save(make_run(number))
    with foreign(parts.path) as connection:
        while step(connection):
            pass
        before = connection.execute("SELECT max(id) FROM search_documents").fetchone()[0]
    await parts.store.save(make_run(6, description="later"))
    assert len(await parts.store.list(SessionFilter(text="later"))) == 1
    with foreign(parts.path) as connection:
        assert connection.execute("SELECT count(*) FROM search_documents WHERE id > ?", (before,)).fetchone() == (1,)


async def test_rows_that_were_renumbered_are_indexed_anew(parts: Parts) -> None:
    await parts.store.save(make_run(1, description="alpha"))
    await parts.store.save(make_run(2, description="beta"))
    assert len(await parts.store.list(SessionFilter(text="alpha"))) == 1
    with foreign(parts.path) as connection:
        connection.execute("UPDATE sessions SET rowid = rowid + 10")
    for word in ("alpha", "beta"):
        found = await parts.store.list(SessionFilter(text=word))
        assert [session.task_description for session in found] == [word]


async def test_a_call_that_is_completed_after_it_was_indexed_is_found_by_its_result(parts: Parts) -> None:
    session = await parts.store.create_session("x")
    task = await parts.store.add_task(session.id, "t")
    work = await parts.store.add_step(task.id, "s")
    call = await parts.store.add_tool_call(work.id, "Bash", {"command": "pytest"})
    assert len(await parts.store.list(SessionFilter(text="pytest"))) == 1
    await parts.store.complete_tool_call(call.id, result="collected")
    with foreign(parts.path) as connection:
        assert connection.execute("SELECT kind, rewritten FROM search_changes").fetchall() == [("tool_call", 0)]
    assert len(await parts.store.list(SessionFilter(text="pytest collected"))) == 1
    with foreign(parts.path) as connection:
        assert connection.execute("SELECT count(*) FROM search_changes").fetchone() == (0,)
        assert connection.execute("SELECT sum(stale) FROM search_documents").fetchone() == (0,)


async def test_a_row_that_is_not_indexed_yet_leaves_no_note(parts: Parts) -> None:
    session = await parts.store.create_session("x")
    task = await parts.store.add_task(session.id, "t")
    work = await parts.store.add_step(task.id, "s")
    call = await parts.store.add_tool_call(work.id, "Bash", {})
    await parts.store.complete_tool_call(call.id, result="done")
    await parts.store.save(make_run(1))
    await parts.store.save(make_run(1, description="changed"))
    with foreign(parts.path) as connection:
        assert connection.execute("SELECT count(*) FROM search_changes").fetchone() == (0,)


@pytest.mark.parametrize("table", ["search_changes", "search_marks", "search_index"])
async def test_writes_go_on_without_the_index(parts: Parts, table: str) -> None:
    await parts.store.save(make_run(1))
    assert len(await parts.store.list(SessionFilter(text="validation"))) == 1
    with foreign(parts.path) as connection:
        connection.execute(f"DROP TABLE {table}")
    await parts.store.save(make_run(1, description="changed"))
    await parts.store.save(make_run(2))
    assert (await parts.store.list()).total == 2
    with pytest.raises(AcodeError, match="the search index is missing"):
        await parts.store.list(SessionFilter(text="validation"))
