"""Pulling changes: no row is missed, parents come first, and no page splits the rows of one number."""

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.codec import digest
from acode_tui.domain.entities import Artifact, Entity, Session, SessionTask, Step
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import Head
from acode_tui.storage.postgres.pull import page_end
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from tests.storage.postgres.conftest import OTHER_WORKSPACE, WORKSPACE
from tests.storage.runs import edited, make_run, plain, records, session_of


async def test_pages_contain_every_row_with_its_parents(sync_target: PostgresSyncTarget, head: Head) -> None:
    runs = [plain(make_run(WORKSPACE, calls=3)) for _ in range(4)]
    for run in runs:
        await sync_target.apply(WORKSPACE, records(run), incarnation=head.incarnation)
    # Sessions, tasks and steps move on: their numbers are now later than those of the artifacts below them.
    for run in runs:
        bumped = [edited(row, sync_version=1) for row in run if isinstance(row, Session | SessionTask | Step)]
        await sync_target.apply(WORKSPACE, records(bumped), incarnation=head.incarnation)
    seen: dict[str, Entity] = {}
    cursor, pages = 0, 0
    while True:
        page = await sync_target.pull(WORKSPACE, cursor, limit=5)
        assert_parents_first(page.rows, seen)
        seen |= {row.id: row for row in page.rows}
        pages += 1
        assert page.upto > cursor
        cursor = page.upto
        if cursor >= page.head.change_seq:
            break
    assert pages > 1
    assert set(seen) == {row.id for run in runs for row in run}
    assert all(isinstance(row.content, bytes) for row in seen.values() if isinstance(row, Artifact))
    assert (await sync_target.pull(WORKSPACE, cursor)).rows == ()


async def test_a_page_brings_every_row_that_an_artifact_names(sync_target: PostgresSyncTarget, head: Head) -> None:
    rows = plain(make_run(WORKSPACE))
    for artifact in (row for row in rows if isinstance(row, Artifact)):
        others = [row for row in rows if not isinstance(row, Artifact)]
        await sync_target.apply(WORKSPACE, records(others), incarnation=head.incarnation)
        before = await sync_target.apply(WORKSPACE, records([artifact]), incarnation=head.incarnation)
        page = await sync_target.pull(WORKSPACE, before.change_seq - 1, limit=1)
        assert_parents_first(page.rows, {})
        assert artifact.id in {row.id for row in page.rows}


async def test_only_rows_after_the_cursor_are_pulled(sync_target: PostgresSyncTarget, head: Head) -> None:
    rows = plain(make_run(WORKSPACE))
    reply = await sync_target.apply(WORKSPACE, records(rows), incarnation=head.incarnation)
    task = edited(rows[2], sync_version=1, created_at=rows[2].created_at)
    await sync_target.apply(WORKSPACE, records([task]), incarnation=head.incarnation)
    page = await sync_target.pull(WORKSPACE, reply.change_seq)
    assert {row.id: getattr(row, "sync_version", 0) for row in page.rows} == {rows[0].id: 1, task.id: 2}


async def test_a_workspace_pulls_its_own_rows_only(sync_target: PostgresSyncTarget, head: Head) -> None:
    other = await sync_target.register_workspace(OTHER_WORKSPACE, user="bob", host="desk", version="1")
    theirs = plain(make_run(OTHER_WORKSPACE))
    await sync_target.apply(OTHER_WORKSPACE, records(theirs), incarnation=other.incarnation)
    page = await sync_target.pull(WORKSPACE, 0)
    assert (list(page.rows), page.upto) == ([], 0)
    assert await sync_target.head(OTHER_WORKSPACE) == Head(change_seq=1, incarnation=other.incarnation)
    assert await sync_target.head(theirs[0].id) is None


async def test_large_artifacts_end_a_page_early(sync_target: PostgresSyncTarget, head: Head) -> None:
    for _ in range(3):
        rows = plain(make_run(WORKSPACE, calls=1))
        large: Any = {"size": 900, "content": b"x" * 900, "content_hash": digest(b"x" * 900)}
        big = [msgspec.structs.replace(row, **large) if isinstance(row, Artifact) else row for row in rows]
        await sync_target.apply(WORKSPACE, records(big), incarnation=head.incarnation)
    page = await sync_target.pull(WORKSPACE, 0, max_bytes=1000)
    assert page.upto == 1
    assert sum(isinstance(row, Artifact) for row in page.rows) == 3


async def test_registering_again_keeps_the_head(sync_target: PostgresSyncTarget, head: Head) -> None:
    rows = plain(make_run(WORKSPACE))
    await sync_target.apply(WORKSPACE, records(rows), incarnation=head.incarnation)
    again = await sync_target.register_workspace(WORKSPACE, user="ada", host="desktop", version="0.2.0")
    assert again == Head(change_seq=1, incarnation=head.incarnation)


async def test_a_probe_returns_versions_clock_offset_and_read_only(sync_target: PostgresSyncTarget) -> None:
    facts = await sync_target.probe()
    assert facts.server_version.startswith("18")
    assert facts.schema_version == await sync_target.check_schema()
    assert not facts.read_only
    assert not facts.distributed
    assert abs(facts.clock_offset) < 60
    assert facts.latency > 0


sizes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), min_size=1, max_size=30)


@given(sizes, st.integers(1, 10), st.integers(0, 200))
def test_a_page_never_splits_a_number_and_advances(steps: list[tuple[int, int]], limit: int, max_bytes: int) -> None:
    number, rows = 1, []
    for step, size in steps:
        number += step
        rows.append((number, size))
    shown = rows[: limit + 1]
    end = page_end(shown, limit, max_bytes)
    if end is None:
        assert len(shown) <= limit
        assert sum(size for _, size in shown) <= max_bytes
    else:
        assert end >= rows[0][0]
        inside = [size for row, size in shown if row <= end]
        assert end == rows[0][0] or (len(inside) <= limit and sum(inside) <= max_bytes)


def assert_parents_first(rows: Sequence[Entity], known: dict[str, Entity]) -> None:
    here = set(known)
    for row in rows:
        above = {getattr(row, column) for column, _ in TABLES[row.kind].parents} - {None}
        assert above <= here
        assert row.kind is EntityType.SESSION or session_of(row) in here
        here.add(row.id)
