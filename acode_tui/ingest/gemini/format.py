"""The format of Gemini CLI: one JSON document per session, or one file of JSON lines since version 0.40.

A session that was taken up again in another minute has several files. They are read as one.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from acode_tui.ingest.documents import DocumentShape, restore
from acode_tui.ingest.format import FileStat, Layout, Parsed, ReadContext, TranscriptFormat, stat_of
from acode_tui.ingest.gemini.reader import GeminiReader
from acode_tui.ingest.gemini.records import Record
from acode_tui.ingest.lines import MAX_LINE_BYTES, WholeLines
from acode_tui.ingest.read_records import read_records
from acode_tui.ingest.records import LineDecoder, parse_any

NAME = "gemini"
MAX_ROOT_BYTES = 1024 * 1024

_SHAPE = DocumentShape({"messages": frozenset({"id", "type"})}, frozenset({"lastUpdated", "summary"}))
_PATH = re.compile(r"/chats/(?:session-[^/]*|[0-9a-f-]{36}/[^/]+)\.jsonl?$")
_NAME = re.compile(r"session-.*-([0-9a-f]{8})\.jsonl?$")
_decoder = LineDecoder(Record)


class Gemini(TranscriptFormat):
    """Gemini CLI."""

    name = NAME

    def recognises(self, records: Sequence[Mapping[str, Any]]) -> bool:
        return any("sessionId" in record and "projectHash" in record for record in records[:2])

    def hints(self, path: Path) -> bool:
        return _PATH.search(path.as_posix()) is not None

    def roots(self, environ: Mapping[str, str], home: Path) -> list[Path]:
        configured = environ.get("GEMINI_CLI_HOME", "").strip()
        return [(Path(configured) if configured else home) / ".gemini" / "tmp"]

    def shape(self) -> DocumentShape | None:
        return _SHAPE

    def folder(self, path: Path) -> str:
        return _project_root(path)

    def layout(self, path: Path) -> Layout:
        return Layout.PARTS if len(_files(path)) > 1 else super().layout(path)

    def stat(self, path: Path) -> FileStat:
        stats = [stat_of(os.stat(file)) for file in _files(path)]
        own = stat_of(os.stat(path))
        size, changed = sum(stat.size for stat in stats), max(stat.mtime_ns for stat in stats)
        return FileStat(own.inode, size, changed)

    def parts(self, path: Path, context: ReadContext) -> Iterator[tuple[int, bytes | None]]:
        number = 0
        for file in _files(path):
            for line in _records_of(file):
                number += 1
                yield number, line

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        # A session of several files is named after the first of them, whichever of them has changed.
        reader = GeminiReader(msgspec.structs.replace(context, path=_files(context.path)[0]))
        skipped, last_line = read_records(lines, _decoder, reader.take)
        return reader.finish(skipped, last_line, folder=_project_root(context.path))


def _files(path: Path) -> list[Path]:
    """The files of the session that a file belongs to, in the order in which they were begun; often it alone."""
    found = _NAME.search(path.name)
    if found is None:
        return [path]
    ending = f"-{found.group(1)}.json"
    try:
        names = [entry for entry in os.listdir(path.parent) if entry.endswith((ending, f"{ending}l"))]
    except OSError:
        return [path]
    return sorted(path.parent / name for name in names if _NAME.search(name)) or [path]


def _records_of(path: Path) -> Iterator[bytes | None]:
    with open(path, "rb") as source:
        size = os.fstat(source.fileno()).st_size
        if path.suffix == ".json":
            yield from _document(source.read(size)) if size <= MAX_LINE_BYTES else (None,)
            return
        lines = WholeLines(source, size)
        for _, line in lines:
            yield line
        if lines.tail and isinstance(parse_any(lines.tail), dict):
            yield lines.tail


def _document(data: bytes) -> Iterator[bytes]:
    """The document of a file; of a damaged one what is whole, and a line that is no record for each lost one."""
    documents, lost = restore(data, _SHAPE) if parse_any(data) is None else ([], [])
    if not documents:
        yield data
        return
    for document in documents:
        yield json.dumps(document).encode()
    for _, damage in lost:
        yield damage.encode()


def _project_root(path: Path) -> str:
    """The folder that a session is about, by the files that the agent keeps beside the chats; empty if unknown."""
    parts = path.parts
    if "chats" not in parts:
        return ""
    project = Path(*parts[: len(parts) - 1 - parts[::-1].index("chats")])
    try:
        with open(project / ".project_root", encoding="utf-8") as source:
            return source.read(MAX_ROOT_BYTES).strip()
    except (OSError, ValueError):
        pass
    try:
        with open(project.parent.parent / "projects.json", encoding="utf-8") as source:
            projects = json.loads(source.read(MAX_ROOT_BYTES)).get("projects", {})
        return next((folder for folder, name in projects.items() if name == project.name), "")
    except (OSError, ValueError, AttributeError):
        return ""
