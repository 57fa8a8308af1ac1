"""A session's stamp is its last activity: raised once a transaction by what is written below it."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acode_tui.domain.clock import TICK
from acode_tui.domain.entities import SessionGraph, SessionTask
from acode_tui.domain.errors import AcodeError, TransitionError, ValidationError
from acode_tui.domain.states import ArtifactType, EntityType, SessionState, ToolCallState, WorkState
from acode_tui.storage.sqlite.runs import row_writes
from tests.clocks import NOON, TurnedClock
from tests.storage.sqlite.faults import inject
from tests.storage.sqlite.parts import Parts, assert_sound, count, log_queued_writes, open_parts
from tests.storage.sqlite.runs.runs import make_run


class Recorded(NamedTuple):
    """The ids of a run with one of each."""

    session: str
    task: str
    step: str
    call: str


async def record(parts: Parts, description: str = "a run") -> Recorded:
    session = await parts.store.create_session(description)
    task = await parts.store.add_task(session.id, "task")
    step = await parts.store.add_step(task.id, "step")
    call = await parts.store.add_tool_call(step.id, "tool")
    return Recorded(session.id, task.id, step.id, call.id)


def session_writes(parts: Parts, session_id: str) -> int:
    """How often the session itself was queued since ``log_queued_writes``."""
    return count(parts.path, "queued_writes", "kind = 'session' AND entity_id = ?", session_id)


def below(graph: SessionGraph) -> list[datetime]:
    """The stamps of all rows below a session, except its events."""
    rows = [entity for entity in graph.entities() if entity.kind is not EntityType.SESSION_EVENT]
    return [entity.updated_at for entity in rows if entity.id != graph.id]


async def test_two_writes_of_one_group_touch_their_session_once(parts: Parts) -> None:
    run = await record(parts)
    log_queued_writes(parts.path)
    first, second = await asyncio.gather(
        parts.store.add_task(run.session, "one"), parts.store.start_tool_call(run.call)
    )
    assert count(parts.path, "queued_writes") == 3
    assert session_writes(parts, run.session) == 1
    assert (await parts.store.get(run.session)).updated_at == second.updated_at > first.updated_at
    assert_sound(parts.path)


async def test_each_session_of_a_group_is_touched_by_its_own_writes(parts: Parts) -> None:
    one, other, untouched = [await record(parts, name) for name in ("one", "other", "untouched")]
    log_queued_writes(parts.path)
    await asyncio.gather(*(parts.store.add_task(run.session, f"{n}") for n in range(3) for run in (one, other)))
    after = {run: session_writes(parts, run.session) for run in (one, other, untouched)}
    assert after == {one: 1, other: 1, untouched: 0}


async def test_tasks_and_steps_change_with_their_own_row_alone(parts: Parts) -> None:
    run = await record(parts)
    before = await parts.store.get_with_hierarchy(run.session)
    await parts.store.start_tool_call(run.call)
    await parts.store.add_artifact(run.call, ArtifactType.FILE_CONTENT, "a.txt", b"a", "text/plain")
    call = await parts.store.complete_tool_call(run.call, result=1)
    graph = await parts.store.get_with_hierarchy(run.session)
    (task,) = graph.tasks
    (step,) = task.steps
    assert task.updated_at == before.tasks[0].updated_at
    assert step.updated_at == before.tasks[0].steps[0].updated_at
    assert step.tool_calls[0].updated_at == call.updated_at == graph.updated_at
    assert count(parts.path, "outbox", "entity_type IN ('session_task', 'step')") == 2
    done = await parts.store.transition_step(run.step, WorkState.IN_PROGRESS)
    assert done.updated_at > call.updated_at


async def test_a_session_written_after_what_is_below_it_is_not_written_again(parts: Parts) -> None:
    run = await record(parts)
    log_queued_writes(parts.path)
    _, planning = await asyncio.gather(
        parts.store.add_task(run.session, "more"), parts.store.transition_session(run.session, SessionState.PLANNING)
    )
    assert session_writes(parts, run.session) == 1
    assert await parts.store.get(run.session) == planning


async def test_a_session_written_before_what_is_below_it_follows_and_keeps_its_own_change(parts: Parts) -> None:
    run = await record(parts)
    _, task = await asyncio.gather(
        parts.store.transition_session(run.session, SessionState.PLANNING), parts.store.add_task(run.session, "more")
    )
    session = await parts.store.get(run.session)
    assert (session.state, session.updated_at) == (SessionState.PLANNING, task.updated_at)


async def test_a_session_whose_stamp_lies_in_the_future_moves_on_as_well(parts: Parts) -> None:
    future = NOON + timedelta(days=365)
    run = make_run(1, at=future)
    await parts.store.save(run)
    await asyncio.gather(*(parts.store.add_task(run.id, f"{n}") for n in range(3)))
    assert (await parts.store.get(run.id)).updated_at == future + TICK


async def test_a_session_is_not_behind_a_call_that_changes_twice_in_the_future(parts: Parts) -> None:
    run = make_run(1, at=NOON + timedelta(days=365), calls=1)
    task = run.tasks[0]
    step = task.steps[0]
    pending = msgspec.structs.replace(step.tool_calls[0], state=ToolCallState.PENDING, completed_at=None, result=None)
    step = msgspec.structs.replace(step, tool_calls=(pending,))
    await parts.store.save(msgspec.structs.replace(run, tasks=(msgspec.structs.replace(task, steps=(step,)),)))
    await asyncio.gather(
        parts.store.start_tool_call(pending.id),
        parts.store.complete_tool_call(pending.id),
        parts.store.add_task(run.id, "stamped now"),
    )
    graph = await parts.store.get_with_hierarchy(run.id)
    assert graph.updated_at == max(below(graph)) == pending.updated_at + 2 * TICK


def failing(parts: Parts, run: Recorded, *, halfway: bool) -> Callable[[sqlite3.Connection], None]:
    """A unit that touches its session, after it has written if ``halfway``, and then fails."""

    def unit(connection: sqlite3.Connection) -> None:
        now = parts.writer.clock.tick()
        stored, seen = row_writes.load_with_session_stamp(connection, SessionTask, run.task)
        task = row_writes.stamped(stored, now)
        if halfway:
            row_writes.update(connection, task, now)
        row_writes.touch_session(parts.writer, task, seen, now)
        raise ValidationError("title", "must not be blank")

    return unit


@pytest.mark.parametrize("halfway", [False, True])
async def test_a_unit_that_fails_does_not_touch_its_session(parts: Parts, halfway: bool) -> None:
    run, other = await record(parts), await record(parts, "other")
    before = await parts.store.get_with_hierarchy(run.session)
    log_queued_writes(parts.path)
    answers = await asyncio.gather(
        parts.store.add_task(other.session, "one"),
        parts.writer.run(failing(parts, run, halfway=halfway)),
        parts.store.add_task(other.session, "two"),
        return_exceptions=True,
    )
    assert isinstance(answers[1], ValidationError)
    assert await parts.store.get_with_hierarchy(run.session) == before
    assert count(parts.path, "queued_writes") == 3
    last = answers[2]
    assert isinstance(last, SessionTask)
    assert (await parts.store.get(other.session)).updated_at == last.updated_at


@pytest.mark.parametrize("halfway", [False, True])
async def test_a_failed_unit_takes_its_own_touch_and_leaves_those_of_its_session(parts: Parts, halfway: bool) -> None:
    run = await record(parts)
    task, error = await asyncio.gather(
        parts.store.add_task(run.session, "one"),
        parts.writer.run(failing(parts, run, halfway=halfway)),
        return_exceptions=True,
    )
    assert isinstance(error, ValidationError)
    assert isinstance(task, SessionTask)
    assert (await parts.store.get(run.session)).updated_at == task.updated_at


@pytest.mark.ac("AC-005")
async def test_a_fault_at_any_statement_of_a_group_leaves_no_row_without_its_touch(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = inject(monkeypatch)
    async with open_parts(database) as parts:
        run = await record(parts)
        faults.arm(None)
        await asyncio.gather(*(parts.store.add_task(run.session, f"{n}") for n in range(3)))
        for nth in range(1, len(faults.disarm()) + 1):
            faults.arm(nth)
            answers = await asyncio.gather(
                *(parts.store.add_task(run.session, f"{nth}-{n}") for n in range(3)), return_exceptions=True
            )
            faults.disarm()
            assert all(isinstance(each, AcodeError) for each in answers if isinstance(each, BaseException))
            graph = await parts.store.get_with_hierarchy(run.session)
            assert graph.updated_at == max(below(graph))
    assert_sound(database)


Write = Callable[[Parts, SessionGraph], Awaitable[object]]


def _first_call(graph: SessionGraph) -> str:
    return graph.tasks[0].steps[0].tool_calls[0].id


WRITES: dict[str, Write] = {
    "add_task": lambda p, g: p.store.add_task(g.id, "task"),
    "transition_task": lambda p, g: p.store.transition_task(g.tasks[-1].id, WorkState.IN_PROGRESS),
    "add_step": lambda p, g: p.store.add_step(g.tasks[-1].id, "step"),
    "transition_step": lambda p, g: p.store.transition_step(g.tasks[0].steps[-1].id, WorkState.IN_PROGRESS),
    "add_tool_call": lambda p, g: p.store.add_tool_call(g.tasks[0].steps[-1].id, "tool"),
    "start_tool_call": lambda p, g: p.store.start_tool_call(_first_call(g)),
    "complete_tool_call": lambda p, g: p.store.complete_tool_call(_first_call(g), result=1),
    "fail_tool_call": lambda p, g: p.store.fail_tool_call(_first_call(g), "it broke"),
    "add_artifact": lambda p, g: p.store.add_artifact(
        _first_call(g), ArtifactType.FILE_CONTENT, "a", b"a", "text/plain"
    ),
    "transition_session": lambda p, g: p.store.transition_session(g.id, SessionState.CANCELLED),
    "save a later call": lambda p, g: p.store.save(_with_later_call(g)),
}


def _with_later_call(graph: SessionGraph) -> SessionGraph:
    task = graph.tasks[0]
    step = task.steps[0]
    call = msgspec.structs.replace(step.tool_calls[0], updated_at=graph.updated_at + timedelta(days=1))
    step = msgspec.structs.replace(step, tool_calls=(call, *step.tool_calls[1:]))
    task = msgspec.structs.replace(task, steps=(step, *task.steps[1:]))
    return msgspec.structs.replace(graph, tasks=(task, *graph.tasks[1:]))


@given(groups=st.lists(st.lists(st.sampled_from(list(WRITES)), min_size=1, max_size=4), max_size=5))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_session_is_never_behind_what_is_below_it(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[str]]
) -> None:
    clock = TurnedClock()
    async with open_parts(tmp_path_factory.mktemp("law") / "workspace.db", wall=clock) as parts:
        run = await record(parts)
        for group in groups:
            # Under a clock that may have been set back.
            clock.turn(hours=-1)
            graph = await parts.store.get_with_hierarchy(run.session)
            changes: list[Any] = await asyncio.gather(
                *(WRITES[name](parts, graph) for name in group), return_exceptions=True
            )
            refused = [each for each in changes if isinstance(each, BaseException)]
            assert all(isinstance(each, TransitionError) for each in refused)
            after = await parts.store.get_with_hierarchy(run.session)
            assert after.updated_at >= max(below(after))
            # Every group moves the stamp, unless each of its writes was refused.
            assert (after.updated_at > graph.updated_at) == (len(refused) < len(group))
        assert_sound(parts.path)
