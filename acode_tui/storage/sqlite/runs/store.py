"""Writing runs: each method is one unit of work that reads the row, checks the rules, writes the row and queues it.

Reading is ``reader.py``; saving a whole graph is ``save_graph.py``.
"""

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from acode_tui.domain import transitions
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.codec import digest
from acode_tui.domain.entities import (
    Artifact,
    Entity,
    Json,
    Session,
    SessionEvent,
    SessionGraph,
    SessionTask,
    Step,
    ToolCall,
)
from acode_tui.domain.errors import NotFoundError, ValidationError
from acode_tui.domain.ids import new_id
from acode_tui.domain.schema import TABLES, Table
from acode_tui.domain.states import ArtifactType, EntityType, SessionState, ToolCallState, WorkState
from acode_tui.domain.validation import (
    MAX_DESCRIPTION_CHARS,
    Limits,
    optional_text,
    require_content,
    require_id,
    require_json,
    require_metadata,
    require_reason,
    require_text,
    require_uuid,
    validate_graph,
)
from acode_tui.storage.ports import SaveResult
from acode_tui.storage.search_ports import SearchIndex
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.runs import row_writes
from acode_tui.storage.sqlite.runs.reader import SqliteRunStateReader
from acode_tui.storage.sqlite.runs.save_graph import save_graph
from acode_tui.storage.sqlite.search.notes import TextChange
from acode_tui.storage.sqlite.writer import Writer

E = TypeVar("E", bound=Entity)
M = TypeVar("M", Session, SessionTask, Step, ToolCall)
S = TypeVar("S", SessionState, WorkState, ToolCallState, ArtifactType)


def _place(table: Table) -> str:
    """The statement for a new row's session, that session's stamp, and the row's order behind its siblings."""
    ((column, above),) = table.parents
    session = "id" if above is EntityType.SESSION else "session_id"
    order = f'(SELECT coalesce(max("order") + 1, 0) FROM {table.name} WHERE {column} = p.id)'  # noqa: S608
    stamp = row_writes.session_stamp(f"p.{session}")
    return f"SELECT p.{session}, {stamp}, {order} FROM {TABLES[above].name} AS p WHERE p.id = ?"  # noqa: S608


_PLACES = {kind: _place(table) for kind, table in TABLES.items() if "order" in table.column_names}
"""For each kind whose rows have an order among their siblings, by parent id."""

_FIRST = {False: WorkState.PENDING, True: WorkState.IN_PROGRESS}
"""The state of a new task or step, by whether it is started already."""

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


