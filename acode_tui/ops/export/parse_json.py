"""Parsing a JSON export run by run, in any layout and of any size.

A bad file is an ExportError or a list of issues, never another exception, and takes time in proportion to its length.
"""

import re
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from acode_tui.domain.codec import without_value
from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import AcodeError, ExportError, ValidationError
from acode_tui.domain.quantities import size
from acode_tui.domain.states import EntityType
from acode_tui.domain.validation import Limits, validate_graph
from acode_tui.ops.export.former_format import FORMER_VERSION, FormerRun, present_form
from acode_tui.ops.export.json import FORMAT, FORMAT_VERSION
from acode_tui.ops.export.merge_rules import renumbered

MOST_RUN_BYTES = 2**30
"""The most bytes of one run's JSON."""
_MOST_OUTSIDE = 2**20
_CHUNK = 2**20
_MOST_LEVELS = 1_000
_BOM = b"\xef\xbb\xbf"

# As far as the next bracket that is not in a string.
_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]]|"(?:[^"\\]|\\.)*+")*+([{}\[\]])', re.DOTALL)
_SESSIONS = re.compile(rb'"sessions"\s*:\s*\[\Z')
_BETWEEN = re.compile(rb"[\s,]*\{?\Z")
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for invalid JSON."""
_PATH = re.compile(r"\s+-\s+at `(\$[^`]*)`")


class Head(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The header of an export."""

    format: str
    format_version: int
    redacted: bool
    workspace_id: str | None = None
    schema_version: str | None = None
    counts: dict[str, int] = {}


