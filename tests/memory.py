"""Where tests keep what they write: in memory, if the machine has a place for that with room in it.

Tests open some thousand workspaces and some hundred databases, and every commit would wait for the disk. What they
prove holds in memory as well: a process that is killed leaves what it wrote to the kernel, wherever that keeps it.
"""

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM = 2 * 1024**3


def folder_for_tests() -> Path:
    """A folder for temporary folders."""
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
        return _MEMORY
    return Path(tempfile.gettempdir())
