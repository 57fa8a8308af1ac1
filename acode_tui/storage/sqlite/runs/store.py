"""Writing runs: each method is one unit of work that re-reads, validates, and writes rows and outbox records together.

Reading is ``run_state_reader.py``; bringing a whole graph in is ``graph_save.py``.
"""

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar, cast

import msgspec

from acode_tui.domain import transitions
from acode_tui.domain.codec import digest
from acode_tui.domain.entities import Artifact, Json, Session, SessionEvent, SessionGraph, SessionTask, Step, ToolCall
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.ids import new_id
from acode_tui.domain.states import (
    ArtifactType,
    EntityType,
    SessionState,
    ToolCallState,
    WorkState,
)
from acode_tui.domain.validation import (
    MAX_DESCRIPTION_CHARS,
    Limits,
    optional_text,
    require_content,
    require_json,
    require_metadata,
    require_reason,
    require_text,
    validate_graph,
)
from acode_tui.storage.ports import SaveResult
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.runs import row_writes as writes
from acode_tui.storage.sqlite.runs.reader import SqliteRunStateReader
from acode_tui.storage.sqlite.runs.save_graph import save_graph
from acode_tui.storage.sqlite.writer import Writer

T = TypeVar("T")
S = TypeVar("S", SessionState, WorkState, ToolCallState, ArtifactType)

