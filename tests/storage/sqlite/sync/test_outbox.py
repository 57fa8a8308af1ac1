"""The outbox: oldest first, each lane in its order, refusals counted and backed off, dead letters kept."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from acode_tui.domain.clock import format_time
from acode_tui.domain.codec import decode_payload, encode_payload
from acode_tui.domain.errors import NotFoundError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import ArtifactType, EntityType, SessionState, WorkState
from acode_tui.storage.ports import OutboxRecord, OutboxStatus
from acode_tui.storage.sqlite.sync.records import MAX_ERROR_CHARS
from tests.clocks import NOON, TurnedClock
from tests.storage.sqlite.parts import Parts, count, rows
from tests.storage.sqlite.runs.runs import make_run

KEY = (
    r"(session|session_event|session_task|step|tool_call|artifact):"
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}:"
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
)


async def due(parts: Parts, limit: int = 100) -> list[str]:
    """The records that are due, as descriptions of their sessions."""
    names = dict(rows(parts.path, "SELECT id, task_description FROM sessions"))
    return [f"{names[each.session_id]}:{each.id}" for each in await parts.outbox.get_pending(limit)]


@pytest.mark.ac("AC-029")
@pytest.mark.ac("AC-031")
@pytest.mark.ac("AC-033")
@pytest.mark.ac("AC-044")
async def test_every_write_is_queued_under_its_own_key(parts: Parts) -> None:
    session = await parts.store.create_session("one")
    await parts.store.transition_session(session.id, SessionState.PLANNING, reason="go")
    task = await parts.store.add_task(session.id, "task")
    await parts.store.transition_task(task.id, WorkState.IN_PROGRESS)
    step = await parts.store.add_step(task.id, "step")
    call = await parts.store.add_tool_call(step.id, "tool")
    await parts.store.add_artifact(call.id, ArtifactType.FILE_DIFF, "a", b"x", "text/plain")
    await parts.store.complete_tool_call(call.id)
    import re

    records = await parts.outbox.list(status="all")
    assert len({record.idempotency_key for record in records}) == len(records)
    for record in records:
        assert re.fullmatch(KEY, record.idempotency_key)
        plain = msgspec.json.decode(record.payload)
        assert record.idempotency_key == f"{record.entity_type}:{record.entity_id}:{plain['updatedAt']}"
        assert plain["id"] == record.entity_id
        assert record.session_id == plain.get("sessionId", record.entity_id)
        assert record.attempts == 0
        assert record.processed_at is None
        assert format_time(record.created_at) >= plain["updatedAt"][:19]
    assert {record.entity_type for record in records} == set(EntityType)


@pytest.mark.ac("AC-032")
async def test_a_payload_is_the_row_as_the_codec_encodes_it(parts: Parts) -> None:
    await parts.store.save(make_run(1, metadata={"ü": [1.5, None, True, 2**70], "q": '"\\/\u2028'}))
    for record in await parts.outbox.list(status="all"):
        table = TABLES[record.entity_type]
        entity = decode_payload(record.entity_type, bytes(record.payload))
        assert encode_payload(entity) == bytes(record.payload)
        names = [column.name for column in table.columns if column.kind != "bytes"]
        columns = ", ".join(f'"{name}"' for name in names)
        (row,) = rows(parts.path, f"SELECT {columns} FROM {table.name} WHERE id = ?", record.entity_id)
        for name, stored in zip(names, row, strict=True):
            value = getattr(entity, name)
            if isinstance(value, (dict, list)):
                assert msgspec.json.decode(stored) == value
            elif hasattr(value, "tzinfo"):
                assert stored == format_time(value)
            else:
                assert stored == value
    assert b'"content":null' in bytes((await parts.outbox.list(status="all"))[-1].payload)


@pytest.mark.ac("AC-043")
async def test_10_000_enqueues_in_a_frozen_clock_have_10_000_keys(parts: Parts) -> None:
    session = await parts.store.create_session("the same entity, over and over")

    async def again(times: int) -> list[str]:
        return [(await parts.outbox.enqueue(EntityType.SESSION, session.id)).idempotency_key for _ in range(times)]

    keys = [key for made in await asyncio.gather(*(again(50) for _ in range(200))) for key in made]
    assert len(set(keys)) == 10_000
    stored = await parts.store.get(session.id)
    newest = f"session:{session.id}:{format_time(stored.updated_at)}"
    assert max(keys) == newest
    # Each of them took the one before it in.
    assert rows(parts.path, "SELECT idempotency_key FROM outbox") == [(newest,)]


async def test_enqueue_queues_a_mutable_row_under_a_new_stamp_and_an_immutable_one_as_it_was(parts: Parts) -> None:
    await parts.store.save(make_run(1))
    session = (await parts.store.list()).sessions[0]
    record = await parts.outbox.enqueue(EntityType.SESSION, session.id)
    stored = await parts.store.get(session.id)
    assert stored.updated_at > session.updated_at
    assert record.idempotency_key.endswith(format_time(stored.updated_at))
    event = (await parts.store.get_events(session.id))[0]
    before = count(parts.path, "outbox")
    again = await parts.outbox.enqueue(EntityType.SESSION_EVENT, event.id)
    assert again.entity_id == event.id
    assert count(parts.path, "outbox") == before
    with pytest.raises(NotFoundError):
        await parts.outbox.enqueue(EntityType.STEP, session.id)


@pytest.mark.ac("AC-038")
async def test_records_go_oldest_first_and_no_more_than_asked_for(parts: Parts, clock: TurnedClock) -> None:
    for name in "abc":
        await parts.store.create_session(name)
        clock.turn(seconds=1)
    records = await parts.outbox.get_pending(100)
    assert [(r.created_at, r.id) for r in records] == sorted((r.created_at, r.id) for r in records)
    assert [r.id for r in await parts.outbox.get_pending(2)] == [r.id for r in records[:2]]


@pytest.mark.ac("AC-039")
async def test_a_record_behind_a_refused_one_waits_and_other_lanes_go_on(parts: Parts, clock: TurnedClock) -> None:
    first = await parts.store.create_session("a")
    other = await parts.store.create_session("b")
    await parts.store.add_task(first.id, "task")
    await parts.store.add_task(other.id, "task")
    records = await parts.outbox.list()
    lane = [record.id for record in records if record.session_id == first.id]
    await parts.outbox.mark_failed(lane[1], "refused")
    assert [each for each in await due(parts) if each.startswith("a")] == [f"a:{lane[0]}"]
    assert len([each for each in await due(parts) if each.startswith("b")]) == 2
    clock.turn(seconds=4.9)
    assert f"a:{lane[1]}" not in await due(parts)
    clock.turn(seconds=0.1)
    assert [each for each in await due(parts) if each.startswith("a")] == [f"a:{each}" for each in lane]


async def test_a_dead_letter_blocks_its_lane_until_it_is_discarded(parts: Parts, clock: TurnedClock) -> None:
    session = await parts.store.create_session("a")
    await parts.store.add_task(session.id, "task")
    first = (await parts.outbox.list())[0].id
    for _ in range(10):
        await parts.outbox.mark_failed(first, "refused")
    clock.turn(days=365)
    assert await due(parts) == []
    assert await parts.outbox.discard([first]) == 1
    assert len(await due(parts)) == 1
    assert (await parts.outbox.get(first)).outcome == "discarded"


@pytest.mark.ac("AC-035")
@pytest.mark.ac("AC-040")
@pytest.mark.ac("AC-041")
async def test_refusals_back_off_and_the_tenth_is_the_last(parts: Parts, clock: TurnedClock) -> None:
    await parts.store.create_session("a")
    record = (await parts.outbox.list())[0].id
    waits = []
    for attempt in range(1, 10):
        await parts.outbox.mark_failed(record, f"refusal {attempt}")
        found = await parts.outbox.get(record)
        assert found.attempts == attempt
        assert found.processed_at is None
        assert found.failed_at is None
        assert found.next_attempt_at is not None
        waits.append((found.next_attempt_at - clock.now).total_seconds())
        clock.now = found.next_attempt_at
        assert len(await parts.outbox.get_pending(10)) == 1
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 1280]
    await parts.outbox.mark_failed(record, "refusal 10")
    dead = await parts.outbox.get(record)
    assert (dead.attempts, dead.failed_at, dead.next_attempt_at, dead.last_error) == (10, clock.now, None, "refusal 10")
    stats = await parts.outbox.stats()
    assert (stats.pending, stats.retrying, stats.failed) == (0, 0, 1)
    assert [each.id for each in await parts.outbox.list(status="failed")] == [record]
    await parts.outbox.mark_failed(record, "after its death")
    assert (await parts.outbox.get(record)).attempts == 10


@pytest.mark.ac("AC-041")
async def test_a_dead_letter_can_be_requeued(parts: Parts) -> None:
    await parts.store.create_session("a")
    await parts.store.create_session("b")
    first, second = (record.id for record in await parts.outbox.list())
    for _ in range(10):
        await parts.outbox.mark_failed(first, "refused")
    await parts.outbox.mark_failed(second, "refused")
    assert await parts.outbox.retry([second, 999]) == (second,)
    assert await parts.outbox.retry() == (first,)
    found = await parts.outbox.get(first)
    assert (found.attempts, found.failed_at, found.next_attempt_at) == (0, None, None)
    assert len(await parts.outbox.get_pending(10)) == 2
    assert await parts.outbox.retry() == ()


@pytest.mark.ac("AC-034")
async def test_a_record_is_processed_once(parts: Parts, clock: TurnedClock) -> None:
    await parts.store.create_session("a")
    record = (await parts.outbox.list())[0].id
    await parts.outbox.mark_processed(record, "duplicate")
    first = await parts.outbox.get(record)
    assert (first.processed_at, first.outcome, first.attempts) == (clock.now, "duplicate", 0)
    clock.turn(hours=1)
    await parts.outbox.mark_processed(record)
    await parts.outbox.mark_failed(record, "too late")
    assert await parts.outbox.retry([record]) == ()
    assert await parts.outbox.discard([record]) == 0
    assert msgspec.json.encode(await parts.outbox.get(record)) == msgspec.json.encode(first)
    assert await parts.outbox.get_pending(10) == ()
    assert await parts.outbox.pending_count() == 0


async def test_only_dead_letters_can_be_discarded(parts: Parts) -> None:
    await parts.store.create_session("a")
    record = (await parts.outbox.list())[0].id
    await parts.outbox.mark_failed(record, "refused")
    assert await parts.outbox.discard([record]) == 0
    assert await parts.outbox.pending_count() == 1


@pytest.mark.parametrize("call", ["mark_processed", "get"])
async def test_an_unknown_record_is_not_found(parts: Parts, call: str) -> None:
    with pytest.raises(NotFoundError, match="there is no outbox record 7"):
        await getattr(parts.outbox, call)(7)
    with pytest.raises(NotFoundError):
        await parts.outbox.mark_failed(7, "x")


@pytest.mark.ac("AC-035")
@pytest.mark.ac("AC-058")
async def test_a_stored_error_is_redacted_and_cut(parts: Parts) -> None:
    await parts.store.create_session("a")
    record = (await parts.outbox.list())[0].id
    await parts.outbox.mark_failed(record, "cannot reach postgresql://ada:hunter2@db/x " + "y" * 5_000)
    error = (await parts.outbox.get(record)).last_error
    assert error is not None
    assert "hunter2" not in error
    assert error.startswith("cannot reach postgresql://")
    assert len(error) == MAX_ERROR_CHARS


async def test_an_error_text_with_characters_that_no_database_holds_is_stored(parts: Parts) -> None:
    await parts.store.create_session("a")
    record = (await parts.outbox.list())[0].id
    await parts.outbox.mark_failed(record, "bad \x00 and \udc80")
    assert (await parts.outbox.get(record)).last_error is not None
    assert (await parts.outbox.get(record)).attempts == 1


async def test_stats_and_lists_count_each_status(parts: Parts, clock: TurnedClock) -> None:
    empty = await parts.outbox.stats()
    assert (empty.pending, empty.oldest_pending_at, empty.next_attempt_at) == (0, None, None)
    for name in "abcd":
        await parts.store.create_session(name)
        clock.turn(seconds=1)
    ids = [record.id for record in await parts.outbox.list()]
    await parts.outbox.mark_processed(ids[0])
    await parts.outbox.mark_failed(ids[1], "refused")
    for _ in range(10):
        await parts.outbox.mark_failed(ids[2], "refused")
    stats = await parts.outbox.stats()
    assert (stats.pending, stats.retrying, stats.failed) == (2, 1, 1)
    assert stats.oldest_pending_at == NOON + timedelta(seconds=1)
    assert stats.next_attempt_at == clock.now + timedelta(seconds=5)
    lists: dict[Any, list[int]] = {
        "pending": [ids[1], ids[3]],
        "retrying": [ids[1]],
        "failed": [ids[2]],
        "processed": [ids[0]],
        "all": ids,
    }
    for status, wanted in lists.items():
        assert [record.id for record in await parts.outbox.list(status=status)] == wanted
    assert len(await parts.outbox.list(status="all", limit=2)) == 2


@pytest.mark.parametrize("status", ["pending", "retrying", "failed", "processed", "all"])
async def test_pages_of_records_hold_each_once_in_the_order_of_the_whole_list(
    parts: Parts, clock: TurnedClock, status: OutboxStatus
) -> None:
    for number in range(7):
        await parts.store.create_session(f"run {number}")
    for place, each in enumerate(await parts.outbox.list(status="all")):
        clock.turn(seconds=place % 2)
        for _ in range({"retrying": 1, "failed": 10}.get(status, 0)):
            await parts.outbox.mark_failed(each.id, "no")
        if status == "processed":
            await parts.outbox.mark_processed(each.id)
    whole = [each.id for each in await parts.outbox.list(status=status)]
    paged: list[int] = []
    after: OutboxRecord | None = None
    while page := await parts.outbox.list(status=status, limit=2, after=after):
        paged += [each.id for each in page]
        after = page[-1]
    assert paged == whole
    assert len(whole) == 7
