"""The store's operations: what each records, what each refuses, and that a refusal changes nothing."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from acode_tui.domain.codec import encode_json
from acode_tui.domain.entities import Session, SessionGraph
from acode_tui.domain.errors import AmbiguousIdError, IntegrityError, NotFoundError, TransitionError, ValidationError
from acode_tui.domain.states import ArtifactType, EntityType, SessionState
from acode_tui.domain.validation import Limits
from acode_tui.storage.ports import TranscriptFile
from tests.clocks import NOON
from tests.domain.graphs import graphs
from tests.storage.sqlite.parts import Parts, assert_sound, contents, count, foreign, open_parts
from tests.storage.sqlite.runs.runs import ident, make_run
from tests.storage.writer_conformance import whole_run


async def test_of_two_processes_that_change_one_state_one_wins(database: Any) -> None:
    async with open_parts(database) as one, open_parts(database) as two:
        session = await one.store.create_session("x")
        answers = await asyncio.gather(
            *(
                each.store.transition_session(session.id, SessionState.CANCELLED, reason="mine")
                for each in (one, two, one, two)
            ),
            return_exceptions=True,
        )
        refused = [answer for answer in answers if isinstance(answer, TransitionError)]
        assert len(refused) == 3
        assert len(await one.store.get_events(session.id)) == 1


async def test_an_artifact_may_be_as_large_as_configured_and_no_larger(database: Any) -> None:
    async with open_parts(database, limits=Limits(max_artifact_bytes=10)) as parts:
        made = await whole_run(parts.store)
        await parts.store.add_artifact(made["call"], ArtifactType.FILE_WRITE, "x", b"y" * 10, "text/plain")
        with pytest.raises(ValidationError, match="is 11 bytes; at most 10"):
            await parts.store.add_artifact(made["call"], ArtifactType.FILE_WRITE, "x", b"y" * 11, "text/plain")


async def test_ids_are_found_by_a_unique_prefix_of_their_own_kind(parts: Parts) -> None:
    made = await whole_run(parts.store)
    for kind, name in (
        (EntityType.SESSION, "session"),
        (EntityType.STEP, "step"),
        (EntityType.ARTIFACT, "artifact"),
    ):
        assert await parts.store.resolve_id(kind, made[name][:30].upper()) == made[name]
    with pytest.raises(NotFoundError):
        await parts.store.resolve_id(EntityType.STEP, made["task"])
    await parts.store.create_session("y")
    with pytest.raises(AmbiguousIdError):
        await parts.store.resolve_id(EntityType.SESSION, made["session"][:2])
    for bad in ("", " ", "%", "x", "0" * 37, "\udc80"):
        with pytest.raises(ValidationError):
            await parts.store.resolve_id(EntityType.SESSION, bad)


async def test_a_page_of_the_outbox_with_a_wrong_limit_is_refused(parts: Parts) -> None:
    wrong: Any = None
    for limit in (wrong, -1):
        with pytest.raises(ValidationError, match="limit: "):
            await parts.outbox.get_pending(limit)


@given(graph=graphs())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_well_formed_run_reads_back_exactly(tmp_path_factory: Any, graph: SessionGraph) -> None:
    async with open_parts(tmp_path_factory.mktemp("run") / "workspace.db") as parts:
        await parts.store.save(graph)
        stored = await parts.store.get_with_hierarchy(graph.id)
        rows_in = {entity.id: entity for entity in graph.entities()}
        for entity in stored.entities():
            before = rows_in.pop(entity.id)
            for field in ("state", "title", "name", "parameters", "result", "metadata", "reason", "error_message"):
                assert getattr(entity, field, None) == getattr(before, field, None)
        assert rows_in == {}
        assert encode_json(stored)
        assert_sound(parts.path)


@pytest.mark.ac("AC-054")
async def test_a_read_by_id_is_one_statement_in_one_hop(parts: Parts) -> None:
    session = await parts.store.create_session("x")
    seen: list[str] = []
    await parts.readers.run(lambda raw: raw.set_trace_callback(seen.append))
    seen.clear()
    await parts.store.get(session.id)
    assert [each.split()[0] for each in seen] == ["BEGIN", "SELECT", "ROLLBACK"]


def _transcript(*numbers: int) -> TranscriptFile:
    """The cursor of a file that holds the sessions of these runs."""
    return TranscriptFile(
        path="/home/ada/x'; --.jsonl",
        format="claude",
        inode=2**40,
        size=10,
        mtime_ns=2**60,
        offset=9,
        head_hash="h",
        session_ids=tuple(ident(number, "session") for number in numbers),
        skipped_lines=1,
        imported_at=NOON,
        state=b"\x00\xff opaque",
    )


async def test_a_transcript_and_its_runs_are_stored_together(parts: Parts) -> None:
    file = _transcript(1, 2)
    prepared = [parts.transcripts.prepare(make_run(number), True) for number in (1, 2, 3)]
    (result,) = await parts.transcripts.save_many([(file, prepared[:2])])
    assert result.inserted[EntityType.SESSION] == 2
    assert await parts.transcripts.known() == {file.path: file}
    (again,) = await parts.transcripts.save_many([(file, prepared[:2])])
    assert (again.written, again.unchanged) == (0, 18)
    unstorable = make_run(4, description="bad \udc80")
    with pytest.raises(ValidationError):
        parts.transcripts.prepare(unstorable, True)
    with pytest.raises(ValidationError):
        await parts.transcripts.save_many(
            [(file, prepared[2:]), (file, [parts.transcripts.prepare(unstorable, False)])],
        )
    assert count(parts.path, "sessions") == 2
    assert await parts.transcripts.save_many([]) == ()


async def test_a_run_whose_outbox_record_clashes_is_refused_whole_and_alone(parts: Parts) -> None:
    """The failing statement rolls the transaction back; the other units of the group are written all the same."""
    run = parts.transcripts.prepare(make_run(1), True)
    clashing = run[1][0]
    with foreign(parts.path) as other:
        other.execute(
            "INSERT INTO outbox (idempotency_key, session_id, entity_type, entity_id, operation, payload, created_at,"
            " updated_at) VALUES (?, 's', 'session', 's', 'insert', '{}', '2026', '2026')",
            [clashing],
        )
    refused, session = await asyncio.gather(
        parts.transcripts.save_many([(_transcript(1), [run])]),
        parts.store.create_session("written meanwhile"),
        return_exceptions=True,
    )
    assert isinstance(refused, IntegrityError)
    assert isinstance(session, Session)
    assert [row[0] for row in contents(parts.path)["sessions"]] == [session.id]
    assert count(parts.path, "steps") == 0
    assert await parts.transcripts.known() == {}
