"""A process that runs backups, restores, vacuums and migrations in children of its own, and kills them: ``Killer``.

It stays alone in its thread, so that it may fork: a round costs a few milliseconds, not a start of Python.
A child dies at a step (the beginning of anything that leaves a trace: a statement, a few pages, a file synced, renamed
or removed; counted from 1, 0 never dies), or after a time.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from acode_tui.config import IdentitySettings, Settings
from acode_tui.ops.backup import restore
from acode_tui.ops.backup.create import keep_newest
from acode_tui.storage.ports import Backup
from acode_tui.storage.sqlite.connection import TimedConnection
from acode_tui.storage.sqlite.files import backup_copy, vacuum
from acode_tui.storage.sqlite.files.backup_catalog import read_backups
from acode_tui.storage.sqlite.files.backup_copy import back_up_file
from acode_tui.workspace import open_workspace
from acode_tui.workspace.maintenance import backup_store, database_files

SETTINGS = Settings(identity=IdentitySettings(user="ada@example.org"))
NOW = datetime(2026, 1, 6, 12, 0, tzinfo=UTC)
KEEP = 3


class End(NamedTuple):
    """How a round ended: ``steps`` were begun, as far as the child reported them."""

    killed: bool
    steps: int


class Killer:
    """The process that runs and kills the children."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.ops.backup.killing"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, kind: str, root: Path, *, step: int = 0, seconds: float | None = None) -> End:
        """Run one round: an operation in a child that is killed at a step or after a time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([kind, str(root), step, seconds]) + "\n")
        self._process.stdin.flush()
        killed, steps, failed = json.loads(self._process.stdout.readline())
        assert not failed, f"{kind} failed by itself; see the captured output"
        return End(killed, steps)

    def close(self) -> None:
        """End the process."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


FILES, BACKUPS = database_files(), backup_store()


def database_in(root: Path) -> Path:
    return root / ".agent" / "workspace.db"


def backups_in(root: Path) -> Path:
    return root / ".agent" / "backups"


def _backup(root: Path, tick: Callable[[], None]) -> None:
    made = back_up_file(database_in(root), backups_in(root), now=NOW, check_cancelled=tick)
    keep_newest(BACKUPS, backups_in(root), keep=KEEP, made=made)


def _restore(root: Path, tick: Callable[[], None]) -> None:
    oldest = read_backups(backups_in(root))[0][-1]
    assert isinstance(oldest, Backup)
    work = restore._Restore(
        FILES, BACKUPS, database_in(root), oldest, backups_in(root), lambda _: None, lambda _: None, tick
    )
    work.run(NOW, keep=KEEP, wait_seconds=0)


def _vacuum(root: Path, tick: Callable[[], None]) -> None:
    vacuum.vacuum(database_in(root), seconds=5, check_cancelled=tick, on_step=lambda _: None)


def _migrate(root: Path, tick: Callable[[], None]) -> None:
    async def open_it() -> None:
        async with open_workspace(root, settings=SETTINGS, wall=lambda: NOW):
            pass

    asyncio.run(open_it())


KINDS: dict[str, Callable[[Path, Callable[[], None]], None]] = {
    "backup": _backup,
    "restore": _restore,
    "vacuum": _vacuum,
    "migrate": _migrate,
}


def _child(kind: str, root: Path, step: int, answer: int) -> None:
    begun = 0

    def tick() -> None:
        nonlocal begun
        begun += 1
        if begun == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            tick()
            return plain(*args, **options)

        return call

    for name in ("fsync", "rename", "replace", "unlink", "truncate"):
        setattr(os, name, watched(getattr(os, name)))
    TimedConnection.execute = watched(TimedConnection.execute)  # type: ignore[method-assign]
    backup_copy.PAGES_A_STEP = 20
    vacuum._CHECK_OPCODES = 2_000
    KINDS[kind](root, tick)
    os.write(answer, str(begun).encode())


def _round(kind: str, root: Path, step: int, seconds: float | None) -> tuple[bool, int, bool]:
    heard, answer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _child(kind, root, step, answer)
            code = 0
        finally:
            os._exit(code)
    os.close(answer)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    steps = os.read(heard, 20)
    os.close(heard)
    killed = os.WIFSIGNALED(status)
    return killed, int(steps or 0), not killed and os.waitstatus_to_exitcode(status) != 0


def _serve() -> None:
    for line in sys.stdin:
        kind, root, step, seconds = json.loads(line)
        print(json.dumps(_round(kind, Path(root), step, seconds)), flush=True)


if __name__ == "__main__":
    _serve()
