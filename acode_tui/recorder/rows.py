"""The rows of a run on their way into the store: inserted once, then moved through their states as the tables allow.

Each method is one write in the recorder's thread. A row whose insertion was lost loses what depends on it, too. A
change of state that was lost is made up for by the next one. Where the rules refuse Completed, because something
below failed or was left unfinished, the row ends as Failed: never in a state that says it is still at work.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from acode_tui.domain.entities import Json
from acode_tui.domain.errors import TransitionError
from acode_tui.domain.states import SessionState, WorkState
from acode_tui.recorder.outcome import SESSION_STATES, WORK_STATES, Ending, How, NotRecorded
from acode_tui.recorder.values import fitting

if TYPE_CHECKING:
    from acode_tui.workspace import Workspace


class Row:
    """What the rows have in common. ``id`` is None until the row is on disk; ``turn`` keeps its writes in order."""

    def __init__(self, parent: "Row | None") -> None:
        self.id: str | None = None
        self.turn = asyncio.Lock()
        self._parent = parent
        self._below: set[Row] = set()

    async def insert(self, workspace: "Workspace") -> None:
        """Put the row on disk, below its parent's."""
        above = ""
        if self._parent is not None:
            self._parent._below.add(self)
            above = await self._parent.known_id()
        self.id = await self._insert(workspace, above)

    def own_id(self) -> str:
        """The row's id, for its own writes: its insertion came before them."""
        if self.id is None:
            raise NotRecorded("what it belongs to was not recorded")
        return self.id

    async def known_id(self) -> str:
        """The row's id, for the writes of others: after its insertion, which is the first to have its turn."""
        if self.id is None:
            async with self.turn:
                pass
        return self.own_id()

    async def finish(self, workspace: "Workspace", ending: Ending) -> None:
        """Bring the row to its end, after everything below it that has ended."""
        try:
            # First of all: what stands below a row without an id waits for this turn to end.
            own = self.own_id()
            for row in tuple(self._below):
                async with row.turn:
                    pass
            await self._finish(workspace, own, ending)
        finally:
            if self._parent is not None:
                self._parent._below.discard(self)

    async def _insert(self, workspace: "Workspace", above: str) -> str:
        raise NotImplementedError

    async def _finish(self, workspace: "Workspace", own: str, ending: Ending) -> None:
        raise NotImplementedError


class SessionRow(Row):
    def __init__(self, description: str, metadata: Json | None, user: str | None) -> None:
        super().__init__(None)
        self._description = description
        self._metadata = metadata
        self._user = user
        self._reached = SessionState.CREATED

    async def _insert(self, workspace: "Workspace", above: str) -> str:
        metadata = fitting(self._metadata, workspace.settings.limits.max_metadata_bytes)
        session = await workspace.store.create_session(self._description, metadata=metadata, user_id=self._user)
        return session.id

    async def plan(self, workspace: "Workspace") -> None:
        await self._advance(workspace, SessionState.PLANNING, "recording began")

    async def execute(self, workspace: "Workspace", first: Row) -> None:
        """The first task has begun."""
        # Its own id first of all: a task of a session without one waits for this turn to end.
        self.own_id()
        await first.known_id()
        await self.plan(workspace)
        await self._advance(workspace, SessionState.EXECUTING, "the first task began")

    async def _advance(self, workspace: "Workspace", target: SessionState, reason: str) -> None:
        order = (SessionState.CREATED, SessionState.PLANNING, SessionState.EXECUTING)
        if self._reached in order[: order.index(target)]:
            await workspace.store.transition_session(self.own_id(), target, reason=reason)
            self._reached = target

    async def _finish(self, workspace: "Workspace", own: str, ending: Ending) -> None:
        store = workspace.store
        target = SESSION_STATES[ending.how]
        try:
            if target is SessionState.COMPLETED:
                await self.plan(workspace)
                await self._advance(workspace, SessionState.EXECUTING, "the first task began")
            await store.transition_session(own, target, reason=ending.reason or "recording ended")
        except TransitionError as refusal:
            if target is not SessionState.COMPLETED:
                raise
            await store.transition_session(own, SessionState.FAILED, reason=refusal.message)


