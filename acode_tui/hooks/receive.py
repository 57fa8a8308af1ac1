"""``acode-tui hook AGENT``: takes one event from an agent, queues it, and leaves. The agent waits for this process.

It imports the standard library alone, opens no database and waits for nothing. What follows, the import of the
transcript, happens in a process of its own that the agent does not wait for.
"""

import os
import sys
from pathlib import Path

from acode_tui.hooks.events import MAX_INPUT_BYTES, READERS
from acode_tui.hooks.queue import put

MALFORMED = 1


def receive(agent: str, argument: str | None = None) -> int:
    """Queue the event of ``argument``, or of standard input, and start a worker. Returns the exit code.

    Never 2, which would block what the agent does. In a folder that is no workspace it does nothing.
    """
    try:
        text = argument if argument is not None else sys.stdin.buffer.read(MAX_INPUT_BYTES)
        event = READERS[agent](text)
    except ValueError as error:
        sys.stderr.write(f"acode-tui hook {agent}: not the input of a hook: {error}\n"[:300])
        return MALFORMED
    root = workspace_of(event.cwd)
    if root is None:
        return 0
    try:
        put(root / ".agent", event)
    except OSError as error:
        sys.stderr.write(f"acode-tui hook {agent}: the event was not recorded: {error}\n"[:300])
        return MALFORMED
    start_worker(root)
    return 0


def workspace_of(cwd: str) -> Path | None:
    """The workspace that a folder lies in: the nearest parent with an ``.agent`` of this user; None without one."""
    named = os.environ.get("ACODE_WORKSPACE")
    here = Path(named or cwd or os.curdir).absolute()
    for folder in (here, *here.parents):
        try:
            status = os.lstat(folder / ".agent")
        except OSError:
            continue
        if not os.path.islink(folder / ".agent") and status.st_uid == os.geteuid():
            return folder
        return None
    return None


def start_worker(root: Path) -> None:
    """Start a process that works on the queue, or ends at once where one does so already."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        child = os.fork()
    except OSError:
        return  # no process can be started now: the next event starts one
    if child:
        return
    code = 1
    try:
        os.setsid()
        # The agent reads these until they are closed.
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        from acode_tui.processes import module_path

        sys.path[:] = module_path()
        from acode_tui.hooks.worker import run

        run(root)
        code = 0
    finally:
        # The parent's exit handlers and buffers are not this process's.
        os._exit(code)
