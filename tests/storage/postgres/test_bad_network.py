"""Delivering over a bad network: lost connections, silence, terminated backends, and the number of round trips."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from acode_tui.domain.entities import Entity, SessionTask
from acode_tui.domain.states import WorkState
from acode_tui.storage.delivery_protocol import FaultKind, PostgresFault
from acode_tui.storage.postgres.pooler import forget_poolers
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.sync.classify import Verdict, classify
from acode_tui.sync.conflict import ConflictResolver
from tests.clocks import GUARD_SECONDS
from tests.fault_proxy import Mode, fault_proxy, short_deadlines
from tests.pg import Database
from tests.storage.postgres.conftest import WORKSPACE, Machine, outcomes, target_of
from tests.storage.runs import T0, edited, make_run, plain


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_connection_cut_around_commit_is_harmless(
    laptop: Machine, pg_database: Database, shape: str, moment: str
) -> None:
    rows = plain(make_run(WORKSPACE))
    async with fault_proxy("127.0.0.1", pg_database.server.port) as proxy:
        target = PostgresSyncTarget(target_of(pg_database, port=proxy.port), ConflictResolver())
        target._distributed = shape == "distributed"
        machine = Machine(target, WORKSPACE, laptop.head)
        await target.probe()
        if moment == "after":
            proxy.cut_in_reply_to_commit()
        else:
            proxy.cut_before_commit()
        with pytest.raises(PostgresFault) as lost:
            await machine.send(*rows)
        assert classify(lost.value.fault) is Verdict.OFFLINE
        assert not target.is_connected
        reply = await machine.send(*rows)
        await target.close()
    assert set(outcomes(reply)) == {("duplicate" if moment == "after" else "applied", 1)}
    assert {row["sync_version"] for row in await pg_database.fetch("SELECT sync_version FROM sessions")} == {1}
    assert len(await pg_database.fetch("SELECT FROM sync_inbox")) == len(rows)


async def test_a_black_hole_ends_at_the_deadline(laptop: Machine, pg_database: Database) -> None:
    rows = plain(make_run(WORKSPACE))
    async with fault_proxy("127.0.0.1", pg_database.server.port) as proxy:
        target = PostgresSyncTarget(
            target_of(pg_database, port=proxy.port),
            ConflictResolver(),
            connect_timeout=GUARD_SECONDS,
            command_timeout=GUARD_SECONDS,
        )
        machine = Machine(target, WORKSPACE, laptop.head)
        await target.probe()
        await proxy.set_mode(Mode.SWALLOW)
        with short_deadlines():
            for _ in ("the half-open connection", "a new connection without an answer"):
                with pytest.raises(PostgresFault) as lost:
                    await machine.send(*rows)
                assert lost.value.fault.kind is FaultKind.TIMEOUT
                assert not target.is_connected
        await proxy.set_mode(Mode.REFUSE)
        with pytest.raises(PostgresFault) as refused:
            await machine.send(*rows)
        assert refused.value.fault.kind is FaultKind.REFUSED
        await proxy.set_mode(Mode.PASS)
        assert set(outcomes(await machine.send(*rows))) == {("applied", 1)}
        await target.close()


async def test_a_backend_terminated_during_a_batch_is_the_targets_fault(laptop: Machine, pg_database: Database) -> None:
    session = plain(make_run(WORKSPACE))[0]
    blocker = await pg_database.connect()
    try:
        async with blocker.transaction():
            await blocker.execute("SELECT FROM workspaces FOR UPDATE")
            sending = asyncio.create_task(laptop.send(session))
            await _until_waiting(pg_database)
            await pg_database.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = $1 AND wait_event_type = 'Lock'",
                pg_database.name,
            )
            with pytest.raises(PostgresFault) as gone:
                await sending
    finally:
        await blocker.close()
    assert classify(gone.value.fault) is Verdict.OFFLINE
    assert outcomes(await laptop.send(session)) == [("applied", 1)]


async def test_a_lost_idle_connection_is_opened_again_without_a_fault(laptop: Machine, pg_database: Database) -> None:
    await laptop.target.probe()
    await pg_database.server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{pg_database.name}' AND application_name = 'acode-tui'"
    )
    async with asyncio.timeout(GUARD_SECONDS):
        while laptop.target.is_connected:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert outcomes(await laptop.send(plain(make_run(WORKSPACE))[0])) == [("applied", 1)]


async def test_a_pooler_that_forgets_prepared_statements_causes_one_retry(laptop: Machine) -> None:
    """Behind a transaction pooler each transaction may use a backend that has not prepared the statement."""
    forget_poolers()
    await laptop.target.close()
    await laptop.send(*plain(make_run(WORKSPACE)))
    connection = laptop.target._connection
    assert connection is not None
    await connection.execute("DEALLOCATE ALL")
    rows = plain(make_run(WORKSPACE))
    with pytest.raises(PostgresFault) as forgotten:
        await laptop.send(*rows)
    assert classify(forgotten.value.fault) is Verdict.RETRY_NOW
    assert set(outcomes(await laptop.send(*rows))) == {("applied", 1)}
    connection = laptop.target._connection
    assert connection is not None
    assert await connection.fetch("SELECT name FROM pg_prepared_statements WHERE name <> ''") == []
    forget_poolers()


async def test_a_cancelled_batch_leaves_no_open_transaction(laptop: Machine, pg_database: Database) -> None:
    session = plain(make_run(WORKSPACE))[0]
    blocker = await pg_database.connect()
    try:
        async with blocker.transaction():
            await blocker.execute("SELECT FROM workspaces FOR UPDATE")
            sending = asyncio.create_task(laptop.send(session))
            await _until_waiting(pg_database)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert not laptop.target.is_connected
    finally:
        await blocker.close()
    assert outcomes(await laptop.send(session)) == [("applied", 1)]


async def test_a_connection_that_is_aborted_between_two_steps_of_the_driver_is_a_fault(laptop: Machine) -> None:
    """The driver then asks a protocol object that is None."""

    async def aborted() -> None:
        async with laptop.target._open() as connection:
            connection.terminate()
            connection._protocol.bind_execute()

    with pytest.raises(PostgresFault) as raised:
        await aborted()
    assert raised.value.fault.kind is FaultKind.CONNECTION_LOST
    assert await laptop.target.head(WORKSPACE) is not None


@pytest.mark.ac("AC-055")
@pytest.mark.parametrize("sizes", [(50, 500)])
async def test_round_trips_do_not_depend_on_the_batch_size(
    laptop: Machine, pg_database: Database, shape: str, sizes: tuple[int, ...]
) -> None:
    async with fault_proxy("127.0.0.1", pg_database.server.port) as proxy:
        target = PostgresSyncTarget(target_of(pg_database, port=proxy.port), ConflictResolver())
        await target.probe()
        target._distributed = shape == "distributed"
        machine = Machine(target, WORKSPACE, laptop.head)
        await machine.send(*plain(make_run(WORKSPACE)))  # statements prepared
        counted = {}
        for size in sizes:
            rows = plain(make_run(WORKSPACE, calls=(size - 6) // 2))
            assert len(rows) == size
            before = proxy.round_trips
            await machine.send(*rows)
            fresh = proxy.round_trips - before
            await machine.send(*rows)
            await machine.send(*(_conflicting(row) for row in rows))
            before = proxy.round_trips
            await machine.send(*(_conflicting(row, seconds=3) for row in rows))
            counted[size] = (fresh, proxy.round_trips - before)
        await target.close()
    if shape == "plain":
        assert len(set(counted.values())) == 1, counted
        assert counted[50][0] == 3
        assert counted[50][1] <= 25
    else:
        # A table's rows are sent in powers of two: ten times the rows are a few statements more.
        assert counted[500][0] <= 2 * counted[50][0] <= 50, counted
        assert counted[500][1] <= 2 * counted[50][1] <= 70, counted


def _conflicting(row: Entity, seconds: float = 2) -> Entity:
    changes: dict[str, Any] = {"state": WorkState.FAILED} if isinstance(row, SessionTask) else {}
    return edited(row, seconds=seconds, created_at=T0 - timedelta(seconds=seconds), **changes)


async def _until_waiting(database: Database) -> None:
    waiting = "SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'"
    async with asyncio.timeout(GUARD_SECONDS):
        while not await database.fetch(waiting, database.name):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
