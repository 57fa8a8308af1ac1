"""``save`` brings the stored run to the given one: what differs is written and queued, nothing else is touched."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.clock import MonotonicClock, parse_time
from acode_tui.domain.entities import Artifact, Entity, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.errors import AcodeError, ValidationError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType, SessionState, ToolCallState, WorkState
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import SaveResult
from acode_tui.storage.sqlite.migrate import migrate
from acode_tui.storage.sqlite.runs.prepare import prepare_run, rows_of
from acode_tui.storage.sqlite.runs.read_graph import read_graph
from acode_tui.storage.sqlite.runs.save_graph import save_graph, save_runs
from tests.clocks import NOON, TurnedClock
from tests.domain.graphs import graphs, objects, text
from tests.storage.sqlite.parts import Parts, assert_sound, contents, count, log_queued_writes, rows
from tests.storage.sqlite.runs.runs import ident, make_run

LATER = NOON + timedelta(hours=1)


class Stopped(MonotonicClock):
    """A clock that always gives the same stamp."""

    def tick(self) -> datetime:
        return NOON


def with_call(run: SessionGraph, order: int, change: Callable[[ToolCallGraph], ToolCallGraph]) -> SessionGraph:
    """The run with one of its calls changed."""
    task = run.tasks[0]
    step = task.steps[0]
    calls = tuple(change(call) if call.order == order else call for call in step.tool_calls)
    step = msgspec.structs.replace(step, tool_calls=calls)
    return msgspec.structs.replace(run, tasks=(msgspec.structs.replace(task, steps=(step,)),))


def replaced(**changes: Any) -> Callable[[ToolCallGraph], ToolCallGraph]:
    return lambda call: msgspec.structs.replace(call, **changes)


def stamps(path: Path) -> dict[str, str]:
    """``updated_at`` of every mutable row of run 1, by a name for it."""
    found = {}
    for name in ("session", "task", "step"):
        table = {"session": "sessions", "task": "session_tasks", "step": "steps"}[name]
        found[name] = rows(path, f"SELECT updated_at FROM {table} WHERE id = ?", ident(1, name))[0][0]
    for order in (0, 1):
        found[f"call {order}"] = rows(path, "SELECT updated_at FROM tool_calls WHERE id = ?", ident(1, "call", order))[
            0
        ][0]
    return found


async def test_a_new_run_is_inserted_whole_and_queued_parents_first(parts: Parts) -> None:
    result = await parts.store.save(make_run(1))
    assert result == SaveResult(
        inserted={
            EntityType.SESSION: 1,
            EntityType.SESSION_EVENT: 2,
            EntityType.SESSION_TASK: 1,
            EntityType.STEP: 1,
            EntityType.TOOL_CALL: 2,
            EntityType.ARTIFACT: 2,
        }
    )
    assert result.written == 9
    queued = [record.entity_type.value for record in await parts.outbox.list(status="all")]
    order = [kind.value for kind in TABLES]
    assert queued == sorted(queued, key=order.index)
    assert {record.operation for record in await parts.outbox.list()} == {"insert"}
    assert_sound(parts.path)


async def test_an_unchanged_run_writes_nothing_and_queues_nothing(parts: Parts) -> None:
    await parts.store.save(make_run(1))
    before = contents(parts.path)
    changes = await parts.connection.run(lambda raw: raw.total_changes)
    result = await parts.store.save(make_run(1))
    assert (result.written, result.unchanged) == (0, 9)
    assert contents(parts.path) == before
    assert await parts.connection.run(lambda raw: raw.total_changes) == changes


async def test_the_same_run_read_back_writes_nothing(parts: Parts) -> None:
    await parts.store.save(make_run(1, metadata={"b": 1, "a": {"z": [1.5, None], "y": "é"}}))
    stored = await parts.store.get_with_hierarchy(ident(1, "session"))
    assert (await parts.store.save(stored)).written == 0


async def test_only_rows_that_differ_are_written_and_queued(parts: Parts) -> None:
    await parts.store.save(make_run(1))
    log_queued_writes(parts.path)
    changed = with_call(make_run(1), 1, replaced(result={"lines": 99}, updated_at=LATER))
    result = await parts.store.save(changed)
    assert result.updated == {EntityType.TOOL_CALL: 1, EntityType.SESSION: 1}
    assert result.inserted == {}
    assert rows(parts.path, "SELECT kind FROM queued_writes ORDER BY 1") == [("session",), ("tool_call",)]
    assert count(parts.path, "outbox") == 9
    assert rows(parts.path, "SELECT result FROM tool_calls WHERE id = ?", ident(1, "call", 1)) == [('{"lines":99}',)]
    assert_sound(parts.path)


async def test_a_later_stamp_is_taken_over_and_reaches_the_session_alone(parts: Parts) -> None:
    await parts.store.save(make_run(1))
    before = stamps(parts.path)
    await parts.store.save(with_call(make_run(1), 0, replaced(state=ToolCallState.FAILED, updated_at=LATER)))
    after = stamps(parts.path)
    assert {name for name in after if after[name] != before[name]} == {"call 0", "session"}
    assert {parse_time(after[name]) for name in ("call 0", "session")} == {LATER}


async def test_a_change_without_a_later_stamp_takes_the_clocks_next(parts: Parts, clock: TurnedClock) -> None:
    await parts.store.save(make_run(1))
    now = clock.turn(hours=5)
    await parts.store.save(with_call(make_run(1), 0, replaced(error_message="seen only now")))
    after = stamps(parts.path)
    assert {parse_time(after[name]) for name in ("call 0", "session")} == {now}
    assert {parse_time(after[name]) for name in ("call 1", "step", "task")} == {NOON}
    assert_sound(parts.path)


async def test_a_change_under_a_stored_future_stamp_still_moves_forward(parts: Parts) -> None:
    future = NOON + timedelta(days=365)
    await parts.store.save(make_run(1, at=future))
    await parts.store.save(msgspec.structs.replace(make_run(1, at=future), task_description="changed"))
    session = await parts.store.get(ident(1, "session"))
    assert session.task_description == "changed"
    assert session.updated_at > future
    assert_sound(parts.path)


async def test_a_late_call_raises_the_stamp_of_its_session_alone(parts: Parts) -> None:
    await parts.store.save(make_run(1, calls=1))
    grown = make_run(1, calls=2)
    late = with_call(
        grown,
        1,
        lambda call: msgspec.structs.replace(call, created_at=LATER, updated_at=LATER, completed_at=LATER),
    )
    result = await parts.store.save(late)
    assert result.inserted == {EntityType.TOOL_CALL: 1, EntityType.ARTIFACT: 1}
    after = stamps(parts.path)
    assert {name for name in after if parse_time(after[name]) == LATER} == {"call 1", "session"}


async def test_a_late_artifact_raises_the_stamp_of_its_session_alone(parts: Parts) -> None:
    bare = with_call(make_run(1), 0, replaced(artifacts=()))
    await parts.store.save(bare)
    whole = with_call(
        make_run(1),
        0,
        lambda call: msgspec.structs.replace(
            call,
            artifacts=tuple(
                msgspec.structs.replace(each, created_at=LATER, updated_at=LATER) for each in call.artifacts
            ),
        ),
    )
    result = await parts.store.save(whole)
    assert result.inserted == {EntityType.ARTIFACT: 1}
    after = stamps(parts.path)
    assert {name for name in after if parse_time(after[name]) == LATER} == {"session"}


async def test_a_moved_on_stamp_alone_is_written_for_that_row_alone(parts: Parts) -> None:
    await parts.store.save(make_run(1))
    result = await parts.store.save(msgspec.structs.replace(make_run(1), updated_at=LATER))
    assert result.updated == {EntityType.SESSION: 1}
    assert parse_time(stamps(parts.path)["session"]) == LATER
    earlier = await parts.store.save(make_run(1))
    assert earlier.written == 0


async def test_events_and_artifacts_are_never_changed(parts: Parts) -> None:
    await parts.store.save(make_run(1))
    events = tuple(msgspec.structs.replace(each, reason="rewritten", updated_at=LATER) for each in make_run(1).events)
    other = b"rewritten"
    changed = with_call(
        msgspec.structs.replace(make_run(1), events=events),
        0,
        lambda call: msgspec.structs.replace(
            call, artifacts=tuple(msgspec.structs.replace(each, name="rewritten") for each in call.artifacts)
        ),
    )
    assert (await parts.store.save(changed)).written == 0
    assert count(parts.path, "session_events", "reason = 'rewritten'") == 0
    assert count(parts.path, "artifacts", "name = ?", other.decode()) == 0


async def test_nothing_is_deleted(parts: Parts) -> None:
    await parts.store.save(make_run(1))
    result = await parts.store.save(msgspec.structs.replace(make_run(1), tasks=(), events=()))
    assert result.written == 0
    assert count(parts.path, "tool_calls") == 2


async def test_a_new_artifact_without_content_is_refused_and_a_stored_one_needs_none(parts: Parts) -> None:
    def bare(call: ToolCallGraph) -> ToolCallGraph:
        artifacts = tuple(msgspec.structs.replace(each, content=None) for each in call.artifacts)
        return msgspec.structs.replace(call, artifacts=artifacts)

    without = with_call(make_run(1), 0, bare)
    with pytest.raises(AcodeError, match="has no content to store"):
        await parts.store.save(without)
    assert count(parts.path, "sessions") == 0
    await parts.store.save(make_run(1))
    assert (await parts.store.save(without)).written == 0


async def test_a_sync_version_is_the_stores_own(parts: Parts) -> None:
    await parts.store.save(make_run(1, sync_version=9))
    assert (await parts.store.get(ident(1, "session"))).sync_version == 0
    await parts.writer.run(lambda raw: raw.execute("UPDATE sessions SET sync_version = 4").rowcount)
    assert (await parts.store.save(make_run(1, sync_version=0))).written == 0
    await parts.store.save(make_run(1, description="changed", sync_version=0))
    assert (await parts.store.get(ident(1, "session"))).sync_version == 4


async def test_a_run_of_another_session_with_the_same_ids_is_refused(parts: Parts) -> None:
    await parts.store.save(make_run(1))
    sid = ident(2, "session")

    def moved(entity: Any, **more: Any) -> Any:
        return msgspec.structs.replace(entity, session_id=sid, **more)

    task = make_run(1).tasks[0]
    stolen = msgspec.structs.replace(make_run(2), tasks=(moved(task, steps=()),), events=())
    with pytest.raises(AcodeError, match="UNIQUE"):
        await parts.store.save(stolen)
    assert count(parts.path, "sessions") == 1


async def test_a_bad_run_is_refused_before_anything_is_written(parts: Parts) -> None:
    with pytest.raises(ValidationError, match="task_description"):
        await parts.store.save(make_run(1, description=" "))
    assert count(parts.path, "sessions") == 0


TEMPLATE = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> sqlite3.Connection:
    """A migrated database in memory, to copy for each example."""
    if not TEMPLATE.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        migrate(TEMPLATE, packaged("sqlite"), lock_path=tmp_path_factory.mktemp("locks") / "migrate.lock")
    return TEMPLATE


def _content(entity: Entity) -> dict[str, Any]:
    """The recorded content, without stamps and versions."""
    hidden = {"updated_at", "sync_version"}
    return {c.name: getattr(entity, c.name) for c in TABLES[entity.kind].columns if c.name not in hidden}


def _mutable(graph: SessionGraph) -> dict[str, dict[str, Any]]:
    return {entity.id: _content(entity) for entity in graph.entities() if TABLES[entity.kind].mutable}


@st.composite
def versions(draw: st.DrawFn) -> tuple[SessionGraph, SessionGraph]:
    """A run and another version of it: other values, other stamps, children added."""
    first = draw(graphs())
    spare: dict[str, Any] = {
        "created_at": first.created_at,
        "updated_at": draw(st.sampled_from([first.created_at, first.updated_at])),
    }
    tasks: list[TaskGraph] = []
    for task in first.tasks:
        steps: list[StepGraph] = []
        for step in task.steps:
            calls = [
                msgspec.structs.replace(
                    call,
                    result=draw(st.sampled_from([call.result, "other", None])),
                    state=draw(st.sampled_from([call.state, ToolCallState.FAILED])),
                    updated_at=draw(st.sampled_from([call.updated_at, call.updated_at + timedelta(seconds=1)])),
                )
                for call in step.tool_calls
            ]
            steps.append(msgspec.structs.replace(step, tool_calls=tuple(calls), metadata=draw(objects)))
        tasks.append(msgspec.structs.replace(task, steps=tuple(steps), description=draw(st.one_of(st.none(), text))))
    if draw(st.booleans()):
        tasks.append(
            TaskGraph(
                id=draw(st.uuids().map(str)),
                session_id=first.id,
                title="added",
                state=WorkState.PENDING,
                order=len(tasks),
                **spare,
            )
        )
    second = msgspec.structs.replace(
        first,
        tasks=tuple(tasks),
        state=draw(st.sampled_from(SessionState)),
        metadata=draw(objects),
        updated_at=draw(st.sampled_from([first.created_at, first.updated_at, first.updated_at + timedelta(days=1)])),
    )
    return first, second


@given(pair=versions())
def test_saving_two_versions_in_sequence_yields_the_second(
    empty: sqlite3.Connection, pair: tuple[SessionGraph, SessionGraph]
) -> None:
    first, second = pair
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        empty.backup(connection)
        clock = MonotonicClock(TurnedClock())
        save_graph(connection, first, clock)
        before = {e.id: e.updated_at for e in read_graph(connection, first.id).entities()}
        assert _mutable(read_graph(connection, first.id)) == _mutable(first)
        result = save_graph(connection, second, clock)
        stored = read_graph(connection, first.id)
        assert _mutable(stored) == _mutable(second)
        _assert_stamps(stored, first, second, before)
        changes = connection.total_changes
        again = save_graph(connection, second, clock)
        assert (again.written, connection.total_changes) == (0, changes)
        folded = connection.execute("SELECT count(*) FROM outbox WHERE updated_at > created_at").fetchone()[0]
        assert folded == sum(result.updated.values())
        rows_in_all = sum(1 for _ in stored.entities())
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (rows_in_all,)


def _dump(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every ordinary table."""
    tables = [row[1] for row in connection.execute("PRAGMA table_list").fetchall() if row[2] == "table"]
    return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables}


