"""Search over PostgreSQL finds what reading every text finds, whichever way the runs were delivered."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from acode_tui.domain.entities import Entity, SessionGraph, ToolCallGraph
from acode_tui.domain.errors import SchemaMismatchError, ValidationError
from acode_tui.domain.search.query import Query, parse_query
from acode_tui.domain.states import ArtifactType, EntityType
from acode_tui.storage.ports import SearchHit, SessionFilter
from acode_tui.storage.postgres import matcher, session_conditions, session_pages
from acode_tui.storage.postgres import search as search_module
from acode_tui.storage.postgres.connection import PostgresConnectionFactory, ReadPool
from acode_tui.storage.postgres.lexemes import wanted_lexemes
from acode_tui.storage.postgres.run_state_reader import PostgresRunStateReader
from acode_tui.storage.postgres.search import PostgresRunSearch
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.storage.search_hits import encode_search_cursor
from acode_tui.sync.conflict import ConflictResolver
from tests.domain.graphs import strip_children
from tests.domain.search.runs import T0, WORDS, call, make_run, queries, searchable_runs
from tests.pg import Database
from tests.storage.linear_search import found_in, linear_search
from tests.storage.postgres.conftest import Machine, target_of
from tests.storage.runs import edited, plain, records

NOW = T0 + timedelta(days=3)


@pytest.fixture
async def pool(pg_database: Database) -> AsyncIterator[ReadPool]:
    made = PostgresConnectionFactory(target_of(pg_database)).read_pool(size=2)
    yield made
    await made.close()


@pytest.fixture
def search(pool: ReadPool) -> PostgresRunSearch:
    return PostgresRunSearch(pool, wall=lambda: NOW)


async def store(target: PostgresSyncTarget, rows: Sequence[Entity], workspace_id: str) -> None:
    head = await target.register_workspace(workspace_id, user="ada", host="laptop", version="1")
    await target.apply(workspace_id, records(rows), incarnation=head.incarnation)


async def every_hit(search: PostgresRunSearch, text: str, *, limit: int = 50) -> list[SearchHit]:
    """The hits of all pages."""
    hits: list[SearchHit] = []
    cursor = None
    while True:
        page = await search.search(text, limit=limit, after=cursor)
        assert len(page.hits) <= limit
        hits += page.hits
        cursor = page.next_cursor
        if cursor is None:
            return hits


async def listed(reader: PostgresRunStateReader, text: str) -> list[str]:
    """The ids on all pages of a listing by text."""
    found: list[str] = []
    cursor = None
    while True:
        page = await reader.list(SessionFilter(text=text), limit=2, after=cursor)
        found += [session.id for session in page]
        cursor = page.next_cursor
        if cursor is None:
            return found


def as_stored(run: SessionGraph) -> SessionGraph:
    """The run in the order that PostgreSQL keeps: jsonb has one of its own for keys, and of artifacts that are of one
    moment nothing says which was first.
    """

    def of(call: ToolCallGraph) -> ToolCallGraph:
        artifacts = sorted(call.artifacts, key=lambda each: (each.created_at, each.id))
        return msgspec.structs.replace(call, artifacts=tuple(artifacts), parameters=in_order(call.parameters))

    def in_order(value: Any) -> Any:
        if isinstance(value, dict):
            keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
            return {key: in_order(value[key]) for key in keys}
        return [in_order(each) for each in value] if isinstance(value, list) else value

    (task,) = run.tasks
    (step,) = task.steps
    step = msgspec.structs.replace(step, tool_calls=tuple(map(of, step.tool_calls)))
    task = msgspec.structs.replace(task, steps=(step,))
    return msgspec.structs.replace(run, tasks=(task,), metadata=in_order(run.metadata))


class Edit(NamedTuple):
    """Give a row of a run another text: its ``place``-th one of the kind."""

    run: int
    kind: EntityType
    place: int
    text: str

    def of(self, run: SessionGraph) -> tuple[SessionGraph, Entity] | None:
        """The run after it and the row to send; None where the run has no such row."""
        (task,) = run.tasks
        (step,) = task.steps
        if self.kind is EntityType.SESSION:
            run = edited(run, task_description=self.text, sync_version=run.sync_version + 1)
            return run, run
        if self.kind is EntityType.SESSION_TASK:
            task = edited(task, title=self.text, sync_version=task.sync_version + 1)
            return msgspec.structs.replace(run, tasks=(task,)), task
        row: Entity
        calls = list(step.tool_calls)
        if self.kind is EntityType.STEP:
            step = row = edited(step, name=self.text, sync_version=step.sync_version + 1)
        elif not calls:
            return None
        else:
            place = self.place % len(calls)
            version = calls[place].sync_version + 1
            row = calls[place] = edited(calls[place], result={"text": self.text}, sync_version=version)
            step = msgspec.structs.replace(step, tool_calls=tuple(calls))
        return msgspec.structs.replace(run, tasks=(msgspec.structs.replace(task, steps=(step,)),)), row


_MUTABLE = [EntityType.SESSION, EntityType.SESSION_TASK, EntityType.STEP, EntityType.TOOL_CALL]
edits = st.builds(
    Edit,
    st.integers(0, 4),
    st.sampled_from(_MUTABLE),
    st.integers(0, 2),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(" ".join),
)


@settings(max_examples=14, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(
    runs=st.lists(searchable_runs().map(as_stored), min_size=1, max_size=5),
    texts=st.lists(queries(), min_size=3, max_size=6),
    few=st.sampled_from([0, 1, 2_000]),
    limit=st.sampled_from([1, 3, 50]),
    at_once=st.sampled_from([1, 64]),
    changes=st.lists(edits, max_size=4),
    distributed=st.booleans(),
)
async def test_it_finds_what_reading_every_text_finds(
    pg_database: Database,
    runs: list[SessionGraph],
    texts: list[str],
    few: int,
    limit: int,
    at_once: int,
    changes: list[Edit],
    distributed: bool,
) -> None:
    await pg_database.execute(
        "TRUNCATE sessions, session_events, session_tasks, steps, tool_calls, artifacts, sync_inbox, session_search"
    )
    target = PostgresSyncTarget(target_of(pg_database), ConflictResolver())
    for run in runs:
        rows = plain(run)
        # In several batches, so that the words of a session stand in several documents.
        for start in range(0, len(rows), 4):
            await store(target, rows[start : start + 4], run.workspace_id)
    for change in changes:
        if change.run < len(runs) and (made := change.of(runs[change.run])) is not None:
            runs[change.run], row = made
            (sent,) = strip_children([row])
            # Its ``sync_version`` is what the server has, which the edit is based on.
            await store(target, [sent], runs[change.run].workspace_id)
    await target.close()
    pool = PostgresConnectionFactory(target_of(pg_database)).read_pool(size=1)
    pool._distributed = distributed
    with pytest.MonkeyPatch.context() as patch:
        # Few runs look the same to a strategy for many: its bounds decide which way is taken.
        patch.setattr(session_conditions, "FEW", few)
        for module in (search_module, session_pages):
            patch.setattr(module, "MOST_RUNS", at_once)
        patch.setattr(session_conditions, "WINDOW", at_once)
        reader = PostgresRunStateReader(pool, wall=lambda: NOW)
        for text in texts:
            expected = linear_search(runs, text, now=NOW)
            assert await every_hit(PostgresRunSearch(pool, wall=lambda: NOW), text, limit=limit) == expected, text
            query = parse_query(text, now=NOW)
            matching = sorted(runs, key=lambda run: (run.updated_at, run.id), reverse=True)
            ids = [run.id for run in matching if found_in(query, run) is not None]
            assert await listed(reader, text) == ids, text
            assert await reader.count(SessionFilter(text=text)) == len(ids), text
    await pool.close()


async def documents(database: Database) -> list[str]:
    """Every lexeme that the index holds, as often as it does."""
    rows = await database.fetch("SELECT unnest(tsvector_to_array(document)) FROM session_search")
    return sorted(row[0] for row in rows)


async def test_a_word_stands_once_in_the_index_however_often_it_is_delivered(
    laptop: Machine, pg_database: Database
) -> None:
    rows = plain(make_run("login cookie", (call("Read", {"path": "login.ts"}), call("Read", result="login again"))))
    for row in rows:
        await laptop.send(row)
    found = await documents(pg_database)
    assert {"login", "cookie", "again", "ts", "path", "tool=read", "is=session"} <= set(found)
    assert len(found) == len(set(found))
    before = await pg_database.fetch("SELECT * FROM session_search ORDER BY change_seq, part")
    await laptop.send(*rows)
    assert await pg_database.fetch("SELECT * FROM session_search ORDER BY change_seq, part") == before


async def test_a_full_resend_fills_an_index_that_was_lost(laptop: Machine, pg_database: Database) -> None:
    rows = plain(make_run("login cookie", (call("Read", {"path": "login.ts"}),)))
    await laptop.send(*rows)
    # Another replica has moved on: what this one sends again is not what the row says now.
    await laptop.send(edited(rows[0], task_description="zebra", sync_version=1))
    await pg_database.execute("TRUNCATE session_search")
    await laptop.send(*rows)
    assert {"zebra", "login", "path"} <= set(await documents(pg_database))


async def test_a_batch_with_more_words_than_one_tsvector_holds(laptop: Machine, search: PostgresRunSearch) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [letters[n % 26] * 40 + str(n) for n in range(40_000)]
    texts = [" ".join(words[start : start + 1000]) for start in range(0, 40_000, 1000)]
    run = make_run("many words", tuple(call("Read", result=text) for text in texts))
    await laptop.send(*plain(run))
    # PostgreSQL says nothing of what does not fit: the words that sort last would be others.
    for word in (min(words), max(words)):
        page = await search.search(word)
        assert [(hit.session_id, hit.kind) for hit in page.hits] == [(run.id, "result")]
        assert page.total == 1


@pytest.mark.parametrize("text", ["login", "log*", "-zebra", "login -zebra", "login cookie"])
async def test_a_word_that_an_edit_took_out_is_not_found(
    laptop: Machine, search: PostgresRunSearch, pool: ReadPool, text: str
) -> None:
    session, *rest = plain(make_run("login"))
    await laptop.send(session, *rest)
    await laptop.send(edited(session, task_description="zebra", sync_version=1))
    await laptop.send(*plain(kept := make_run("cookie login", at=T0 + timedelta(hours=1))))
    reader = PostgresRunStateReader(pool, wall=lambda: NOW)
    assert await listed(reader, text) == [kept.id]
    assert await reader.count(SessionFilter(text=text)) == 1
    assert (await reader.list(SessionFilter(text=text))).total == 1
    assert {hit.session_id for hit in await every_hit(search, text)} == {kept.id}
    # The word is back.
    await laptop.send(edited(session, seconds=2, task_description="login cookie", sync_version=2))
    assert await listed(reader, text) == [kept.id, session.id]
    assert await reader.count(SessionFilter(text=text)) == 2


@pytest.mark.parametrize("winner", ["local", "remote"])
async def test_the_words_of_a_version_that_lost_a_conflict_are_not_found(
    laptop: Machine, search: PostgresRunSearch, pool: ReadPool, winner: str
) -> None:
    session, *rest = plain(make_run("shared"))
    await laptop.send(session, *rest)
    await laptop.send(edited(session, seconds=2, task_description="theirs", sync_version=1))
    seconds = 3 if winner == "local" else 1
    # Never in step with the server: it is no edit of the row there.
    await laptop.send(edited(session, seconds=seconds, task_description="ours", sync_version=0))
    reader = PostgresRunStateReader(pool, wall=lambda: NOW)
    shown = {text: await listed(reader, text) for text in ("ours", "theirs")}
    assert shown == {"ours": [session.id], "theirs": []} if winner == "local" else {"ours": [], "theirs": [session.id]}


async def test_what_only_grows_is_not_marked_as_edited(laptop: Machine, pg_database: Database) -> None:
    run = make_run("login", (call("Read"),), metadata={"models": ["opus"], "usage": {"input": 1}})
    rows = plain(run)
    await laptop.send(*rows)
    grown = {"models": ["opus", "sonnet"], "usage": {"input": 2, "output": 5}, "branch": "main"}
    session = edited(rows[0], metadata=grown, sync_version=1)
    done = edited(next(row for row in rows if row.kind is EntityType.TOOL_CALL), result="done", sync_version=1)
    await laptop.send(session, done)
    assert "is=edited" not in await documents(pg_database)
    await laptop.send(edited(session, metadata={**grown, "models": ["sonnet"]}, sync_version=2))
    assert "is=edited" in await documents(pg_database)


async def test_a_page_ends_where_too_many_runs_were_read_for_it(
    laptop: Machine, search: PostgresRunSearch, pool: ReadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (search_module, session_pages, matcher):
        monkeypatch.setattr(module, "RUNS_A_PAGE", 4, raising=False)
    runs = [make_run("cookie and login", at=T0 + timedelta(minutes=n)) for n in range(9)]
    runs += [make_run("login cookie"), make_run("login cookie", at=T0 + timedelta(hours=1))]
    for run in runs:
        await laptop.send(*plain(run))
    page = await search.search('"login cookie"')
    assert [hit.session_id for hit in page.hits] == [runs[-1].id]
    assert page.next_cursor is not None
    assert page.total is None
    hits = await every_hit(search, '"login cookie"')
    assert [hit.session_id for hit in hits] == [runs[-1].id, runs[-2].id]
    reader = PostgresRunStateReader(pool, wall=lambda: NOW)
    assert await listed(reader, '"login cookie"') == [runs[-1].id, runs[-2].id]


async def test_lexemes_are_counted_only_where_the_next_sessions_do_not_fill_the_page(
    laptop: Machine, search: PostgresRunSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run("login", at=T0 + timedelta(minutes=number)) for number in range(7)] + [make_run("cookie")]
    await laptop.send(*(row for run in runs for row in plain(run)))
    counted: list[str] = []
    plain_count = session_conditions.find_few

    async def find_few(connection: Any, schema: str, query: Query) -> tuple[str, ...]:
        counted.append(query.terms[0].text)
        return await plain_count(connection, schema, query)

    monkeypatch.setattr(session_conditions, "find_few", find_few)
    page = await search.search("login", limit=3)
    assert [hit.session_id for hit in page.hits] == [run.id for run in runs[6:3:-1]]
    assert (counted, page.total) == ([], None)
    for text, expected in (("cookie", 1), ("login", 7)):
        page = await search.search(text)
        assert (len(page.hits), page.total, counted[-1:]) == (expected, expected, [text])


async def test_the_first_prompt_tells_what_a_description_repeats_although_it_has_no_word(
    laptop: Machine, search: PostgresRunSearch
) -> None:
    answered = (ArtifactType.MODEL_RESPONSE, "answer", "the cookie is set"), (ArtifactType.COMMAND_OUTPUT, "out", "no")
    run, later = (
        make_run("login now", (call("Bash", artifacts=answered),), prompt="hello"),
        make_run(prompt="login now"),
    )
    (task,) = later.tasks
    said = tuple(msgspec.structs.replace(each, session_id=run.id) for each in task.artifacts)
    task = msgspec.structs.replace(task, session_id=run.id, order=1, steps=(), artifacts=said)
    run = msgspec.structs.replace(run, tasks=(*run.tasks, task))
    await laptop.send(*plain(run))
    for text, kinds in (("login", ["session", "prompt"]), ("cookie", ["answer"])):
        hits = await every_hit(search, text)
        assert hits == linear_search([run], text, now=NOW)
        assert [hit.kind for hit in hits] == kinds


async def test_bad_queries_and_cursors_are_refused(search: PostgresRunSearch, laptop: Machine) -> None:
    for text in ("", "  ", "colour:red", "state:nowhere", "%", "\\", "x" * 5_000, "is:", "since:yesterday"):
        with pytest.raises(ValidationError, match="query"):
            await search.search(text)
    for text in ("a'b", "a\\b", "a\x00b", "NOT (x OR y)", "'; DROP TABLE sessions; --", "x:*", "\U0001f600 y", '"a'):
        assert (await search.search(text)).hits == ()
    for cursor in ("", "zzz", encode_search_cursor(make_run(), 1)[:-5]):
        with pytest.raises(ValidationError, match="cursor"):
            await search.search("x", after=cursor)


async def test_a_schema_of_another_build_is_refused(search: PostgresRunSearch, pg_database: Database) -> None:
    await pg_database.execute("UPDATE schema_migrations SET checksum = 'other' WHERE version = '1.2.0'")
    with pytest.raises(SchemaMismatchError, match="another build"):
        await search.search("login")


def test_what_a_query_asks_of_the_index() -> None:
    def asked(text: str) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
        return tuple(wanted_lexemes(parse_query(text, now=NOW)))  # type: ignore[return-value]

    assert asked("Login pre*") == (("'login'", "'pre':*"), (), True)
    assert asked("test_login") == (("'test'", "'login'"), (), False)
    assert asked('-login -"two words" tool:Bash') == (("'tool=bash'",), ("'login'",), False)
    assert asked("agent:claude-code agent:codex") == (("'agent=claude' | 'agent=codex'",), (), True)
    assert asked('project:"My App" user:o\'neil') == (("'project=my app'", "'user=o''neil'"), (), True)
    assert asked("failed:timeout") == (("'timeout'", "'is=failed'"), (), False)
