"""A workspace without a file: what is opened by a URL reads, writes and says as a folder's does, or says why not."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import acode_tui
from acode_tui import recorder
from acode_tui.domain.errors import ConfigError, DatabaseConnectionError, SchemaMismatchError
from acode_tui.domain.states import ArtifactType, SessionState
from acode_tui.storage.postgres.run_state_store import workspace_of_login
from acode_tui.workspace import open_workspace
from tests.fault_proxy import Mode, fault_proxy
from tests.pg import Database, free_port
from tests.recorder.conftest import states
from tests.storage.postgres.conftest import WORKSPACE

PASSWORD = "s3cr3t-of-ci"


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with nothing in it."""
    monkeypatch.delenv("ACODE_WORKSPACE", raising=False)
    monkeypatch.setenv("ACODE_IDENTITY__USER", "ada@example.org")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    recorder.close()
    assert list(tmp_path.glob("*")) == [], "nothing was written beside the database"


async def test_a_workspace_opened_by_a_url_records_searches_and_counts(empty: Path, pg_database: Database) -> None:
    async with acode_tui.open_workspace(pg_database.url) as workspace:
        assert workspace.workspace_id == workspace_of_login("postgres", pg_database.name, "public")
        session = await workspace.store.create_session("Refresh the token", metadata={"agent": "mine"})
        task = await workspace.store.add_task(session.id, "Analyse")
        await workspace.store.add_artifact(
            task.id, ArtifactType.USER_PROMPT, "prompt", b"please refresh it", "text/plain"
        )
        before = await workspace.data_version()
        page = await workspace.search("refresh")
        assert {hit.session_id for hit in page.hits} == {session.id}
        assert (await workspace.search_team("refresh")).hits == page.hits
        found = await workspace.hits_in("refresh", [session.id, WORKSPACE, "none"], most=1)
        assert {key: [hit.snippet for hit in hits] for key, hits in found.items()} == {
            session.id: [page.hits[0].snippet]
        }
        assert (await workspace.stats(by="agent")).sessions == 1
        assert (await workspace.health()).status == "Healthy"
        assert (await workspace.outbox.stats()).pending == 0
        assert (await workspace.sync.sync_now()).remaining == 0
        assert before > 0
        with pytest.raises(ConfigError, match="needs a workspace file"):
            await workspace.backup()
        with pytest.raises(AttributeError):
            workspace.nonsense  # type: ignore[attr-defined]  # noqa: B018
    async with acode_tui.open_workspace(pg_database.url, workspace_id=WORKSPACE) as other:
        assert (await other.store.get(session.id)).user_id == "ada@example.org"
        assert (await other.store.create_session("x")).workspace_id == WORKSPACE


async def test_what_is_wrong_with_a_url_or_its_server_is_one_error_without_the_password(
    empty: Path, pg_database: Database, pg_blank: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def with_password(url: str) -> str:
        return url.replace("postgres@", f"postgres:{PASSWORD}@")

    cases: list[tuple[str, type[Exception], str]] = [
        (with_password(pg_blank.url), SchemaMismatchError, "db migrate.*db schema"),
        (with_password(pg_database.url_through(free_port())), DatabaseConnectionError, "refuses connections"),
        (with_password(pg_database.url) + "?service=x", ConfigError, "service"),
        (f"postgresql://ada:{PASSWORD}@host:port/x", ConfigError, "port"),
    ]
    for url, error, words in cases:
        with pytest.raises(error, match=words) as raised:
            async with open_workspace(url):
                pass
        assert PASSWORD not in f"{raised.value!r} {raised.value}"
    assert PASSWORD not in caplog.text


async def test_the_schema_is_migrated_only_where_that_is_asked_for(empty: Path, pg_blank: Database) -> None:
    async with open_workspace(pg_blank.url, auto_migrate=True) as workspace:
        assert [each.tier for each in await workspace.migrate()] == ["postgres"]
        await workspace.store.create_session("x")


def _agent(**where: Any) -> recorder.Run:
    with (
        recorder.session("run", metadata={"n": 1}, **where) as run,
        run.task("t") as task,
        task.step("s") as step,
        step.tool("c", {"a": 1}) as call,
    ):
        task.say(prompt="what to do")
        call.artifact("FileContent", "x", b"1", "text/plain")
        call.result(1)
    return run


async def test_the_recorder_records_into_a_database_and_counts_what_is_lost(empty: Path, pg_database: Database) -> None:
    run = await _in_thread(lambda: _agent(path=pg_database.url))
    assert run.lost == 0
    async with open_workspace(pg_database.url) as workspace:
        (session,) = await workspace.store.list()
        graph = await workspace.store.get_with_hierarchy(session.id)
    assert set(states(graph).values()) == {"Completed", "Succeeded"}
    assert [event.to_state for event in graph.events][-1] is SessionState.COMPLETED
    lost = await _in_thread(lambda: _agent(path=pg_database.url_through(free_port())))
    assert lost.lost > 0
    with pytest.raises(ValueError, match="spool"):
        recorder.session("x", empty, spool=empty)


async def test_a_spool_keeps_what_the_server_cannot_take_and_sends_it_once(
    empty: Path, tmp_path_factory: pytest.TempPathFactory, pg_database: Database
) -> None:
    spool = tmp_path_factory.mktemp("spool")
    async with fault_proxy("127.0.0.1", pg_database.server.port) as proxy:
        await proxy.set_mode(Mode.REFUSE)
        url = pg_database.url_through(proxy.port)
        run = await _in_thread(lambda: _agent(path=url, spool=spool))
        assert run.lost == 0
        await _in_thread(recorder.close)
        assert await pg_database.fetch("SELECT id FROM sessions") == []
        await proxy.set_mode(Mode.PASS)
        proxy.cut_in_reply_to_commit()
        again = await _in_thread(lambda: _agent(path=url, spool=spool))
        assert again.lost == 0
        await _in_thread(recorder.close)
    rows = await pg_database.fetch("SELECT state FROM sessions")
    assert [row["state"] for row in rows] == ["Completed", "Completed"]
    assert [row["n"] for row in await pg_database.fetch("SELECT count(*) AS n FROM tool_calls")] == [2]
    async with open_workspace(spool) as workspace:
        assert await workspace.outbox.pending_count() == 0


async def _in_thread(work: Any) -> Any:
    return await asyncio.to_thread(work)
