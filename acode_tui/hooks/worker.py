"""Works on a workspace's hook events: imports their transcripts, and marks the runs that wait for a person.

One worker a workspace, by the kernel's lock. It works until the queue is empty, so an event that comes meanwhile needs
no worker of its own. What it could not do stays in the queue for the next event.
"""

import asyncio
import fcntl
import os
from pathlib import Path

from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.errors import AcodeError, NotFoundError, TransitionError
from acode_tui.domain.ids import imported_id
from acode_tui.domain.states import SessionState
from acode_tui.files import make_private_folder, try_lock
from acode_tui.hooks.events import HookEvent
from acode_tui.hooks.queue import done, is_empty, take
from acode_tui.logs import configure, get_logger
from acode_tui.plain_files import open_plain
from acode_tui.workspace import Workspace, open_workspace

log = get_logger("acode_tui.hooks")

_LOCK = Path("locks") / "hooks.lock"
_WORKING = (SessionState.PLANNING, SessionState.EXECUTING)
_ANSWERED = (
    "PostToolUse",
    "PostToolUseFailure",
    "PermissionDenied",
    "UserPromptSubmit",
    "Stop",
    "SessionEnd",
    "agent-turn-complete",
)
"""Events after which the agent waits no more. What comes before a call is none: that may be a question to the user."""


def run(root: Path, *, wall: WallClock = system_clock) -> int:
    """Work on the queue until it is empty; returns the number of events. 0 if another process does so already."""
    agent_dir = root / ".agent"
    configure(agent_dir)
    try:
        make_private_folder((agent_dir / _LOCK).parent)
        handle = open_plain(agent_dir / _LOCK, os.O_CREAT | os.O_RDWR)
    except OSError as error:
        log.warning("hooks.failed", reason=str(error))
        return 0
    count = 0
    try:
        # Looked again after the lock was released: the worker of an event that came in between found it taken.
        while not is_empty(agent_dir) and try_lock(handle):
            while events := take(agent_dir):
                asyncio.run(_work(root, events, wall))
                done(agent_dir)
                count += len(events)
            fcntl.flock(handle, fcntl.LOCK_UN)
    except (AcodeError, OSError) as error:
        log.warning("hooks.failed", reason=str(error))
    finally:
        os.close(handle)
    return count


async def _work(root: Path, events: list[HookEvent], wall: WallClock) -> None:
    """Import what the events name, then bring each run's state to its last event. Raises AcodeError, OSError."""
    async with open_workspace(root, mode="hook", wall=wall) as workspace:
        await _import(workspace, events)
        for event in {event.session: event for event in events if event.session}.values():
            await _mark(workspace, event)


async def _import(workspace: Workspace, events: list[HookEvent]) -> None:
    from acode_tui.ingest import default_roots, discover, import_transcripts

    formats = workspace.settings.ingest.formats or None
    named = [Path(path) for path in dict.fromkeys(event.transcript for event in events) if os.path.isabs(path)]
    found = await discover([path for path in named if path.exists()], formats)
    threads = {event.session for event in events if event.session and not event.transcript}
    if threads:
        # A rollout's name ends with its thread's id.
        rollouts = await discover(default_roots(os.environ, ["codex"]), ["codex"])
        found = [*found, *(item for item in rollouts if any(thread in item.path.name for thread in threads))]
    await import_transcripts(
        workspace.transcripts,
        found,
        workspace_id=workspace.workspace_id,
        user_id=workspace.user,
        limits=workspace.settings.limits,
        wall=workspace.wall,
    )


async def _mark(workspace: Workspace, event: HookEvent) -> None:
    """AwaitingApproval while the agent waits for the user, and no longer."""
    session_id = imported_id(event.agent, event.session)
    try:
        session = await workspace.store.get(session_id)
        if event.waits_for and session.state in _WORKING:
            target, reason = SessionState.AWAITING_APPROVAL, event.waits_for
        elif event.name in _ANSWERED and session.state is SessionState.AWAITING_APPROVAL:
            target, reason = SessionState.EXECUTING, f"the agent went on: {event.name}"
        else:
            return
        await workspace.store.transition_session(session_id, target, reason=reason)
    except (NotFoundError, TransitionError) as error:
        # Its transcript has no line yet, or no task: the next event finds it.
        log.debug("hooks.not_marked", entity_id=session_id, reason=str(error))
