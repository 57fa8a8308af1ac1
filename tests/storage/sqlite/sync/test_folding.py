"""Writes fold into the record of their row that waits; one that is claimed is left as it is."""

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import Any

import msgspec
import pytest

from acode_tui.domain.codec import content_digest, decode_payload, encode_payload
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import ArtifactType, EntityType, SessionState
from acode_tui.storage.sqlite.payloads import STAMP_CHARS, StoredPayload, is_reference, read_payloads, reference
from acode_tui.storage.sqlite.sync import claim
from tests.clocks import TurnedClock
from tests.storage.runs import make_run
from tests.storage.sqlite.parts import Parts, assert_sound, count, rows

LATER = "9999-01-01T00:00:00.000000Z"
RECORD = "SELECT {} FROM outbox WHERE entity_type = ? ORDER BY id"


async def claim_all(parts: Parts) -> None:
    def unit(connection: sqlite3.Connection) -> None:
        claim.claim(connection, now=LATER, max_records=100)

    await parts.writer.run(unit)


def records_of(parts: Parts, kind: EntityType, columns: str) -> list[tuple[Any, ...]]:
    return rows(parts.path, RECORD.format(columns), kind.value)


async def test_500_recorded_calls_leave_one_record_a_row(parts: Parts) -> None:
    session = await parts.store.create_session("a run that is never sent")
    task = await parts.store.add_task(session.id, "task")
    step = await parts.store.add_step(task.id, "step")

    async def call(number: int) -> None:
        made = await parts.store.add_tool_call(step.id, "tool", {"number": number})
        await parts.store.start_tool_call(made.id)
        await parts.store.complete_tool_call(made.id, result=number)

    for start in range(0, 500, 50):
        await asyncio.gather(*(call(start + number) for number in range(50)))
    assert count(parts.path, "outbox") == 503 == sum(count(parts.path, table.name) for table in TABLES.values())
    assert_sound(parts.path)


async def test_a_write_folds_into_the_record_that_waits_and_leaves_its_place(parts: Parts, clock: TurnedClock) -> None:
    session = await parts.store.create_session("one")
    await parts.store.add_task(session.id, "task")
    kept = "id, created_at, operation, session_id, entity_id, attempts, next_attempt_at, failed_at, last_error"
    (before,) = records_of(parts, EntityType.SESSION, kept)
    clock.turn(seconds=9)
    await parts.store.transition_session(session.id, SessionState.PLANNING)
    assert records_of(parts, EntityType.SESSION, kept) == [before]
    stored = await parts.store.get(session.id)
    stamp = rows(parts.path, "SELECT updated_at FROM sessions")[0][0]
    written = records_of(parts, EntityType.SESSION, "idempotency_key, payload, updated_at")
    assert written == [(f"session:{session.id}:{stamp}", reference(session.id, stamp), stamp)]
    (shown,) = [each for each in await parts.outbox.list() if each.entity_type is EntityType.SESSION]
    assert decode_payload(EntityType.SESSION, bytes(shown.payload)) == stored


@pytest.mark.parametrize("refusals", [1, 10])
async def test_a_write_folds_into_a_refused_record_and_leaves_its_attempts(parts: Parts, refusals: int) -> None:
    session = await parts.store.create_session("one")
    (record,) = await parts.outbox.list()
    for _ in range(refusals):
        await parts.outbox.mark_failed(record.id, "refused")
    before = await parts.outbox.get(record.id)
    await parts.store.transition_session(session.id, SessionState.PLANNING)
    after = await parts.outbox.get(record.id)
    assert count(parts.path, "outbox", "entity_type = 'session'") == 1
    for name in ("attempts", "next_attempt_at", "failed_at", "last_error", "created_at"):
        assert getattr(after, name) == getattr(before, name)
    assert after.idempotency_key > before.idempotency_key


@pytest.mark.parametrize("by", ["write", "save"])
async def test_a_claimed_record_keeps_what_it_stands_for_and_the_next_writes_share_another(
    parts: Parts, by: str
) -> None:
    graph = make_run("00000000-0000-4000-8000-000000000001")
    await parts.store.save(graph)
    await claim_all(parts)
    task = graph.tasks[0]
    sent = (await parts.store.get_with_hierarchy(graph.id)).tasks[0]
    for title in ("second", "third"):
        if by == "save":
            changed = msgspec.structs.replace(graph, tasks=(msgspec.structs.replace(task, title=title),))
            await parts.store.save(changed)
        else:
            await parts.outbox.enqueue(EntityType.SESSION_TASK, task.id)
    first, *others = records_of(parts, EntityType.SESSION_TASK, "id, idempotency_key, payload")
    assert msgspec.json.decode(first[2])["title"] == sent.title
    assert content_digest(decode_payload(EntityType.SESSION_TASK, first[2])) == content_digest(
        decode_payload(EntityType.SESSION_TASK, encode_payload(_plain(sent)))
    )
    assert len(others) == 1
    assert is_reference(task.id, others[0][2])
    assert_sound(parts.path)


def _plain(node: Any) -> Any:
    own = TABLES[node.kind].entity
    return own(**{name: getattr(node, name) for name in own.__struct_fields__})