_TASK_STATES = "SELECT state FROM session_tasks WHERE session_id = ?"
_STEP_STATES = "SELECT state FROM steps WHERE task_id = ?"
_CALL_STATES = "SELECT state FROM tool_calls WHERE step_id = ?"
_PAUSED_FROM = """
SELECT from_state FROM session_events
WHERE session_id = ? AND to_state = 'Paused' AND from_state <> 'Paused' ORDER BY timestamp DESC, id DESC LIMIT 1
"""
_NEXT_TASK = 'SELECT coalesce(max("order") + 1, 0) FROM session_tasks WHERE session_id = ?'
_NEXT_STEP = 'SELECT coalesce(max("order") + 1, 0) FROM steps WHERE task_id = ?'
_NEXT_CALL = 'SELECT coalesce(max("order") + 1, 0) FROM tool_calls WHERE step_id = ?'


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
    ) -> None:
        super().__init__(readers)
        self._writer = writer
        self._workspace_id = workspace_id
        self._user_id = user_id
        self._limits = limits or Limits()

    async def create_session(
        self, task_description: str, *, metadata: Json | None = None, user_id: str | None = None
    ) -> Session:
        """Record a new session in state Created. Raises ValidationError."""
        require_text(task_description, "task_description", max_chars=MAX_DESCRIPTION_CHARS)
        require_metadata(metadata, "metadata", self._limits)
        user = optional_text(user_id, "user_id") or self._user_id

        def unit(connection: sqlite3.Connection) -> Session:
            now = self._writer.clock.tick()
            session = Session(
                id=new_id(),
                task_description=task_description,
                state=SessionState.CREATED,
                created_at=now,
                updated_at=now,
                metadata=metadata,
                user_id=user,
                workspace_id=self._workspace_id,
            )
            return writes.insert(connection, session, now)

        return await self._run(unit)

    async def transition_session(self, session_id: str, to_state: SessionState, *, reason: str = "") -> Session:
        """Change a session's state and append the event. Raises TransitionError, NotFoundError."""
        target = _state(SessionState, to_state, "to_state")
        require_reason(reason)

        def unit(connection: sqlite3.Connection) -> Session:
            session = cast(Session, writes.require(connection, EntityType.SESSION, session_id))
            paused_from = None
            if session.state is SessionState.PAUSED:
                row = connection.execute(_PAUSED_FROM, (session.id,)).fetchone()
                paused_from = None if row is None else SessionState(row[0])
            transitions.check_session(
                session.state,
                target,
                task_states=_states(connection, _TASK_STATES, session.id, WorkState),
                reason=reason,
                paused_from=paused_from,
            )
            now = self._writer.clock.tick()
            changed = writes.stamped(msgspec.structs.replace(session, state=target), now)
            event = SessionEvent(
                id=new_id(),
                session_id=session.id,
                from_state=session.state,
                to_state=target,
                reason=reason,
                timestamp=now,
                created_at=now,
                updated_at=now,
            )
            writes.update(connection, changed, now)
            writes.insert(connection, event, now)
            return changed

        return await self._run(unit)

    async def add_task(
        self, session_id: str, title: str, *, description: str | None = None, metadata: Json | None = None
    ) -> SessionTask:
        """Add a task in state Pending, after its siblings. Raises ValidationError, NotFoundError."""
        require_text(title, "title", max_chars=MAX_DESCRIPTION_CHARS)
        optional_text(description, "description")
        require_metadata(metadata, "metadata", self._limits)

        def unit(connection: sqlite3.Connection) -> SessionTask:
            session = writes.require(connection, EntityType.SESSION, session_id)
            now = self._writer.clock.tick()
            task = SessionTask(
                id=new_id(),
                session_id=session.id,
                title=title,
                description=description,
                state=WorkState.PENDING,
                order=_next(connection, _NEXT_TASK, session.id),
                created_at=now,
                updated_at=now,
                metadata=metadata,
            )
            writes.insert(connection, task, now)
            writes.touch_ancestors(connection, task, now)
            return task

        return await self._run(unit)

    async def transition_task(self, task_id: str, to_state: WorkState) -> SessionTask:
        """Change a task's state. Raises TransitionError, NotFoundError."""
        target = _state(WorkState, to_state, "to_state")

        def unit(connection: sqlite3.Connection) -> SessionTask:
            task = cast(SessionTask, writes.require(connection, EntityType.SESSION_TASK, task_id))
            transitions.check_task(
                task.state, target, step_states=_states(connection, _STEP_STATES, task.id, WorkState)
            )
            return self._changed(connection, msgspec.structs.replace(task, state=target))

        return await self._run(unit)

    async def add_step(
        self, task_id: str, name: str, *, description: str | None = None, metadata: Json | None = None
    ) -> Step:
        """Add a step in state Pending, after its siblings. Raises ValidationError, NotFoundError."""
        require_text(name, "name", max_chars=MAX_DESCRIPTION_CHARS)
        optional_text(description, "description")
        require_metadata(metadata, "metadata", self._limits)

        def unit(connection: sqlite3.Connection) -> Step:
            task = cast(SessionTask, writes.require(connection, EntityType.SESSION_TASK, task_id))
            now = self._writer.clock.tick()
            step = Step(
                id=new_id(),
                session_id=task.session_id,
                task_id=task.id,
                name=name,
                description=description,
                state=WorkState.PENDING,
                order=_next(connection, _NEXT_STEP, task.id),
                created_at=now,
                updated_at=now,
                metadata=metadata,
            )
            writes.insert(connection, step, now)
            writes.touch_ancestors(connection, step, now)
            return step

        return await self._run(unit)

    async def transition_step(self, step_id: str, to_state: WorkState) -> Step:
        """Change a step's state. Raises TransitionError, NotFoundError."""
        target = _state(WorkState, to_state, "to_state")

        def unit(connection: sqlite3.Connection) -> Step:
            step = cast(Step, writes.require(connection, EntityType.STEP, step_id))
            transitions.check_step(
                step.state, target, call_states=_states(connection, _CALL_STATES, step.id, ToolCallState)
            )
            return self._changed(connection, msgspec.structs.replace(step, state=target))

        return await self._run(unit)

    async def add_tool_call(self, step_id: str, tool_name: str, parameters: Any = None) -> ToolCall:
        """Add a tool call in state Pending; no parameters are ``{}``. Raises ValidationError, NotFoundError."""
        require_text(tool_name, "tool_name", max_chars=MAX_DESCRIPTION_CHARS)
        given = {} if parameters is None else require_json(parameters, "parameters")

        def unit(connection: sqlite3.Connection) -> ToolCall:
            step = cast(Step, writes.require(connection, EntityType.STEP, step_id))
            now = self._writer.clock.tick()
            call = ToolCall(
                id=new_id(),
                session_id=step.session_id,
                step_id=step.id,
                tool_name=tool_name,
                parameters=given,
                state=ToolCallState.PENDING,
                order=_next(connection, _NEXT_CALL, step.id),
                created_at=now,
                updated_at=now,
            )
            writes.insert(connection, call, now)
            writes.touch_ancestors(connection, call, now)
            return call

        return await self._run(unit)

    async def start_tool_call(self, tool_call_id: str) -> ToolCall:
        """Pending to Executing. Raises TransitionError, NotFoundError."""

        def unit(connection: sqlite3.Connection) -> ToolCall:
            call = cast(ToolCall, writes.require(connection, EntityType.TOOL_CALL, tool_call_id))
            transitions.check_tool_call(call.state, ToolCallState.EXECUTING)
            return self._changed(connection, msgspec.structs.replace(call, state=ToolCallState.EXECUTING))

        return await self._run(unit)

    async def complete_tool_call(self, tool_call_id: str, *, result: Any = None) -> ToolCall:
        """End as Succeeded with its result. A Pending call is started on the way, in the same write."""
        require_json(result, "result")
        return await self._finish(tool_call_id, ToolCallState.SUCCEEDED, result=result)

    async def fail_tool_call(self, tool_call_id: str, error_message: str) -> ToolCall:
        """End as Failed with a message. A Pending call is started on the way, in the same write."""
        require_text(error_message, "error_message")
        return await self._finish(tool_call_id, ToolCallState.FAILED, error_message=error_message)

    async def cancel_tool_call(self, tool_call_id: str, reason: str = "") -> ToolCall:
        """End as Cancelled. A Pending call is started on the way, in the same write."""
        optional_text(reason, "reason")
        return await self._finish(tool_call_id, ToolCallState.CANCELLED, error_message=reason or None)

    async def add_artifact(
        self,
        tool_call_id: str,
        type: ArtifactType,
        name: str,
        content: bytes,
        content_type: str,
    ) -> Artifact:
        """Keep what a tool call read or made. Immutable from then on. Raises ValidationError, NotFoundError."""
        kind = _state(ArtifactType, type, "type")
        require_text(name, "name", max_chars=MAX_DESCRIPTION_CHARS)
        require_text(content_type, "content_type", max_chars=255)
        data = require_content(content, "content", self._limits)
        content_hash = digest(data)

        def unit(connection: sqlite3.Connection) -> Artifact:
            call = cast(ToolCall, writes.require(connection, EntityType.TOOL_CALL, tool_call_id))
            now = self._writer.clock.tick()
            artifact = Artifact(
                id=new_id(),
                session_id=call.session_id,
                tool_call_id=call.id,
                type=kind,
                name=name,
                content_hash=content_hash,
                content_type=content_type,
                size=len(data),
                created_at=now,
                updated_at=now,
                content=data,
            )
            writes.insert(connection, artifact, now)
            writes.touch_ancestors(connection, artifact, now)
            return artifact

        return await self._run(unit)

    async def save(self, graph: SessionGraph) -> SaveResult:
        """Bring the stored run to the graph's; see ``RunStateStore.save``. Raises ValidationError."""
        validate_graph(graph, self._limits)
        return await self._run(lambda connection: save_graph(connection, graph, self._writer.clock))

    async def _run(self, unit: Callable[[sqlite3.Connection], T]) -> T:
        return await self._writer.run(unit)

    def _changed(self, connection: sqlite3.Connection, entity: writes.E, now: datetime | None = None) -> writes.E:
        now = now or self._writer.clock.tick()
        changed = writes.stamped(entity, now)
        writes.update(connection, changed, now)
        writes.touch_ancestors(connection, changed, now)
        return changed

    async def _finish(
        self, tool_call_id: str, target: ToolCallState, *, result: Any = None, error_message: str | None = None
    ) -> ToolCall:
        def unit(connection: sqlite3.Connection) -> ToolCall:
            call = cast(ToolCall, writes.require(connection, EntityType.TOOL_CALL, tool_call_id))
            current = ToolCallState.EXECUTING if call.state is ToolCallState.PENDING else call.state
            transitions.check_tool_call(current, target, error_message=error_message)
            now = self._writer.clock.tick()
            finished = msgspec.structs.replace(
                call,
                state=target,
                completed_at=max(now, call.created_at),
                result=result,
                error_message=error_message,
            )
            return self._changed(connection, finished, now)

        return await self._run(unit)


def _state(states: type[S], value: S | str, field: str) -> S:
    try:
        return states(value)
    except ValueError:
        raise ValidationError(field, f"must be one of {', '.join(states)}") from None


def _states(connection: sqlite3.Connection, sql: str, parent_id: str, states: type[S]) -> list[S]:
    return [states(row[0]) for row in connection.execute(sql, (parent_id,))]


def _next(connection: sqlite3.Connection, sql: str, parent_id: str) -> int:
    return int(connection.execute(sql, (parent_id,)).fetchone()[0])
