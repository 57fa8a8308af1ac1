"""Reads one transcript: finds its format, gives it the lines, the document or the parts, and makes its next cursor."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from io import BytesIO
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
    FileState,
    ResumePoint,
    classify,
    cursor_key,
    decode_state,
    encode_resume_point,
    encode_state,
    hash_head,
    moment_bytes,
    resume_point,
)
from acode_tui.ingest.documents import restore
from acode_tui.ingest.draft import NeedsWholeFileError
from acode_tui.ingest.format import (
    DOCUMENT_SUFFIXES,
    FileStat,
    Layout,
    Parsed,
    ReadContext,
    TranscriptFormat,
    stat_of,
)
from acode_tui.ingest.lines import MAX_LINE_BYTES, Source, WholeLines
from acode_tui.ingest.packed import MAX_UNPACKED_BYTES, PACKED_SUFFIX, Unpacked
from acode_tui.ingest.records import parse_any
from acode_tui.ingest.registry import formats
from acode_tui.ingest.usage import Claims
from acode_tui.storage.transcript_ports import TranscriptFile

PROBE_BYTES = 256 * 1024
MAX_PROBE_BYTES = 16 * 1024 * 1024
PROBE_LINES = 50
MAX_PROBE_LINES = 5_000
"""So many of the first lines are asked where the first ``PROBE_LINES`` are in no known format."""
RESUME_BYTES = 1024 * 1024
"""A file that is shorter is read from its first line whenever it grew: that costs no more than what would be kept."""


_UNKNOWN = "not a transcript of a known format; name the format with --format"
_ANOTHER = "not a transcript of {}: it looks like one of {other}; name that with --format {other}, or name none"


class UnknownFormatError(Exception):
    """No known format recognises the file's first lines, or another one does than was named. The text says which."""


