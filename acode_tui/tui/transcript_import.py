"""Transcripts of other agents on this machine: listing them, and importing them with the user's consent.

Listing compares names, sizes and times with those of the last import; of a file that is new or has changed the first
lines are read, for the folder of its run. An import reads small groups
of files and can be stopped between two groups; what was imported stays, and the next import continues from there.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from acode_tui.config import Settings, resolve_path
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.ingest import FoundTranscript, ImportProgress, ImportReport, discover, import_transcripts
from acode_tui.ingest.discover import possible_roots
from acode_tui.ingest.retention import count_ending
from acode_tui.ingest.scope import split
from acode_tui.storage.ports import TranscriptFile
from acode_tui.tui.ports import DashboardWorkspace

if TYPE_CHECKING:
    from acode_tui.ingest.follow import Follower

AGENT_NAMES = {
    "claude-code": "Claude Code",
    "codex": "Codex",
    "copilot": "Copilot CLI",
    "gemini": "Gemini CLI",
    "opencode": "OpenCode",
    "openhands": "OpenHands",
    "pi": "pi",
    "atif": "ATIF",
    "swe-agent": "SWE-agent",
    "otlp": "OpenTelemetry",
}


@dataclass(frozen=True, slots=True)
class AgentTranscripts:
    """The transcripts of one agent. ``fresh`` are those that are new or have changed since they were imported."""

    name: str
    files: tuple[FoundTranscript, ...]
    fresh: tuple[FoundTranscript, ...]

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def fresh_bytes(self) -> int:
        return sum(file.size for file in self.fresh)


@dataclass(frozen=True, slots=True)
class Survey:
    """The transcripts of this workspace's folder, by agent; of other folders, how many there are in each.

    ``ending`` is the number of those that their agent deletes within a week; it is counted before the first import.
    """

    groups: tuple[AgentTranscripts, ...]
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    ending: int = 0

    @property
    def files(self) -> list[FoundTranscript]:
        return [file for group in self.groups for file in group.files]

    @property
    def fresh(self) -> int:
        return sum(len(group.fresh) for group in self.groups)


class StoppedError(Exception):
    """The user stopped the import between two groups of files."""


class Importer(Protocol):
    """Lists and imports transcripts. The dashboard's is TranscriptImporter."""

    async def survey(self, workspace: DashboardWorkspace) -> Survey:
        """List the transcripts. Only the beginning of each is read, for the folder of its run."""
        ...

    async def run(
        self, workspace: DashboardWorkspace, survey: Survey, progress: Callable[[ImportProgress], None]
    ) -> ImportReport:
        """Import the fresh files. ``progress`` is called between groups of files and may raise StoppedError."""
        ...


class TranscriptImporter:
    """The importer over ``acode_tui.ingest``."""

    def __init__(self, settings: Settings, *, everywhere: bool = False, wall: WallClock = system_clock) -> None:
        """``everywhere``: runs of every folder, not only of the workspace's."""
        self._settings = settings
        self._everywhere = everywhere
        self._wall = wall

    async def survey(self, workspace: DashboardWorkspace) -> Survey:
        chosen = self._settings.ingest.formats or None
        found = await discover([root for root in _roots(workspace, self._settings) if root.exists()], chosen)
        known = await workspace.transcripts.known()
        elsewhere: dict[str, int] = {}
        if not self._everywhere:
            found, elsewhere = await asyncio.to_thread(split, found, workspace.root, known)
        ending = 0 if known else await asyncio.to_thread(count_ending, found, self._wall())
        return replace(group_by_agent(found, known), elsewhere=elsewhere, ending=ending)

    async def run(
        self, workspace: DashboardWorkspace, survey: Survey, progress: Callable[[ImportProgress], None]
    ) -> ImportReport:
        return await import_transcripts(
            workspace.transcripts,
            survey.files,
            workspace_id=workspace.workspace_id,
            user_id=workspace.user,
            limits=self._settings.limits,
            on_progress=progress,
        )


def follower_of(workspace: DashboardWorkspace, settings: Settings, wall: WallClock) -> "Follower":
    """What imports the transcripts of runs in the workspace's folder while they are being written."""
    # Loaded when something is followed.
    from acode_tui.ingest.follow import FollowedRuns, Follower

    runs = FollowedRuns(
        roots=tuple(_roots(workspace, settings)),
        within=workspace.root,
        formats=tuple(settings.ingest.formats) or None,
    )
    return Follower(
        workspace.transcripts,
        runs,
        workspace_id=workspace.workspace_id,
        user_id=workspace.user,
        limits=settings.limits,
        wall=wall,
    )


def _roots(workspace: DashboardWorkspace, settings: Settings) -> list[Path]:
    """The folders in which transcripts are looked for; they need not exist."""
    configured = [resolve_path(workspace.root, root) for root in settings.ingest.roots]
    return configured or possible_roots(only=settings.ingest.formats or None)


def group_by_agent(found: list[FoundTranscript], known: dict[str, TranscriptFile]) -> Survey:
    """Files by agent, the largest group first. A file is fresh if its size, time or inode differs from the import's."""
    by_name: dict[str, list[FoundTranscript]] = {}
    for file in found:
        by_name.setdefault(AGENT_NAMES.get(file.format, file.format or "other"), []).append(file)
    groups = [
        AgentTranscripts(
            name, tuple(files), tuple(file for file in files if _is_fresh(file, known.get(str(file.path))))
        )
        for name, files in by_name.items()
    ]
    return Survey(tuple(sorted(groups, key=lambda group: (-len(group.files), group.name))))


def _is_fresh(file: FoundTranscript, read: TranscriptFile | None) -> bool:
    return read is None or (read.size, read.mtime_ns, read.inode) != (file.size, file.mtime_ns, file.inode)
