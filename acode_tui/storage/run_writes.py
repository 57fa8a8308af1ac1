"""The writing half of ``RunStateStore``, whatever the database: what each call records, and what it refuses.

Each call validates its values, then asks its tier for one of three things: a new row below a parent (``_add``), another
state of a row (``_transition``), a whole graph (``_save``). ``Transition`` makes the new row where the rules allow it.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from acode_tui.domain import transitions
from acode_tui.domain.clock import stamp_after
from acode_tui.domain.codec import digest
from acode_tui.domain.entities import (
    DELETED,
    TRANSCRIPT,
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
from acode_tui.domain.states import ArtifactType, EntityType, SessionState, ToolCallState, WorkState
from acode_tui.domain.validation import (
    MAX_DESCRIPTION_CHARS,
    Limits,
    optional_text,
    require_content,
    require_json,
    require_metadata,
    require_reason,
    require_text,
    require_uuid,
    validate_graph,
)
from acode_tui.storage.transcript_ports import SaveResult

E = TypeVar("E", bound=Entity)
M = TypeVar("M", Session, SessionTask, Step, ToolCall)
T = TypeVar("T", str, datetime)
S = TypeVar("S", SessionState, WorkState, ToolCallState, ArtifactType)

TextChange = Literal["none", "added", "rewritten"]
"""What an update does to the searched text of a row: nothing, only adds to it, or may remove words."""

_FIRST = {False: WorkState.PENDING, True: WorkState.IN_PROGRESS}
"""The state of a new task or step, by whether it is started already."""


class Surroundings(Protocol):
    """What the rules look at beside the row itself. Unknown ids have no children."""

    def task_states(self, session_id: str) -> Collection[WorkState]: ...

    def step_states(self, task_id: str) -> Collection[WorkState]: ...

    def call_states(self, step_id: str) -> Collection[ToolCallState]: ...

    def paused_from(self, session_id: str) -> SessionState | None:
        """The state before the session's last pause; None where there was none."""
        ...


class Changed(NamedTuple, Generic[M]):
    """A row's new version, the session's event that goes with it, and the moment of both."""

    row: M
    event: SessionEvent | None
    now: datetime
    text: TextChange


class Transition(Generic[M]):
    """A change of a row's state: the rule that allows it, and the new values. Pure."""

    def __init__(
        self,
        check: Callable[[M, Surroundings], None],
        changes: Json,
        *,
        reason: str = "",
        text: TextChange = "none",
        metadata: Json | None = None,
    ) -> None:
        """``check`` raises where the change is not allowed; the keys of ``metadata`` are set in the row's own."""
        self._check: Callable[[M, Surroundings], None] = check
        self._changes = changes
        self._reason = reason
        self._text = text
        self._metadata = metadata

    def apply(self, row: M, around: Surroundings, tick: Callable[[], datetime], limits: Limits) -> Changed[M]:
        """The changed row. Raises what the rule raises, and ValidationError for ``metadata``."""
        self._check(row, around)
        changes, text = self._changes, self._text
        if self._metadata is not None and isinstance(row, (Session, Step)):
            before = row.metadata or {}
            changes = {**changes, "metadata": require_metadata({**before, **self._metadata}, "metadata", limits)}
            text = "rewritten" if before.keys() & self._metadata.keys() else "added"
        now = tick()
        changed = msgspec.structs.replace(row, **changes, updated_at=stamp_after(row.updated_at, now))
        if isinstance(changed, ToolCall) and not transitions.TOOL_CALL_TARGETS[changed.state]:
            changed = msgspec.structs.replace(changed, completed_at=max(now, changed.created_at))
        event = None
        if isinstance(row, Session) and isinstance(changed, Session):
            event = _event(row, changed.state, self._reason, changed.updated_at)
        return Changed(changed, event, now, text)