class ParsedFile(msgspec.Struct, kw_only=True):
    """What was read from a file, and the cursor to store with it.

    ``is_rewritten``: what an earlier import has read of the sessions, and is not among it, was removed.
    """

    path: Path
    cursor: TranscriptFile
    parsed: Parsed
    is_rewritten: bool = False


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
        self._choice = [self._formats[format]] if format is not None else list(self._formats.values())

    def read(
        self,
        path: Path,
        known: TranscriptFile | None,
        claims: Claims,
        resume: bytes = b"",
        within: tuple[str, ...] = (),
    ) -> ParsedFile:
        """Read one transcript. ``known`` is its cursor from the last import, ``resume`` what that kept to read on.

        Of a transcript of many sessions those that began ``within`` these folders are read, or all.

        Raises OSError or IngestError if it cannot be read, UnknownFormatError if it is no transcript of the format.
        """
        for format_ in self._choice:
            if format_.layout(path) is Layout.PARTS and (format_.hints(path) or self._forced):
                return self._read_parts(format_, path, known, claims, within)
        self._refuse_another(lambda found: found.layout(path) is Layout.PARTS and found.hints(path))
        with open(path, "rb") as source:
            stat = stat_of(os.fstat(source.fileno()))
            head = source.read(HEAD_BYTES)[: stat.size]
            kept = decode_state(known.state) if known is not None else FileState()
            if path.suffix == PACKED_SUFFIX:
                return self._read_packed(source, path, stat, head, kept, claims)
            if path.suffix in DOCUMENT_SUFFIXES:
                return self._read_document(source, path, stat, head, known, kept, claims)
            return self._read_lines(source, path, stat, head, known, kept, claims, resume)

    def _read_lines(
        self,
        source: BinaryIO,
        path: Path,
        stat: FileStat,
        head: bytes,
        known: TranscriptFile | None,
        kept: FileState,
        claims: Claims,
        resume: bytes,
    ) -> ParsedFile:
        change = classify(known, stat, head, self._forced)
        if change is Change.REWRITTEN:
            # The file may hold another session by now; the next cursor does not remember what this one counted.
            claims.forget(kept.session, kept.claimed)
            # What the end of the old content implied does not hold either.
            kept = FileState()
        context = self._context(path, stat, kept, claims, resumable=stat.size >= RESUME_BYTES)
        has_grown = change in (Change.GROWN, Change.UNCHANGED)
        rest = self._read_on(source, known, stat, context, kept, resume) if has_grown else None
        format_, lines, parsed = rest or self._read_whole(source, stat.size, context)
        point = b""
        if parsed.resume and not lines.has_tail:
            # The tail may be a record whose line is not yet at its end: then everything is read again.
            point = encode_resume_point(
                ResumePoint(VERSION, lines.number, _hash_tail(source, lines.offset), self._limits, parsed.resume)
            )
        # A half-written line in the head would not match next time: only whole lines are hashed.
        found = self._parsed(path, format_, stat, lines.offset, head[: lines.offset], parsed, point)
        found.is_rewritten = change is Change.REWRITTEN
        return found

    def _read_packed(
        self, source: BinaryIO, path: Path, stat: FileStat, head: bytes, kept: FileState, claims: Claims
    ) -> ParsedFile:
        """Read a file of lines that was compressed as a whole; it no longer grows."""
        context = self._context(path, stat, kept, claims)
        source.seek(0)
        probe = Unpacked(source).read(MAX_PROBE_BYTES)
        format_ = self._format(BytesIO(probe), len(probe))
        source.seek(0)
        unpacked = Unpacked(source)
        lines = _Lines(unpacked, MAX_UNPACKED_BYTES)
        parsed = _read_nothing(lines) if format_ is None else format_.read(lines, context)
        if unpacked.damage:
            parsed.skipped.add(lines.number + 1, unpacked.damage)
        return self._parsed(path, format_, stat, stat.size, head, parsed)

    def _read_document(
        self,
        source: BinaryIO,
        path: Path,
        stat: FileStat,
        head: bytes,
        known: TranscriptFile | None,
        kept: FileState,
        claims: Claims,
    ) -> ParsedFile:
        """Read a file that holds one JSON value. An agent writes it anew, so there is nothing to read on."""
        context = self._context(path, stat, kept, claims)
        source.seek(0)
        data = source.read(stat.size) if stat.size <= MAX_LINE_BYTES else None
        record = parse_any(data) if data is not None else None
        format_ = next((found for found in self._choice if found.hints(path)), None)
        lines = [(1, data)] if data is None or data.strip() else []
        lost: list[tuple[int, str]] = []
        if record is None and data:
            restored, lost, lines = self._restored(data, format_, lines)
            record = restored
        values = record if isinstance(record, list) else [record]
        first = [value for value in values[:PROBE_LINES] if isinstance(value, dict)]
        if first:
            self._refuse_another(lambda found: found.recognises(first))
            recognised = next((found for found in self._choice if found.recognises(first)), None)
            format_ = recognised or format_
            if recognised is not None and isinstance(record, list):
                # An export may hold its records as one list: each is read as a line.
                lines = [(number, json.dumps(value).encode()) for number, value in enumerate(record, 1)]
        if format_ is None:
            raise UnknownFormatError(_UNKNOWN)
        parsed = format_.read(lines, context)
        for number, damage in lost:
            parsed.skipped.add(number, damage)
        found = self._parsed(path, format_, stat, stat.size, head, parsed)
        # What a damaged document lacks was not removed by its agent.
        found.is_rewritten = known is not None and not lost
        return found

    def _restored(
        self, data: bytes, hinted: TranscriptFormat | None, lines: list[tuple[int, bytes | None]]
    ) -> tuple[dict[str, Any] | None, list[tuple[int, str]], list[tuple[int, bytes | None]]]:
        """What is whole in a document that is not JSON: its beginning, what is lost, and its records as lines."""
        every = self._formats.values()
        # The format that its path says first, then the others; where one was named, they only say what it looks like.
        for format_ in sorted(every, key=lambda found: (found is not hinted, found not in self._choice)):
            shape = format_.shape()
            documents, lost = restore(data, shape) if shape is not None else ([], [])
            is_chosen = format_ in self._choice
            if documents and (format_.recognises(documents[:1]) or (is_chosen and format_ is hinted)):
                if not is_chosen:
                    raise UnknownFormatError(_ANOTHER.format(self._forced, other=format_.name))
                whole = [(number, json.dumps(document).encode()) for number, document in enumerate(documents, 1)]
                return documents[0], lost, list(whole)
        return None, [], lines

    def _read_parts(
        self,
        format_: TranscriptFormat,
        path: Path,
        known: TranscriptFile | None,
        claims: Claims,
        within: tuple[str, ...],
    ) -> ParsedFile:
        """Read a transcript of several parts: the format opens them, and knows which of them have changed."""
        stat = format_.stat(path)
        kept = decode_state(known.state) if known is not None else FileState()
        context = msgspec.structs.replace(self._context(path, stat, kept, claims), within=within)
        parsed = format_.read(format_.parts(path, context), context)
        found = self._parsed(path, format_, stat, stat.size, b"", parsed, scoped=bool(within))
        # What an agent deletes of a session that it keeps in parts is deleted: a session of many files is read as one.
        # What a damaged part lacks was not deleted; in a database a damaged session leaves the others as they are.
        found.is_rewritten = known is not None and not (parsed.skipped.count and len(parsed.graphs) == 1)
        return found

    def _context(
        self, path: Path, stat: FileStat, kept: FileState, claims: Claims, *, resumable: bool = False
    ) -> ReadContext:
        return ReadContext(
            path=path.with_suffix("") if path.suffix == PACKED_SUFFIX else path,
            now=self._now,
            written_at=_moment(stat.mtime_ns),
            workspace_id=self._workspace_id,
            user_id=self._user_id,
            limits=self._limits,
            checkpoints=kept.checkpoints,
            claims=claims,
            resumable=resumable,
            seen=kept.seen,
        )

    def _parsed(
        self,
        path: Path,
        format_: TranscriptFormat | None,
        stat: FileStat,
        offset: int,
        head: bytes,
        parsed: Parsed,
        point: bytes = b"",
        *,
        scoped: bool = False,
    ) -> ParsedFile:
        state = FileState(
            until=moment_bytes(parsed.until),
            session=parsed.graphs[0].id if parsed.graphs else "",
            claimed=parsed.claimed,
            checkpoints=parsed.checkpoints,
            seen=parsed.seen,
            scoped=scoped,
        )
        cursor = TranscriptFile(
            path=cursor_key(path),
            format=format_.name if format_ is not None else "",
            inode=stat.inode,
            size=stat.size,
            # A transcript of which a part is still to be read is never unchanged.
            mtime_ns=0 if parsed.is_partial else stat.mtime_ns,
            offset=offset,
            head_hash=hash_head(head),
            session_ids=tuple(graph.id for graph in parsed.graphs),
            skipped_lines=parsed.skipped.count,
            imported_at=self._now,
            state=encode_state(state),
            resume=point,
        )
        return ParsedFile(path=path, cursor=cursor, parsed=parsed)

    def _read_whole(
        self, source: BinaryIO, size: int, context: ReadContext
    ) -> tuple[TranscriptFormat | None, "_Lines", Parsed]:
        """Read a file of lines from the first one."""
        source.seek(0)
        format_ = self._format(source, size)
        source.seek(0)
        lines = _Lines(source, size)
        return format_, lines, _read_nothing(lines) if format_ is None else format_.read(lines, context)

    def _read_on(
        self,
        source: BinaryIO,
        known: TranscriptFile | None,
        now: FileStat,
        context: ReadContext,
        kept: FileState,
        resume: bytes,
    ) -> tuple[TranscriptFormat | None, "_Lines", Parsed] | None:
        """Read what follows the last line of the last import; None where that is not possible."""
        point = resume_point(resume, known, now, self._limits)
        if point is None or known is None or _hash_tail(source, known.offset) != point.tail_hash:
            return None
        format_ = self._formats.get(known.format)
        if format_ is None:
            return None
        source.seek(known.offset)
        lines = _Lines(source, now.size, offset=known.offset, number=point.lines)
        context = msgspec.structs.replace(context, resume=point.reader, claimed=kept.claimed)
        try:
            return format_, lines, format_.read(lines, context)
        except (NeedsWholeFileError, msgspec.MsgspecError):
            return None

    def _format(self, source: BinaryIO, size: int) -> TranscriptFormat | None:
        """The format of a file of lines, or None where it has no whole line yet."""
        if self._forced is not None:
            first = list(_objects(source.read(min(PROBE_BYTES, size))))
            self._refuse_another(lambda found: found.recognises(first))
            return self._formats[self._forced]
        whole = False
        for probe in _probes(source, size):
            whole = True
            for limit in (PROBE_LINES, MAX_PROBE_LINES):
                records = list(_objects(probe, limit))
                for format_ in self._formats.values():
                    if format_.recognises(records):
                        return format_
                if len(records) < limit:
                    break
        if whole:
            raise UnknownFormatError(_UNKNOWN)
        return None

    def _refuse_another(self, fits: Callable[[TranscriptFormat], bool]) -> None:
        """Raise UnknownFormatError where a format was named, and not that one but another fits what is read."""
        if self._forced is None or fits(self._formats[self._forced]):
            return
        other = next((name for name, found in self._formats.items() if fits(found)), None)
        if other is not None:
            raise UnknownFormatError(_ANOTHER.format(self._forced, other=other))


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
    if b"\n" in probe or isinstance(parse_any(probe), dict):
        yield probe
        if len(probe) < size and probe.count(b"\n") < PROBE_LINES:
            yield probe + source.read(min(size, MAX_PROBE_BYTES) - len(probe))
        return
    while more := source.read(PROBE_BYTES):
        _, ended, rest = more.partition(b"\n")
        if ended:
            yield rest + source.read(MAX_PROBE_BYTES)
            return


