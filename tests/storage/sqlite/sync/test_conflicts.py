"""The audit of conflicts: both versions are kept, each is reviewed once, and the losing version can be taken."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from acode_tui.domain.codec import decode_payload, encode_payload
from acode_tui.domain.entities import Session
from acode_tui.domain.errors import AmbiguousIdError, ConflictError, NotFoundError
from acode_tui.domain.states import EntityType
from acode_tui.storage.ports import Conflict
from acode_tui.storage.sqlite.sync.conflicts import insert_conflict
from tests.clocks import NOON, TurnedClock
from tests.storage.sqlite.parts import Parts, assert_sound, open_parts, rows
from tests.storage.sqlite.runs.runs import make_run


def _id(number: int) -> str:
    return f"0190d6a1-0000-7000-8000-0000000000{number:02x}"


async def _conflict(parts: Parts, number: int, *, winner: Any = "remote", **changes: Any) -> Conflict:
    """Two versions of one new session, the local one stored."""
    mine = await parts.store.create_session(f"local {number}")
    theirs = msgspec.structs.replace(
        mine, task_description=f"remote {number}", updated_at=mine.updated_at + timedelta(hours=3), sync_version=8
    )
    fields: dict[str, Any] = {
        "id": _id(number),
        "session_id": mine.id,
        "entity_type": EntityType.SESSION,
        "entity_id": mine.id,
        "local_payload": msgspec.Raw(encode_payload(mine)),
        "remote_payload": msgspec.Raw(encode_payload(theirs)),
        "local_updated_at": mine.updated_at,
        "remote_updated_at": theirs.updated_at,
        "winner": winner,
        "detected_at": NOON + timedelta(minutes=number),
        **changes,
    }
    conflict = Conflict(**fields)
    assert await parts.writer.run(lambda connection: insert_conflict(connection, conflict))
    return conflict


@pytest.mark.ac("AC-051")
@pytest.mark.ac("AC-052")
async def test_both_versions_both_stamps_and_the_winner_stay_through_a_restart(parts: Parts) -> None:
    kept = await _conflict(parts, 1)
    async with open_parts(parts.path) as again:
        found = await again.conflicts.get(kept.id)
        assert msgspec.json.encode(found) == msgspec.json.encode(kept)
        counts = await again.conflicts.counts()
        assert (counts.total, counts.unreviewed) == (1, 1)


async def test_a_conflict_is_stored_once(parts: Parts) -> None:
    kept = await _conflict(parts, 1)
    assert not await parts.writer.run(lambda connection: insert_conflict(connection, kept))
    assert (await parts.conflicts.counts()).total == 1


async def test_the_list_is_newest_first_and_may_leave_out_reviewed_conflicts(parts: Parts, clock: TurnedClock) -> None:
    for number in (1, 3, 2):
        await _conflict(parts, number)
    assert [each.id for each in await parts.conflicts.list()] == [_id(3), _id(2), _id(1)]
    assert [each.id for each in await parts.conflicts.list(limit=1)] == [_id(3)]
    seen = await parts.conflicts.mark_reviewed(_id(2))
    assert seen.reviewed_at == clock.now
    clock.turn(hours=1)
    assert (await parts.conflicts.mark_reviewed(_id(2))).reviewed_at == seen.reviewed_at
    assert [each.id for each in await parts.conflicts.list(unreviewed_only=True)] == [_id(3), _id(1)]
    counts = await parts.conflicts.counts()
    assert (counts.total, counts.unreviewed) == (3, 2)


async def test_a_conflict_is_found_by_a_unique_prefix(parts: Parts) -> None:
    await _conflict(parts, 0x11)
    await _conflict(parts, 0x12)
    assert (await parts.conflicts.get(_id(0x12).upper())).id == _id(0x12)
    await parts.writer.run(lambda c: c.execute("UPDATE sync_conflicts SET id = 'ffff' WHERE id = ?", (_id(0x11),)))
    assert (await parts.conflicts.get(" 0190 ")).id == _id(0x12)


@pytest.mark.parametrize("prefix", ["", "  ", "7", "%", "_", "'; --", "\udc80", "0190d6a1\x00"])
async def test_a_prefix_of_no_conflict_is_not_found(parts: Parts, prefix: str) -> None:
    await _conflict(parts, 1)
    with pytest.raises(NotFoundError):
        await parts.conflicts.get(prefix)


async def test_a_prefix_of_two_is_ambiguous(parts: Parts) -> None:
    await _conflict(parts, 1)
    await _conflict(parts, 2)
    with pytest.raises(AmbiguousIdError):
        await parts.conflicts.get("0190")


@pytest.mark.ac("AC-049")
@pytest.mark.parametrize(("winner", "loser"), [("remote", "local 1"), ("local", "remote 1")])
async def test_the_losing_version_can_be_made_to_win(parts: Parts, winner: str, loser: str) -> None:
    kept = await _conflict(parts, 1, winner=winner)
    await parts.writer.run(lambda c: c.execute("UPDATE sessions SET sync_version = 5").rowcount)
    settled = await parts.conflicts.take_other(kept.id)
    assert settled.reviewed_at is not None
    session = await parts.store.get(kept.entity_id)
    assert session.task_description == loser
    assert session.updated_at > max(kept.local_updated_at, kept.remote_updated_at)
    assert session.sync_version == 5
    (record,) = [each for each in await parts.outbox.list() if each.entity_id == session.id]
    queued = decode_payload(EntityType.SESSION, bytes(record.payload))
    assert isinstance(queued, Session)
    assert queued.task_description == loser
    assert queued.updated_at == session.updated_at
    assert_sound(parts.path)


async def test_taking_the_other_version_of_a_child_updates_its_session(parts: Parts) -> None:
    await parts.store.save(make_run(1))
    session = (await parts.store.list()).sessions[0]
    graph = await parts.store.get_with_hierarchy(session.id)
    call = graph.tasks[0].steps[0].tool_calls[0]
    remote = msgspec.structs.replace(call, tool_name="write_file")
    await _conflict(
        parts,
        1,
        winner="local",
        session_id=session.id,
        entity_type=EntityType.TOOL_CALL,
        entity_id=call.id,
        local_payload=msgspec.Raw(encode_payload(call)),
        remote_payload=msgspec.Raw(encode_payload(remote)),
    )
    await parts.conflicts.take_other(_id(1))
    after = await parts.store.get_with_hierarchy(session.id)
    assert after.tasks[0].steps[0].tool_calls[0].tool_name == "write_file"
    assert after.updated_at >= after.tasks[0].steps[0].tool_calls[0].updated_at > call.updated_at
    assert (await parts.store.list()).sessions[0].id == session.id


@pytest.mark.parametrize("kind", [EntityType.SESSION_EVENT, EntityType.ARTIFACT])
async def test_the_other_version_of_an_immutable_row_cannot_be_taken(parts: Parts, kind: EntityType) -> None:
    await _conflict(parts, 1, entity_type=kind)
    with pytest.raises(ConflictError, match=r"ACODE-DB-006.*never changes"):
        await parts.conflicts.take_other(_id(1))
    assert rows(parts.path, "SELECT reviewed_at FROM sync_conflicts") == [(None,)]


async def test_the_other_version_of_a_deleted_row_is_not_found(parts: Parts) -> None:
    await _conflict(parts, 1, entity_id=_id(0xFF))
    with pytest.raises(NotFoundError):
        await parts.conflicts.take_other(_id(1))


async def test_pages_of_conflicts_hold_each_once_in_order(parts: Parts) -> None:
    at_once = {"detected_at": NOON}
    kept = [await _conflict(parts, number, **(at_once if number < 4 else {})) for number in range(1, 8)]
    for unreviewed_only in (False, True):
        paged: list[str] = []
        after: Conflict | None = None
        while page := await parts.conflicts.list(unreviewed_only=unreviewed_only, limit=2, after=after):
            paged += [each.id for each in page]
            after = page[-1]
        assert paged == [each.id for each in kept[::-1]]
