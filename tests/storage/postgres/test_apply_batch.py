"""Delivering batches: each record takes effect once, even if it is sent repeatedly or by several machines."""

import asyncio
import hashlib
from typing import Any

import msgspec
import pytest

from acode_tui.domain.clock import LAST_DAY, system_clock
from acode_tui.domain.codec import content_digest, normal_form
from acode_tui.domain.entities import Artifact, Entity, Session, SessionEvent
from acode_tui.domain.incoming import IncomingRules
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.domain.validation import Limits
from acode_tui.storage.delivery_protocol import ApplyReply, FaultKind, PostgresFault
from acode_tui.storage.postgres.apply_sql import ApplyStatements
from acode_tui.storage.postgres.prepared_batch import write_arrays
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.sync.classify import Verdict, classify
from acode_tui.sync.conflict import ConflictResolver
from tests.pg import Database
from tests.storage.postgres.conftest import OTHER_WORKSPACE, WORKSPACE, Machine, outcomes, target_of
from tests.storage.runs import edited, make_run, plain, records


def exact(row: Entity) -> Any:
    values = msgspec.structs.asdict(row)
    values.pop("sync_version", None)
    return normal_form(values)


async def checksum(database: Database) -> str:
    """Digest of all values of the entity tables, the ledger and the conflicts."""
    seen = hashlib.sha256()
    for table in [*(table.name for table in TABLES.values()), "sync_inbox", "sync_conflicts"]:
        for row in await database.fetch(f"SELECT t::text AS line FROM {table} AS t ORDER BY 1"):
            seen.update(row["line"].encode())
    return seen.hexdigest()


async def test_a_new_batch_of_every_kind_is_stored_without_loss(laptop: Machine) -> None:
    rows = plain(make_run(WORKSPACE))
    assert {row.kind for row in rows} == set(EntityType)
    reply = await laptop.send(*rows)
    assert set(outcomes(reply)) == {("applied", 1)}
    assert reply.change_seq == 1
    assert [result.record_id for result in reply.results] == list(range(1, len(rows) + 1))
    page = await laptop.target.pull(WORKSPACE, 0)
    sent = {row.id: row for row in rows}
    assert len(page.rows) == len(rows)
    for row in page.rows:
        assert exact(row) == exact(sent[row.id])


async def test_an_edit_raises_the_version(laptop: Machine) -> None:
    session = plain(make_run(WORKSPACE))[0]
    await laptop.send(session)
    reply = await laptop.send(edited(session, task_description="Other", sync_version=1))
    assert outcomes(reply) == [("applied", 2)]
    assert reply.change_seq == 2


async def test_a_key_whose_digest_the_ledger_has_for_another_key_is_not_taken_for_delivered(
    laptop: Machine, pg_database: Database
) -> None:
    session = plain(make_run(WORKSPACE))[0]
    await laptop.send(session)
    (record,) = records([edited(session, task_description="Other", sync_version=1)])
    await pg_database.execute(f"UPDATE sync_inbox SET key_digest = hashtextextended('{record.idempotency_key}', 0)")
    reply = await laptop.apply([record])
    assert outcomes(reply) == [("applied", 2)]
    assert [row[0] for row in await pg_database.fetch("SELECT task_description FROM sessions")] == ["Other"]


@pytest.mark.ac("AC-045")
@pytest.mark.ac("AC-046")
async def test_a_replay_of_everything_changes_nothing(laptop: Machine, pg_database: Database) -> None:
    rows = plain(make_run(WORKSPACE))
    await laptop.send(*rows)
    before = await checksum(pg_database)
    reply = await laptop.send(*rows)
    assert set(outcomes(reply)) == {("duplicate", 1)}
    assert {result.remote and result.remote.id for result in reply.results} == {row.id for row in rows}
    assert await checksum(pg_database) == before


async def test_a_replay_after_a_later_edit_returns_the_later_row(laptop: Machine) -> None:
    session = plain(make_run(WORKSPACE))[0]
    await laptop.send(session)
    await laptop.send(edited(session, task_description="Later", sync_version=1))
    (result,) = (await laptop.send(session)).results
    assert (result.outcome, result.sync_version) == ("duplicate", 2)
    assert isinstance(result.remote, Session)
    assert result.remote.task_description == "Later"


