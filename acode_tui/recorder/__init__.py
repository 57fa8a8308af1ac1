"""Record an agent while it runs, sync or async, without ever breaking it.

``session(...)`` around the agent and ``@tool`` on its functions are enough; tasks and steps add detail::

    with session("Add validation") as run, run.task("Analyse") as task:
        task.artifact("UserPrompt", "prompt", prompt, "text/markdown")
        with task.step("Read") as step:
            with step.tool("read_file", {"path": "login.ts"}) as call:
                call.artifact("FileContent", "login.ts", content)
            step.artifact("ModelResponse", "answer", answer, "text/markdown")

A database error loses writes of the record and never stops the agent: it is logged once and counted in ``Run.lost``.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acode_tui.config.postgres_address import is_postgres_url
from acode_tui.config.workspace_root import find_root
from acode_tui.recorder.channel import Place, close
from acode_tui.recorder.decorator import tool
from acode_tui.recorder.executor import RecordedExecutor
from acode_tui.recorder.run import Call, Run, Step, Task

__all__ = ["Call", "Run", "Step", "Task", "close", "executor", "session", "tool"]


def session(
    task_description: str,
    path: str | Path | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    user: str | None = None,
    resume: str | None = None,
    spool: str | Path | None = None,
) -> Run:
    """A run to enter with ``with`` or ``async with``, recorded in the workspace in the folder ``path``.

    A ``postgresql://`` URL as ``path`` records into that database itself. While it cannot be reached, writes are lost
    and counted, unless ``spool`` names a folder: then each write goes into the workspace there first, and from there to
    the database, at once or when the folder is opened again.

    Without a path it is the workspace that commands use here: ``ACODE_WORKSPACE``, else the nearest parent folder with
    ``.agent``, else the current folder. ``metadata`` is any mapping; ``user`` is ``identity.user`` unless given. The
    run is Completed when the block ends, Failed when an exception leaves it, Cancelled on an interrupt.

    ``resume`` goes on with a session of this workspace: its id, or a key of your own, such as a conversation's id; a
    key that is new begins a session. A session that a crash, ``leave_open`` or ``pause`` left Paused, or that waits for
    approval, is at work again; one that has ended stays as it is, and a new one names it as ``continues`` in its
    metadata. ``task_description`` and ``metadata`` count for a new session only.
    """
    return Run(_place(path, spool), task_description, metadata, user, resume)


def executor(max_workers: int | None = None) -> RecordedExecutor:
    """A thread pool whose work is recorded under the block that was open where it was submitted."""
    return RecordedExecutor(max_workers, thread_name_prefix="acode-work")


def _place(path: str | Path | None, spool: str | Path | None) -> Place:
    named = os.environ.get("ACODE_WORKSPACE") if path is None else path
    url = named if isinstance(named, str) and is_postgres_url(named) else None
    if spool is not None and url is None:
        raise ValueError("spool is the folder before a database: path must be a postgresql:// URL")
    try:
        if url is not None:
            return Place(Path(spool or ".").expanduser().absolute(), url, spools=spool is not None)
        return Place(find_root() if path is None else Path(path).expanduser().absolute())
    except (OSError, RuntimeError):
        # The current folder is gone, or a home folder is unknown: opening fails, and is counted as any other loss.
        return Place(Path(spool or path or "."), url, spools=spool is not None)