@given(graph=graphs())
def test_the_columns_of_a_prepared_run_are_those_of_its_rows(graph: SessionGraph) -> None:
    found = prepare_run(graph, True)[0]
    expected = [[value for row in rows_of_kind for value in row] for rows_of_kind in rows_of(graph).values()]
    assert found == expected


@given(pair=versions(), carried=st.booleans())
def test_a_run_made_ready_before_is_stored_as_one_that_is_compared(
    empty: sqlite3.Connection, pair: tuple[SessionGraph, SessionGraph], carried: bool
) -> None:
    dumps = []
    for new in (True, False):
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            empty.backup(connection)
            clock = MonotonicClock(TurnedClock())
            results = []
            for graph in (*pair, pair[0]):
                run = prepare_run(graph, new)
                # Another process sends it as lists.
                run = msgspec.msgpack.decode(msgspec.msgpack.encode(run)) if carried else run
                results += save_runs(connection, [run], clock)
            dumps.append((results, _dump(connection)))
    assert dumps[0] == dumps[1]


@given(pairs=st.lists(versions(), min_size=1, max_size=3), data=st.data())
def test_runs_saved_together_are_stored_as_one_by_one(
    empty: sqlite3.Connection, pairs: list[tuple[SessionGraph, SessionGraph]], data: st.DataObject
) -> None:
    # New ones, the same session again, and one that was stored before, in any order.
    runs = [prepare_run(graph, True) for pair in pairs for graph in pair]
    runs = [runs[index] for index in data.draw(st.permutations(range(len(runs))))]
    stored, found = [], []
    for together in (True, False):
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            empty.backup(connection)
            batches = [runs] if together else [[run] for run in runs]
            found.append([result for batch in batches for result in save_runs(connection, batch, Stopped())])
            lanes = "SELECT session_id, idempotency_key, operation FROM outbox ORDER BY session_id, id"
            every = [f"SELECT * FROM {table.name} ORDER BY id" for table in TABLES.values()]
            tables = [connection.execute(statement).fetchall() for statement in every]
            stored.append((tables, connection.execute(lanes).fetchall()))
    assert found[0] == found[1]
    assert stored[0] == stored[1]


