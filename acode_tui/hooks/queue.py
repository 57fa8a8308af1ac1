"""The queue of a workspace's hook events: one line each in ``.agent/hooks.jsonl``. The standard library alone.

Any process appends, under the file's lock; the one worker takes the whole file by renaming it. Who then has the lock
of a file that lost its name opens the new one.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from acode_tui.hooks.events import HookEvent
from acode_tui.plain_files import open_plain

QUEUE = "hooks.jsonl"
TAKEN = "hooks.taken.jsonl"
MAX_BYTES = 4 * 1024 * 1024
"""A longer queue takes no event: no worker empties it, and the next import finds the lines in the transcripts."""


def put(agent_dir: Path, event: HookEvent) -> bool:
    """Append an event; False if the queue is full. Raises OSError."""
    line = (json.dumps(event) + "\n").encode()
    path = agent_dir / QUEUE
    while True:
        handle = open_plain(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not _has_name(handle, path):
                continue
            if os.fstat(handle).st_size > MAX_BYTES:
                return False
            os.write(handle, line)
            return True
        finally:
            os.close(handle)


def is_empty(agent_dir: Path) -> bool:
    """Whether no event waits."""
    return not any(os.path.lexists(agent_dir / name) for name in (QUEUE, TAKEN))


def take(agent_dir: Path) -> list[HookEvent]:
    """The events that wait, oldest first; first those that were taken but not ``done``. Raises OSError."""
    taken = agent_dir / TAKEN
    if not os.path.lexists(taken):
        try:
            os.rename(agent_dir / QUEUE, taken)
        except FileNotFoundError:
            return []
    handle = open_plain(taken, os.O_RDONLY)
    with open(handle, "rb") as file:
        # A process that had it open before it was renamed may be writing its line.
        fcntl.flock(handle, fcntl.LOCK_EX)
        return list(_events(file.read(2 * MAX_BYTES)))


def done(agent_dir: Path) -> None:
    """What was taken was worked on."""
    (agent_dir / TAKEN).unlink(missing_ok=True)


def _has_name(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False


def _events(data: bytes) -> Iterator[HookEvent]:
    for line in data.splitlines():
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue  # the end of a line is missing after a crash of the machine
        if isinstance(found, list) and len(found) == len(HookEvent._fields) and all(isinstance(x, str) for x in found):
            yield HookEvent(*found)
