"""The folder for the tests' files: in memory, if the machine has a memory file system with enough room.

Tests open thousands of workspaces and hundreds of databases, and each commit would wait for the disk. Their result does
not depend on the disk: what a killed process has written is in the kernel either way.
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
