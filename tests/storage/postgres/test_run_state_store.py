"""Recording straight into the team's database: the shared suite, several writers, faults, and what laptops pull."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from acode_tui.domain.codec import content_digest
from acode_tui.domain.errors import DatabaseConnectionError, NotFoundError, TransitionError, ValidationError
from acode_tui.domain.redaction import RowRedactor
from acode_tui.domain.states import ArtifactType, EntityType, SessionState, WorkState
from acode_tui.storage.postgres import group_writer
from acode_tui.storage.postgres.run_state_store import PostgresRunStateStore, workspace_of_login
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from tests.fault_proxy import Mode, fault_proxy
from tests.pg import Database
from tests.storage.postgres.conftest import OTHER_WORKSPACE, WORKSPACE
from tests.storage.postgres.direct import Server, open_direct
from tests.storage.runs import make_run
from tests.storage.writer_conformance import Tier, WriterConformance, whole_run


@pytest.fixture
async def store(pg_database: Database) -> AsyncIterator[PostgresRunStateStore]:
    async with open_direct(pg_database) as opened:
        yield opened


@pytest.fixture
def tier(store: PostgresRunStateStore, pg_database: Database) -> Tier:
    return Server(store, pg_database)


class TestPostgresWriter(WriterConformance):
    """The shared suite."""


async def test_a_saved_graph_is_stored_as_given_and_saved_again_writes_nothing(tier: Tier) -> None:
    run = make_run(WORKSPACE)
    result = await tier.store.save(run)
    assert result.written == sum(1 for _ in run.entities())
    again = await tier.store.save(run)
    assert (again.written, again.unchanged) == (0, result.written)
    stored = await tier.store.get_with_hierarchy(run.id)
    assert [content_digest(row) for row in stored.entities()] == [content_digest(row) for row in run.entities()]
    late = replace(run, task_description="changed", updated_at=run.created_at)
    assert (await tier.store.save(late)).updated == {EntityType.SESSION: 1}
    assert (await tier.store.get(run.id)).updated_at > run.updated_at
    await tier.require_sound()


async def test_a_pruned_run_is_not_taken_for_stored(store: PostgresRunStateStore, pg_database: Database) -> None:
    run, other = make_run(WORKSPACE), make_run(WORKSPACE)
    await store.save(run)
    prune = (
        f"INSERT INTO pruned_sessions (session_id, workspace_id) VALUES ('{run.id}', '{WORKSPACE}')",
        f"DELETE FROM artifacts WHERE session_id = '{run.id}'",
        *(f"DELETE FROM {table} WHERE session_id = '{run.id}'" for table in ("tool_calls", "steps", "session_tasks")),
        f"DELETE FROM session_events WHERE session_id = '{run.id}'",
        f"DELETE FROM sessions WHERE id = '{run.id}'",
    )
    await pg_database.execute(*prune)
    for with_ledger in (True, False):
        if not with_ledger:
            await pg_database.execute(f"DELETE FROM sync_inbox WHERE session_id = '{run.id}'")
        with pytest.raises(NotFoundError, match="removed from the team's database because of its age"):
            await store.save(run)
    refused, saved = await asyncio.gather(store.save(run), store.save(other), return_exceptions=True)
    assert isinstance(refused, NotFoundError)
    assert not isinstance(saved, BaseException)
    assert await store.get(other.id)


async def test_writes_that_wait_share_a_transaction_and_their_session_is_touched_once(
    store: PostgresRunStateStore, pg_database: Database
) -> None:
    made = await whole_run(store)
    (before,) = await pg_database.fetch("SELECT change_seq FROM workspaces")
    calls = await asyncio.gather(*(store.add_tool_call(made["step"], f"call {n}") for n in range(50)))
    assert [call.order for call in calls] == list(range(1, 51))
    (after,) = await pg_database.fetch("SELECT change_seq FROM workspaces")
    assert after["change_seq"] - before["change_seq"] == 1
    session = await store.get(made["session"])
    assert session.updated_at == max(call.updated_at for call in calls)


async def test_of_a_group_the_refused_write_fails_alone(store: PostgresRunStateStore) -> None:
    made = await whole_run(store)
    too_deep: Any = []
    for _ in range(90):
        too_deep = [too_deep]
    answers = await asyncio.gather(
        store.transition_session(made["session"], SessionState.COMPLETED),
        store.add_task(made["session"], "written"),
        store.add_tool_call(made["step"], "also written", too_deep),
        store.add_task(OTHER_WORKSPACE, "below nothing"),
        return_exceptions=True,
    )
    assert [isinstance(answer, Exception) for answer in answers] == [True, False, False, True]
    assert len((await store.get_with_hierarchy(made["session"])).tasks) == 2


async def test_of_two_processes_that_change_one_run_each_sees_what_the_other_wrote(pg_database: Database) -> None:
    async with open_direct(pg_database) as one, open_direct(pg_database) as two:
        made = await whole_run(one)
        answers = await asyncio.gather(
            *(each.add_tool_call(made["step"], f"call {n}") for n in range(10) for each in (one, two))
        )
        assert sorted(call.order for call in answers) == list(range(1, 21))
        await one.transition_step(made["step"], WorkState.IN_PROGRESS)
        await one.complete_tool_call(made["call"])
        for call in answers:
            await two.complete_tool_call(call.id)
        # What ``one`` knows of the calls is out of date: it has to look again before it refuses.
        await one.transition_step(made["step"], WorkState.COMPLETED)
        with pytest.raises(TransitionError):
            await two.transition_step(made["step"], WorkState.FAILED)
        ended = await asyncio.gather(
            *(each.transition_session(made["session"], SessionState.CANCELLED) for each in (one, two, one, two)),
            return_exceptions=True,
        )
        assert sum(isinstance(answer, TransitionError) for answer in ended) == 3
        assert len(await one.get_events(made["session"])) == 1
        await Server(one, pg_database).require_sound()


async def indexed_words(database: Database, session_id: str) -> list[str]:
    """What the search index has of a session."""
    rows = await database.fetch(
        f"SELECT unnest(tsvector_to_array(document)) AS lexeme FROM session_search WHERE session_id = '{session_id}'"
    )
    return [row["lexeme"] for row in rows]


async def test_each_word_is_in_the_search_index_once_whichever_process_wrote_it_first(pg_database: Database) -> None:
    async with open_direct(pg_database) as one, open_direct(pg_database) as two:
        made = await whole_run(one)
        # Where the other process wrote last, the first attempt writes nothing, so its words are sent with the second.
        for store, word in ((two, "heron"), (one, "zebra"), (two, "otter"), (two, "zebra"), (two, "heron")):
            await store.add_tool_call(made["step"], word)
    found = await indexed_words(pg_database, made["session"])
    assert {"heron", "zebra", "otter", "tool=heron", "tool=zebra", "tool=otter"} <= set(found)
    assert len(found) == len(set(found))


async def test_a_run_of_another_workspace_is_read_and_not_written(
    store: PostgresRunStateStore, pg_database: Database
) -> None:
    async with open_direct(pg_database, workspace_id=OTHER_WORKSPACE) as other:
        session = await other.create_session("theirs")
    assert (await store.get(session.id)).workspace_id == OTHER_WORKSPACE
    for refused in (
        store.add_task(session.id, "mine"),
        store.transition_session(session.id, SessionState.PLANNING),
        store.save(await store.get_with_hierarchy(session.id)),
    ):
        with pytest.raises(ValidationError, match="belongs to workspace"):
            await refused


async def test_what_is_stored_and_answered_is_redacted(pg_database: Database) -> None:
    secret = "ghp_" + "a1B2" * 9
    redact = RowRedactor(homes=())
    async with open_direct(pg_database, redact=redact.row) as store:
        session = await store.create_session(f"use {secret}", metadata={"token": secret})
        task = await store.add_task(session.id, secret)
        added = await store.add_artifact(task.id, ArtifactType.USER_PROMPT, "p", secret.encode(), "text/plain")
        await store.transition_session(session.id, SessionState.CANCELLED, reason=secret)
        assert secret not in session.task_description
        assert added.content_hash == (await store.get_artifact(added.id)).content_hash
        everything = await Server(store, pg_database).stored()
    assert secret not in repr(everything)


async def test_a_laptop_with_the_same_workspace_pulls_what_was_recorded(
    store: PostgresRunStateStore, sync_target: PostgresSyncTarget
) -> None:
    made = await whole_run(store)
    await store.complete_tool_call(made["call"], result={"lines": 120})
    page = await sync_target.pull(WORKSPACE, 0)
    graph = await store.get_with_hierarchy(made["session"])
    assert {row.id: row.updated_at for row in page.rows} == {row.id: row.updated_at for row in graph.entities()}
    assert page.rejected == ()


@pytest.mark.parametrize("cut", ["cut_in_reply_to_commit", "cut_before_commit"])
async def test_a_write_whose_connection_is_lost_is_there_once(pg_database: Database, cut: str) -> None:
    async with (
        fault_proxy("127.0.0.1", pg_database.server.port) as proxy,
        open_direct(pg_database, port=proxy.port) as store,
    ):
        session = await store.create_session("x")
        getattr(proxy, cut)()
        tasks = await asyncio.gather(*(store.add_task(session.id, f"task {n}") for n in range(5)))
        await store.add_task(session.id, "afterwards")
        graph = await store.get_with_hierarchy(session.id)
        assert [task.id for task in graph.tasks[:5]] == [task.id for task in tasks]
        assert [task.order for task in graph.tasks] == list(range(6))
        assert {"task", "0", "4", "afterwards"} <= set(await indexed_words(pg_database, session.id))
        await Server(store, pg_database).require_sound()


async def test_a_server_that_is_gone_is_an_error_and_nothing_is_acknowledged(
    pg_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_writer, "RETRY_SECONDS", (0.0,))
    async with (
        fault_proxy("127.0.0.1", pg_database.server.port) as proxy,
        open_direct(pg_database, port=proxy.port) as store,
    ):
        session = await store.create_session("x")
        await proxy.set_mode(Mode.REFUSE)
        with pytest.raises(DatabaseConnectionError, match=f"127.0.0.1:{proxy.port}"):
            await store.add_task(session.id, "lost")
        await proxy.set_mode(Mode.PASS)
        await store.add_task(session.id, "written")
        assert [task.title for task in (await store.get_with_hierarchy(session.id)).tasks] == ["written"]


async def test_a_server_restored_from_an_older_backup_is_written_on(
    store: PostgresRunStateStore, pg_database: Database
) -> None:
    await store.create_session("lost with the restore")
    await pg_database.execute(
        "DELETE FROM sync_inbox", "DELETE FROM sessions", "UPDATE workspaces SET incarnation = gen_random_uuid()"
    )
    session = await store.create_session("written after it")
    assert [each.id for each in await store.list()] == [session.id]


def test_a_login_has_one_workspace_a_database() -> None:
    same = workspace_of_login("ci", "runs", "public")
    assert workspace_of_login("ci", "runs", "public") == same
    assert len({same, workspace_of_login("ci", "runs", "other"), workspace_of_login("ada", "runs", "public")}) == 3
