"""Imports what agents write while they write it: one pass over everything, then only what changes.

What a change costs depends on the lines that are new and on the file that they are in, not on how many transcripts
there are: the folder of each run is looked for once, and only the cursors of the changed files are read. A pass over
everything is repeated now and then, for file systems that report no changes and for states that time alone changes.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from pathlib import Path
from time import monotonic

import msgspec

from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.validation import Limits
from acode_tui.ingest.cursor import cursor_key
from acode_tui.ingest.discover import FoundTranscript, discover, find_changed
from acode_tui.ingest.folder_watch import folder_changes
from acode_tui.ingest.follow_lease import FollowLease
from acode_tui.ingest.importer import ImportReport, ReportImport, import_transcripts, note_claims
from acode_tui.ingest.scope import split
from acode_tui.ingest.usage import Claims
from acode_tui.storage.transcript_ports import TranscriptFile, TranscriptLog

PASS_SECONDS = 60.0
"""Everything is looked at again after this time."""

UNWATCHED_PASS_SECONDS = 5.0
"""The same where the system refuses to watch folders for this process."""

LEASE_SECONDS = 1.0
"""A process that waits for the lease tries so often to take it."""


class FollowedRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are followed: those of ``roots`` that began in the workspace's folder ``within``, or all of them where
    that is None, and all of ``paths``. ``format`` is the format of every file, where it is given; ``formats`` are
    those that are looked for.
    """

    roots: tuple[Path, ...] = ()
    paths: tuple[Path, ...] = ()
    within: Path | None = None
    format: str | None = None
    formats: tuple[str, ...] | None = None

    @property
    def every(self) -> list[Path]:
        return [*self.paths, *self.roots]


class Follower:
    """Imports the followed runs. One call at a time."""

    def __init__(
        self,
        log: TranscriptLog,
        runs: FollowedRuns,
        *,
        workspace_id: str,
        user_id: str | None,
        limits: Limits,
        wall: WallClock = system_clock,
    ) -> None:
        self.runs = runs
        self._log = log
        self._workspace_id = workspace_id
        self._user_id = user_id
        self._limits = limits
        self._wall = wall
        self._claims = Claims()
        self._folders: dict[Path, str] = {}

    async def import_all(self, on_progress: ReportImport | None = None) -> ImportReport:
        """Import everything that is new. Raises what storage raises."""
        runs = self.runs
        named = await discover(runs.paths, runs.formats)
        known = await self._log.known()
        others = await discover(runs.roots, runs.formats)
        kept, elsewhere = await asyncio.to_thread(self._of_this_workspace, others, known)
        self._claims = Claims()
        await asyncio.to_thread(note_claims, self._claims, known)
        found = list({item.path: item for item in (*kept, *named)}.values())
        report = await self._import(found, known if known else None, on_progress)
        return msgspec.structs.replace(report, elsewhere=elsewhere)

    async def import_changed(
        self, changed: Collection[Path], before: Callable[[Sequence[str]], Awaitable[None]] | None = None
    ) -> ImportReport:
        """Import what is new in the transcripts that these paths belong to, after ``import_all``.

        ``before`` is called with the ids of the sessions that were read from them before. Raises what storage raises.
        """
        found = await asyncio.to_thread(self._find, changed)
        if not found:
            return ImportReport()
        known = await self._log.known([cursor_key(item.path) for item in found])
        if before is not None and known:
            await before([id for cursor in known.values() for id in cursor.session_ids])
        return await self._import(found, known, None)

    async def changes(self, refused: Callable[[OSError], None]) -> AsyncGenerator[set[Path] | None, None]:
        """The paths that change under the followed roots; None where everything is to be looked at, which comes first.

        The folders are watched before that, so that no write is missed. ``refused`` is called when the system watches
        no folder for this process; everything is then looked at often. It does not end by itself.
        """
        while True:
            present = self._present()
            try:
                async with aclosing(folder_changes(present)) as watched:
                    due = 0.0
                    async for changed in watched:
                        if changed:
                            yield changed
                        elif self._present() != present:
                            break
                        if monotonic() >= due:
                            due = monotonic() + PASS_SECONDS
                            yield None
            except OSError as error:
                refused(error)
                yield None
                await asyncio.sleep(UNWATCHED_PASS_SECONDS)

    def _present(self) -> list[Path]:
        return [root for root in self.runs.every if root.exists()]

    async def _import(
        self,
        found: Sequence[FoundTranscript],
        known: dict[str, TranscriptFile] | None,
        on_progress: ReportImport | None,
    ) -> ImportReport:
        return await import_transcripts(
            self._log,
            found,
            workspace_id=self._workspace_id,
            user_id=self._user_id,
            limits=self._limits,
            format=self.runs.format,
            on_progress=on_progress,
            wall=self._wall,
            known=known,
            claims=self._claims,
        )

    def _find(self, changed: Collection[Path]) -> list[FoundTranscript]:
        runs = self.runs
        found = find_changed(changed, runs.every, runs.formats)
        named = [item for item in found if any(item.path.is_relative_to(path) for path in runs.paths)]
        taken = {item.path for item in named}
        kept, _ = self._of_this_workspace([item for item in found if item.path not in taken], {})
        return [*named, *kept]

    def _of_this_workspace(
        self, found: list[FoundTranscript], known: dict[str, TranscriptFile]
    ) -> tuple[list[FoundTranscript], dict[str, int]]:
        if self.runs.within is None:
            return found, {}
        return split(found, self.runs.within, known, self._folders)


async def leased(lease: FollowLease, waiting: Callable[[int | None], None]) -> None:
    """Wait until this process holds the lease.

    ``waiting`` is called with the holder's id, as far as it is known, whenever that changes. Raises OSError where there
    can be no lease.
    """
    holder: int | None = -1
    while not await asyncio.to_thread(lease.take):
        if (found := await asyncio.to_thread(lease.holder)) != holder:
            holder = found
            waiting(holder)
        await asyncio.sleep(LEASE_SECONDS)
