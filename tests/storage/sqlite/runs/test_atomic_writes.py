"""A fault at any statement of any write leaves all of its rows, events and outbox records, or none."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from acode_tui.domain.errors import AcodeError
from acode_tui.domain.states import ArtifactType, EntityType, SessionState, WorkState
from acode_tui.storage.ports import Conflict, TranscriptFile
from acode_tui.storage.sqlite.sync.conflicts import insert_conflict
from tests.clocks import NOON
from tests.storage.sqlite.faults import FaultPlan, inject
from tests.storage.sqlite.parts import Parts, assert_sound, contents, open_parts
from tests.storage.sqlite.runs.runs import make_run

Write = Callable[[Parts, dict[str, Any]], Awaitable[object]]


async def _seed(parts: Parts) -> dict[str, Any]:
    """A session with a row of each kind, a conflict of it, and the ids that the writes below use."""
    session = await parts.store.create_session("seed")
    task = await parts.store.add_task(session.id, "task")
    step = await parts.store.add_step(task.id, "step")
    call = await parts.store.add_tool_call(step.id, "tool")
    records = await parts.outbox.list(status="all")
    stored = await parts.store.get(session.id)
    payload = msgspec.Raw(bytes(records[0].payload))
    conflict = Conflict(
        id="0190d6a1-0000-7000-8000-0000000000c0",
        session_id=session.id,
        entity_type=EntityType.SESSION,
        entity_id=session.id,
        local_payload=payload,
        remote_payload=payload,
        local_updated_at=stored.updated_at,
        remote_updated_at=stored.updated_at,
        winner="local",
        detected_at=NOON,
    )
    await parts.writer.run(lambda connection: insert_conflict(connection, conflict))
    return {"session": session.id, "task": task.id, "step": step.id, "call": call.id, "record": records[0].id}


def _transcript() -> TranscriptFile:
    return TranscriptFile(
        path="/x.jsonl", format="claude", inode=1, size=1, mtime_ns=1, offset=1, head_hash="h", imported_at=NOON
    )


WRITES: dict[str, Write] = {
    "create_session": lambda p, ids: p.store.create_session("new", metadata={"a": 1}),
    "transition_session": lambda p, ids: p.store.transition_session(ids["session"], SessionState.PLANNING),
    "add_task": lambda p, ids: p.store.add_task(ids["session"], "another"),
    "transition_task": lambda p, ids: p.store.transition_task(ids["task"], WorkState.IN_PROGRESS),
    "add_step": lambda p, ids: p.store.add_step(ids["task"], "another"),
    "transition_step": lambda p, ids: p.store.transition_step(ids["step"], WorkState.IN_PROGRESS),
    "add_tool_call": lambda p, ids: p.store.add_tool_call(ids["step"], "another"),
    "start_tool_call": lambda p, ids: p.store.start_tool_call(ids["call"]),
    "complete_tool_call": lambda p, ids: p.store.complete_tool_call(ids["call"], result=[1]),
    "fail_tool_call": lambda p, ids: p.store.fail_tool_call(ids["call"], "it broke"),
    "cancel_tool_call": lambda p, ids: p.store.cancel_tool_call(ids["call"]),
    "add_artifact": lambda p, ids: p.store.add_artifact(
        ids["call"], ArtifactType.FILE_CONTENT, "a.txt", b"\x00\xff", "text/plain"
    ),
    "save": lambda p, ids: p.store.save(make_run(1)),
    "save_transcript": lambda p, ids: p.transcripts.save_many(
        [(_transcript(), [p.transcripts.prepare(make_run(number), True) for number in (1, 2)])]
    ),
    "enqueue": lambda p, ids: p.outbox.enqueue(EntityType.TOOL_CALL, ids["call"]),
    "mark_processed": lambda p, ids: p.outbox.mark_processed(ids["record"]),
    "mark_failed": lambda p, ids: p.outbox.mark_failed(ids["record"], "refused"),
    "mark_reviewed": lambda p, ids: p.conflicts.mark_reviewed("0190d6a1"),
    "take_other": lambda p, ids: p.conflicts.take_other("0190d6a1"),
}


@pytest.mark.ac("AC-005")
@pytest.mark.parametrize("name", WRITES)
async def test_a_fault_at_any_statement_leaves_all_or_nothing(
    name: str, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = inject(monkeypatch)
    async with open_parts(database) as parts:
        ids = await _seed(parts)
        before = contents(database)
        statements = 0
        for nth in range(1, 200):
            faults.arm(nth)
            (answer,) = await asyncio.gather(WRITES[name](parts, ids), return_exceptions=True)
            seen = faults.disarm()
            if len(seen) < nth:
                break
            statements = nth
            assert isinstance(answer, AcodeError)
            assert answer.code == "ACODE-DB-002"
            assert contents(database) == before, f"statement {nth} ({seen[-1]}) left something behind"
            assert not await parts.connection.run(lambda raw: raw.in_transaction)
        assert not isinstance(answer, BaseException)
        # Begin, read the clock, the write, its record, store the clock, commit: fewer would mean nothing was tried.
        assert statements == len(seen) >= 4
        assert seen[0] == "BEGIN IMMEDIATE"
        assert seen[-1] == "COMMIT"
        assert contents(database) != before
        if name != "take_other":
            assert_sound(database)


@pytest.mark.ac("AC-005")
async def test_a_fault_at_any_statement_of_a_group_loses_no_acknowledged_write(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = inject(monkeypatch)
    async with open_parts(database) as parts:
        acknowledged: set[str] = set()
        for nth in range(1, 40):
            faults.arm(nth)
            answers = await asyncio.gather(
                *(parts.store.create_session(f"{nth}-{n}") for n in range(4)), return_exceptions=True
            )
            faults.disarm()
            acknowledged |= {answer.id for answer in answers if not isinstance(answer, BaseException)}
            assert all(isinstance(a, AcodeError) for a in answers if isinstance(a, BaseException))
        assert {row[0] for row in contents(database)["sessions"]} == acknowledged
        assert len(acknowledged) >= 100
    assert_sound(database)


def test_the_plan_counts_only_while_armed() -> None:
    plan = FaultPlan()
    plan.pass_by("SELECT 1")
    assert plan.seen == []
