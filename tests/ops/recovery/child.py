"""A recovery in a process that kills itself at a step: ``python -m tests.ops.recovery.child FOLDER STEP``.

A step is the beginning of anything that leaves a trace: a page asked for or written, a file synced, renamed, removed.
``STEP`` counts from 1; 0 never dies. Prints how many steps there were.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acode_tui.storage.postgres import recovery_source
from acode_tui.storage.sqlite.files.rebuild import SqliteFileRebuild
from acode_tui.workspace import Maintenance
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import syncing

WATCHED: tuple[tuple[Any, str], ...] = (
    (os, "fsync"),
    (os, "rename"),
    (os, "replace"),
    (os, "unlink"),
    (recovery_source.RecoverySource, "page"),
    (SqliteFileRebuild, "adopt"),
    (SqliteFileRebuild, "finish"),
)


def die_at(step: int) -> Callable[[], int]:
    """Kill this process when the step begins; returns a function that gives the number of steps that have begun."""
    begun = 0

    def watched(plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal begun
            begun += 1
            if begun == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(*args, **options)

        return call

    for owner, name in WATCHED:
        setattr(owner, name, watched(getattr(owner, name)))
    return lambda: begun


async def main(folder: Path, step: int) -> None:
    recovery_source.PAGE_ROWS = 5
    begun = die_at(step)
    await Maintenance(folder, syncing(), wall=FakeTime().wall).recover(confirm=lambda _: True)
    print(begun())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