@pytest.mark.ac("AC-048")
@pytest.mark.ac("AC-049")
@pytest.mark.parametrize("later_first", [True, False])
async def test_the_later_of_two_edits_wins_in_either_order(
    laptop: Machine, pg_database: Database, later_first: bool
) -> None:
    session = plain(make_run(WORKSPACE))[0]
    await laptop.send(session)
    earlier = edited(session, seconds=1, task_description="earlier", sync_version=1)
    later = edited(session, seconds=2, task_description="later", sync_version=1)
    first, second = (later, earlier) if later_first else (earlier, later)
    assert outcomes(await laptop.send(first)) == [("applied", 2)]
    (result,) = (await laptop.send(second)).results
    assert result.conflict is not None
    assert result.conflict.winner == ("remote" if later_first else "local")
    assert (result.outcome, result.sync_version) == (("conflict_remote", 2) if later_first else ("conflict_local", 3))
    assert (result.remote is not None) is later_first
    (stored,) = await pg_database.fetch("SELECT task_description, sync_version FROM sessions")
    assert tuple(stored) == ("later", result.sync_version)
    (audit,) = await pg_database.fetch("SELECT * FROM sync_conflicts")
    payloads = {audit["local_payload"], audit["remote_payload"]}
    assert sorted(msgspec.json.decode(text)["taskDescription"] for text in payloads) == ["earlier", "later"]
    assert {audit["local_updated_at"], audit["remote_updated_at"]} == {earlier.updated_at, later.updated_at}
    assert str(audit["id"]) == result.conflict.id


@pytest.mark.ac("AC-048")
@pytest.mark.ac("AC-049")
async def test_a_stamp_never_decreases_even_for_an_edit_based_on_the_current_version(
    laptop: Machine, pg_database: Database
) -> None:
    """A restored file knows a version whose stamp is later than its own clock."""
    session = plain(make_run(WORKSPACE))[0]
    await laptop.send(session)
    await laptop.send(edited(session, seconds=9, task_description="later", sync_version=1))
    (result,) = (await laptop.send(edited(session, seconds=5, task_description="earlier", sync_version=2))).results
    assert (result.outcome, result.sync_version) == ("conflict_remote", 2)
    (stored,) = await pg_database.fetch("SELECT task_description, sync_version FROM sessions")
    assert tuple(stored) == ("later", 2)


@pytest.mark.ac("AC-049")
@pytest.mark.parametrize(("seconds", "version"), [(5, 3), (11, 2)], ids=["an earlier stamp", "no higher version"])
async def test_the_second_write_does_not_replace_a_newer_row(
    laptop: Machine, pg_database: Database, seconds: float, version: int
) -> None:
    session = plain(make_run(WORKSPACE))[0]
    await laptop.send(session)
    await laptop.send(edited(session, seconds=9, task_description="meanwhile", sync_version=1))
    (row,) = records([edited(session, seconds=seconds, task_description="settled before", sync_version=1)])
    connection = await pg_database.connect()
    try:
        statement = ApplyStatements("public", IncomingRules(limits=Limits(), wall=system_clock)).rewrite[row.kind]
        arrays = write_arrays(row.kind, [row], [version])
        assert await connection.fetch(statement, *arrays, [WORKSPACE], [3], LAST_DAY) == []
    finally:
        await connection.close()


@pytest.mark.ac("AC-049")
async def test_equal_stamps_have_the_same_winner_in_either_order(laptop: Machine, pg_database: Database) -> None:
    """Two edits in the same microsecond also share a key: the second is not a replay."""
    ended = set()
    for order in (("a", "b"), ("b", "a")):
        session = plain(make_run(WORKSPACE))[0]
        assert isinstance(session, Session)
        await laptop.send(session)
        outcome = set()
        for text in order:
            reply = await laptop.send(edited(session, task_description=text, sync_version=1))
            outcome.add(reply.results[0].outcome)
        assert outcome - {"applied"} <= {"conflict_local", "conflict_remote"}
        assert len(outcome) == 2
        (stored,) = await pg_database.fetch("SELECT task_description FROM sessions WHERE id = $1", session.id)
        versions = [msgspec.structs.replace(session, task_description=text) for text in ("a", "b")]
        ended.add(stored["task_description"] == max(versions, key=content_digest).task_description)
    assert ended == {True}


async def test_a_repeated_conflict_is_recorded_once_and_reported_again(laptop: Machine, pg_database: Database) -> None:
    session = plain(make_run(WORKSPACE))[0]
    await laptop.send(session)
    await laptop.send(edited(session, seconds=2, task_description="later", sync_version=1))
    loser = edited(session, seconds=1, task_description="earlier", sync_version=1)
    first = (await laptop.send(loser)).results[0]
    again = (await laptop.send(loser)).results[0]
    assert again.outcome == "duplicate"
    assert again.conflict is not None
    assert first.conflict is not None
    assert again.conflict.id == first.conflict.id
    assert isinstance(again.remote, Session)
    assert again.remote.task_description == "later"
    assert len(await pg_database.fetch("SELECT FROM sync_conflicts")) == 1


