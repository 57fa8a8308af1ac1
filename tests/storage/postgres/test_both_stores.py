"""Law: the same operations on a workspace file and straight on PostgreSQL end alike and leave equal runs."""

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import ArtifactType, SessionState, WorkState
from acode_tui.storage.ports import RunStateStore
from tests.pg import Database
from tests.storage.postgres.direct import open_direct
from tests.storage.sqlite.parts import open_parts

Operation = tuple[str, int, Any]

operations = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("artifact"), st.integers(0, 9), st.binary(max_size=4)),
        st.tuples(st.just("session"), st.just(0), st.sampled_from(SessionState)),
        st.tuples(st.just("move"), st.integers(0, 9), st.sampled_from(WorkState)),
        st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from(["complete", "fail", "cancel"])),
    ),
    min_size=8,
    max_size=25,
)

_NOT_COMPARED = {"created_at", "updated_at", "completed_at", "timestamp", "sync_version", "workspace_id"}


class _Run:
    """A run in one store, and its rows in the order in which they were made."""

    def __init__(self, store: RunStateStore, session_id: str) -> None:
        self.store = store
        self.session_id = session_id
        self.rows: list[tuple[str, str]] = [("session", session_id)]

    async def do(self, operation: Operation) -> str:
        """The outcome: ok, or the error's class."""
        name, number, value = operation
        kind, entity_id = self.rows[number % len(self.rows)]
        try:
            await self._do(name, kind, entity_id, value)
        except AcodeError as error:
            return type(error).__name__
        return "ok"

    async def _do(self, name: str, kind: str, entity_id: str, value: Any) -> None:
        store = self.store
        if name == "add":
            add: Any = {"session": store.add_task, "task": store.add_step}.get(kind, store.add_tool_call)
            row = await add(entity_id, "name", started=value)
            self.rows.append(({"session": "task", "task": "step"}.get(kind, "call"), row.id))
        elif name == "artifact":
            await store.add_artifact(entity_id, ArtifactType.USER_PROMPT, "p", value, "text/plain")
        elif name == "session":
            await store.transition_session(self.session_id, value, reason=value, metadata={"to": value})
        elif name == "move":
            move: Any = store.transition_task if kind == "task" else store.transition_step
            await move(entity_id, value)
        elif value == "fail":
            await store.fail_tool_call(entity_id, "it broke")
        else:
            end: Any = store.complete_tool_call if value == "complete" else store.cancel_tool_call
            await end(entity_id)

    async def content(self) -> list[dict[str, Any]]:
        """The stored run without its moments, each id as its place among the ids."""
        graph: SessionGraph = await self.store.get_with_hierarchy(self.session_id)
        rows = list(graph.entities())
        places = {row.id: str(place) for place, row in enumerate(rows)}
        return [
            {
                column.name: places.get(value, value) if isinstance(value, str) else value
                for column in TABLES[row.kind].columns
                if column.name not in _NOT_COMPARED
                for value in [getattr(row, column.name)]
            }
            for row in rows
        ]


@given(done=operations)
@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_the_same_operations_leave_equal_runs_in_both_stores(
    tmp_path_factory: Any, pg_database: Database, done: list[Operation]
) -> None:
    folder: Path = tmp_path_factory.mktemp("file")
    async with open_parts(folder / "workspace.db") as parts, open_direct(pg_database) as direct:
        runs = [_Run(store, (await store.create_session("x")).id) for store in (parts.store, direct)]
        for operation in done:
            first, second = [await run.do(operation) for run in runs]
            assert first == second, operation
        assert await runs[0].content() == await runs[1].content()
