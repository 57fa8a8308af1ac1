"""Writing runs: each write is one unit of work that reads the row, checks the rules, writes the row and queues it.

The rules are ``storage.run_writes``; reading is ``reader.py``; saving a whole graph is ``save_graph.py``.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.ids import new_id
from acode_tui.domain.schema import TABLES, Table
from acode_tui.domain.states import EntityType, SessionState, ToolCallState, WorkState
from acode_tui.domain.validation import Limits, require_id
from acode_tui.storage.ports import SaveResult
from acode_tui.storage.run_writes import E, M, RunStateWrites, Transition, no_holder, not_found, taken
from acode_tui.storage.search_ports import SearchIndex
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.runs import row_writes
from acode_tui.storage.sqlite.runs.reader import SqliteRunStateReader
from acode_tui.storage.sqlite.runs.save_graph import save_graph
from acode_tui.storage.sqlite.writer import Writer


def _place(table: Table) -> str:
    """The statement for a new row's session, that session's stamp, and the row's order behind its siblings."""
    ((column, above),) = table.parents
    session = "id" if above is EntityType.SESSION else "session_id"
    order = f'(SELECT coalesce(max("order") + 1, 0) FROM {table.name} WHERE {column} = p.id)'  # noqa: S608
    stamp = row_writes.session_stamp(f"p.{session}")
    return f"SELECT p.{session}, {stamp}, {order} FROM {TABLES[above].name} AS p WHERE p.id = ?"  # noqa: S608


_PLACES = {kind: _place(table) for kind, table in TABLES.items() if "order" in table.column_names}
"""For each kind whose rows have an order among their siblings, by parent id."""

_TASK_STATES = "SELECT state FROM session_tasks WHERE session_id = ?"
_STEP_STATES = "SELECT state FROM steps WHERE task_id = ?"
_CALL_STATES = "SELECT state FROM tool_calls WHERE step_id = ?"
_PAUSED_FROM = """
SELECT from_state FROM session_events
WHERE session_id = ? AND to_state = 'Paused' AND from_state <> 'Paused' ORDER BY timestamp DESC, id DESC LIMIT 1
"""


_HOLDER = f"""
SELECT session_id, {row_writes.session_stamp("session_id")}, task_id, step_id, tool_call_id FROM (
    SELECT c.session_id, s.task_id, c.step_id, c.id AS tool_call_id
    FROM tool_calls AS c JOIN steps AS s ON s.id = c.step_id WHERE c.id = ?
    UNION ALL SELECT session_id, task_id, id, NULL FROM steps WHERE id = ?
    UNION ALL SELECT session_id, id, NULL, NULL FROM session_tasks WHERE id = ?
) LIMIT 1
"""  # noqa: S608
"""Where an artifact of a task, step or tool call belongs, and the stamp of that session."""


class SqliteRunStateStore(RunStateWrites, SqliteRunStateReader):
    """``RunStateStore`` over the workspace file."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        *,
        workspace_id: str,
        user_id: str | None = None,
        limits: Limits | None = None,
        index: SearchIndex | None = None,
        wall: WallClock = system_clock,
        price: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        RunStateWrites.__init__(self, workspace_id=workspace_id, user_id=user_id, limits=limits)
        SqliteRunStateReader.__init__(self, readers, index=index, wall=wall, price=price)
        self._writer = writer

    async def _save(self, graph: SessionGraph) -> SaveResult:
        return await self._writer.run(lambda connection: save_graph(connection, graph, self._writer.clock))

    async def _add(self, entity: type[E], parent_id: str, *, own_id: str | None = None, **fields: Any) -> E:
        def unit(connection: sqlite3.Connection) -> E:
            place, seen = _place_below(connection, entity.kind, parent_id)
            if own_id is not None and rows.fetch(connection, entity.kind, own_id) is not None:
                raise taken()
            now = self._writer.clock.tick()
            row = entity(id=own_id or new_id(), created_at=now, updated_at=now, **place, **fields)
            row_writes.insert(connection, row, now)
            row_writes.touch_session(self._writer, row, seen, now)
            return row

        return await self._writer.run(unit)

    async def _transition(self, entity: type[M], entity_id: str, wanted: Transition[M]) -> M:
        def unit(connection: sqlite3.Connection) -> M:
            row, seen = row_writes.load_with_session_stamp(connection, entity, entity_id)
            changed, event, now, text = wanted.apply(row, _Stored(connection), self._writer.clock.tick, self._limits)
            row_writes.change(connection, row, changed, now, text=text)
            if event is not None:
                row_writes.insert(connection, event, now)
            row_writes.touch_session(self._writer, changed, seen, now)
            return changed

        return await self._writer.run(unit)


class _Stored:
    """``Surroundings`` in the transaction of a unit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def task_states(self, session_id: str) -> list[WorkState]:
        return [WorkState(row[0]) for row in self._connection.execute(_TASK_STATES, (session_id,))]

    def step_states(self, task_id: str) -> list[WorkState]:
        return [WorkState(row[0]) for row in self._connection.execute(_STEP_STATES, (task_id,))]

    def call_states(self, step_id: str) -> list[ToolCallState]:
        return [ToolCallState(row[0]) for row in self._connection.execute(_CALL_STATES, (step_id,))]

    def paused_from(self, session_id: str) -> SessionState | None:
        row = self._connection.execute(_PAUSED_FROM, (session_id,)).fetchone()
        return None if row is None else SessionState(row[0])


def _place_below(connection: sqlite3.Connection, kind: EntityType, parent_id: str) -> tuple[dict[str, Any], str]:
    """The columns that place a new row below its parent, and its session's stamp; nothing for a session.

    Raises NotFoundError, ValidationError.
    """
    parents = TABLES[kind].parents
    if kind is EntityType.ARTIFACT:
        found = connection.execute(_HOLDER, (require_id(parent_id),) * 3).fetchone()
        if found is None:
            raise no_holder(parent_id)
        session_id, seen, *above = found
        columns = (column for column, _ in parents)
        return dict(zip(("session_id", *columns), (session_id, *above), strict=True)), seen
    if not parents:
        return {}, ""
    ((column, above_kind),) = parents
    found = connection.execute(_PLACES[kind], (require_id(parent_id),)).fetchone()
    if found is None:
        raise not_found(above_kind, parent_id)
    session_id, seen, order = found
    return {"session_id": session_id, column: parent_id, "order": order}, seen
