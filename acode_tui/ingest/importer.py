"""Importing transcripts: which files changed, reading them off the event loop, storing several in each transaction.

Between transactions the import can be cancelled or killed: what was stored stays together with its cursors, and the
next import continues from there.
"""

import asyncio
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

import msgspec

from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.progress import Progress, progress_after
from acode_tui.domain.quantities import number
from acode_tui.domain.validation import Limits
from acode_tui.ingest.counts import MAX_REPORTED, Counts
from acode_tui.ingest.cursor import cursor_key, decode_state, is_current, is_over, unchanged
from acode_tui.ingest.discover import FoundTranscript
from acode_tui.ingest.file_reader import RESUME_BYTES, FileReader
from acode_tui.ingest.format import FileStat
from acode_tui.ingest.groups import DueFile, GroupReader, PreparedFile, in_groups
from acode_tui.ingest.parallel import GroupSource, is_worthwhile
from acode_tui.ingest.prompt_history import FILE_NAME
from acode_tui.ingest.reader_process import ReadSettings
from acode_tui.ingest.records import parse_stamp
from acode_tui.ingest.registry import format_named
from acode_tui.ingest.retention import count_ending
from acode_tui.ingest.usage import Claims
from acode_tui.storage.ports import TranscriptFile, TranscriptLog

COMMIT_BYTES = 8 * 1024 * 1024
COMMIT_FRACTION = 3
"""A commit is large enough with so many bytes, or with this part of what was stored before it or is still to be read.

The larger a commit, the fewer index pages are written again by the next: ids are random, so each changes most of them.
The first is small nevertheless, so that storing begins early; and so is the last, since nothing is read beside it.
"""

MAX_COMMITS_IN_FLIGHT = 2
"""Commits under way while more is read; storage makes one transaction of two that wait."""

EDGE_BYTES = 64 * 1024
"""So much of a file's beginning and of its end is looked at for time stamps, to find the order to read files in."""

_STAMP = re.compile(rb'"timestamp"\s*:\s*"([^"\\]{10,40})"')
_LAST = "9999"

_Readable: TypeAlias = tuple[DueFile, TranscriptFile, PreparedFile]
"""A file that was read, its cursor, and what was prepared of it."""