class WorkRow(Row):
    """A task or a step."""

    def __init__(self, parent: Row, name: str, description: str | None, metadata: Json | None) -> None:
        super().__init__(parent)
        self._name = name
        self._description = description
        self._metadata = metadata
        self._started = False

    async def start(self, workspace: "Workspace") -> None:
        own = self.own_id()
        if not self._started:
            await self._change(workspace, own, WorkState.IN_PROGRESS)
            self._started = True

    async def _finish(self, workspace: "Workspace", own: str, ending: Ending) -> None:
        await self.start(workspace)
        try:
            await self._change(workspace, own, WORK_STATES[ending.how])
        except TransitionError:
            if ending.how is not How.DONE:
                raise
            await self._change(workspace, own, self._refused_state())

    def _refused_state(self) -> WorkState:
        return WorkState.FAILED

    async def _change(self, workspace: "Workspace", own: str, state: WorkState) -> None:
        raise NotImplementedError


class TaskRow(WorkRow):
    async def _insert(self, workspace: "Workspace", above: str) -> str:
        metadata = fitting(self._metadata, workspace.settings.limits.max_metadata_bytes)
        task = await workspace.store.add_task(above, self._name, description=self._description, metadata=metadata)
        return task.id

    async def _change(self, workspace: "Workspace", own: str, state: WorkState) -> None:
        await workspace.store.transition_task(own, state)


class StepRow(WorkRow):
    """``lenient``: the step only holds a call, whose failure the agent may survive without failing its task."""

    def __init__(
        self, parent: Row, name: str, description: str | None, metadata: Json | None, *, lenient: bool = False
    ) -> None:
        super().__init__(parent, name, description, metadata)
        self._lenient = lenient

    async def _insert(self, workspace: "Workspace", above: str) -> str:
        metadata = fitting(self._metadata, workspace.settings.limits.max_metadata_bytes)
        step = await workspace.store.add_step(above, self._name, description=self._description, metadata=metadata)
        return step.id

    async def _change(self, workspace: "Workspace", own: str, state: WorkState) -> None:
        await workspace.store.transition_step(own, state)

    def _refused_state(self) -> WorkState:
        return WorkState.SKIPPED if self._lenient else WorkState.FAILED


class CallRow(Row):
    def __init__(self, parent: Row, name: str, parameters: Any) -> None:
        super().__init__(parent)
        self._name = name
        self._parameters = parameters
        self.result: Any = None
        self.ended = False

    async def _insert(self, workspace: "Workspace", above: str) -> str:
        call = await workspace.store.add_tool_call(above, self._name, self._parameters)
        return call.id

    async def start(self, workspace: "Workspace") -> None:
        own = self.own_id()
        if not self.ended:
            # A call that is over already is started by its end, in the same write.
            await workspace.store.start_tool_call(own)

    async def artifact(self, workspace: "Workspace", kind: Any, name: str, content: bytes, content_type: str) -> None:
        own = self.own_id()
        limit = workspace.settings.limits.max_artifact_bytes
        if len(content) > limit:
            name = f"{name[:900]} (the first {limit:,} of {len(content):,} bytes)"
            content = content[:limit]
        await workspace.store.add_artifact(own, kind, name, content, content_type)

    async def _finish(self, workspace: "Workspace", own: str, ending: Ending) -> None:
        store = workspace.store
        if ending.how is How.DONE:
            await store.complete_tool_call(own, result=self.result)
        elif ending.how is How.CANCELLED:
            await store.cancel_tool_call(own, ending.reason)
        else:
            await store.fail_tool_call(own, ending.reason)