class RunStateWrites:
    """The writing methods of ``RunStateStore`` over three of a tier's own."""

    def __init__(self, *, workspace_id: str, user_id: str | None, limits: Limits | None) -> None:
        self._workspace_id = workspace_id
        self._user_id = user_id
        self._limits = limits or Limits()

    @abstractmethod
    async def _add(self, entity: type[E], parent_id: str, *, own_id: str | None = None, **fields: Any) -> E:
        """Insert a row below its parent, after its siblings, and touch its session. A session has no parent, and may
        have an id of the caller's.

        Raises NotFoundError, and ``taken`` where a row has that id.
        """

    @abstractmethod
    async def _transition(self, entity: type[M], entity_id: str, wanted: Transition[M]) -> M:
        """Change a row where the rule allows it, append a session's event, touch the session above the row.

        Raises what ``Transition.apply`` raises, and NotFoundError.
        """

    @abstractmethod
    async def _save(self, graph: SessionGraph) -> SaveResult:
        """Save a graph that is valid."""

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

        def check(session: Session, around: Surroundings) -> None:
            paused_from = around.paused_from(session.id) if session.state is SessionState.PAUSED else None
            transitions.check_session(
                session.state,
                target,
                task_states=around.task_states(session.id),
                reason=reason,
                paused_from=paused_from,
            )

        wanted = Transition(check, {"state": target}, reason=reason, metadata=metadata)
        return await self._transition(Session, session_id, wanted)

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

        def check(task: SessionTask, around: Surroundings) -> None:
            transitions.check_task(task.state, target, step_states=around.step_states(task.id))

        return await self._transition(SessionTask, task_id, Transition(check, {"state": target}))

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

        def check(step: Step, around: Surroundings) -> None:
            transitions.check_step(step.state, target, call_states=around.call_states(step.id))

        return await self._transition(Step, step_id, Transition(check, {"state": target}, metadata=metadata))

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

        def check(call: ToolCall, around: Surroundings) -> None:
            transitions.check_tool_call(call.state, ToolCallState.EXECUTING)

        return await self._transition(ToolCall, tool_call_id, Transition(check, {"state": ToolCallState.EXECUTING}))

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
        return await self._save(graph)

    async def _end_call(
        self, tool_call_id: str, target: ToolCallState, *, result: Any = None, error_message: str | None = None
    ) -> ToolCall:
        def check(call: ToolCall, around: Surroundings) -> None:
            current = ToolCallState.EXECUTING if call.state is ToolCallState.PENDING else call.state
            transitions.check_tool_call(current, target, error_message=error_message)

        changes = {"state": target, "result": result, "error_message": error_message}
        return await self._transition(ToolCall, tool_call_id, Transition(check, changes, text="added"))


def stamp_to_save(given: T, stored: T, *, same: bool, after: Callable[[T], T]) -> T | None:
    """The stamp under which a graph's row replaces the stored one; None where it does not.

    ``same``: both say the same. ``after`` makes a stamp of this moment that follows another one. ``T`` is a moment, or
    its text.
    """
    if given > stored:
        return given
    # Its content changed, its stamp did not: the moment of this write is its stamp.
    return None if same else after(stored)


def superseded(task: SessionTask, *, behind: int, after: Callable[[datetime], datetime]) -> SessionTask | None:
    """A stored task that is not in its run any more, marked so and moved by ``behind`` places; None if it is marked.

    ``after`` makes a stamp of this moment that follows another one.
    """
    metadata = task.metadata or {}
    if metadata.get("superseded") is True:
        return None
    return msgspec.structs.replace(
        task,
        state=WorkState.SKIPPED,
        metadata={**metadata, "superseded": True},
        order=task.order + behind,
        updated_at=after(task.updated_at),
    )


def is_without_transcript(metadata: Json | None) -> bool:
    """Whether the metadata of a session or task says that its transcript was deleted."""
    return metadata is not None and metadata.get(TRANSCRIPT) == DELETED


def not_found(kind: EntityType, entity_id: str) -> NotFoundError:
    """The error for an id that no row of this kind has."""
    return NotFoundError(f"there is no {kind.value.replace('_', ' ')} {entity_id[:64]!r}")


def taken() -> ValidationError:
    """The error for a new session whose id another one has."""
    return ValidationError("session_id", "is the id of a session that exists")


def no_holder(parent_id: str) -> NotFoundError:
    """The error for an artifact's parent that does not exist."""
    return NotFoundError(f"there is no task, step or tool call {parent_id[:64]!r}")


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
