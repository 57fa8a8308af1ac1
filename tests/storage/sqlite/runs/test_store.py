"""The store's operations: what each records, what each refuses, and that a refusal changes nothing."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from acode_tui.domain.codec import encode_json
from acode_tui.domain.entities import Session, SessionGraph
from acode_tui.domain.errors import AmbiguousIdError, IntegrityError, NotFoundError, TransitionError, ValidationError
from acode_tui.domain.ids import new_id
from acode_tui.domain.states import ArtifactType, EntityType, SessionState, ToolCallState, WorkState
from acode_tui.domain.validation import Limits
from acode_tui.storage.ports import TranscriptFile
from tests.clocks import NOON
from tests.domain.graphs import HOSTILE, graphs
from tests.storage.sqlite.parts import WORKSPACE_ID, Parts, assert_sound, contents, count, foreign, open_parts, rows
from tests.storage.sqlite.runs.runs import ident, make_run


async def _whole(parts: Parts) -> dict[str, str]:
    session = await parts.store.create_session("Add input validation", metadata={"cwd": "."})
    task = await parts.store.add_task(session.id, "Analyse", description="as asked")
    step = await parts.store.add_step(task.id, "Read the login form")
    call = await parts.store.add_tool_call(step.id, "read_file", {"path": "login.ts"})
    artifact = await parts.store.add_artifact(
        call.id, ArtifactType.FILE_CONTENT, "login.ts", b"\x00\xff...", "text/plain"
    )
    return {"session": session.id, "task": task.id, "step": step.id, "call": call.id, "artifact": artifact.id}


async def test_a_run_recorded_step_by_step_reads_back_whole(parts: Parts) -> None:
    made = await _whole(parts)
    await parts.store.transition_session(made["session"], SessionState.PLANNING, reason="start")
    await parts.store.transition_session(made["session"], SessionState.EXECUTING)
    await parts.store.transition_task(made["task"], WorkState.IN_PROGRESS)
    await parts.store.transition_step(made["step"], WorkState.IN_PROGRESS)
    call = await parts.store.complete_tool_call(made["call"], result={"lines": 120})
    assert (call.state, call.result) == (ToolCallState.SUCCEEDED, {"lines": 120})
    assert call.completed_at is not None
    await parts.store.transition_step(made["step"], WorkState.COMPLETED)
    await parts.store.transition_task(made["task"], WorkState.COMPLETED)
    done = await parts.store.transition_session(made["session"], SessionState.COMPLETED)
    graph = await parts.store.get_with_hierarchy(made["session"])
    assert graph.state is done.state is SessionState.COMPLETED
    assert graph.workspace_id == WORKSPACE_ID
    assert (graph.user_id, graph.metadata) == ("ada", {"cwd": "."})
    assert [event.to_state for event in graph.events] == ["Planning", "Executing", "Completed"]
    assert graph.events == await parts.store.get_events(made["session"])
    stored = graph.tasks[0].steps[0].tool_calls[0]
    assert stored.parameters == {"path": "login.ts"}
    assert stored.artifacts[0].size == 5
    assert await parts.store.get_artifact_content(made["artifact"]) == b"\x00\xff..."
    for entity in graph.entities():
        assert entity.created_at <= entity.updated_at <= graph.updated_at
    assert_sound(parts.path)


async def test_born_equal_then_strictly_later(parts: Parts) -> None:
    session = await parts.store.create_session("x")
    assert session.created_at == session.updated_at
    stamps = [session.updated_at]
    for n in range(5):
        await parts.store.add_task(session.id, f"task {n}")
        stamps.append((await parts.store.get(session.id)).updated_at)
    assert stamps == sorted(set(stamps))


async def test_siblings_are_numbered_from_0_in_the_order_they_came(parts: Parts) -> None:
    made = await _whole(parts)
    tasks = await asyncio.gather(*(parts.store.add_task(made["session"], f"t{n}") for n in range(5)))
    steps = await asyncio.gather(*(parts.store.add_step(made["task"], f"s{n}") for n in range(5)))
    calls = await asyncio.gather(*(parts.store.add_tool_call(made["step"], f"c{n}") for n in range(5)))
    for siblings in (tasks, steps, calls):
        assert [each.order for each in siblings] == [1, 2, 3, 4, 5]
    graph = await parts.store.get_with_hierarchy(made["session"])
    assert [task.title for task in graph.tasks] == ["Analyse", "t0", "t1", "t2", "t3", "t4"]


async def test_an_artifact_hangs_on_the_task_step_or_call_that_is_named(parts: Parts) -> None:
    made = await _whole(parts)
    for holder, type, places in (
        ("task", ArtifactType.USER_PROMPT, ("task",)),
        ("step", ArtifactType.REASONING, ("task", "step")),
        ("call", ArtifactType.IMAGE, ("task", "step", "call")),
    ):
        content = f"{holder} ".encode() * 1_000
        added = await parts.store.add_artifact(made[holder], type, holder, content, "text/plain")
        ids = {"task": added.task_id, "step": added.step_id, "call": added.tool_call_id}
        assert ids == {name: made[name] if name in places else None for name in ids}
        assert added.session_id == made["session"]
        assert await parts.store.get_artifact(added.id) == added
        assert await parts.store.get_artifact_content(added.id) == content
    graph = await parts.store.get_with_hierarchy(made["session"])
    (task,) = graph.tasks
    (step,) = task.steps
    held = (task.artifacts, step.artifacts, step.tool_calls[0].artifacts[1:])
    assert [[each.name for each in artifacts] for artifacts in held] == [["task"], ["step"], ["call"]]


async def test_a_row_is_added_as_pending_or_as_started(parts: Parts) -> None:
    made = await _whole(parts)
    store = parts.store
    for started, work, call in ((False, "Pending", "Pending"), (True, "InProgress", "Executing")):
        task = await store.add_task(made["session"], "t", started=started)
        step = await store.add_step(task.id, "s", started=started)
        added = await store.add_tool_call(step.id, "c", started=started)
        assert (task.state, step.state, added.state) == (work, work, call)
        assert added.completed_at is None
        stored = (await store.get_with_hierarchy(made["session"])).tasks[-1]
        assert (stored.state, stored.steps[0].state, stored.steps[0].tool_calls[0].state) == (work, work, call)
        done = await store.complete_tool_call(added.id)
        assert done.state is ToolCallState.SUCCEEDED
    with pytest.raises(TransitionError):
        await store.start_tool_call(added.id)


REFUSED: list[tuple[str, tuple[Any, ...], type[Exception]]] = [
    ("transition_session", ("session", SessionState.COMPLETED), TransitionError),
    ("transition_session", ("session", SessionState.FAILED), TransitionError),
    ("transition_session", ("session", "Nonsense"), ValidationError),
    ("transition_session", ("nobody", SessionState.PLANNING), NotFoundError),
    ("transition_task", ("task", WorkState.COMPLETED), TransitionError),
    ("transition_task", ("session", WorkState.IN_PROGRESS), NotFoundError),
    ("transition_step", ("step", WorkState.COMPLETED), TransitionError),
    ("transition_step", ("nobody", WorkState.IN_PROGRESS), NotFoundError),
    ("start_tool_call", ("nobody",), NotFoundError),
    ("fail_tool_call", ("call", " "), ValidationError),
    ("add_task", ("nobody", "x"), NotFoundError),
    ("add_task", ("session", ""), ValidationError),
    ("add_task", ("session", "x\x00"), ValidationError),
    ("add_step", ("session", "x"), NotFoundError),
    ("add_step", ("task", "\ud800"), ValidationError),
    ("add_tool_call", ("task", "x"), NotFoundError),
    ("add_tool_call", ("step", "x", {"a": float("nan")}), ValidationError),
    ("add_artifact", ("session", "FileContent", "x", b"", "text/plain"), NotFoundError),
    ("add_artifact", ("call", "Nonsense", "x", b"", "text/plain"), ValidationError),
    ("add_artifact", ("call", "FileContent", "x", "text", "text/plain"), ValidationError),
    ("create_session", ("x" * 1001,), ValidationError),
    ("create_session", (" ",), ValidationError),
]


@pytest.mark.parametrize(("operation", "arguments", "error"), REFUSED, ids=range(len(REFUSED)))
async def test_a_refusal_changes_nothing(
    parts: Parts, operation: str, arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    made = await _whole(parts)
    before = contents(parts.path)
    given = [made.get(each, new_id() if each == "nobody" else each) for each in arguments if isinstance(each, str)]
    rest = [each for each in arguments if not isinstance(each, str)]
    ordered = [given.pop(0) if isinstance(each, str) else rest.pop(0) for each in arguments]
    with pytest.raises(error):
        await getattr(parts.store, operation)(*ordered)
    assert contents(parts.path) == before


async def test_a_write_with_a_wrong_type_is_refused_by_name_and_changes_nothing(parts: Parts) -> None:
    store = parts.store
    session = await store.create_session("x")
    before = contents(parts.path)
    wrong: Any = None
    for name, refused in (
        ("reason", store.transition_session(session.id, SessionState.FAILED, reason=wrong)),
        ("reason", store.transition_session(session.id, SessionState.PLANNING, reason=wrong)),
        ("id", store.transition_session(wrong, SessionState.PLANNING)),
        ("id", store.add_task(wrong, "x")),
        ("id", store.add_step(wrong, "x")),
        ("id", store.add_tool_call(wrong, "x")),
        ("id", store.start_tool_call(wrong)),
        ("graph", store.save(wrong)),
        ("graph", store.save(session)),  # type: ignore[arg-type]
        ("limit", parts.outbox.get_pending(wrong)),
        ("limit", parts.outbox.get_pending(-1)),
    ):
        with pytest.raises(ValidationError, match=f"{name}: "):
            await refused
    assert contents(parts.path) == before


async def test_a_paused_session_resumes_its_former_state(parts: Parts) -> None:
    session = await parts.store.create_session("x")
    await parts.store.add_task(session.id, "task")
    for state in (SessionState.PLANNING, SessionState.EXECUTING, SessionState.PAUSED):
        await parts.store.transition_session(session.id, state)
    with pytest.raises(TransitionError) as refused:
        await parts.store.transition_session(session.id, SessionState.PLANNING)
    assert "Executing" in refused.value.hint
    resumed = await parts.store.transition_session(session.id, SessionState.EXECUTING)
    assert resumed.state is SessionState.EXECUTING


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


@pytest.mark.parametrize("ending", ["complete_tool_call", "fail_tool_call", "cancel_tool_call"])
async def test_a_call_ends_once(parts: Parts, ending: str) -> None:
    made = await _whole(parts)
    arguments = ("it broke",) if ending == "fail_tool_call" else ()
    ended = await getattr(parts.store, ending)(made["call"], *arguments)
    assert ended.completed_at is not None
    assert ended.completed_at >= ended.created_at
    for again in ("complete_tool_call", "cancel_tool_call", "start_tool_call"):
        with pytest.raises(TransitionError):
            await getattr(parts.store, again)(made["call"])


async def test_an_artifact_may_be_as_large_as_configured_and_no_larger(database: Any) -> None:
    async with open_parts(database, limits=Limits(max_artifact_bytes=10)) as parts:
        made = await _whole(parts)
        await parts.store.add_artifact(made["call"], ArtifactType.FILE_WRITE, "x", b"y" * 10, "text/plain")
        with pytest.raises(ValidationError, match="is 11 bytes; at most 10"):
            await parts.store.add_artifact(made["call"], ArtifactType.FILE_WRITE, "x", b"y" * 11, "text/plain")


async def test_the_same_content_twice_is_two_artifacts(parts: Parts) -> None:
    made = await _whole(parts)
    second = await parts.store.add_artifact(
        made["call"], ArtifactType.FILE_CONTENT, "login.ts", b"\x00\xff...", "text/plain"
    )
    assert second.id != made["artifact"]


async def test_ids_are_found_by_a_unique_prefix_of_their_own_kind(parts: Parts) -> None:
    made = await _whole(parts)
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


@pytest.mark.ac("AC-059")
async def test_hostile_strings_round_trip_exactly_and_the_schema_survives(parts: Parts) -> None:
    before = rows(parts.path, "SELECT * FROM sqlite_master")
    made = []
    for text in HOSTILE:
        session = await parts.store.create_session(text, metadata={text: [text]}, user_id=text)
        task = await parts.store.add_task(session.id, text, description=text)
        step = await parts.store.add_step(task.id, text, description=text, metadata={text: text})
        call = await parts.store.add_tool_call(step.id, text, {text: text})
        await parts.store.fail_tool_call(call.id, text)
        await parts.store.add_artifact(call.id, ArtifactType.MODEL_RESPONSE, text, text.encode(), "text/plain")
        await parts.store.transition_session(session.id, SessionState.CANCELLED, reason=text)
        made.append(session.id)
    for text, session_id in zip(HOSTILE, made, strict=True):
        graph = await parts.store.get_with_hierarchy(session_id)
        task = graph.tasks[0]
        step = task.steps[0]
        call = step.tool_calls[0]
        assert {graph.task_description, graph.user_id, task.title, task.description, step.name} == {text}
        assert {step.description, call.tool_name, call.error_message, graph.events[0].reason} == {text}
        assert (graph.metadata, step.metadata, call.parameters) == ({text: [text]}, {text: text}, {text: text})
        assert call.artifacts[0].name == text
        assert await parts.store.get_artifact_content(call.artifacts[0].id) == text.encode()
    assert rows(parts.path, "SELECT * FROM sqlite_master") == before
    assert_sound(parts.path)


class _Marked(str):
    def __str__(self) -> str:
        return "something else"


class _Count(int):
    pass


class _Measure(float):
    pass


async def test_values_of_derived_classes_are_stored_as_what_they_are(parts: Parts) -> None:
    derived: dict[str, Any] = {_Marked("text"): [_Marked("said"), _Count(5), _Measure(1.5)]}
    session = await parts.store.create_session(_Marked("asked"), metadata=derived, user_id=_Marked("ada"))
    task = await parts.store.add_task(session.id, _Marked("title"))
    step = await parts.store.add_step(task.id, _Marked("name"))
    call = await parts.store.add_tool_call(step.id, _Marked("tool"), derived)
    await parts.store.complete_tool_call(call.id, result=_Measure(2.5))
    graph = await parts.store.get_with_hierarchy(session.id)
    read = graph.tasks[0].steps[0].tool_calls[0]
    plain_values = {"text": ["said", 5, 1.5]}
    assert (graph.task_description, graph.metadata, graph.user_id) == ("asked", plain_values, "ada")
    assert (graph.tasks[0].title, read.tool_name, read.parameters, read.result) == ("title", "tool", plain_values, 2.5)
    assert b"something else" not in encode_json(session)
    assert_sound(parts.path)


@pytest.mark.parametrize("number", [2**64, -(2**80), 10**2_400, -(10**2_400)])
async def test_an_integer_that_is_let_in_is_read_back_exactly(parts: Parts, number: int) -> None:
    made = await _whole(parts)
    await parts.store.complete_tool_call(made["call"], result={"n": number})
    graph = await parts.store.get_with_hierarchy(made["session"])
    assert graph.tasks[0].steps[0].tool_calls[0].result == {"n": number}


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