class ImportIssue(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A file or a line that could not be read. ``line`` counts from 1; None means the whole file.

    ``hint`` says what to do about it, where that is known.
    """

    file: str
    line: int | None = None
    message: str
    hint: str = ""


class ImportProgress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Reported once before the first commit and after every commit. Bytes are those of the files to read.

    ``current`` is the path of the file that was stored last.
    """

    files: Progress
    bytes: Progress
    current: str = ""


class ImportReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an import did. Entities are counted in the files read this time; ``unchanged`` files were not read again.

    ``unknown_records`` counts, for each format, the records that it does not know by their types: a newer release of an
    agent writes such. ``written`` is the number of rows inserted or updated. ``ending`` is the number of transcripts
    that their agent deletes within a week; it is counted in the first import of a workspace only.
    ``touched`` are the ids of the sessions of files of which rows were written.
    """

    files: int = 0
    sessions: int = 0
    tasks: int = 0
    steps: int = 0
    tool_calls: int = 0
    artifacts: int = 0
    unchanged: int = 0
    skipped_lines: int = 0
    unknown_records: dict[str, dict[str, int]] = {}
    written: int = 0
    ending: int = 0
    touched: tuple[str, ...] = ()
    elsewhere: dict[str, int] = {}
    errors: tuple[ImportIssue, ...] = ()


ReportImport = Callable[[ImportProgress], None]
"""Receives progress. What it raises ends the import."""


class _Tally:
    def __init__(self) -> None:
        self.counts = Counts()
        self.unchanged = 0
        self.skipped = 0
        self.counted: dict[tuple[str, ...], Counts] = {}
        self.unknown: dict[str, dict[str, int]] = {}
        self.written = 0
        self.ending = 0
        self.touched: dict[str, None] = {}
        self.issues: list[ImportIssue] = []

    def add_unknown(self, format_: str, types: Mapping[str, int]) -> None:
        known = self.unknown.setdefault(format_, {})
        for type_, count in types.items():
            known[type_] = known.get(type_, 0) + count

    def issue(self, path: Path, message: str, line: int | None = None, hint: str = "") -> None:
        self.issues.append(ImportIssue(file=cursor_key(path), line=line, message=message, hint=hint))

    def report(self, files: int) -> ImportReport:
        return ImportReport(
            files=files,
            sessions=self.counts.sessions,
            tasks=self.counts.tasks,
            steps=self.counts.steps,
            tool_calls=self.counts.tool_calls,
            artifacts=self.counts.artifacts,
            unchanged=self.unchanged,
            skipped_lines=self.skipped,
            unknown_records={name: dict(sorted(types.items())) for name, types in sorted(self.unknown.items())},
            written=self.written,
            ending=self.ending,
            touched=tuple(self.touched),
            # By file and line: commits may end in another order than their files were read in.
            errors=tuple(sorted(self.issues, key=lambda issue: (issue.file, issue.line or sys.maxsize))),
        )


async def import_transcripts(
    log: TranscriptLog,
    found: Sequence[FoundTranscript],
    *,
    workspace_id: str,
    user_id: str | None = None,
    limits: Limits | None = None,
    format: str | None = None,
    on_progress: ReportImport | None = None,
    wall: WallClock = system_clock,
    known: dict[str, TranscriptFile] | None = None,
    claims: Claims | None = None,
) -> ImportReport:
    """Write what the found files hold now into the workspace. A second import of the same files writes nothing.

    ``format`` is the format of every file, which is then not detected. ``known`` are the cursors of the found files,
    ``claims`` what all sessions have counted so far; both are read where they are not given, at the cost of every file
    that was ever imported. Raises IngestError for an unknown format, and what storage raises. A file that cannot be
    read is an issue in the report; the other files are imported.
    """
    if format is not None:
        format_named(format)
    run = _Import(log, found, workspace_id, user_id, limits or Limits(), format, on_progress, wall(), known, claims)
    return await run.run()


class _Import:
    def __init__(
        self,
        log: TranscriptLog,
        found: Sequence[FoundTranscript],
        workspace_id: str,
        user_id: str | None,
        limits: Limits,
        format: str | None,
        on_progress: ReportImport | None,
        now: datetime,
        known: dict[str, TranscriptFile] | None,
        claims: Claims | None,
    ) -> None:
        self._known = known
        self._log = log
        self._found = found
        self._format = format
        self._now = now
        self._on_progress = on_progress
        self._reader = FileReader(workspace_id=workspace_id, user_id=user_id, limits=limits, now=now, format=format)
        self._claims = claims if claims is not None else Claims()
        self._claims_are_given = claims is not None
        settings = ReadSettings(workspace_id=workspace_id, user_id=user_id, limits=limits, now=now, format=format)
        self._source = GroupSource(GroupReader(self._reader, log.prepare, self._claims), self._claims, settings)
        self._tally = _Tally()
        self._unfinished: list[DueFile] = []
        self._only_new: list[tuple[DueFile, PreparedFile]] = []
        self._done = 0
        self._bytes_done = 0
        self._bytes_total = 0
        self._started = perf_counter()

    async def run(self) -> ImportReport:
        storing: deque[asyncio.Task[None]] = deque()
        try:
            known = await self._log.known() if self._known is None else self._known
            if not known and self._known is None:
                self._tally.ending = await asyncio.to_thread(count_ending, self._found, self._now)
            due = await self._with_resumes(await asyncio.to_thread(self._choose, known))
            due = await asyncio.to_thread(self._begin, due, known)
            self._bytes_total = sum(file.size for file in due)
            self._done = len(self._found) - len(due)
            self._report_progress()
            groups = list(in_groups(due))
            batch = CommitBatch(self._bytes_total)
            for index, group in enumerate(groups):
                batch.add(group, await asyncio.to_thread(self._source.read, groups, index))
                if batch.is_large_enough:
                    storing.append(asyncio.create_task(self._commit(*batch.take())))
                while storing and (storing[0].done() or len(storing) > MAX_COMMITS_IN_FLIGHT):
                    await storing.popleft()
            while storing:
                await storing.popleft()
            while self._unfinished:
                due_file = self._unfinished.pop()
                await self._store_read([due_file], [await asyncio.to_thread(self._source.read_whole, due_file)])
                self._report_progress(str(due_file.path))
            for due_file, file in self._only_new:
                # After all others: what they stored counts.
                await self._store_read([due_file], [await self._without_stored(file)], is_last=True)
        finally:
            self._source.stop()
            for task in storing:
                task.cancel()
            await asyncio.gather(*storing, return_exceptions=True)
            if self._source.has_process:
                await asyncio.to_thread(self._source.close)
        return self._tally.report(len(self._found))

    async def _commit(self, group: Sequence[DueFile], files: Sequence[PreparedFile]) -> None:
        await self._store_read(group, files)
        self._done += len(group)
        self._bytes_done += sum(file.size for file in group)
        self._report_progress(str(group[-1].path))

    async def _store_read(
        self, group: Sequence[DueFile], files: Sequence[PreparedFile], *, is_last: bool = False
    ) -> None:
        """Store what was read of these files, and note of which of them more is to be read."""
        readable = []
        for due, file in zip(group, files, strict=True):
            if file.only_new is not None and not is_last:
                self._only_new.append((due, file))
            elif file.cursor is None:
                self._tally.issue(due.path, file.problem, hint=file.hint)
            else:
                readable.append((due, file.cursor, file))
        await self._store(await self._as_expected(readable))
        for due, cursor, file in readable:
            if file.is_partial:
                self._unfinished.append(due._replace(known=cursor))

    def _choose(self, known: dict[str, TranscriptFile]) -> list[DueFile]:
        """The files to read, in reading order. An unchanged file costs only the stat that found it."""
        due = []
        seconds = self._now.timestamp()
        for item in self._found:
            if item.problem is not None:
                self._tally.issue(item.path, item.problem)
                continue
            cursor = known.get(cursor_key(item.path))
            now = FileStat(item.inode, item.size, item.mtime_ns)
            if (
                cursor is not None
                and not (_has_many(item.path) and not item.within and decode_state(cursor.state).scoped)
                and unchanged(cursor, now, self._format)
                and is_current(cursor.state)
                and not is_over(cursor.state, seconds)
            ):
                self._tally.unchanged += 1
                continue
            due.append(DueFile(item.path, item.size, cursor, within=item.within))
        return due

    async def _with_resumes(self, due: list[DueFile]) -> list[DueFile]:
        """The same files, with what is kept to read on in those that are worth it."""
        grown = [cursor_key(file.path) for file in due if file.known and RESUME_BYTES <= file.known.offset <= file.size]
        if not grown:
            return due
        resumes = await self._log.resumes(grown)
        return [
            file._replace(resume=resumes[file.known.path], size=file.size - file.known.offset)
            if file.known is not None and file.known.path in resumes
            else file
            for file in due
        ]

    def _begin(self, due: list[DueFile], known: dict[str, TranscriptFile]) -> list[DueFile]:
        """Note what earlier imports have counted. Returns the files in reading order."""
        if is_worthwhile(due, self._log.prepare):
            self._source.start_process()
        if due and not self._claims_are_given:
            note_claims(self._claims, known)
        return sorted(due, key=lambda file: reading_order(file.path)) if len(due) > 1 else due

    async def _without_stored(self, file: PreparedFile) -> PreparedFile:
        """The same file without the runs of sessions of which more is stored than this file has."""
        if file.cursor is None or file.only_new is None:
            return file
        ids = file.cursor.session_ids
        taken = await self._log.stored(ids) - await self._log.without_transcript(ids)
        kept = [index for index, session in enumerate(ids) if session not in taken]
        counts = Counts()
        for index in kept:
            counts.add(file.only_new[index])
        cursor = msgspec.structs.replace(file.cursor, session_ids=tuple(ids[index] for index in kept))
        runs = [file.runs[index] for index in kept]
        return msgspec.structs.replace(file, cursor=cursor, runs=runs, counts=counts)

    async def _as_expected(self, readable: list[_Readable]) -> list[_Readable]:
        """The same files; one of which a part was read that reaches back further than was kept is read as a whole.

        Another import may store rows after this looked. What it stores is of the same lines, so they are the same rows.
        """
        parts = [file.expected for _, _, file in readable if file.expected is not None]
        if not parts:
            return readable
        stored = await self._log.stored([found for part in parts for found in (*part.present, *part.absent)])
        result = []
        for due, cursor, file in readable:
            if file.expected is not None and not file.expected.holds(stored):
                file = await asyncio.to_thread(self._source.read_whole, due)
                if file.cursor is None:
                    self._tally.issue(due.path, file.problem, hint=file.hint)
                    continue
                cursor = file.cursor
            result.append((due, cursor, file))
        return result

    async def _store(self, readable: Sequence[_Readable]) -> None:
        if not readable:
            return
        try:
            results = await self._log.save_many([(cursor, file.runs) for _, cursor, file in readable])
        except ValidationError as error:
            if len(readable) == 1:
                self._tally.issue(readable[0][0].path, error.message, hint=error.hint)
                return
            # Storage refuses one file's content: the others are stored without it.
            for item in readable:
                await self._store([item])
            return
        for (due, _, file), result in zip(readable, results, strict=True):
            self._count(due.path, file, result.written)

    def _count(self, path: Path, file: PreparedFile, written: int) -> None:
        sessions = file.cursor.session_ids if file.cursor is not None else ()
        if not sessions or self._tally.counted.get(sessions) != file.counts:
            # A session of several files is read whole with each of them, and counts once.
            self._tally.counts.add(file.counts)
            self._tally.counted[sessions] = file.counts
        self._tally.skipped += file.skipped.count
        if file.unknown and file.cursor is not None:
            self._tally.add_unknown(file.cursor.format, file.unknown)
        self._tally.written += written
        if written:
            self._tally.touched.update(dict.fromkeys(sessions))
        for line, why in file.skipped.named:
            self._tally.issue(path, why, line)
        if file.skipped.count > MAX_REPORTED:
            self._tally.issue(path, f"{number(file.skipped.count - MAX_REPORTED)} more lines were skipped")

    def _report_progress(self, current: str = "") -> None:
        if self._on_progress is not None:
            seconds = perf_counter() - self._started
            self._on_progress(
                ImportProgress(
                    files=progress_after(seconds, self._done, len(self._found), "files"),
                    bytes=progress_after(seconds, self._bytes_done, self._bytes_total, "bytes"),
                    current=current,
                )
            )


def _has_many(path: Path) -> bool:
    """Whether a transcript may hold the sessions of many folders."""
    return path.suffix == ".db" or path.name == FILE_NAME


def note_claims(claims: Claims, known: Mapping[str, TranscriptFile]) -> None:
    """Note what earlier imports have counted."""
    for cursor in known.values():
        state = decode_state(cursor.state)
        claims.note(state.session, state.claimed)


class CommitBatch:
    """Collects files, in the order they were read in, until there are enough for a commit.

    ``unread`` is the size in bytes of all files that the import is to read.
    """

    def __init__(self, unread: int) -> None:
        self._unread = unread
        self._before = 0
        self._bytes = 0
        self._due: list[DueFile] = []
        self._files: list[PreparedFile] = []

    def add(self, due: Sequence[DueFile], files: Sequence[PreparedFile]) -> None:
        """Add a group that was read."""
        size = sum(file.size for file in due)
        self._unread -= size
        self._bytes += size
        self._due += due
        self._files += files

    @property
    def is_large_enough(self) -> bool:
        """Whether to commit now; always true once all files were read."""
        return self._bytes >= min(self._before // COMMIT_FRACTION, self._unread // COMMIT_FRACTION, COMMIT_BYTES)

    def take(self) -> tuple[list[DueFile], list[PreparedFile]]:
        """Everything collected, to be stored in one transaction. The batch is empty afterwards."""
        taken = (self._due, self._files)
        self._before += self._bytes
        self._due, self._files, self._bytes = [], [], 0
        return taken


def reading_order(path: Path) -> tuple[str, str, str]:
    """The sort key of a file: the first and the last time stamp near its ends, and its name.

    A file without stamps, or unreadable, comes last. A fork begins with the lines of its origin, so their first
    stamps are equal and the last ones decide.
    """
    try:
        with open(path, "rb") as source:
            head = source.read(EDGE_BYTES)
            size = os.fstat(source.fileno()).st_size
            source.seek(max(size - EDGE_BYTES, 0))
            tail = source.read(EDGE_BYTES)
    except OSError:
        return (_LAST, _LAST, path.name)
    first = _first_of(_STAMP.findall(head))
    last = _first_of(reversed(_STAMP.findall(tail)))
    return (first, last, path.name)


def _first_of(stamps: Iterable[bytes]) -> str:
    for stamp in stamps:
        moment = parse_stamp(stamp.decode("ascii", "replace"))
        if moment is not None:
            return moment.isoformat()
    return _LAST
