"""Which session and which release of the agent the lines of a file belong to. A file may hold those of several.

Two files that were joined, or a program that went on in another session's file, leave such. The file stays one run,
that of its own session: what belongs to another one is marked with that one's native id.
"""

from typing import Any, NamedTuple

from acode_tui.ingest.draft import RunDraft
from acode_tui.ingest.records import label
from acode_tui.ingest.timeline import Timeline

MAX_NAMED = 20
"""So many other sessions, and so many releases, are named in the session's metadata."""
MARK = "nativeSessionId"
"""The key in the metadata of a task or step that is of another session than the file's own."""


class SavedSessions(NamedTuple):
    """What is kept to read on. ``current`` is the session of the latest line, as that names it."""

    own: str = ""
    current: str = ""
    others: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


class FileSessions:
    """Follows the session and the release through the lines. ``own`` is the file's own session, else the first one.

    ``origins`` are sessions whose lines the file's own one repeats: they are no other sessions.
    """

    def __init__(self, run: RunDraft, timeline: Timeline, own: str = "") -> None:
        self._run = run
        self._timeline = timeline
        self._own = own
        self.current: Any = ""
        self.version: Any = ""
        self.others: list[str] = []
        self.versions: list[str] = []
        self.origins: list[str] = []

    def note_session(self, native: Any, line: int) -> None:
        """A line names its session. A placeholder with blanks in it identifies none."""
        if type(native) is not str or not native or native == self.current or " " in native:
            return
        name = label(native)
        if name in self.origins:
            return
        self.current = native
        self._own = self._own or name
        if name.lower() == self._own.lower():
            self._run.marks = {}
            return
        self._run.marks = {MARK: name}
        if name not in self.others and len(self.others) < MAX_NAMED:
            self.others.append(name)
            self._timeline.note(f"lines of another session: {name}", line)

    def note_version(self, version: Any, line: int) -> None:
        """A line names the release that wrote it."""
        if type(version) is not str or not version or " " in version:
            return
        self.version = version
        name = label(version)
        if name not in self.versions and len(self.versions) < MAX_NAMED:
            self.versions.append(name)
            if len(self.versions) > 1:
                self._timeline.note(f"another release of the agent: {name}", line)

    def facts(self) -> dict[str, Any]:
        """What the session's metadata says of it; nothing for a file of one session and one release."""
        found: dict[str, Any] = {}
        if self.others:
            found["otherSessions"] = self.others
        if len(self.versions) > 1:
            found["agentVersions"] = self.versions
        return found

    def save(self) -> SavedSessions:
        return SavedSessions(self._own, self.current, tuple(self.others), tuple(self.versions), tuple(self.origins))

    def restore(self, saved: SavedSessions) -> None:
        self._own, self.current = saved.own, saved.current
        self.others, self.versions, self.origins = [*saved.others], [*saved.versions], [*saved.origins]
        name = label(saved.current)
        self._run.marks = {MARK: name} if name and name.lower() != self._own.lower() else {}
