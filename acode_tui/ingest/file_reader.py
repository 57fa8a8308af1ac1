"""Reads one file: finds its format by its first lines, reads its whole lines, and makes its next cursor."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from acode_tui.domain.validation import Limits
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.cursor import (
    HEAD_BYTES,
    TAIL_BYTES,
    VERSION,
    Change,
    FileStat,
    FileState,
    ResumePoint,
    classify,
    cursor_key,
    decode_state,
    encode_resume_point,
    encode_state,
    hash_head,
    resume_point,
)
from acode_tui.ingest.draft import NeedsWholeFileError
from acode_tui.ingest.format import Parsed, ReadContext, TranscriptFormat
from acode_tui.ingest.lines import WholeLines
from acode_tui.ingest.records import parse_any
from acode_tui.ingest.registry import formats
from acode_tui.ingest.timeline import STALE_AFTER
from acode_tui.ingest.usage import Claims
from acode_tui.storage.ports import TranscriptFile

PROBE_BYTES = 256 * 1024
MAX_PROBE_BYTES = 16 * 1024 * 1024
PROBE_LINES = 50
RESUME_BYTES = 1024 * 1024
"""A file that is shorter is read from its first line whenever it grew: that costs no more than what would be kept."""


class UnknownFormatError(Exception):
    """None of the known formats recognises the file's first lines."""


class ParsedFile(msgspec.Struct, kw_only=True):
    """What was read from a file, and the cursor to store with it."""

    path: Path
    cursor: TranscriptFile
    parsed: Parsed


class FileReader:
    """Reads files for one workspace. ``now`` is the time of the import; ``format`` skips the detection of formats."""

    def __init__(
        self, *, workspace_id: str, user_id: str | None, limits: Limits, now: datetime, format: str | None = None
    ) -> None:
        self._workspace_id = workspace_id
        self._user_id = user_id
        self._limits = limits
        self._now = now
        self._forced = format
        self._formats = formats()

    def read(self, path: Path, known: TranscriptFile | None, claims: Claims, resume: bytes = b"") -> ParsedFile:
        """Read one file. ``known`` is its cursor from the last import, ``resume`` what that kept to read on.

        Raises OSError if the file cannot be read, UnknownFormatError if it is no transcript.
        """
        with open(path, "rb") as source:
            stat = os.fstat(source.fileno())
            now = FileStat(stat.st_ino, stat.st_size, stat.st_mtime_ns)
            head = source.read(HEAD_BYTES)[: now.size]
            change = classify(known, now, head, self._forced)
            kept = decode_state(known.state) if known is not None else FileState()
            if change is Change.REWRITTEN:
                # The file may hold another session by now; the next cursor does not remember what this one counted.
                claims.forget(kept.session, kept.claimed)
            has_grown = change in (Change.GROWN, Change.UNCHANGED)
            context = ReadContext(
                path=path,
                workspace_id=self._workspace_id,
                user_id=self._user_id,
                limits=self._limits,
                fresh=self.is_fresh(now.mtime_ns),
                # What the end of the old content implied does not hold for a file that was rewritten.
                checkpoints=kept.checkpoints if has_grown else (),
                claims=claims,
                resumable=now.size >= RESUME_BYTES,
            )
            found = self._read_on(source, known, now, context, kept, resume) if has_grown else None
            format_, lines, parsed = found or self._read_whole(source, now.size, context)
            point = b""
            if parsed.resume:
                point = encode_resume_point(
                    ResumePoint(VERSION, lines.number, _hash_tail(source, lines.offset), self._limits, parsed.resume)
                )
        state = FileState(
            open=parsed.open,
            session=parsed.graphs[0].id if parsed.graphs else "",
            claimed=parsed.claimed,
            checkpoints=parsed.checkpoints,
        )
        # A half-written line in the head would not match next time: only whole lines are hashed.
        cursor = TranscriptFile(
            path=cursor_key(path),
            format=format_.name if format_ is not None else "",
            inode=now.inode,
            size=now.size,
            mtime_ns=now.mtime_ns,
            offset=lines.offset,
            head_hash=hash_head(head[: lines.offset]),
            session_ids=tuple(graph.id for graph in parsed.graphs),
            skipped_lines=parsed.skipped.count,
            imported_at=self._now,
            state=encode_state(state),
            resume=point,
        )
        return ParsedFile(path=path, cursor=cursor, parsed=parsed)

    def _read_whole(
        self, source: BinaryIO, size: int, context: ReadContext
    ) -> tuple[TranscriptFormat | None, WholeLines, Parsed]:
        """Read a file from its first line."""
        source.seek(0)
        format_ = self._format(source, size)
        source.seek(0)
        lines = WholeLines(source, size)
        return format_, lines, _read_nothing(lines) if format_ is None else format_.read(lines, context)

    def _read_on(
        self,
        source: BinaryIO,
        known: TranscriptFile | None,
        now: FileStat,
        context: ReadContext,
        kept: FileState,
        resume: bytes,
    ) -> tuple[TranscriptFormat | None, WholeLines, Parsed] | None:
        """Read what follows the last line of the last import; None where that is not possible."""
        point = resume_point(resume, known, now, self._limits)
        if point is None or known is None or _hash_tail(source, known.offset) != point.tail_hash:
            return None
        format_ = self._formats.get(known.format)
        if format_ is None:
            return None
        source.seek(known.offset)
        lines = WholeLines(source, now.size, offset=known.offset, number=point.lines)
        context = msgspec.structs.replace(context, resume=point.reader, claimed=kept.claimed)
        try:
            return format_, lines, format_.read(lines, context)
        except (NeedsWholeFileError, msgspec.MsgspecError):
            return None

    def is_fresh(self, mtime_ns: int) -> bool:
        """Whether an agent may still write to a file. A modification time in the future counts as fresh."""
        return self._now - _moment(mtime_ns) <= STALE_AFTER

    def _format(self, source: BinaryIO, size: int) -> TranscriptFormat | None:
        """The file's format, or None where it has no whole line yet."""
        if self._forced is not None:
            return self._formats[self._forced]
        whole = False
        for probe in _probes(source, size):
            whole = True
            records = list(_objects(probe))
            for format_ in self._formats.values():
                if format_.recognises(records):
                    return format_
        if whole:
            raise UnknownFormatError
        return None


