"""Finds transcripts on this machine. The walk opens no file and ends even where links form a loop."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from stat import S_ISREG

import msgspec

from acode_tui.home import home
from acode_tui.ingest.format import Layout, TranscriptFormat
from acode_tui.ingest.packed import PACKED_SUFFIX
from acode_tui.ingest.registry import format_named, formats

UNKNOWN = ""


class FoundTranscript(msgspec.Struct, frozen=True, kw_only=True):
    """A file that may be a transcript. ``format`` is the one that its path hints at, or empty; its content decides.

    Of a file of many sessions those of the folders ``within`` are read, or all where that is empty. ``problem`` says
    why the file cannot be read: it is reported, and the others are imported.
    """

    path: Path
    format: str = UNKNOWN
    inode: int = 0
    size: int = 0
    mtime_ns: int = 0
    problem: str | None = None
    within: tuple[str, ...] = ()


def default_roots(environ: Mapping[str, str] = os.environ, only: Iterable[str] | None = None) -> list[Path]:
    """The existing folders and files in which the known agents keep their transcripts. ``only`` names formats."""
    return [root for root in possible_roots(environ, only) if root.exists()]


def possible_roots(environ: Mapping[str, str] = os.environ, only: Iterable[str] | None = None) -> list[Path]:
    """The same, with those that do not exist yet."""
    folder = Path(environ["HOME"]) if environ.get("HOME") else home()
    return [root for format_ in _chosen(only) for root in format_.roots(environ, folder)]


async def discover(roots: Sequence[Path | str], formats: Iterable[str] | None = None) -> list[FoundTranscript]:
    """Every transcript under the given folders, and the given files themselves, each once, sorted by path.

    ``formats`` leaves out files whose path hints at another format. Runs in a thread.
    """
    import asyncio

    return await asyncio.to_thread(find, [Path(root) for root in roots], formats)


def find(roots: Sequence[Path], only: Iterable[str] | None = None) -> list[FoundTranscript]:
    """As ``discover``, for callers without an event loop."""
    wanted = {format_.name for format_ in _chosen(only)}
    known = list(formats().values())
    found: dict[str, FoundTranscript] = {}
    visited: set[tuple[int, int]] = set()
    for root in roots:
        for item in _under(Path(os.path.abspath(root)), visited, known):
            if item.problem is None:
                hint = next((format_.name for format_ in known if format_.hints(item.path)), UNKNOWN)
                if hint != UNKNOWN and hint not in wanted:
                    continue
                item = msgspec.structs.replace(item, format=hint)
            found.setdefault(str(item.path), item)
    return [found[path] for path in sorted(found)]


def find_changed(
    changed: Iterable[Path], roots: Sequence[Path], only: Iterable[str] | None = None
) -> list[FoundTranscript]:
    """The transcripts that changed paths under ``roots`` belong to, each once, sorted by path; what is gone has none.

    A new folder is walked: files may have been written to it before it was watched. Of any other path only the folders
    above it are looked at.
    """
    wanted = {format_.name for format_ in _chosen(only)}
    known = list(formats().values())
    found: dict[str, FoundTranscript] = {}
    for path in {owner for path in changed if (owner := _owner(path, roots, known)) is not None}:
        if path.is_dir() and not any(format_.hints(path) for format_ in known):
            found.update((str(item.path), item) for item in find([path], only) if item.problem is None)
            continue
        hint = next((format_.name for format_ in known if format_.hints(path)), UNKNOWN)
        if hint != UNKNOWN and hint not in wanted:
            continue
        try:
            item = _file(path, path.stat(), known)
        except OSError:
            continue
        if item.problem is None:
            found[str(path)] = msgspec.structs.replace(item, format=hint)
    return [found[path] for path in sorted(found)]


def _owner(path: Path, roots: Sequence[Path], known: Sequence[TranscriptFormat]) -> Path | None:
    """The transcript that a changed path is, or is a part of; a folder to be walked; None for all else."""
    for beside in _BESIDE_DATABASE:
        if path.name.endswith(beside):
            path = path.with_name(path.name.removesuffix(beside))
    if path.is_dir():
        return path
    if _is_found(path, (), known):
        # A packed file beside the plain one is the same session.
        return path if not path.name.endswith(PACKED_SUFFIX) or not path.with_suffix("").exists() else None
    for folder in path.parents:
        if not any(folder.is_relative_to(root) for root in roots):
            return None
        if any(format_.hints(folder) for format_ in known):
            return folder
    return None


_BESIDE_DATABASE = ("-wal", "-shm", "-journal")


def _chosen(only: Iterable[str] | None) -> list[TranscriptFormat]:
    if only is None:
        return list(formats().values())
    return [format_named(name) for name in only]


def _under(root: Path, visited: set[tuple[int, int]], known: Sequence[TranscriptFormat]) -> Iterator[FoundTranscript]:
    try:
        stat = root.stat()
    except OSError as error:
        yield FoundTranscript(path=root, problem=_reason(error))
        return
    if not root.is_dir():
        yield _file(root, stat, known)
        return
    problems: list[FoundTranscript] = []

    def add_problem(error: OSError) -> None:
        problems.append(FoundTranscript(path=Path(error.filename or root), problem=_reason(error)))

    yield from _walk(str(root), visited, known, add_problem)
    yield from problems


def _walk(
    folder: str,
    visited: set[tuple[int, int]],
    known: Sequence[TranscriptFormat],
    on_error: Callable[[OSError], None],
) -> Iterator[FoundTranscript]:
    pending = [folder]
    while pending:
        folder = pending.pop()
        try:
            stat = os.stat(folder)
            # A link may point to a parent: each folder is walked once, by the first path that leads to it.
            if (stat.st_dev, stat.st_ino) in visited:
                continue
            visited.add((stat.st_dev, stat.st_ino))
            with os.scandir(folder) as scan:
                entries = list(scan)
        except OSError as error:
            on_error(error)
            continue
        names = {entry.name for entry in entries}
        whole = next((format_ for format_ in known if format_.is_transcript(Path(folder), names)), None)
        if whole is not None:
            yield _parts(whole, Path(folder))
            continue
        for entry in entries:
            try:
                if entry.is_dir():
                    pending.append(entry.path)
                elif _is_found(Path(entry.path), names, known):
                    yield _file(Path(entry.path), entry.stat(), known)
            except OSError as error:
                on_error(error)


def _is_found(path: Path, names: Collection[str], known: Sequence[TranscriptFormat]) -> bool:
    if not _is_candidate(path.name, names):
        return any(format_.hints(path) for format_ in known)
    return not any(format_.ignores(path) for format_ in known)


def _is_candidate(name: str, names: Collection[str]) -> bool:
    """Whether a file of this name is opened to see what it holds. Where a packed file is beside the plain one, it is
    the same session."""
    if name.endswith(".jsonl" + PACKED_SUFFIX):
        return name.removesuffix(PACKED_SUFFIX) not in names
    return name.endswith((".jsonl", ".traj"))


def _file(path: Path, stat: os.stat_result, known: Sequence[TranscriptFormat]) -> FoundTranscript:
    for format_ in known:
        if format_.layout(path) is Layout.PARTS and format_.hints(path):
            return _parts(format_, path)
    # Opening a pipe would block until another process writes to it.
    problem = None if S_ISREG(stat.st_mode) else "not an ordinary file"
    return FoundTranscript(path=path, inode=stat.st_ino, size=stat.st_size, mtime_ns=stat.st_mtime_ns, problem=problem)


def _parts(format_: TranscriptFormat, path: Path) -> FoundTranscript:
    try:
        stat = format_.stat(path)
    except OSError as error:
        return FoundTranscript(path=path, problem=_reason(error))
    return FoundTranscript(path=path, inode=stat.inode, size=stat.size, mtime_ns=stat.mtime_ns)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