class SqliteRunStateStore(SqliteRunStateReader):
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
    ) -> None:
        super().__init__(readers, index=index, wall=wall)
        self._writer = writer
        self._workspace_id = workspace_id
        self._user_id = user_id
        self._limits = limits or Limits()

    async def create_session(
        self,
        task_description: str,
        *,
        metadata: Json | None = None,
        user_id: str | None = None,
        session_id: str | None = None,
    ) -> Session:
        """Record a new session in state Created, with an id of the caller's if it names one.

        Raises ValidationError, also where a session has that id already.
        """
        require_text(task_description, "task_description", max_chars=MAX_DESCRIPTION_CHARS)
        require_metadata(metadata, "metadata", self._limits)
        return await self._add(
            Session,
            "",
            task_description=task_description,
            state=SessionState.CREATED,
            metadata=metadata,
            user_id=optional_text(user_id, "user_id") or self._user_id,
            workspace_id=self._workspace_id,
            own_id=None if session_id is None else require_uuid(session_id, "session_id"),
        )

    async def transition_session(
        self, session_id: str, to_state: SessionState, *, reason: str = "", metadata: Json | None = None
    ) -> Session:
        """Change a session's state and append the event. ``metadata``: keys to set in what the session has.

        Raises TransitionError, NotFoundError, ValidationError.
        """
        target = _state(SessionState, to_state, "to_state")
        require_reason(reason)

        def check(connection: sqlite3.Connection, session: Session) -> None:
            paused_from = None
            if session.state is SessionState.PAUSED:
                row = connection.execute(_PAUSED_FROM, (session.id,)).fetchone()
                paused_from = None if row is None else SessionState(row[0])
            tasks = _child_states(connection, _TASK_STATES, session.id, WorkState)
            transitions.check_session(session.state, target, task_states=tasks, reason=reason, paused_from=paused_from)

        return await self._transition(Session, session_id, check, reason=reason, metadata=metadata, state=target)

    async def add_task(
        self,
        session_id: str,
        title: str,
        *,
        description: str | None = None,
        metadata: Json | None = None,
        started: bool = False,
    ) -> SessionTask:
        """Add a task, Pending or InProgress, after its siblings. Raises ValidationError, NotFoundError."""
        require_text(title, "title", max_chars=MAX_DESCRIPTION_CHARS)
        optional_text(description, "description")
        require_metadata(metadata, "metadata", self._limits)
        return await self._add(
            SessionTask,
            session_id,
            title=title,
            description=description,
            state=_FIRST[started],
            metadata=metadata,
        )

    async def transition_task(self, task_id: str, to_state: WorkState) -> SessionTask:
        """Change a task's state. Raises TransitionError, NotFoundError."""
        target = _state(WorkState, to_state, "to_state")

        def check(connection: sqlite3.Connection, task: SessionTask) -> None:
            steps = _child_states(connection, _STEP_STATES, task.id, WorkState)
            transitions.check_task(task.state, target, step_states=steps)

        return await self._transition(SessionTask, task_id, check, state=target)

    async def add_step(
        self,
        task_id: str,
        name: str,
        *,
        description: str | None = None,
        metadata: Json | None = None,
        started: bool = False,
    ) -> Step:
        """Add a step, Pending or InProgress, after its siblings. Raises ValidationError, NotFoundError."""
        require_text(name, "name", max_chars=MAX_DESCRIPTION_CHARS)
        optional_text(description, "description")
        require_metadata(metadata, "metadata", self._limits)
        return await self._add(
            Step, task_id, name=name, description=description, state=_FIRST[started], metadata=metadata
        )

    async def transition_step(self, step_id: str, to_state: WorkState, *, metadata: Json | None = None) -> Step:
        """Change a step's state. ``metadata``: keys to set in what the step has.

        Raises TransitionError, NotFoundError, ValidationError.
        """
        target = _state(WorkState, to_state, "to_state")

        def check(connection: sqlite3.Connection, step: Step) -> None:
            calls = _child_states(connection, _CALL_STATES, step.id, ToolCallState)
            transitions.check_step(step.state, target, call_states=calls)

        return await self._transition(Step, step_id, check, metadata=metadata, state=target)

    async def add_tool_call(
        self, step_id: str, tool_name: str, parameters: Any = None, *, started: bool = False
    ) -> ToolCall:
        """Add a tool call, Pending or Executing; no parameters are ``{}``. Raises ValidationError, NotFoundError."""
        require_text(tool_name, "tool_name", max_chars=MAX_DESCRIPTION_CHARS)
        given = {} if parameters is None else require_json(parameters, "parameters")
        state = ToolCallState.EXECUTING if started else ToolCallState.PENDING
        return await self._add(ToolCall, step_id, tool_name=tool_name, parameters=given, state=state)

    async def start_tool_call(self, tool_call_id: str) -> ToolCall:
        """Pending to Executing. Raises TransitionError, NotFoundError."""

        def check(_: sqlite3.Connection, call: ToolCall) -> None:
            transitions.check_tool_call(call.state, ToolCallState.EXECUTING)

        return await self._transition(ToolCall, tool_call_id, check, state=ToolCallState.EXECUTING)

    async def complete_tool_call(self, tool_call_id: str, *, result: Any = None) -> ToolCall:
        """End as Succeeded with its result. A Pending call is started on the way, in the same write."""
        require_json(result, "result")
        return await self._end_call(tool_call_id, ToolCallState.SUCCEEDED, result=result)

    async def fail_tool_call(self, tool_call_id: str, error_message: str) -> ToolCall:
        """End as Failed with a message. A Pending call is started on the way, in the same write."""
        require_text(error_message, "error_message")
        return await self._end_call(tool_call_id, ToolCallState.FAILED, error_message=error_message)

    async def cancel_tool_call(self, tool_call_id: str, reason: str = "") -> ToolCall:
        """End as Cancelled. A Pending call is started on the way, in the same write."""
        optional_text(reason, "reason")
        return await self._end_call(tool_call_id, ToolCallState.CANCELLED, error_message=reason or None)

    async def add_artifact(
        self,
        parent_id: str,
        type: ArtifactType,
        name: str,
        content: bytes,
        content_type: str,
    ) -> Artifact:
        """Keep a content of a task, step or tool call, never to be changed. Raises ValidationError, NotFoundError."""
        kind = _state(ArtifactType, type, "type")
        require_text(name, "name", max_chars=MAX_DESCRIPTION_CHARS)
        require_text(content_type, "content_type", max_chars=255)
        data = require_content(content, "content", self._limits)
        return await self._add(
            Artifact,
            parent_id,
            type=kind,
            name=name,
            content_hash=digest(data),
            content_type=content_type,
            size=len(data),
            content=data,
        )

    async def save(self, graph: SessionGraph) -> SaveResult:
        """Bring the stored run to the graph's; see ``RunStateStore.save``. Raises ValidationError."""
        validate_graph(graph, self._limits)
        return await self._writer.run(lambda connection: save_graph(connection, graph, self._writer.clock))

    async def _end_call(
        self, tool_call_id: str, target: ToolCallState, *, result: Any = None, error_message: str | None = None
    ) -> ToolCall:
        def check(_: sqlite3.Connection, call: ToolCall) -> None:
            current = ToolCallState.EXECUTING if call.state is ToolCallState.PENDING else call.state
            transitions.check_tool_call(current, target, error_message=error_message)

        return await self._transition(
            ToolCall, tool_call_id, check, text="added", state=target, result=result, error_message=error_message
        )

    async def _add(self, entity: type[E], parent_id: str, *, own_id: str | None = None, **fields: Any) -> E:
        """Insert a row below its parent, after its siblings, and touch its session. A session has no parent.

        Raises NotFoundError.
        """

        def unit(connection: sqlite3.Connection) -> E:
            place, seen = _place_below(connection, entity.kind, parent_id)
            if own_id is not None and rows.fetch(connection, entity.kind, own_id) is not None:
                raise ValidationError("session_id", "is the id of a session that exists")
            now = self._writer.clock.tick()
            row = entity(id=own_id or new_id(), created_at=now, updated_at=now, **place, **fields)
            row_writes.insert(connection, row, now)
            row_writes.touch_session(self._writer, row, seen, now)
            return row

        return await self._writer.run(unit)

    async def _transition(
        self,
        entity: type[M],
        entity_id: str,
        check: Callable[[sqlite3.Connection, M], None],
        *,
        reason: str = "",
        text: TextChange = "none",
        metadata: Json | None = None,
        **changes: Any,
    ) -> M:
        """Change a row where ``check`` does not refuse it, append a session's event, touch the session above the row.

        Raises what ``check`` raises, NotFoundError, and ValidationError for ``metadata``, whose keys are set in the
        row's own.
        """

        def unit(connection: sqlite3.Connection) -> M:
            row, seen = row_writes.load_with_session_stamp(connection, entity, entity_id)
            check(connection, row)
            changed_text = text
            if metadata is not None and isinstance(row, (Session, Step)):
                before = row.metadata or {}
                changes["metadata"] = require_metadata({**before, **metadata}, "metadata", self._limits)
                changed_text = "rewritten" if before.keys() & metadata.keys() else "added"
            now = self._writer.clock.tick()
            changed = row_writes.stamped(msgspec.structs.replace(row, **changes), now)
            if isinstance(changed, ToolCall) and not transitions.TOOL_CALL_TARGETS[changed.state]:
                changed = msgspec.structs.replace(changed, completed_at=max(now, changed.created_at))
            row_writes.change(connection, row, changed, now, text=changed_text)
            if isinstance(row, Session) and isinstance(changed, Session):
                row_writes.insert(connection, _event(row, changed.state, reason, changed.updated_at), now)
            row_writes.touch_session(self._writer, changed, seen, now)
            return changed

        return await self._writer.run(unit)


