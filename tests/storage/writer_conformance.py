"""What every ``RunStateStore`` promises on either database: each tier subclasses this with its own fixture.

A subclass's module provides a fixture ``tier``: an open store, and what its database holds.
"""

import asyncio
from typing import Any, Protocol

import pytest

from acode_tui.domain.codec import encode_json
from acode_tui.domain.errors import NotFoundError, TransitionError, ValidationError
from acode_tui.domain.ids import new_id
from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState, WorkState
from acode_tui.storage.ports import RunStateStore
from tests.domain.graphs import HOSTILE

WORKSPACE_ID = "0190d6a1-0000-7000-8000-000000000001"


class Tier(Protocol):
    """An open store of workspace ``WORKSPACE_ID`` and user ``ada``, and its database as another program sees it."""

    @property
    def store(self) -> RunStateStore: ...

    async def stored(self) -> Any:
        """Everything that a write may change."""
        ...

    async def schema(self) -> Any:
        """The tables and their columns."""
        ...

    async def require_sound(self) -> None:
        """Fail unless every row stands beside what must be written with it."""
        ...


async def whole_run(store: RunStateStore) -> dict[str, str]:
    """A run with a row of each kind; the ids by name."""
    session = await store.create_session("Add input validation", metadata={"cwd": "."})
    task = await store.add_task(session.id, "Analyse", description="as asked")
    step = await store.add_step(task.id, "Read the login form")
    call = await store.add_tool_call(step.id, "read_file", {"path": "login.ts"})
    artifact = await store.add_artifact(call.id, ArtifactType.FILE_CONTENT, "login.ts", b"\x00\xff...", "text/plain")
    return {"session": session.id, "task": task.id, "step": step.id, "call": call.id, "artifact": artifact.id}


