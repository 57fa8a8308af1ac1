"""Reports changes under folders as the system tells them, in a thread: neither waiting nor setting up blocks a loop."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

STEP_MS = 50
"""Changes are reported when none came for so long, or after ``DEBOUNCE_MS``: an agent may write all the time."""

DEBOUNCE_MS = 250
TIMEOUT_MS = 1_000


async def folder_changes(folders: Sequence[Path]) -> AsyncGenerator[set[Path], None]:
    """The paths that were written, made, moved or deleted under ``folders``, in sets; empty ones about once a second.

    The first set comes once the folders are watched. Raises OSError where the system watches no more folders for this
    process; a folder that may not be read is passed over.
    """
    notify = await asyncio.to_thread(_watch, folders)
    ended = threading.Event()
    watching: asyncio.Task[set[Path]] | None = None
    try:
        yield set()
        while True:
            watching = asyncio.create_task(asyncio.to_thread(_next, notify, ended))
            # Waited for in this way, the thread outlives a cancellation, and can be waited for below.
            await asyncio.wait([watching])
            yield watching.result()
    finally:
        ended.set()
        if watching is not None:
            # The thread looks at ``ended`` at each step; the watch is closed when no thread uses it.
            await asyncio.wait([watching])
        await asyncio.to_thread(notify.close)


def _watch(folders: Sequence[Path]) -> "RustNotify":
    from watchfiles._rust_notify import RustNotify

    return RustNotify([str(folder) for folder in folders], False, False, 0, True, True)


def _next(notify: "RustNotify", ended: threading.Event) -> set[Path]:
    found = notify.watch(DEBOUNCE_MS, STEP_MS, TIMEOUT_MS, ended)
    return {Path(path) for _, path in found} if isinstance(found, set) else set()