def _place_below(connection: sqlite3.Connection, kind: EntityType, parent_id: str) -> tuple[dict[str, Any], str]:
    """The columns that place a new row below its parent, and its session's stamp; nothing for a session.

    Raises NotFoundError, ValidationError.
    """
    parents = TABLES[kind].parents
    if kind is EntityType.ARTIFACT:
        found = connection.execute(_HOLDER, (require_id(parent_id),) * 3).fetchone()
        if found is None:
            raise NotFoundError(f"there is no task, step or tool call {parent_id[:64]!r}")
        session_id, seen, *above = found
        columns = (column for column, _ in parents)
        return dict(zip(("session_id", *columns), (session_id, *above), strict=True)), seen
    if not parents:
        return {}, ""
    ((column, above_kind),) = parents
    found = connection.execute(_PLACES[kind], (require_id(parent_id),)).fetchone()
    if found is None:
        raise row_writes.not_found(above_kind, parent_id)
    session_id, seen, order = found
    return {"session_id": session_id, column: parent_id, "order": order}, seen


def _event(session: Session, target: SessionState, reason: str, now: datetime) -> SessionEvent:
    return SessionEvent(
        id=new_id(),
        session_id=session.id,
        from_state=session.state,
        to_state=target,
        reason=reason,
        timestamp=now,
        created_at=now,
        updated_at=now,
    )


def _state(states: type[S], value: S | str, field: str) -> S:
    try:
        return states(value)
    except ValueError:
        raise ValidationError(field, f"must be one of {', '.join(states)}") from None


def _child_states(connection: sqlite3.Connection, sql: str, parent_id: str, states: type[S]) -> list[S]:
    return [states(row[0]) for row in connection.execute(sql, (parent_id,))]