REFUSED: list[tuple[str, tuple[Any, ...], type[Exception]]] = [
    ("transition_session", ("session", SessionState.COMPLETED), TransitionError),
    ("transition_session", ("session", SessionState.FAILED), TransitionError),
    ("transition_session", ("session", "Nonsense"), ValidationError),
    ("transition_session", ("unknown", SessionState.PLANNING), NotFoundError),
    ("transition_task", ("task", WorkState.COMPLETED), TransitionError),
    ("transition_task", ("session", WorkState.IN_PROGRESS), NotFoundError),
    ("transition_step", ("step", WorkState.COMPLETED), TransitionError),
    ("transition_step", ("unknown", WorkState.IN_PROGRESS), NotFoundError),
    ("start_tool_call", ("unknown",), NotFoundError),
    ("fail_tool_call", ("call", " "), ValidationError),
    ("add_task", ("unknown", "x"), NotFoundError),
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


class _Marked(str):
    def __str__(self) -> str:
        return "something else"


class _Count(int):
    pass


class _Measure(float):
    pass


class WriterConformance:
    """Mix into a test class beside a ``tier`` fixture."""

    async def test_a_run_recorded_step_by_step_reads_back_whole(self, tier: Tier) -> None:
        made = await whole_run(tier.store)
        await tier.store.transition_session(made["session"], SessionState.PLANNING, reason="start")
        await tier.store.transition_session(made["session"], SessionState.EXECUTING)
        await tier.store.transition_task(made["task"], WorkState.IN_PROGRESS)
        await tier.store.transition_step(made["step"], WorkState.IN_PROGRESS)
        call = await tier.store.complete_tool_call(made["call"], result={"lines": 120})
        assert (call.state, call.result) == (ToolCallState.SUCCEEDED, {"lines": 120})
        assert call.completed_at is not None
        await tier.store.transition_step(made["step"], WorkState.COMPLETED)
        await tier.store.transition_task(made["task"], WorkState.COMPLETED)
        done = await tier.store.transition_session(made["session"], SessionState.COMPLETED)
        graph = await tier.store.get_with_hierarchy(made["session"])
        assert graph.state is done.state is SessionState.COMPLETED
        assert graph.workspace_id == WORKSPACE_ID
        assert (graph.user_id, graph.metadata) == ("ada", {"cwd": "."})
        assert [event.to_state for event in graph.events] == ["Planning", "Executing", "Completed"]
        assert graph.events == await tier.store.get_events(made["session"])
        stored = graph.tasks[0].steps[0].tool_calls[0]
        assert stored.parameters == {"path": "login.ts"}
        assert stored.artifacts[0].size == 5
        assert await tier.store.get_artifact_content(made["artifact"]) == b"\x00\xff..."
        for entity in graph.entities():
            assert entity.created_at <= entity.updated_at <= graph.updated_at
        await tier.require_sound()

    async def test_born_equal_then_strictly_later(self, tier: Tier) -> None:
        session = await tier.store.create_session("x")
        assert session.created_at == session.updated_at
        stamps = [session.updated_at]
        for n in range(5):
            await tier.store.add_task(session.id, f"task {n}")
            stamps.append((await tier.store.get(session.id)).updated_at)
        assert stamps == sorted(set(stamps))

    async def test_siblings_are_numbered_from_0_in_the_order_they_came(self, tier: Tier) -> None:
        made = await whole_run(tier.store)
        tasks = await asyncio.gather(*(tier.store.add_task(made["session"], f"t{n}") for n in range(5)))
        steps = await asyncio.gather(*(tier.store.add_step(made["task"], f"s{n}") for n in range(5)))
        calls = await asyncio.gather(*(tier.store.add_tool_call(made["step"], f"c{n}") for n in range(5)))
        for siblings in (tasks, steps, calls):
            assert [each.order for each in siblings] == [1, 2, 3, 4, 5]
        graph = await tier.store.get_with_hierarchy(made["session"])
        assert [task.title for task in graph.tasks] == ["Analyse", "t0", "t1", "t2", "t3", "t4"]

    async def test_an_artifact_hangs_on_the_task_step_or_call_that_is_named(self, tier: Tier) -> None:
        made = await whole_run(tier.store)
        for holder, type, places in (
            ("task", ArtifactType.USER_PROMPT, ("task",)),
            ("step", ArtifactType.REASONING, ("task", "step")),
            ("call", ArtifactType.IMAGE, ("task", "step", "call")),
        ):
            content = f"{holder} ".encode() * 1_000
            added = await tier.store.add_artifact(made[holder], type, holder, content, "text/plain")
            ids = {"task": added.task_id, "step": added.step_id, "call": added.tool_call_id}
            assert ids == {name: made[name] if name in places else None for name in ids}
            assert added.session_id == made["session"]
            assert await tier.store.get_artifact(added.id) == added
            assert await tier.store.get_artifact_content(added.id) == content
        graph = await tier.store.get_with_hierarchy(made["session"])
        (task,) = graph.tasks
        (step,) = task.steps
        held = (task.artifacts, step.artifacts, step.tool_calls[0].artifacts[1:])
        assert [[each.name for each in artifacts] for artifacts in held] == [["task"], ["step"], ["call"]]

    async def test_a_row_is_added_as_pending_or_as_started(self, tier: Tier) -> None:
        made = await whole_run(tier.store)
        store = tier.store
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

    async def test_a_refusal_changes_nothing(self, tier: Tier) -> None:
        made = await whole_run(tier.store)
        before = await tier.stored()
        for operation, arguments, error in REFUSED:
            ordered = [
                made.get(each, new_id() if each == "unknown" else each) if isinstance(each, str) else each
                for each in arguments
            ]
            with pytest.raises(error):
                await getattr(tier.store, operation)(*ordered)
        assert await tier.stored() == before

    async def test_a_write_with_a_wrong_type_is_refused_by_name_and_changes_nothing(self, tier: Tier) -> None:
        store = tier.store
        session = await store.create_session("x")
        before = await tier.stored()
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
        ):
            with pytest.raises(ValidationError, match=f"{name}: "):
                await refused
        assert await tier.stored() == before

    async def test_a_paused_session_resumes_its_former_state(self, tier: Tier) -> None:
        session = await tier.store.create_session("x")
        await tier.store.add_task(session.id, "task")
        for state in (SessionState.PLANNING, SessionState.EXECUTING, SessionState.PAUSED):
            await tier.store.transition_session(session.id, state)
        with pytest.raises(TransitionError) as refused:
            await tier.store.transition_session(session.id, SessionState.PLANNING)
        assert "Executing" in refused.value.hint
        resumed = await tier.store.transition_session(session.id, SessionState.EXECUTING)
        assert resumed.state is SessionState.EXECUTING

    async def test_a_call_ends_once(self, tier: Tier) -> None:
        made = await whole_run(tier.store)
        for ending, arguments in (
            ("complete_tool_call", ()),
            ("fail_tool_call", ("it broke",)),
            ("cancel_tool_call", ()),
        ):
            call = await tier.store.add_tool_call(made["step"], ending)
            ended = await getattr(tier.store, ending)(call.id, *arguments)
            assert ended.completed_at is not None
            assert ended.completed_at >= ended.created_at
            for again in ("complete_tool_call", "cancel_tool_call", "start_tool_call"):
                with pytest.raises(TransitionError):
                    await getattr(tier.store, again)(call.id)

    async def test_the_same_content_twice_is_two_artifacts(self, tier: Tier) -> None:
        made = await whole_run(tier.store)
        second = await tier.store.add_artifact(
            made["call"], ArtifactType.FILE_CONTENT, "login.ts", b"\x00\xff...", "text/plain"
        )
        assert second.id != made["artifact"]

    @pytest.mark.ac("AC-059")
    async def test_hostile_strings_round_trip_exactly_and_the_schema_survives(self, tier: Tier) -> None:
        before = await tier.schema()
        made = []
        for text in HOSTILE:
            session = await tier.store.create_session(text, metadata={text: [text]}, user_id=text)
            task = await tier.store.add_task(session.id, text, description=text)
            step = await tier.store.add_step(task.id, text, description=text, metadata={text: text})
            call = await tier.store.add_tool_call(step.id, text, {text: text})
            await tier.store.fail_tool_call(call.id, text)
            await tier.store.add_artifact(call.id, ArtifactType.MODEL_RESPONSE, text, text.encode(), "text/plain")
            await tier.store.transition_session(session.id, SessionState.CANCELLED, reason=text)
            made.append(session.id)
        for text, session_id in zip(HOSTILE, made, strict=True):
            graph = await tier.store.get_with_hierarchy(session_id)
            task = graph.tasks[0]
            step = task.steps[0]
            call = step.tool_calls[0]
            assert {graph.task_description, graph.user_id, task.title, task.description, step.name} == {text}
            assert {step.description, call.tool_name, call.error_message, graph.events[0].reason} == {text}
            assert (graph.metadata, step.metadata, call.parameters) == ({text: [text]}, {text: text}, {text: text})
            assert call.artifacts[0].name == text
            assert await tier.store.get_artifact_content(call.artifacts[0].id) == text.encode()
        assert await tier.schema() == before
        await tier.require_sound()

    async def test_values_of_derived_classes_are_stored_as_what_they_are(self, tier: Tier) -> None:
        derived: dict[str, Any] = {_Marked("text"): [_Marked("said"), _Count(5), _Measure(1.5)]}
        session = await tier.store.create_session(_Marked("asked"), metadata=derived, user_id=_Marked("ada"))
        task = await tier.store.add_task(session.id, _Marked("title"))
        step = await tier.store.add_step(task.id, _Marked("name"))
        call = await tier.store.add_tool_call(step.id, _Marked("tool"), derived)
        await tier.store.complete_tool_call(call.id, result=_Measure(2.5))
        graph = await tier.store.get_with_hierarchy(session.id)
        read = graph.tasks[0].steps[0].tool_calls[0]
        plain_values = {"text": ["said", 5, 1.5]}
        assert (graph.task_description, graph.metadata, graph.user_id) == ("asked", plain_values, "ada")
        assert (graph.tasks[0].title, read.tool_name, read.parameters, read.result) == (
            "title",
            "tool",
            plain_values,
            2.5,
        )
        assert b"something else" not in encode_json(session)
        await tier.require_sound()

    async def test_an_integer_that_is_let_in_is_read_back_exactly(self, tier: Tier) -> None:
        made = await whole_run(tier.store)
        numbers = [2**64, -(2**80), 10**2_400, -(10**2_400)]
        await tier.store.complete_tool_call(made["call"], result={"n": numbers})
        graph = await tier.store.get_with_hierarchy(made["session"])
        assert graph.tasks[0].steps[0].tool_calls[0].result == {"n": numbers}
