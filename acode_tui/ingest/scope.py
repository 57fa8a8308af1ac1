"""Which transcripts belong to a workspace: those of runs that began in its folder, or in a git worktree of it.

The folder stands in a transcript's first lines, or beside the file. Nothing else of the others is read.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from acode_tui.domain.errors import AcodeError
from acode_tui.domain.validation import Limits
from acode_tui.ingest.cursor import cursor_key, unchanged
from acode_tui.ingest.discover import FoundTranscript
from acode_tui.ingest.file_reader import FileReader, UnknownFormatError
from acode_tui.ingest.format import FileStat, is_within
from acode_tui.ingest.packed import PACKED_SUFFIX, Unpacked
from acode_tui.ingest.registry import formats
from acode_tui.ingest.usage import Claims
from acode_tui.plain_files import reading_plain
from acode_tui.storage.transcript_ports import TranscriptFile

NO_FOLDER = ""
"""Stands for the folder of a run whose transcript names none."""

HEAD_BYTES = (16 * 1024, 1024 * 1024)
"""How much of a file's beginning is searched for the folder: at first, and where it is not in that."""

_MAX_LINK_BYTES = 4096
_GIT_FILE = "gitdir: "


class Scoped(NamedTuple):
    """The transcripts of a workspace, and how many others there are by their folders, most first."""

    found: list[FoundTranscript]
    elsewhere: dict[str, int]


def split(
    found: Iterable[FoundTranscript],
    root: Path,
    known: Mapping[str, TranscriptFile],
    folders_of: dict[Path, str] | None = None,
) -> Scoped:
    """Keep what belongs to the workspace at ``root``.

    An unchanged file of an earlier import, from ``known``, stays without being opened: it was taken then. So does one
    that cannot be read, which the import reports. ``folders_of`` keeps the folders that were found for later calls: the
    folder of a run is not searched twice, whether or not it belongs here.
    """
    folders_of = {} if folders_of is None else folders_of
    folders = tuple(str(folder) for folder in workspace_folders(root))
    inside: dict[str, bool] = {}
    kept, elsewhere = [], Counter[str]()
    for item in found:
        many = _folders_of_many(item)
        if many is not None:
            within = [folder for folder in many if is_within(folder, folders)]
            if within:
                kept.append(msgspec.structs.replace(item, within=folders))
            elsewhere.update({folder: count for folder, count in many.items() if count and folder not in within})
            continue
        if item.problem is not None or _is_unchanged(item, known):
            kept.append(item)
            continue
        folder = folders_of.get(item.path) or run_folder(item)
        if folder != NO_FOLDER:
            folders_of[item.path] = folder
        if folder not in inside:
            inside[folder] = is_within(folder, folders)
        if inside[folder]:
            kept.append(item)
        else:
            elsewhere[folder] += 1
    return Scoped(kept, dict(sorted(elsewhere.items(), key=lambda each: (-each[1], each[0]))))


def _is_unchanged(item: FoundTranscript, known: Mapping[str, TranscriptFile]) -> bool:
    cursor = known.get(cursor_key(item.path))
    return cursor is not None and unchanged(cursor, FileStat(item.inode, item.size, item.mtime_ns), None)


def _folders_of_many(item: FoundTranscript) -> dict[str, int] | None:
    """The folders of a transcript of many sessions; None for one of one session, and for one that cannot be read."""
    hinted = formats().get(item.format)
    if hinted is None or item.problem is not None:
        return None
    try:
        return hinted.folders(item.path)
    except (OSError, AcodeError):
        return None


# -- the folder of a run


class _Inner(msgspec.Struct):
    cwd: Any = None
    context: Any = None


class _Line(msgspec.Struct):
    """Where the agents put the folder: on each line, in the payload of a line, in the context of its data."""

    cwd: Any = None
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    data: msgspec.Raw = msgspec.Raw(b"{}")


_NO_RECORD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""For half a line, a damaged one, or one of a document: the import says what is wrong with it."""

_decode_line = msgspec.json.Decoder(_Line).decode
_decode_inner = msgspec.json.Decoder(_Inner).decode


def run_folder(item: FoundTranscript) -> str:
    """The folder in which the run of a transcript began; ``NO_FOLDER`` if the transcript names none."""
    known = formats()
    hinted = known.get(item.format)
    beside = hinted.folder(item.path) if hinted is not None else ""
    return beside or _folder_in_head(item.path) or _folder_in_whole(item)


def _folder_in_head(path: Path) -> str:
    try:
        if not path.is_file():
            return ""
        for size in HEAD_BYTES:
            with open(path, "rb") as source:
                head = (Unpacked(source) if path.suffix == PACKED_SUFFIX else source).read(size)
            for line in head.splitlines():
                if folder := _folder_of(line):
                    return folder
            if len(head) < size:
                return ""
    except OSError:
        return ""
    return ""


def _folder_of(line: bytes) -> str:
    try:
        found = _decode_line(line)
    except _NO_RECORD:
        return ""
    if _is_folder(found.cwd):
        return str(found.cwd)
    for part in (found.payload, found.data):
        try:
            inner = _decode_inner(part)
        except _NO_RECORD:
            continue
        context = inner.context if isinstance(inner.context, dict) else {}
        for folder in (inner.cwd, context.get("cwd")):
            if _is_folder(folder):
                return str(folder)
    return ""


def _is_folder(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_LINK_BYTES and os.path.isabs(value) and "\0" not in value


def _folder_in_whole(item: FoundTranscript) -> str:
    """The folder that the format's own reader finds, for documents and folders; lines have it at their beginning."""
    if item.path.suffix in (".jsonl", PACKED_SUFFIX):
        return ""
    reader = FileReader(workspace_id="", user_id=None, limits=Limits(), now=datetime.now(UTC))
    try:
        graphs = reader.read(item.path, None, Claims()).parsed.graphs
    except (OSError, UnknownFormatError, AcodeError):
        return ""
    folders = ((graph.metadata or {}).get("cwd") for graph in graphs)
    return next((folder for folder in folders if isinstance(folder, str) and _is_folder(folder)), "")


# -- the folders of a workspace


def workspace_folders(root: Path) -> tuple[Path, ...]:
    """The workspace's folder, and the same folder in each linked git worktree of its repository, links resolved.

    Only files are read; no git is run. A worktree counts if it names the repository as well: a file in a stranger's
    folder alone cannot make another project a part of it.
    """
    here = Path(os.path.realpath(root))
    top = next((folder for folder in (here, *here.parents) if (folder / ".git").is_dir()), None)
    if top is None:
        return (here,)
    below = here.relative_to(top)
    registered = top / ".git" / "worktrees"
    try:
        names = sorted(os.listdir(registered))
    except OSError:
        return (here,)
    worktrees = (_worktree(registered / name) for name in names)
    return (here, *(worktree / below for worktree in worktrees if worktree is not None))


def _worktree(entry: Path) -> Path | None:
    """The worktree of an entry in ``.git/worktrees`` whose own ``.git`` names that entry."""
    link = _text(entry / "gitdir")
    if not os.path.isabs(link):
        link = os.path.join(entry, link) if link else ""
    if not link or not _text(Path(link)).startswith(_GIT_FILE):
        return None
    worktree = Path(os.path.realpath(os.path.dirname(link)))
    back = _text(Path(link)).removeprefix(_GIT_FILE)
    return worktree if os.path.realpath(worktree / back) == os.path.realpath(entry) else None


def _text(path: Path) -> str:
    try:
        with reading_plain(path) as file:
            return os.fsdecode(file.read(_MAX_LINK_BYTES)).strip()
    except (OSError, ValueError):
        return ""
