"""The rows of a run on their way into the store: inserted once, then moved through the states that the rules allow.

Each method is one write in the recorder's thread; a row is inserted as started. Where the insertion of a row is lost,
so is what depends on it. Where the rules refuse Completed, because something below failed or is unfinished, the row
ends as Failed: never in a state that says it is still at work.
"""

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Literal

from acode_tui.domain.entities import Json
from acode_tui.domain.errors import TransitionError
from acode_tui.domain.states import EntityType, SessionState, WorkState
from acode_tui.recorder.outcome import SESSION_STATES, WORK_STATES, NotRecorded, Outcome, OutcomeKind
from acode_tui.recorder.resume import find, take_up
from acode_tui.recorder.sinks import sinks
from acode_tui.recorder.usage import Usage
from acode_tui.recorder.values import metadata_within
from acode_tui.recorder.written import Written

if TYPE_CHECKING:
    from acode_tui.recorder.presence import Recording


_GOES_ON = "recording goes on"


class Row:
    """Base of the rows. ``id`` is None until the row is on disk; the lock ``turn`` keeps its writes in order."""

    def __init__(self, parent: "Row | None") -> None:
        self.id: str | None = None
        self.insertion: Written | None = None
        """Done when the row is on disk or lost; None as long as it was not begun, or where it was lost at once."""
        self.turn = asyncio.Lock()
        self._known: asyncio.Lock | None = None
        self._parent = parent
        self._below: set[Row] = set()

    async def insert(self, workspace: "Recording") -> None:
        """Put the row on disk, below its parent's."""
        above = ""
        if self._parent is not None:
            self._parent._below.add(self)
            above = await self._parent.known_id()
        self.id = await self._insert(workspace, above)

    def own_id(self) -> str:
        """The row's id, for its own writes, which come after its insertion. Raises NotRecorded."""
        if self.id is None:
            raise NotRecorded("what it belongs to was not recorded")
        return self.id

    async def known_id(self) -> str:
        """The row's id, for the writes of other rows: waits for its insertion.

        Not for its turn: a session's later writes wait for its tasks, which would then wait for each other.
        """
        if self.id is None or self._known is not None:
            # First in, first out: who comes when the id is known goes behind those that wait still, or its row would
            # stand before its older siblings.
            if self._known is None:
                self._known = asyncio.Lock()
            async with self._known:
                if self.id is None and self.insertion is not None:
                    await self.insertion.future()
        return self.own_id()

    async def finish(self, workspace: "Recording", outcome: Outcome) -> None:
        """Bring the row to its final state, after everything below it that has ended."""
        try:
            own = self.own_id()
            for row in tuple(self._below):
                async with row.turn:
                    pass
            await self._finish(workspace, own, outcome)
        finally:
            if self._parent is not None:
                self._parent._below.discard(self)

    async def _insert(self, workspace: "Recording", above: str) -> str:
        raise NotImplementedError

    async def _finish(self, workspace: "Recording", own: str, outcome: Outcome) -> None:
        raise NotImplementedError


