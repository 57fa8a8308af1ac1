"""Three replicas of one workspace with skewed clocks and crashes around the commit end with the same row.

A replica is a minimal worker: rows, pending edits and a pull cursor. The content of every edit is the set of edits that
its author knew, including itself, so the test can distinguish a lost edit from one that a later edit is based on.
"""

import asyncio
import uuid
from datetime import datetime, timedelta
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.domain.clock import MonotonicClock
from acode_tui.domain.entities import Session
from acode_tui.domain.ids import idempotency_key
from acode_tui.storage.delivery_protocol import ApplyRow, Head
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.sync.conflict import ConflictResolver
from tests.pg import TEMPLATE, Database, Server
from tests.storage.postgres.conftest import target_of
from tests.storage.runs import T0, make_run, plain

Crash = Literal["none", "before", "after"]


class Replica:
    """A machine: its copy of the row, its pending edits, its pull cursor and its clock."""

    def __init__(self, target: PostgresSyncTarget, head: Head, row: Session, skew: timedelta) -> None:
        self.target, self.head, self.row = target, head, row
        self.pending: list[Session] = []
        self.cursor = 0
        self.wall = T0
        self.skew = skew
        self.clock = MonotonicClock(lambda: self.wall + self.skew, row.updated_at)
        self.made: dict[int, datetime] = {}

    def edit(self, number: int) -> None:
        known = {*msgspec.json.decode(self.row.task_description), number}
        text = msgspec.json.encode(sorted(known)).decode()
        self.row = msgspec.structs.replace(self.row, task_description=text, updated_at=self.clock.tick())
        self.pending.append(self.row)
        self.made[number] = self.row.updated_at

    async def sync(self, crash: Crash = "none", edit_meanwhile: int | None = None) -> None:
        if self.pending and crash != "before":
            *older, sent = self.pending
            row = ApplyRow(
                record_id=1,
                idempotency_key=idempotency_key(sent.kind, sent.id, sent.updated_at),
                session_id=sent.id,
                entity=sent,
                base=self.row.sync_version,
                ancestors=tuple(older),
            )
            reply = await self.target.apply(
                self.row.workspace_id, [row], incarnation=self.head.incarnation, cursor=self.cursor
            )
            if edit_meanwhile is not None:
                self.edit(edit_meanwhile)
            if crash == "after":
                return
            (result,) = reply.results
            self.pending = self.pending[len(older) + 1 :]
            changed = bool(self.pending)
            version = result.sync_version
            if result.remote is not None:
                assert isinstance(result.remote, Session)
                self.clock.raise_to(result.remote.updated_at)
                if not changed:
                    self.row = result.remote
                elif result.outcome == "duplicate" and result.remote.updated_at != sent.updated_at:
                    # Another replica has changed the row since: keep the old base, so that the conflict is detected.
                    version = self.row.sync_version
            self.row = msgspec.structs.replace(self.row, sync_version=version)
        if crash == "none":
            await self.pull()

    async def pull(self) -> None:
        page = await self.target.pull(self.row.workspace_id, self.cursor)
        for row in page.rows:
            assert isinstance(row, Session)
            self.clock.raise_to(row.updated_at)
            if not self.pending and row.sync_version > self.row.sync_version:
                self.row = row
        self.cursor = page.upto


steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["edit", "sync", "before", "after", "edit_in_between", "tick"]),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=25,
)


@pytest.mark.ac("AC-049")
def test_any_history_ends_with_one_row_and_loses_no_edit_without_a_conflict(pg_server: Server) -> None:
    """One loop and one connection for all histories; each has its own workspace, so they do not interfere."""
    runner = asyncio.Runner()
    name = "convergence"
    runner.run(pg_server.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
    database = Database(pg_server, name)
    target = PostgresSyncTarget(target_of(database), ConflictResolver())

    @settings(max_examples=60)
    @given(steps, st.tuples(*[st.integers(-5, 5)] * 3))
    def history(moves: list[tuple[int, str, int]], skews: tuple[int, int, int]) -> None:
        runner.run(_play(database, target, moves, skews))

    try:
        history()
    finally:
        runner.run(target.close())
        runner.run(pg_server.execute(f"DROP DATABASE {name} WITH (FORCE)"))
        runner.close()


async def _play(
    database: Database, target: PostgresSyncTarget, moves: list[tuple[int, str, int]], skews: tuple[int, int, int]
) -> None:
    workspace = str(uuid.uuid4())
    head = await target.register_workspace(workspace, user="ada", host="laptop", version="1")
    born = plain(make_run(workspace))[0]
    assert isinstance(born, Session)
    born = msgspec.structs.replace(born, task_description="[]", metadata=None)
    replicas = [Replica(target, head, born, timedelta(microseconds=skew)) for skew in skews]
    for number, (who, what, ticks) in enumerate(moves):
        replica = replicas[who]
        replica.wall += timedelta(microseconds=ticks)
        if what == "edit":
            replica.edit(number)
        elif what == "sync":
            await replica.sync()
        elif what == "edit_in_between":
            await replica.sync(edit_meanwhile=number)
        elif what in ("before", "after"):
            await replica.sync("before" if what == "before" else "after")
    for _ in range(2):
        for replica in replicas:
            await replica.sync()
    edits = {number: stamp for replica in replicas for number, stamp in replica.made.items()}
    if not edits:
        return
    connection = await database.connect()
    (central,) = await connection.fetch(
        "SELECT task_description, updated_at, sync_version FROM sessions WHERE id = $1", born.id
    )
    audit = await connection.fetch(
        "SELECT local_payload, remote_payload FROM sync_conflicts WHERE session_id = $1", born.id
    )
    await connection.close()
    for replica in replicas:
        assert replica.pending == []
        assert (replica.row.task_description, replica.row.updated_at, replica.row.sync_version) == tuple(central)
    assert central["updated_at"] == max(edits.values())
    kept = set(msgspec.json.decode(central["task_description"]))
    for row in audit:
        for payload in row:
            kept |= set(msgspec.json.decode(msgspec.json.decode(payload)["taskDescription"]))
    assert set(edits) == kept