async def test_the_same_content_with_another_stamp_converges(laptop: Machine, pg_database: Database) -> None:
    session = plain(make_run(WORKSPACE))[0]
    await laptop.send(session)
    later = edited(session, seconds=5)
    (result,) = (await laptop.send(later)).results
    assert (result.outcome, result.sync_version, result.remote) == ("converged", 2, None)
    earlier = edited(session, seconds=3)
    (result,) = (await laptop.send(earlier)).results
    assert (result.outcome, result.sync_version) == ("converged", 2)
    assert result.remote is not None
    assert result.remote.updated_at == later.updated_at
    assert await pg_database.fetch("SELECT FROM sync_conflicts") == []


async def test_a_stamp_never_decreases_even_on_a_matching_base(laptop: Machine, pg_database: Database) -> None:
    session = edited(plain(make_run(WORKSPACE))[0], seconds=10)
    await laptop.send(session)
    stale = edited(session, seconds=-5, task_description="old clock", sync_version=1)
    (result,) = (await laptop.send(stale)).results
    assert result.outcome == "conflict_remote"
    (stored,) = await pg_database.fetch("SELECT updated_at, sync_version FROM sessions")
    assert tuple(stored) == (session.updated_at, 1)


async def test_an_edit_after_an_unacknowledged_one_is_not_a_conflict(laptop: Machine, pg_database: Database) -> None:
    """Killed after the commit and before the acknowledgement: the next edit still has the old base."""
    session = plain(make_run(WORKSPACE))[0]
    await laptop.send(session)
    newer = edited(session, task_description="after the crash")
    (row,) = records([newer])
    (result,) = (await laptop.apply([msgspec.structs.replace(row, ancestors=(session,))])).results
    assert (result.outcome, result.sync_version, result.conflict) == ("applied", 2, None)
    assert await pg_database.fetch("SELECT FROM sync_conflicts") == []


async def test_an_ancestor_does_not_hide_a_conflict_with_another_machine(laptop: Machine) -> None:
    session = plain(make_run(WORKSPACE))[0]
    await laptop.send(session)
    await laptop.send(edited(session, seconds=1, task_description="desktop", sync_version=1))
    (row,) = records([edited(session, seconds=2, task_description="laptop")])
    (result,) = (await laptop.apply([msgspec.structs.replace(row, ancestors=(session,))])).results
    assert result.outcome == "conflict_local"


async def test_events_and_artifacts_are_never_overwritten(laptop: Machine, pg_database: Database) -> None:
    rows = plain(make_run(WORKSPACE))
    await laptop.send(*rows)
    before = await checksum(pg_database)
    event = next(row for row in rows if isinstance(row, SessionEvent))
    artifact = next(row for row in rows if isinstance(row, Artifact))
    forged = [edited(event, reason="forged"), edited(artifact, content=b"forged", content_hash="sha256:00", size=6)]
    reply = await laptop.send(*forged)
    assert [result.outcome for result in reply.results] == ["conflict_remote", "conflict_remote"]
    same = await laptop.send(edited(event, seconds=9))
    assert outcomes(same) == [("converged", 1)]
    for kept in (event, artifact):
        table = TABLES[kept.kind].name
        (stored,) = await pg_database.fetch(f"SELECT updated_at FROM {table} WHERE id = $1", kept.id)
        assert stored["updated_at"] == kept.updated_at
    assert await checksum(pg_database) != before  # the ledger and the audit did grow
    assert len(await pg_database.fetch("SELECT FROM sync_conflicts")) == 2


async def test_one_transcript_imported_by_two_workspaces_is_one_run(
    laptop: Machine, colleague: Machine, pg_database: Database
) -> None:
    rows = plain(make_run(WORKSPACE))
    await laptop.send(*rows)
    session = rows[0]
    theirs = [msgspec.structs.replace(session, workspace_id=OTHER_WORKSPACE), *rows[1:]]
    assert set(outcomes(await colleague.send(*theirs))) == {("duplicate", 1)}
    assert await pg_database.fetch("SELECT FROM sync_conflicts") == []


async def test_the_owner_of_a_shared_run_pulls_an_edit_of_it(laptop: Machine, colleague: Machine) -> None:
    session = plain(make_run(WORKSPACE))[0]
    await laptop.send(session)
    theirs = edited(session, task_description="shared", workspace_id=OTHER_WORKSPACE, sync_version=1)
    assert outcomes(await colleague.send(theirs)) == [("applied", 2)]
    page = await laptop.target.pull(WORKSPACE, 1)
    (row,) = page.rows
    assert isinstance(row, Session)
    assert (row.task_description, row.workspace_id, row.sync_version) == ("shared", WORKSPACE, 2)
    assert page.upto == page.head.change_seq == 2