class SessionRow(Row):
    """``resume`` is the id or the key of a session that goes on; None for a new one."""

    def __init__(self, description: str, metadata: Json | None, user: str | None, resume: str | None = None) -> None:
        super().__init__(None)
        self._resume = resume
        self.usage = Usage()
        self._description = description
        self._metadata = metadata
        self._user = user
        self._state = SessionState.CREATED
        self._paused_from = SessionState.CREATED

    async def _insert(self, workspace: "Recording", above: str) -> str:
        if self._resume is None:
            return await self._create(workspace, None)
        before = workspace.rows.get(self._resume)
        workspace.rows[self._resume] = self
        if before is not None:
            # An earlier run of the same session, whose last writes may be on their way.
            async with before.turn:
                pass
        await workspace.pause_abandoned()
        found = await find(workspace, self._resume)
        if found.session is None:
            if found.ended_id is not None:
                self._metadata = {**(self._metadata or {}), "continues": found.ended_id}
            return await self._create(workspace, found.new_id)
        self.id = found.session.id
        workspace.rows[self.id] = self
        self._metadata = found.session.metadata
        self.usage.go_on_from(self._metadata)
        self._paused_from = await take_up(workspace, found.session)
        self._state = found.session.state
        workspace.presence.note(self.id)
        await self.resume(workspace, _GOES_ON)
        await self.approve(workspace, _GOES_ON)
        return self.id

    async def _create(self, workspace: "Recording", session_id: str | None) -> str:
        metadata = metadata_within(self._metadata, workspace.settings.limits.max_metadata_bytes)
        session = await workspace.store.create_session(
            self._description, metadata=metadata, user_id=self._user, session_id=session_id
        )
        workspace.presence.note(session.id)
        workspace.rows[session.id] = self
        return session.id

    async def plan(self, workspace: "Recording") -> None:
        await self._advance(workspace, SessionState.PLANNING, "recording began")

    async def execute(self, workspace: "Recording", first: Row) -> None:
        """The first task has begun."""
        await first.known_id()
        await self.plan(workspace)
        await self._advance(workspace, SessionState.EXECUTING, "the first task began")

    async def await_approval(self, workspace: "Recording", reason: str) -> None:
        """Planning or Executing to AwaitingApproval."""
        if self._state in (SessionState.PLANNING, SessionState.EXECUTING):
            await self._move(workspace, SessionState.AWAITING_APPROVAL, reason)

    async def approve(self, workspace: "Recording", reason: str) -> None:
        """AwaitingApproval to Executing."""
        if self._state is SessionState.AWAITING_APPROVAL:
            await self._move(workspace, SessionState.EXECUTING, reason)

    async def pause(self, workspace: "Recording", reason: str) -> None:
        """To Paused, from any other state."""
        if self._state is not SessionState.PAUSED:
            paused_from = self._state
            await self._move(workspace, SessionState.PAUSED, reason)
            self._paused_from = paused_from

    async def resume(self, workspace: "Recording", reason: str) -> None:
        """From Paused to the state before."""
        if self._state is SessionState.PAUSED:
            before = SessionState.PLANNING if self._paused_from is SessionState.CREATED else self._paused_from
            await self._move(workspace, before, reason)

    async def _advance(self, workspace: "Recording", target: SessionState, reason: str) -> None:
        order = (SessionState.CREATED, SessionState.PLANNING, SessionState.EXECUTING)
        reached = self._paused_from if self._state is SessionState.PAUSED else self._state
        if reached in order[: order.index(target)]:
            await self.resume(workspace, reason)
        if self._state in order[: order.index(target)]:
            await self._move(workspace, target, reason)

    async def _move(
        self, workspace: "Recording", target: SessionState, reason: str, *, metadata: Json | None = None
    ) -> None:
        await workspace.store.transition_session(self.own_id(), target, reason=reason, metadata=metadata)
        self._state = target

    async def _finish(self, workspace: "Recording", own: str, outcome: Outcome) -> None:
        target = SESSION_STATES[outcome.kind]
        reason = outcome.reason or "recording ended"
        metadata = _added_within(self._metadata, self.usage.of_run(), workspace.settings.limits.max_metadata_bytes)
        if target in (SessionState.PAUSED, SessionState.AWAITING_APPROVAL):
            await self._leave_open(workspace, target, reason, metadata)
            return
        if target is not SessionState.CANCELLED:
            # A run that ends while it is paused or waits was resumed or approved without a word.
            await self.resume(workspace, reason)
            await self.approve(workspace, reason)
        try:
            if target is SessionState.COMPLETED:
                await self.plan(workspace)
                await self._advance(workspace, SessionState.EXECUTING, "the first task began")
            await self._move(workspace, target, reason, metadata=metadata)
        except TransitionError as refusal:
            if target is not SessionState.COMPLETED:
                raise
            await self._move(workspace, SessionState.FAILED, refusal.message, metadata=metadata)
        workspace.presence.ended(own)
        await _give_to_sinks(workspace, own)

    async def _leave_open(
        self, workspace: "Recording", target: SessionState, reason: str, metadata: Json | None
    ) -> None:
        """End the recording, not the session."""
        try:
            if self._state is not target:
                await self.resume(workspace, reason)
                await self._move(workspace, target, reason, metadata=metadata)
        except TransitionError:
            # Nothing waits for an approval in a session without a task.
            await self._move(workspace, SessionState.PAUSED, reason, metadata=metadata)
        workspace.presence.left(self.own_id())
        await _give_to_sinks(workspace, self.own_id())


