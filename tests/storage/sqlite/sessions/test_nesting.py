"""Runs that other runs started: left out of a folded page, listed for their parent."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui import open_workspace
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.states import SessionState
from acode_tui.storage.ports import SessionFilter, SessionPage
from acode_tui.storage.sqlite.runs.store import SqliteRunStateStore

UNKNOWN = "0190d6a1-ffff-7000-8000-000000000000"


async def _pages(store: SqliteRunStateStore, given: SessionFilter) -> list[SessionPage]:
    pages = [await store.list(given, limit=2)]
    while (cursor := pages[-1].next_cursor) is not None:
        pages.append(await store.list(given, limit=2, after=cursor))
    return pages


@given(st.lists(st.integers(-1, 6), min_size=1, max_size=7), st.sampled_from(["updated", "created", "state"]))
@settings(max_examples=8, deadline=None)
async def test_folded_pages_hold_every_run_without_a_stored_parent_and_the_others_hang_on_theirs(
    tmp_path_factory: pytest.TempPathFactory, parents: list[int], sort: str
) -> None:
    async with open_workspace(tmp_path_factory.mktemp("nesting")) as workspace:
        store, made = workspace.store, list[str]()
        for parent in parents:
            named = made[parent] if 0 <= parent < len(made) else (UNKNOWN if parent > 0 else None)
            made.append((await store.create_session("run", metadata={"parentSessionId": named})).id)
        await workspace.index.catch_up()
        inside = [0 <= parent < index for index, parent in enumerate(parents)]
        folded = SessionFilter(folded=True, sort=sort)  # type: ignore[arg-type]
        pages = await _pages(store, folded)
        found = [session for page in pages for session in page]
        assert sorted(session.id for session in found) == sorted(
            each for each, hangs in zip(made, inside, strict=True) if not hangs
        )
        assert {page.total for page in pages} == {len(found)} == {await store.count(folded)}
        everything = {each.id: each for each in await store.list()}
        for index, each in enumerate(made):
            children = [made[at] for at, hangs in enumerate(inside) if hangs and parents[at] == index]
            of_one = SessionFilter(parent=each, sort="created")
            assert [session.id for page in await _pages(store, of_one) for session in page] == children[::-1]
            assert everything[each].child_count == len(children)
        assert len(await store.list(SessionFilter(folded=True, text="run"))) == len(made), "a query finds them all"


async def test_a_list_without_the_facts_has_every_run(tmp_path: Path) -> None:
    async with open_workspace(tmp_path) as workspace:
        parent = await workspace.store.create_session("parent")
        await workspace.store.create_session("child", metadata={"parentSessionId": parent.id})
        await workspace.index.catch_up()
        assert len(await workspace.store.list(SessionFilter(folded=True))) == 1
        assert len(await workspace.store.list(SessionFilter(folded=True, states=[SessionState.CREATED]))) == 1
        with pytest.raises(ValidationError, match="parent: cannot"):
            await workspace.store.list(SessionFilter(parent=parent.id, text="x"))
        with closing(sqlite3.connect(workspace.database_path)) as connection, connection:
            connection.execute("DROP TABLE session_facts")
        assert len(await workspace.store.list(SessionFilter(folded=True))) == 2
