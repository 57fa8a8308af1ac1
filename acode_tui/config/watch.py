"""Notices that a configuration file was changed. While nothing moves, asking costs one stat a file."""

import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from acode_tui.config.load import read_bytes, user_config_path, workspace_config_path

Mark = tuple[int, int, int]
"""Inode, size, mtime in nanoseconds."""


class ConfigWatch:
    """Remembers the configuration files of a workspace as they are now; ``changed`` answers whether they differ since.

    A file that was merely touched, or replaced by the same text, has not changed.
    Make the watch before loading the settings: an edit between the two is then seen, not missed.
    """

    def __init__(self, root: Path, *, environ: Mapping[str, str] = os.environ) -> None:
        self._paths = (user_config_path(environ), workspace_config_path(root))
        self._marks = [_mark(path) for path in self._paths]
        self._hashes = [_hash(path) for path in self._paths]

    def changed(self) -> bool:
        """Whether any file's content differs from what it was at the last call (or at construction)."""
        marks = [_mark(path) for path in self._paths]
        if marks == self._marks:
            return False
        hashes = [_hash(path) for path in self._paths]
        differs = hashes != self._hashes
        self._marks, self._hashes = marks, hashes
        return differs


def _mark(path: Path) -> Mark | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _hash(path: Path) -> bytes | None:
    try:
        return sha256(read_bytes(path)).digest()
    except OSError:
        return None
