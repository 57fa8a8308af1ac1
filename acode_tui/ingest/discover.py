"""Finding transcripts on this machine: a walk that opens no file and survives loops of links."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from stat import S_ISREG

import msgspec

from acode_tui.ingest.format import TranscriptFormat
from acode_tui.ingest.registry import format_named, formats

UNKNOWN = ""
_PACKED = ".jsonl.zst"


class FoundTranscript(msgspec.Struct, frozen=True, kw_only=True):
    """A file that may be a transcript. ``format`` is what its path hints at, or empty; its content decides.

    ``problem`` says why it cannot be read; such a one is reported, and the others are imported.
    """

    path: Path
    format: str = UNKNOWN
    inode: int = 0
    size: int = 0
    mtime_ns: int = 0
    problem: str | None = None


def default_roots(environ: Mapping[str, str] = os.environ, only: Iterable[str] | None = None) -> list[Path]:
    """Where the known agents keep their transcripts on this machine; places that do not exist are left out."""
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    roots = [root for format_ in _chosen(only) for root in format_.roots(environ, home)]
    return [root for root in roots if root.is_dir()]


async def discover(roots: Sequence[Path | str], formats: Iterable[str] | None = None) -> list[FoundTranscript]:
    """Every transcript under the given folders, and the given files themselves, each once, by path.

    ``formats`` leaves out files whose path hints at another format. Runs off the event loop.
    """
    import asyncio

    return await asyncio.to_thread(find, [Path(root) for root in roots], formats)


def find(roots: Sequence[Path], only: Iterable[str] | None = None) -> list[FoundTranscript]:
    """The same for callers that have no event loop."""
    wanted = {format_.name for format_ in _chosen(only)}
    known = list(formats().values())
    found: dict[str, FoundTranscript] = {}
    visited: set[tuple[int, int]] = set()
    for root in roots:
        for item in _under(Path(os.path.abspath(root)), visited):
            if item.problem is None:
                hint = next((format_.name for format_ in known if format_.hints(item.path)), UNKNOWN)
                if hint != UNKNOWN and hint not in wanted:
                    continue
                item = msgspec.structs.replace(item, format=hint)
            found.setdefault(str(item.path), item)
    return [found[path] for path in sorted(found)]


def _chosen(only: Iterable[str] | None) -> list[TranscriptFormat]:
    if only is None:
        return list(formats().values())
    return [format_named(name) for name in only]


def _under(root: Path, visited: set[tuple[int, int]]) -> Iterator[FoundTranscript]:
    try:
        stat = root.stat()
    except OSError as error:
        yield FoundTranscript(path=root, problem=_said(error))
        return
    if not root.is_dir():
        yield _file(root, stat)
        return
    problems: list[FoundTranscript] = []

    def note(error: OSError) -> None:
        problems.append(FoundTranscript(path=Path(error.filename or root), problem=_said(error)))

    yield from _walk(str(root), visited, note)
    yield from problems


def _walk(folder: str, visited: set[tuple[int, int]], failed: Callable[[OSError], None]) -> Iterator[FoundTranscript]:
    pending = [folder]
    while pending:
        folder = pending.pop()
        try:
            here = os.stat(folder)
            # A link may lead back up: each folder is walked once, whatever path leads there.
            if (here.st_dev, here.st_ino) in visited:
                continue
            visited.add((here.st_dev, here.st_ino))
            with os.scandir(folder) as scan:
                entries = list(scan)
        except OSError as error:
            failed(error)
            continue
        names = {entry.name for entry in entries}
        for entry in entries:
            try:
                if entry.is_dir():
                    pending.append(entry.path)
                elif entry.name.endswith(".jsonl") or (
                    entry.name.endswith(_PACKED) and entry.name.removesuffix(".zst") not in names
                ):
                    yield _file(Path(entry.path), entry.stat())
            except OSError as error:
                failed(error)


def _file(path: Path, stat: os.stat_result) -> FoundTranscript:
    problem = None
    if not S_ISREG(stat.st_mode):
        # Opening a pipe would wait for somebody to write into it.
        problem = "not an ordinary file"
    elif path.name.endswith(_PACKED):
        problem = "compressed rollouts are not supported; unpack it with `zstd -d` beside it"
    return FoundTranscript(path=path, inode=stat.st_ino, size=stat.st_size, mtime_ns=stat.st_mtime_ns, problem=problem)


def _said(error: OSError) -> str:
    return error.strerror or type(error).__name__