@pytest.mark.parametrize("version", [0, 7])
def test_a_sessions_stamp_older_than_one_below_it_is_raised(empty: sqlite3.Connection, version: int) -> None:
    late = with_call(make_run(1), 0, replaced(updated_at=LATER, sync_version=version))
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        empty.backup(connection)
        save_runs(connection, [prepare_run(late, True)], MonotonicClock(TurnedClock()))
        stored = read_graph(connection, late.id)
        task = stored.tasks[0]
        step = task.steps[0]
        assert stored.updated_at == step.tool_calls[0].updated_at == LATER
        assert step.tool_calls[0].sync_version == 0
        assert step.updated_at == task.updated_at == NOON


def _assert_stamps(
    stored: SessionGraph, first: SessionGraph, second: SessionGraph, before: dict[str, datetime]
) -> None:
    """Stamps only rise, rise where content differs, and a session is never older than a row written below it."""
    old, new = _mutable(first), _mutable(second)
    for entity in stored.entities():
        if entity.id not in before:
            continue
        assert entity.updated_at >= before[entity.id]
        if entity.id in old and old[entity.id] != new[entity.id]:
            assert entity.updated_at > before[entity.id]
    below = [entity for entity in stored.entities() if entity.kind is not EntityType.SESSION_EVENT]
    assert all(stored.updated_at >= entity.updated_at for entity in below)
    # Tasks, steps and calls have the stamp that they came with, or that of a change without a later one.
    given = {entity.id: entity for entity in second.entities()}
    for entity in below:
        if TABLES[entity.kind].mutable and entity.id != stored.id and old.get(entity.id) == new.get(entity.id):
            assert entity.updated_at == max(before[entity.id], given[entity.id].updated_at)


def test_artifacts_are_immutable() -> None:
    assert not TABLES[Artifact.kind].mutable
