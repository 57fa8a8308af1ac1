"""The summary of a session in a list: the counts of its rows, and the state of its sync."""

import sqlite3
from contextlib import closing
from pathlib import Path

from acode_tui import open_workspace
from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.states import SessionState, WorkState
from acode_tui.storage.ports import SessionFilter
from tests.storage.sqlite.parts import Parts
from tests.storage.sqlite.runs.runs import ident, make_run


async def _summary(parts: Parts) -> SessionSummary:
    return (await parts.store.list()).sessions[0]


async def test_a_summary_counts_the_rows_below(parts: Parts) -> None:
    await parts.store.save(make_run(1, calls=3))
    await parts.store.save(make_run(2))
    done = await parts.store.add_task(ident(1, "session"), "done")
    await parts.store.add_task(ident(1, "session"), "waiting")
    await parts.store.transition_task(done.id, WorkState.SKIPPED)
    found = {each.id: each for each in await parts.store.list()}[ident(1, "session")]
    assert (found.task_count, found.tasks_done, found.tool_call_count, found.artifact_count) == (3, 1, 3, 3)


async def test_a_summary_counts_the_calls_that_failed_whatever_the_index_has(tmp_path: Path) -> None:
    async with open_workspace(tmp_path) as workspace:
        store = workspace.store
        session = await store.create_session("x")
        other = await store.create_session("without")
        step = await store.add_step((await store.add_task(session.id, "task")).id, "step")

        async def counts() -> list[int]:
            found = {each.id: each.failed_calls for each in await store.list()}
            return [found[session.id], found[other.id]]

        async def fail() -> None:
            call = await store.add_tool_call(step.id, "Bash", {})
            await store.start_tool_call(call.id)
            await store.fail_tool_call(call.id, "exit 1")

        assert await counts() == [0, 0]
        await fail()
        assert await counts() == [1, 0]
        await workspace.index.catch_up()
        assert await counts() == [1, 0]
        await fail()
        assert await counts() == [2, 0]
        await workspace.index.catch_up()
        with closing(sqlite3.connect(workspace.database_path)) as connection, connection:
            connection.execute("UPDATE tool_calls SET state = 'Succeeded'")
        assert await counts() == [2, 0], "the count is the one beside the index"
        with closing(sqlite3.connect(workspace.database_path)) as connection, connection:
            connection.execute("DROP TABLE session_facts")
        assert await counts() == [0, 0], "without it the rows are counted"


async def test_a_summary_says_how_far_its_records_got(parts: Parts) -> None:
    session = await parts.store.create_session("x")
    await parts.store.add_task(session.id, "task")
    assert (await _summary(parts)).sync == "pending"
    records = [record.id for record in await parts.outbox.list()]
    await parts.outbox.mark_failed(records[0], "refused")
    assert (await _summary(parts)).sync == "retrying"
    for _ in range(9):
        await parts.outbox.mark_failed(records[0], "refused")
    assert (await _summary(parts)).sync == "failed"
    await parts.outbox.discard([records[0]])
    for record in records:
        await parts.outbox.mark_processed(record)
    assert (await _summary(parts)).sync == "local"
    await parts.writer.run(lambda raw: raw.execute("UPDATE sessions SET sync_version = 1").rowcount)
    assert (await _summary(parts)).sync == "synced"


async def test_totals_by_state_follow_every_change(parts: Parts) -> None:
    made = [await parts.store.create_session(f"s{n}") for n in range(4)]
    await parts.store.transition_session(made[0].id, SessionState.CANCELLED)
    await parts.store.transition_session(made[1].id, SessionState.PLANNING)
    for states, total in (
        ((), 4),
        ((SessionState.CREATED,), 2),
        ((SessionState.CREATED, SessionState.CREATED, SessionState.CANCELLED), 3),
        ((SessionState.FAILED,), 0),
    ):
        given = SessionFilter(states=states)
        assert (await parts.store.list(given)).total == total
        assert await parts.store.count(given) == total
        assert len(await parts.store.list(given)) == total