def _objects(probe: bytes, limit: int = PROBE_LINES) -> Iterator[dict[str, Any]]:
    # The last element is half a line, or empty after the last newline, or the record of a file with no newline at all.
    for line in probe.split(b"\n", limit)[:limit]:
        value = parse_any(line.removeprefix(b"\xef\xbb\xbf"))
        if isinstance(value, dict):
            yield value


class _Lines:
    """The whole lines of a file, and the bytes after the last newline where they are a whole record.

    Such a record is read, and its line is not: the cursor stays before it, and what grows there replaces it.
    """

    def __init__(self, source: Source, size: int, *, offset: int = 0, number: int = 0) -> None:
        self._lines = WholeLines(source, size, offset=offset, number=number)
        self.has_tail = False

    @property
    def offset(self) -> int:
        """The byte after the last whole line."""
        return self._lines.offset

    @property
    def number(self) -> int:
        """The number of whole lines."""
        return self._lines.number

    def __iter__(self) -> Iterator[tuple[int, bytes | None]]:
        yield from self._lines
        tail = self._lines.tail
        if tail and isinstance(parse_any(tail), dict):
            self.has_tail = True
            yield self._lines.number + 1, tail


def _hash_tail(source: BinaryIO, offset: int) -> str:
    """The hash of the last ``TAIL_BYTES`` bytes before an offset."""
    start = max(offset - TAIL_BYTES, 0)
    source.seek(start)
    return sha256(source.read(offset - start)).hexdigest()


def _read_nothing(lines: Iterable[tuple[int, bytes | None]]) -> Parsed:
    for _ in lines:
        pass
    return Parsed(counts=Counts(), skipped=SkippedLines())


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _moment(mtime_ns: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=mtime_ns // 1000)
    except OverflowError:
        return _EPOCH