async def test_a_child_without_its_parent_is_refused_and_leaves_nothing(laptop: Machine, pg_database: Database) -> None:
    rows = plain(make_run(WORKSPACE))
    before = await checksum(pg_database)
    with pytest.raises(PostgresFault) as refused:
        await laptop.send(rows[0], *rows[3:])
    assert refused.value.fault.sqlstate == "23503"
    assert classify(refused.value.fault) is Verdict.RECORD
    assert await checksum(pg_database) == before
    assert set(outcomes(await laptop.send(*rows))) == {("applied", 1)}


@pytest.mark.parametrize("text", ["nul \x00", "lone \ud800"])
async def test_a_value_that_no_column_can_store_is_a_dead_letter_at_once(laptop: Machine, text: str) -> None:
    session = edited(plain(make_run(WORKSPACE))[0], task_description=text)
    with pytest.raises(PostgresFault) as refused:
        await laptop.send(session)
    assert classify(refused.value.fault) is Verdict.RECORD_DEAD
    assert text not in str(refused.value)


async def test_a_full_resend_restores_missing_rows(laptop: Machine, pg_database: Database) -> None:
    rows = plain(make_run(WORKSPACE))
    await laptop.send(*rows)
    await pg_database.execute("DELETE FROM artifacts", "DELETE FROM tool_calls")
    reply = await laptop.send(*rows)
    assert {result.outcome for result in reply.results} == {"duplicate", "applied"}
    assert len(await pg_database.fetch("SELECT FROM artifacts")) == 4
    assert len((await laptop.target.pull(WORKSPACE, 0)).rows) == len(rows)


async def test_a_version_never_falls_behind_one_that_a_replica_has_seen(laptop: Machine, pg_database: Database) -> None:
    """A restored server may have older versions than this machine; its next version must be newer for every replica."""
    session = edited(plain(make_run(WORKSPACE))[0], sync_version=7)
    assert outcomes(await laptop.send(session)) == [("applied", 8)]
    ahead = edited(session, task_description="knows more", sync_version=20)
    assert outcomes(await laptop.send(ahead)) == [("conflict_local", 21)]


async def test_a_restored_server_accepts_nothing(laptop: Machine, pg_database: Database) -> None:
    session = plain(make_run(WORKSPACE))[0]
    with pytest.raises(PostgresFault) as behind:
        await laptop.send(session, cursor=5)
    assert behind.value.fault.kind is FaultKind.REMOTE_BEHIND
    renewed = await laptop.target.renew_incarnation(WORKSPACE)
    with pytest.raises(PostgresFault) as reset:
        await laptop.send(session)
    assert reset.value.fault.kind is FaultKind.REMOTE_BEHIND
    assert await pg_database.fetch("SELECT FROM sessions") == []
    laptop.head = renewed
    assert outcomes(await laptop.send(session)) == [("applied", 1)]


async def test_two_machines_that_send_at_once_get_different_numbers_and_lose_nothing(
    laptop: Machine, pg_database: Database
) -> None:
    other = PostgresSyncTarget(target_of(pg_database), ConflictResolver())
    try:
        desktop = Machine(other, WORKSPACE, laptop.head)
        runs = [plain(make_run(WORKSPACE)) for _ in range(6)]
        replies = await _both(laptop, desktop, runs)
        assert sorted(reply.change_seq for reply in replies) == [1, 2, 3, 4, 5, 6]
        assert len((await laptop.target.pull(WORKSPACE, 0)).rows) == sum(len(run) for run in runs)
    finally:
        await other.close()


async def test_a_batch_with_an_entity_twice_is_refused(laptop: Machine) -> None:
    session = plain(make_run(WORKSPACE))[0]
    with pytest.raises(ValueError, match="coalesce"):
        await laptop.send(session, edited(session))
    with pytest.raises(ValueError, match="empty"):
        await laptop.send()


async def test_the_ledger_returns_the_keys_it_contains(laptop: Machine) -> None:
    rows = plain(make_run(WORKSPACE))
    await laptop.send(*rows)
    sent = [(row.session_id, row.idempotency_key) for row in records(rows)]
    unsent = (rows[0].id, "session:none:2026-01-05T00:00:00.000000Z")
    assert await laptop.target.ledger_has([*sent, unsent]) == {key for _, key in sent}


async def _both(laptop: Machine, desktop: Machine, runs: list[list[Entity]]) -> list[ApplyReply]:
    async def all_of(machine: Machine, mine: list[list[Entity]]) -> list[ApplyReply]:
        return [await machine.send(*run) for run in mine]

    done = await asyncio.gather(all_of(laptop, runs[:3]), all_of(desktop, runs[3:]))
    return [reply for replies in done for reply in replies]
