"""Transcripts of other agents: what lies on this machine, and reading it once the user has said so.

Looking around opens no file: names, sizes and times are compared with what was read before. Reading goes in small
groups of files, and can be stopped between two of them; what was read stays, and the next import goes on from there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from acode_tui.config import Settings
from acode_tui.ingest import FoundTranscript, ImportProgress, ImportReport, default_roots, discover, import_transcripts
from acode_tui.storage.ports import TranscriptFile
from acode_tui.tui.ports import DashboardWorkspace

NAMES = {"claude-code": "Claude Code", "codex": "Codex", "atif": "ATIF", "swe-agent": "SWE-agent"}


@dataclass(frozen=True, slots=True)
class Group:
    """One agent's transcripts. ``fresh`` are those that are new or have grown since they were read."""

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
    """What lies on this machine, by agent."""

    groups: tuple[Group, ...]

    @property
    def files(self) -> list[FoundTranscript]:
        return [file for group in self.groups for file in group.files]

    @property
    def fresh(self) -> int:
        return sum(len(group.fresh) for group in self.groups)


class StoppedError(Exception):
    """The user stopped the import between two groups of files."""


class Importer(Protocol):
    """What the dashboard asks of transcripts."""

    async def survey(self, workspace: DashboardWorkspace) -> Survey:
        """Look around without opening a file."""
        ...

    async def run(
        self, workspace: DashboardWorkspace, survey: Survey, progress: Callable[[ImportProgress], None]
    ) -> ImportReport:
        """Read what is new. ``progress`` is called between groups and may raise StoppedError."""
        ...


class TranscriptImporter:
    """The importer over ``acode_tui.ingest``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def survey(self, workspace: DashboardWorkspace) -> Survey:
        chosen = self._settings.ingest.formats or None
        roots = [*self._settings.ingest.roots] or default_roots(only=chosen)
        found = await discover(roots, chosen)
        return group_by_agent(found, await workspace.transcripts.known())

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


def group_by_agent(found: list[FoundTranscript], known: dict[str, TranscriptFile]) -> Survey:
    """Files by agent, largest group first. A file is fresh if its size, time or inode is not the one that was read."""
    by_name: dict[str, list[FoundTranscript]] = {}
    for file in found:
        by_name.setdefault(NAMES.get(file.format, file.format or "other"), []).append(file)
    groups = [
        Group(name, tuple(files), tuple(file for file in files if _is_fresh(file, known.get(str(file.path)))))
        for name, files in by_name.items()
    ]
    return Survey(tuple(sorted(groups, key=lambda group: (-len(group.files), group.name))))


def _is_fresh(file: FoundTranscript, read: TranscriptFile | None) -> bool:
    return read is None or (read.size, read.mtime_ns, read.inode) != (file.size, file.mtime_ns, file.inode)
