"""Formats of other packages. What goes wrong in one is logged once and taken for an answer that finds nothing.

Reading a file is not guarded here: an import reports a reader's error with its file, and goes on with the others.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from acode_tui import plugins
from acode_tui.ingest.documents import DocumentShape
from acode_tui.ingest.format import FileStat, Layout, Parsed, ReadContext, TranscriptFormat

T = TypeVar("T")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


_looks = True


def assume_none() -> None:
    """Do not look for packages in this process: the one that started it has, and found none.

    Looking reads the metadata of every installed package. Call it before the first look.
    """
    global _looks
    _looks = False


@cache
def added_formats() -> tuple[TranscriptFormat, ...]:
    """The formats of installed packages, by the entry points of ``acode_tui.formats``, loaded once a process.

    An entry point names a ``TranscriptFormat``, or what makes one when it is called without arguments.
    """
    if not _looks:
        return ()
    return tuple(found for entry in plugins.entry_points(plugins.FORMATS) if (found := _load(entry)) is not None)


def _load(entry: Any) -> TranscriptFormat | None:
    try:
        loaded = entry.load()
        made = loaded() if isinstance(loaded, type) or not hasattr(loaded, "recognises") else loaded
        if made.name != entry.name or not _NAME.fullmatch(entry.name):
            raise ValueError(f"its name is {made.name!r}, not that of the entry point")
        return GuardedFormat(made)
    except Exception as error:  # noqa: BLE001 - a package of somebody else must not stop an import
        _warn("import.format_not_loaded", entry.name, f"{type(error).__name__}: {error}")
        return None


def _warn(event: str, name: str, reason: str) -> None:
    # Here: the second process of an import loads this module, and has no log.
    from acode_tui.logs import get_logger

    get_logger("acode_tui.ingest").warning(event, entity_id=name, reason=reason)


class GuardedFormat(TranscriptFormat):
    """A format of another package. See the module."""

    def __init__(self, format: TranscriptFormat) -> None:
        self._format = format
        self._failed: set[str] = set()

    @property
    def name(self) -> str:
        return self._format.name

    def recognises(self, records: Sequence[Mapping[str, Any]]) -> bool:
        return self._guard("recognises", lambda: bool(self._format.recognises(records)), False)

    def hints(self, path: Path) -> bool:
        return self._guard("hints", lambda: bool(self._format.hints(path)), False)

    def ignores(self, path: Path) -> bool:
        return self._guard("ignores", lambda: bool(self._format.ignores(path)), False)

    def roots(self, environ: Mapping[str, str], home: Path) -> list[Path]:
        return self._guard("roots", lambda: [Path(root) for root in self._format.roots(environ, home)], [])

    def folder(self, path: Path) -> str:
        return self._guard("folder", lambda: self._format.folder(path), "")

    def keeps(self, path: Path) -> timedelta | None:
        return self._guard("keeps", lambda: self._format.keeps(path), None)

    def layout(self, path: Path) -> Layout:
        return self._guard("layout", lambda: Layout(self._format.layout(path)), Layout.LINES)

    def shape(self) -> DocumentShape | None:
        return self._guard("shape", self._format.shape, None)

    def is_transcript(self, folder: Path, names: Collection[str]) -> bool:
        return self._guard("is_transcript", lambda: bool(self._format.is_transcript(folder, names)), False)

    def folders(self, path: Path) -> dict[str, int] | None:
        return self._format.folders(path)

    def stat(self, path: Path) -> FileStat:
        return self._format.stat(path)

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        return self._format.read(lines, context)

    def parts(self, path: Path, context: ReadContext) -> Iterable[tuple[int, bytes | None]]:
        return self._format.parts(path, context)

    def _guard(self, method: str, answer: Callable[[], T], otherwise: T) -> T:
        try:
            return answer()
        except Exception as error:  # noqa: BLE001 - see the module
            if method not in self._failed:
                self._failed.add(method)
                _warn("import.format_failed", self.name, f"{method}: {type(error).__name__}: {error}")
            return otherwise
