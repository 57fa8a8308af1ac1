"""The summary of a session in a list: the counts of its rows, and the state of its sync."""

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
