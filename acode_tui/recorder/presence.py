"""Which runs a process records, so that the next one finds those that a crash left open, and marks them Paused.

Each process has a file in ``.agent/locks`` for as long as it records, with the kernel's lock on it and the ids of its
runs in it, one a line; a run that was left open on purpose has a second line, with a minus. The lock goes with the
process, however that ends. A run that begins in the instant before a power failure may be missing from it; it then
stays in its last state.
"""

import asyncio
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

from acode_tui.config.postgres_address import is_postgres_url
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.states import SessionState
from acode_tui.files import make_private_folder, try_lock
from acode_tui.plain_files import open_plain
from acode_tui.recorder.outcome import log

if TYPE_CHECKING:
    from acode_tui.config import Settings
    from acode_tui.storage.ports import RunStateStore
    from acode_tui.workspace import Workspace

_FOLDER = Path(".agent") / "locks"
_PREFIX = "recorder-"
_LEFT = "-"
"""Before the id of a run that its process does not record any more."""

_MAX_BYTES = 4 * 1024 * 1024
"""What is read of such a file at most: the ids of 100,000 runs."""

CUT_SHORT = "the process that recorded it"
"""How the reason begins for which a run that a crash left open is Paused."""

_OPEN = (SessionState.CREATED, SessionState.PLANNING, SessionState.EXECUTING, SessionState.AWAITING_APPROVAL)


class Presence:
    """This process's file in one workspace. Where it cannot be made, runs are recorded without it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}.lock"
        self._handle: int | None = None
        self._open: set[str] = set()

    def note(self, session_id: str) -> None:
        """Add a run of this process."""
        try:
            if self._handle is None:
                make_private_folder(self._path.parent)
                self._handle = open_plain(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND)
                try_lock(self._handle)
            self._open.add(session_id)
            os.write(self._handle, f"{session_id}\n".encode())
        except OSError as error:
            log.debug("a run is recorded without a mark of its process: %s", error)

    def ended(self, session_id: str) -> None:
        """A run of this process has reached its final state."""
        self._open.discard(session_id)

    def left(self, session_id: str) -> None:
        """A run of this process was left open on purpose: a crash that comes later does not pause it."""
        self.ended(session_id)
        try:
            if self._handle is not None:
                os.write(self._handle, f"{_LEFT}{session_id}\n".encode())
        except OSError as error:
            log.debug("a run may be taken for one that a crash cut short: %s", error)

    def release(self) -> None:
        """Remove the file if every run of this process has ended; else it stays, for the next process to find."""
        if self._handle is not None and not self._open:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            self.close()

    def close(self) -> None:
        """Close the file and leave it there. In a forked child this keeps the lock with the parent alone."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


class NoPresence(Presence):
    """For a database without a folder: nothing says which runs a process left open, and none is marked."""

    def __init__(self) -> None:
        super().__init__(Path())

    def note(self, session_id: str) -> None:
        """Nothing to write."""


class _Ordered(Protocol):
    """A row: its writes are done in turn."""

    turn: asyncio.Lock


class Recording:
    """An open workspace that runs are recorded in."""

    def __init__(
        self, workspace: "Workspace", presence: Presence | None = None, *, place: "str | Path" = Path()
    ) -> None:
        """``presence`` is that of an earlier opening of the same workspace by this process; ``place`` is what was
        opened, a folder or the URL of a database.
        """
        self._workspace = workspace
        self.store: RunStateStore = workspace.store
        self.workspace_id = workspace.workspace_id
        self.rows: WeakValueDictionary[str, _Ordered] = WeakValueDictionary()
        """By id and by key, the last row of a session in this process: who goes on with it waits for its writes."""
        self._has_folder = not is_postgres_url(place)
        self.presence = presence or (Presence(workspace.root / _FOLDER) if self._has_folder else NoPresence())

    @property
    def settings(self) -> "Settings":
        """The workspace's settings as they are now."""
        return self._workspace.settings

    async def pause_abandoned(self) -> int:
        """Mark as Paused the runs that processes left open which do not exist any more; returns their number."""
        paused = 0
        if not self._has_folder:
            return paused
        for path in sorted((self._workspace.root / _FOLDER).glob(f"{_PREFIX}*.lock")):
            try:
                handle = open_plain(path, os.O_RDONLY)
            except OSError:
                continue  # its process has just ended and removed it, or it is no file of ours
            try:
                if not try_lock(handle):
                    continue
                words = path.name.removeprefix(_PREFIX).split("-")
                for session_id in _recorded(os.read(handle, _MAX_BYTES).decode("ascii", "replace").split()):
                    paused += await self._pause(session_id, words[0])
                path.unlink(missing_ok=True)
            except (AcodeError, OSError) as error:
                # Another time: the file stays.
                log.warning("runs of a process that has ended could not be marked: %s", error)
            finally:
                os.close(handle)
        return paused

    async def _pause(self, session_id: str, pid: str) -> bool:
        from acode_tui.domain.errors import NotFoundError, TransitionError, ValidationError

        try:
            session = await self.store.get(session_id)
            if session.state not in _OPEN:
                return False
            reason = f"{CUT_SHORT} (pid {pid}) ended before the run did"
            await self.store.transition_session(session_id, SessionState.PAUSED, reason=reason)
        except (NotFoundError, TransitionError, ValidationError):
            return False  # deleted, or ended meanwhile, or no id
        return True


def _recorded(lines: list[str]) -> list[str]:
    """The runs that a process recorded until its end, by the lines of its file: the last line of a run decides."""
    last: dict[str, bool] = {}
    for line in lines:
        last[line.removeprefix(_LEFT)] = not line.startswith(_LEFT)
    return [session_id for session_id, open_ in last.items() if open_]