class HolderRow(Row):
    """Base of the rows that may have artifacts: tasks, steps and tool calls."""

    async def artifact(
        self, workspace: "Recording", kind: Any, name: str, content: bytes, content_type: str
    ) -> Awaitable[object]:
        """Queue an artifact; the answer is the write. What follows need not wait for it: the writer keeps the order."""
        own = self.own_id()
        limit = workspace.settings.limits.max_artifact_bytes
        if len(content) > limit:
            name = f"{name[:900]} (the first {limit:,} of {len(content):,} bytes)"
            content = content[:limit]
        return asyncio.create_task(workspace.store.add_artifact(own, kind, name, content, content_type))


class WorkRow(HolderRow):
    """A task or a step. ``refused`` is the state it ends in where the rules refuse Completed."""

    def __init__(
        self,
        kind: Literal[EntityType.SESSION_TASK, EntityType.STEP],
        parent: Row,
        name: str,
        description: str | None,
        metadata: Json | None,
        *,
        refused: WorkState = WorkState.FAILED,
    ) -> None:
        super().__init__(parent)
        self._kind = kind
        self._name = name
        self._description = description
        self._metadata = metadata
        self._refused = refused
        self.usage: Usage | None = None
        """What a step's model calls cost; None as long as there were none."""

    async def _insert(self, workspace: "Recording", above: str) -> str:
        metadata = metadata_within(self._metadata, workspace.settings.limits.max_metadata_bytes)
        store = workspace.store
        add = store.add_task if self._kind is EntityType.SESSION_TASK else store.add_step
        return (await add(above, self._name, description=self._description, metadata=metadata, started=True)).id

    async def _finish(self, workspace: "Recording", own: str, outcome: Outcome) -> None:
        try:
            await self._transition(workspace, own, WORK_STATES[outcome.kind])
        except TransitionError:
            if outcome.kind is not OutcomeKind.DONE:
                raise
            await self._transition(workspace, own, self._refused)

    async def _transition(self, workspace: "Recording", own: str, state: WorkState) -> None:
        store = workspace.store
        if self._kind is EntityType.SESSION_TASK:
            await store.transition_task(own, state)
            return
        facts = None if self.usage is None else self.usage.of_step()
        fitting = _added_within(self._metadata, facts, workspace.settings.limits.max_metadata_bytes)
        await store.transition_step(own, state, metadata=fitting)


class CallRow(HolderRow):
    def __init__(self, parent: Row, name: str, parameters: Any) -> None:
        super().__init__(parent)
        self._name = name
        self._parameters = parameters
        self.result: Any = None

    async def _insert(self, workspace: "Recording", above: str) -> str:
        call = await workspace.store.add_tool_call(above, self._name, self._parameters, started=True)
        return call.id

    async def _finish(self, workspace: "Recording", own: str, outcome: Outcome) -> None:
        store = workspace.store
        if outcome.kind is OutcomeKind.DONE:
            await store.complete_tool_call(own, result=self.result)
        elif outcome.kind is OutcomeKind.CANCELLED:
            await store.cancel_tool_call(own, outcome.reason)
        else:
            await store.fail_tool_call(own, outcome.reason)


async def _give_to_sinks(workspace: "Recording", session_id: str) -> None:
    if sinks().are_there():
        sinks().give(await workspace.store.get_with_hierarchy(session_id))


def _added_within(metadata: Json | None, facts: Json | None, max_bytes: int) -> Json | None:
    """The facts if metadata with them is within its limit: without them the row can still end."""
    if facts is None:
        return None
    whole = {**(metadata or {}), **facts}
    return facts if metadata_within(whole, max_bytes) is whole else None