def _probes(source: BinaryIO, size: int) -> Iterator[bytes]:
    """Pieces of a file to detect its format by, each with a whole line in it. The first one is nearly always enough.

    A record that does not show the format may be followed by one that is longer than the first piece, or the first
    line may be longer than ``MAX_PROBE_BYTES``: then the next piece holds what follows.
    """
    probe = source.read(min(PROBE_BYTES, size))
    while b"\n" not in probe and len(probe) < min(size, MAX_PROBE_BYTES):
        more = source.read(min(PROBE_BYTES, size - len(probe)))
        if not more:
            break
        probe += more
    if b"\n" in probe:
        yield probe
        if len(probe) < size and probe.count(b"\n") < PROBE_LINES:
            yield probe + source.read(min(size, MAX_PROBE_BYTES) - len(probe))
        return
    while more := source.read(PROBE_BYTES):
        _, ended, rest = more.partition(b"\n")
        if ended:
            yield rest + source.read(MAX_PROBE_BYTES)
            return


def _objects(probe: bytes) -> Iterator[dict[str, Any]]:
    lines = probe.split(b"\n")
    # The last element is half a line, or empty after the last newline.
    for line in lines[:-1][:PROBE_LINES]:
        value = parse_any(line.removeprefix(b"\xef\xbb\xbf"))
        if isinstance(value, dict):
            yield value


def _hash_tail(source: BinaryIO, offset: int) -> str:
    """The hash of the last ``TAIL_BYTES`` bytes before an offset."""
    start = max(offset - TAIL_BYTES, 0)
    source.seek(start)
    return sha256(source.read(offset - start)).hexdigest()


def _read_nothing(lines: WholeLines) -> Parsed:
    for _ in lines:
        pass
    return Parsed(counts=Counts(), skipped=SkippedLines())


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _moment(mtime_ns: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=mtime_ns // 1000)
    except OverflowError:
        return _EPOCH