class Issue(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is wrong with one run of an export: ``line`` is where the run begins, ``field`` the part that is wrong."""

    line: int
    session_id: str | None
    field: str | None
    message: str


class RawRun(NamedTuple):
    """A run's JSON, the line that it begins on, and the format version of its file."""

    line: int
    data: bytes
    version: int = FORMAT_VERSION


class ReadRun(NamedTuple):
    """A validated run, and how many rows of each kind the file has for it: a former format has more."""

    graph: SessionGraph
    rows: Counter[EntityType]


class JsonExport:
    """A JSON export in a file. ``head`` is what the whole file says once ``runs`` has been read to its end.

    Raises OSError, and ExportError for a file that is no export, is cut off or is of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.head = self._first_head()

    def runs(self) -> Iterator[RawRun]:
        """Every run as the file has it."""
        version = self.head.format_version
        with self._path.open("rb") as file:
            outside = bytearray()
            for run in _Scan(file, outside).runs():
                yield run._replace(version=version)
        self.head = _head(bytes(outside))

    def _first_head(self) -> Head:
        """The head as far as it stands before the runs. Where the version stands behind them, all is read."""
        outside = bytearray()
        with self._path.open("rb") as file, closing(_Scan(file, outside).runs()) as runs:
            if next(runs, None) is not None:
                try:
                    return _head(bytes(outside) + b"]}")
                except NotAnExport:
                    for _ in runs:
                        pass
        return _head(bytes(outside))


def read_run(raw: RawRun, limits: Limits) -> ReadRun | Issue:
    """The validated run in the present form, or what is wrong with it."""
    try:
        if raw.version == FORMER_VERSION:
            former = msgspec.json.decode(raw.data, type=FormerRun)
            graph, rows = renumbered(present_form(former)), Counter(former.kinds())
        else:
            graph = renumbered(msgspec.json.decode(raw.data, type=SessionGraph))
            rows = Counter(entity.kind for entity in graph.entities())
        validate_graph(graph, limits)
        for entity in graph.entities():
            if getattr(entity, "content", b"") is None:
                raise ValidationError("content", f"of artifact {entity.id} is missing")
    except AcodeError as error:
        field = error.field if isinstance(error, ValidationError) else None
        return Issue(line=raw.line, session_id=_id_in(raw.data), field=field, message=error.message)
    except msgspec.MsgspecError as error:
        text = without_value(error)
        place = _PATH.search(text)
        message = _PATH.sub("", text)
        return Issue(
            line=raw.line, session_id=_id_in(raw.data), field=place.group(1) if place else None, message=message
        )
    except UnicodeDecodeError:
        return Issue(line=raw.line, session_id=None, field=None, message="has a text that is no UTF-8")
    except RecursionError:
        return Issue(line=raw.line, session_id=None, field=None, message="is nested too deeply")
    return ReadRun(graph, rows)


class _Id(msgspec.Struct):
    id: str


def _id_in(data: bytes) -> str | None:
    try:
        return msgspec.json.decode(data, type=_Id).id[:64]
    except _UNREADABLE:
        return None


class NotAnExport(ExportError):
    """What stands around a file's runs is not the header of an export."""


def _head(outside: bytes) -> Head:
    try:
        head = msgspec.json.decode(outside, type=Head)
    except _UNREADABLE as error:
        raise NotAnExport(f"is no export of acode-tui: {error}") from None
    if head.format != FORMAT:
        raise NotAnExport("is no export of acode-tui: its format is another one")
    if head.format_version > FORMAT_VERSION:
        raise ExportError(
            f"the export has format version {head.format_version}; this program reads up to {FORMAT_VERSION}",
            hint="upgrade acode-tui",
        )
    return head


class _Scan:
    """Cuts the ``sessions`` of a JSON object into elements, by brackets alone; their content is not parsed.

    Everything outside of the elements is collected, with the list left empty.
    """

    def __init__(self, file: IO[bytes], outside: bytearray) -> None:
        self._file = file
        self._outside = outside
        self._buffer = b""
        self._ended = False
        self._chunk = _CHUNK
        self._line = 1

    def runs(self) -> Generator[RawRun, None, None]:
        depth = at = 0
        element: list[bytes] | None = None
        element_bytes = 0
        in_sessions = seen = False
        start_line = 1
        self._more()
        if self._buffer.startswith(_BOM):
            at = len(_BOM)
        while True:
            found = _TO_BRACKET.match(self._buffer, at)
            if found is None:
                if self._ended:
                    break
                self._buffer, at = self._buffer[at:], 0
                if len(self._buffer) > MOST_RUN_BYTES:
                    raise ExportError(f"line {self._line}: one text is larger than {size(MOST_RUN_BYTES)}")
                self._more()
                continue
            piece = found.group()
            at = found.end()
            opens = found.group(1) in (b"{", b"[")
            if in_sessions and element is None and opens:
                if depth != 2 or _BETWEEN.match(piece) is None:
                    raise self._unreadable("an element of sessions is no object")
                start_line = self._line + piece.count(b"\n")
                element, element_bytes = [b"{"], 1
            elif element is not None:
                element.append(piece)
                element_bytes += len(piece)
                if element_bytes > MOST_RUN_BYTES:
                    raise ExportError(f"line {start_line}: one session is larger than {size(MOST_RUN_BYTES)}")
            elif in_sessions:
                if piece.strip(b" \t\r\n,") != b"]":
                    raise self._unreadable("an element of sessions is no object")
                self._outside += b"]"
            else:
                self._outside += piece
                if len(self._outside) > _MOST_OUTSIDE:
                    raise ExportError("is no export of acode-tui: it holds no sessions")
            self._line += piece.count(b"\n")
            depth += 1 if opens else -1
            if depth > _MOST_LEVELS:
                raise self._unreadable(f"is nested deeper than {_MOST_LEVELS} levels")
            if depth == 2 and opens and not in_sessions and not seen and _SESSIONS.search(self._outside[-64:]):
                in_sessions = seen = True
            elif in_sessions and depth == 2 and element is not None:
                yield RawRun(start_line, b"".join(element))
                element = None
            elif in_sessions and depth == 1:
                in_sessions = False
            elif depth <= 0:
                break
        self._finish(at, depth, seen=seen)

    def _finish(self, at: int, depth: int, *, seen: bool) -> None:
        if depth > 0:
            raise ExportError(
                f"the file ends at line {self._line} in the middle of what it holds: it was cut off",
                hint="export again, or get the whole file",
            )
        rest = self._buffer[at:] + self._file.read(_CHUNK)
        if depth < 0 or not seen:
            raise ExportError("is no export of acode-tui", hint="name one that `acode-tui db export` wrote")
        if rest.strip():
            raise self._unreadable("something follows the end of the document")

    def _unreadable(self, what: str) -> ExportError:
        return ExportError(f"line {self._line}: {what}", hint="name a file that `acode-tui db export` wrote")

    def _more(self) -> None:
        # Twice as much each time: a long text is scanned again from its beginning whenever more of it was read.
        data = self._file.read(self._chunk if not self._buffer else max(_CHUNK, len(self._buffer)))
        self._ended = not data
        self._buffer += data
