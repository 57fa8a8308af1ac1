"""Delivering batches: each record counts once, whoever sends it and however often."""

from typing import Any

import msgspec

from acode_tui.domain.entities import Entity, Session
from acode_tui.storage.postgres.apply import Head
from acode_tui.storage.postgres.sync_target import SyncTarget
from acode_tui.sync.conflict import normal_form
from tests.pg import Database
from tests.storage.postgres.conftest import WORKSPACE
from tests.storage.postgres.runs import edited, make_run, plain, records


async def test_a_fresh_batch_arrives_whole_and_reads_back_exactly(
    sync_target: SyncTarget, head: Head, pg_database: Database
) -> None:
    rows = plain(make_run(WORKSPACE))
    reply = await sync_target.apply(WORKSPACE, records(rows), incarnation=head.incarnation)
    assert {result.outcome for result in reply.results} == {"applied"}
    assert {result.sync_version for result in reply.results} == {1}
    assert reply.change_seq == 1
    page = await sync_target.pull(WORKSPACE, 0)
    assert page.upto == 1
    sent = {row.id: row for row in rows}
    assert len(page.rows) == len(rows)
    for row in page.rows:
        assert _exact(row) == _exact(sent[row.id])


def _exact(row: Entity) -> Any:
    values = msgspec.structs.asdict(row)
    values.pop("sync_version", None)
    return normal_form(values)


async def test_an_edit_raises_the_version(sync_target: SyncTarget, head: Head) -> None:
    session = plain(make_run(WORKSPACE))[0]
    assert isinstance(session, Session)
    await sync_target.apply(WORKSPACE, records([session]), incarnation=head.incarnation)
    changed = edited(session, task_description="Other", sync_version=1)
    reply = await sync_target.apply(WORKSPACE, records([changed]), incarnation=head.incarnation)
    assert [(result.outcome, result.sync_version) for result in reply.results] == [("applied", 2)]
