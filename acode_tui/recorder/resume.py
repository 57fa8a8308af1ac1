"""Going on with a session that was recorded before: by its id, or by a key such as the id of a conversation.

A key's session has an id that follows from the key, so any process of the workspace finds it. A session that has ended
cannot go on, by the rules of its states; its key's next session has the next of these ids and names the one before.
"""

from typing import NamedTuple

from acode_tui.domain.entities import Session, SessionEvent
from acode_tui.domain.errors import NotFoundError, ValidationError
from acode_tui.domain.ids import imported_id
from acode_tui.domain.states import SessionState, WorkState
from acode_tui.domain.transitions import SESSION_TERMINAL
from acode_tui.domain.validation import escape
from acode_tui.recorder.presence import CUT_SHORT, Recording

_SOURCE = "acode_tui.recorder"
_OPEN_WORK = (WorkState.PENDING, WorkState.IN_PROGRESS)
_LEFT_OPEN = "its process ended first"


class Found(NamedTuple):
    """The session to go on with; where there is none, the id of the new one, and of the ended one before it."""

    session: Session | None
    new_id: str
    ended_id: str | None = None


async def find(workspace: Recording, resume: str) -> Found:
    """The session with an id, else the one of a key. Raises AcodeError."""
    named = await _get(workspace, resume)
    if named is not None and named.state not in SESSION_TERMINAL:
        return Found(named, named.id)
    ended = named
    number = 1
    while True:
        own = imported_id(_SOURCE, workspace.workspace_id, escape(resume), str(number))
        known = await _get(workspace, own)
        if known is None or known.state not in SESSION_TERMINAL:
            return Found(known, own, None if ended is None else ended.id)
        ended = known
        number += 1


async def take_up(workspace: Recording, session: Session) -> SessionState:
    """End what a crash left open in a session, and return the state from which it was paused, if it is."""
    if session.state is not SessionState.PAUSED:
        return session.state
    pauses = [event for event in await workspace.store.get_events(session.id) if _is_pause(event)]
    if not pauses:
        return SessionState.CREATED
    if pauses[-1].reason.startswith(CUT_SHORT):
        await _end_open_work(workspace, session.id)
    return pauses[-1].from_state


def _is_pause(event: SessionEvent) -> bool:
    return event.to_state is SessionState.PAUSED and event.from_state is not SessionState.PAUSED


async def _end_open_work(workspace: Recording, session_id: str) -> None:
    """Skip the tasks and steps that are open: what they were to do is done by a later task, or not at all."""
    store = workspace.store
    for task in (await store.get_with_hierarchy(session_id)).tasks:
        if task.state not in _OPEN_WORK:
            continue
        for step in task.steps:
            for call in step.tool_calls:
                if call.completed_at is None:
                    await store.cancel_tool_call(call.id, _LEFT_OPEN)
            if step.state in _OPEN_WORK:
                await store.transition_step(step.id, WorkState.SKIPPED)
        await store.transition_task(task.id, WorkState.SKIPPED)


async def _get(workspace: Recording, session_id: str) -> Session | None:
    try:
        return await workspace.store.get(session_id)
    except (NotFoundError, ValidationError):
        return None
