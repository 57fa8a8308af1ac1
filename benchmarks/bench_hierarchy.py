"""A whole run of 1,000 tool calls, with its steps and artifacts: read, and saved as an importer saves it.

The floor of reading is the same rows fetched by a bare connection; that of saving, the same rows inserted by one.
"""

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from acode_tui.domain.clock import format_time, system_clock
from acode_tui.domain.codec import digest
from acode_tui.domain.entities import Artifact, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.ids import new_id
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import ArtifactType, EntityType, Operation, SessionState, ToolCallState, WorkState
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.runs import outbox_writes
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized
from benchmarks.timing import milliseconds, timed, timed_call
from benchmarks.workspaces import bare_reader, bare_writer, make_database, workspace
from tests.storage.runs import plain

CALLS = 1_000


def run() -> list[Measure]:
    return asyncio.run(_run())


async def _run() -> list[Measure]:
    async with workspace() as ours:
        graph = make_graph(CALLS, ours.workspace_id)
        saving = await timed(ours.store.save(graph))
        with TemporaryDirectory(prefix="acode-benchmark-") as folder:
            path = await asyncio.to_thread(make_database, Path(folder))
            with bare_writer(path) as bare:
                bare_saving = timed_call(_insert, bare, _prepared(graph))
        times, floor, again = [], [], []
        with bare_reader(ours.database_path) as bare:
            for _ in range(sized(20, 5)):
                floor.append(timed_call(_fetch, bare, graph.id))
                times.append(await timed(ours.store.get_with_hierarchy(graph.id)))
                again.append(await timed(ours.store.save(graph)))
    return [
        at_most(f"full hierarchy of {CALLS:,} tool calls, median", milliseconds(times), "ms", 50).beside(
            milliseconds(floor)
        ),
        at_most(f"a run of {CALLS:,} tool calls saved", saving * 1e3, "ms", 1000).beside(bare_saving * 1e3),
        at_most("the same run saved again, unchanged, median", milliseconds(again), "ms", 250),
    ]


def _fetch(connection: sqlite3.Connection, session_id: str) -> None:
    for kind in TABLES:
        if kind is not EntityType.SESSION:
            connection.execute(rows.SELECT_SESSION_ROWS[kind], (session_id,)).fetchall()


def _prepared(graph: SessionGraph) -> list[tuple[str, list[rows.Row]]]:
    """The statements that insert a run, table by table, and those of its outbox records, with their rows."""
    entities = plain(graph)
    stored = {kind: [rows.to_row(entity) for entity in entities if entity.kind is kind] for kind in TABLES}
    now = format_time(graph.updated_at)
    records = [outbox_writes.outbox_row(kind, row, Operation.INSERT, now) for kind in TABLES for row in stored[kind]]
    return [*((rows.INSERT[kind], stored[kind]) for kind in TABLES), (outbox_writes.ENQUEUE, records)]


def _insert(connection: sqlite3.Connection, prepared: list[tuple[str, list[rows.Row]]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement, given in prepared:
        rows.insert_many(connection, statement, given)
    connection.execute("COMMIT")


def make_graph(calls: int, workspace_id: str, *, content_bytes: int = 1_500) -> SessionGraph:
    """A run as transcripts have them: a step and an artifact a call, eight calls a task, a kilobyte or two each."""
    now = system_clock() - timedelta(hours=1)
    session_id = new_id()
    content = (b"def test_login_form_refuses_blank_names(client):\n" * 400)[:content_bytes]

    def call(task_id: str, step_id: str, number: int) -> ToolCallGraph:
        call_id = new_id()
        artifact = Artifact(
            id=new_id(),
            session_id=session_id,
            task_id=task_id,
            step_id=step_id,
            tool_call_id=call_id,
            type=ArtifactType.FILE_CONTENT,
            name=f"src/module{number % 40}/login_form_{number}.py",
            content_hash=digest(content),
            content_type="text/x-python",
            size=len(content),
            created_at=now,
            updated_at=now,
            content=content,
        )
        return ToolCallGraph(
            id=call_id,
            session_id=session_id,
            step_id=step_id,
            tool_name=("Bash", "Read", "Edit")[number % 3],
            parameters={"command": f"pytest tests/test_login_{number}.py -x -q", "description": "Run the tests " * 4},
            state=ToolCallState.SUCCEEDED,
            order=0,
            created_at=now,
            updated_at=now,
            completed_at=now,
            result={"stdout": "." * 200, "stderr": "", "exitCode": 0},
            artifacts=(artifact,),
        )

    def step(task_id: str, number: int, order: int) -> StepGraph:
        step_id = new_id()
        return StepGraph(
            id=step_id,
            session_id=session_id,
            task_id=task_id,
            name=f"Run the tests of login form {number} and read what they say",
            state=WorkState.COMPLETED,
            order=order,
            created_at=now,
            updated_at=now,
            metadata={"model": "some-model", "inputTokens": 1200 + number, "outputTokens": 340},
            tool_calls=(call(task_id, step_id, number),),
        )

    def task(order: int) -> TaskGraph:
        task_id = new_id()
        numbers = range(order * 8, min(calls, order * 8 + 8))
        return TaskGraph(
            id=task_id,
            session_id=session_id,
            title=f"Make the login form pass, part {order}",
            state=WorkState.COMPLETED,
            order=order,
            created_at=now,
            updated_at=now,
            steps=tuple(step(task_id, number, position) for position, number in enumerate(numbers)),
        )

    return SessionGraph(
        id=session_id,
        task_description="Make the login form pass its tests",
        state=SessionState.COMPLETED,
        created_at=now,
        updated_at=now,
        workspace_id=workspace_id,
        metadata={"cwd": "/home/someone/src/shop"},
        tasks=tuple(task(order) for order in range((calls + 7) // 8)),
    )