async def test_claims_are_made_for_rows_that_change_alone(parts: Parts) -> None:
    await parts.store.save(make_run("00000000-0000-4000-8000-000000000001"))
    await claim_all(parts)
    claimed = "SELECT DISTINCT entity_type FROM outbox WHERE id IN (SELECT record_id FROM outbox_claims) ORDER BY 1"
    assert rows(parts.path, claimed) == [("session",), ("session_task",), ("step",), ("tool_call",)]


async def test_a_refusal_releases_the_newest_record_of_its_row(parts: Parts) -> None:
    session = await parts.store.create_session("one")
    await claim_all(parts)
    (record,) = await parts.outbox.list()
    await parts.outbox.mark_failed(record.id, "refused")
    await parts.store.transition_session(session.id, SessionState.PLANNING)
    assert len(records_of(parts, EntityType.SESSION, "id")) == 1
    # Sent again, without a reply; then its row changes. The first version may be there, so it stays.
    await parts.outbox.retry()
    await claim_all(parts)
    await parts.outbox.enqueue(EntityType.SESSION, session.id)
    await claim_all(parts)
    await parts.outbox.mark_failed(record.id, "refused")
    await parts.store.transition_session(session.id, SessionState.FAILED, reason="x")
    assert len(records_of(parts, EntityType.SESSION, "id")) == 2
    assert rows(parts.path, "SELECT record_id FROM outbox_claims") == [(record.id,)]


async def test_what_ends_is_claimed_no_more(parts: Parts) -> None:
    await parts.store.create_session("one")
    await claim_all(parts)
    (record,) = await parts.outbox.list()
    await parts.outbox.mark_failed(record.id, "refused", dead=True)
    await claim_all(parts)
    assert await parts.outbox.discard([record.id]) == 1
    assert count(parts.path, "outbox_claims") == 0


@pytest.mark.ac("AC-032")
async def test_a_payload_rebuilt_from_its_row_has_the_digest_of_the_one_that_was_written(parts: Parts) -> None:
    graph = make_run("00000000-0000-4000-8000-000000000001", calls=3)
    await parts.store.save(graph)
    # What changes below an unchanged stamp is not covered.
    await parts.writer.run(lambda c: c.execute("UPDATE sessions SET sync_version = 7").rowcount)
    given = [
        StoredPayload(key, EntityType(kind), entity_id, payload)
        for key, kind, entity_id, payload in rows(
            parts.path, "SELECT idempotency_key, entity_type, entity_id, payload FROM outbox"
        )
    ]
    with closing(sqlite3.connect(parts.path)) as connection:
        read = read_payloads(connection, given)
    written = {entity.id: entity for entity in graph.entities()}
    for each in given:
        assert is_reference(each.entity_id, each.payload)
        assert msgspec.json.decode(each.payload) == {"id": each.entity_id, "updatedAt": each.key[-STAMP_CHARS:]}
        rebuilt = read[each.key].entity
        assert rebuilt is not None
        once = decode_payload(each.kind, encode_payload(_plain(written[each.entity_id])))
        assert content_digest(rebuilt) == content_digest(once)


async def test_a_list_shows_the_entity_or_says_why_it_cannot(parts: Parts) -> None:
    session = await parts.store.create_session("one")
    await parts.store.add_task(session.id, "task")
    for record in await parts.outbox.list():
        await parts.outbox.mark_processed(record.id)
    await parts.store.transition_session(session.id, SessionState.PLANNING)
    await parts.writer.run(lambda c: c.execute("DELETE FROM session_tasks").rowcount)
    by_kind = {
        each.entity_type: json.loads(bytes(each.payload)) for each in await parts.outbox.list(status="processed")
    }
    assert by_kind[EntityType.SESSION]["note"] == "its row has changed since"
    assert set(by_kind[EntityType.SESSION]) == {"id", "updatedAt", "note"}
    assert by_kind[EntityType.SESSION_TASK]["note"] == "its row is not in the workspace file any more"
    waiting = {each.entity_type: json.loads(bytes(each.payload)) for each in await parts.outbox.list()}
    assert waiting[EntityType.SESSION]["state"] == "Planning"


async def test_a_batch_is_cut_by_the_size_of_its_rows(parts: Parts) -> None:
    session = await parts.store.create_session("large results")
    task = await parts.store.add_task(session.id, "task")
    step = await parts.store.add_step(task.id, "step")
    for _ in range(100):
        call = await parts.store.add_tool_call(step.id, "tool")
        await parts.store.complete_tool_call(call.id, result="x" * 10_000)
    await parts.store.add_artifact(call.id, ArtifactType.FILE_CONTENT, "a", b"y" * 100_000, "text/plain")

    def unit(connection: sqlite3.Connection) -> list[int]:
        sizes = []
        for limit in (1, 50_000, 10 << 20):
            claims = claim.claim(connection, now=LATER, max_records=1_000)
            batch, lost = claim.load(connection, claims, max_bytes=limit)
            assert not lost
            sizes.append(len(batch))
        return sizes

    one, some, every = await parts.writer.run(unit)
    assert one == 1
    assert 5 <= some <= 8
    assert every == 104
