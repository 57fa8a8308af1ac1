"""Which file system a folder is on, and whether two kernels may have it mounted at once.

SQLite's WAL keeps its index in memory that all its processes map. Through FUSE, virtiofs, 9p, NFS or SMB a file may be
open in two kernels, a container and its host for instance, that do not see each other's memory: both write, and one
loses.
"""

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
"""Linux's list of mounts. Elsewhere there is none, and every file system counts as local."""

_SHARED = frozenset(
    (
        "9p",
        "acfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fakeowner",
        "fuse",
        "gfs",
        "gfs2",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "prl_fs",
        "pvfs2",
        "smb2",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
    )
)
"""Linux's names. ``fuseblk`` is none of these: a block device that one kernel has mounted."""

_ESCAPE = re.compile(r"\\([0-7]{3})")


def shared_file_system(folder: Path) -> str | None:
    """The name of the file system that ``folder`` is on, if two kernels may share it; otherwise None."""
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    name = file_system_of(os.path.realpath(folder), mounts)
    return name if name in _SHARED or name.startswith("fuse.") else None


def file_system_of(folder: str, mounts: str) -> str:
    """The type of the file system that holds ``folder``, an absolute path without links; "" if no line names it.

    ``mounts`` is what ``/proc/self/mountinfo`` holds. Of several mounts at one place the last one is in use.
    """
    longest, name = -1, ""
    for line in mounts.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4])
        inside = point == "/" or folder == point or folder.startswith(f"{point}/")
        if inside and len(point) >= longest:
            longest, name = len(point), after.split(" ", 1)[0]
    return name
