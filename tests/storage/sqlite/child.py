"""Child processes of the tests: ``python -m tests.storage.sqlite.child ROLE FILE ...``."""

import asyncio
import os
import signal
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from acode_tui.domain.clock import system_clock
from acode_tui.domain.states import ArtifactType, SessionState
from acode_tui.storage.migrations.runner import packaged
from tests.storage.sqlite.parts import Parts, open_parts


def say(line: str) -> None:
    """Write a line unbuffered, so that the parent gets it even if this process is killed."""
    os.write(1, line.encode() + b"\n")


async def _record(parts: Parts, name: str) -> None:
    """Record small runs for ever; print each id after its write was acknowledged."""
    number = 0
    while True:
        session = await parts.store.create_session(f"{name} {number}")
        say(f"sessions {session.id}")
        task = await parts.store.add_task(session.id, "task")
        say(f"session_tasks {task.id}")
        moved = await parts.store.transition_session(session.id, SessionState.PLANNING)
        say(f"state {moved.id}")
        step = await parts.store.add_step(task.id, "step")
        say(f"steps {step.id}")
        call = await parts.store.add_tool_call(step.id, "tool", {"n": number})
        say(f"tool_calls {call.id}")
        artifact = await parts.store.add_artifact(
            call.id, ArtifactType.COMMAND_OUTPUT, "out", os.urandom(3_000), "application/octet-stream"
        )
        say(f"artifacts {artifact.id}")
        number += 1


async def crash(path: Path) -> None:
    """Write until killed, from several tasks at once."""
    async with open_parts(path, wall=system_clock) as parts:
        await asyncio.gather(*(_record(parts, f"task {n}") for n in range(6)))


async def increment(path: Path, times: int) -> None:
    """Add 1 to a stored number, ``times`` times, each in a separate write."""

    def unit(connection: sqlite3.Connection) -> None:
        (value,) = connection.execute("SELECT value FROM workspace_meta WHERE key = 'k-counter'").fetchone()
        connection.execute("UPDATE workspace_meta SET value = ? WHERE key = 'k-counter'", (str(int(value) + 1),))

    async with open_parts(path, wall=system_clock) as parts:
        say("ready")
        sys.stdin.readline()
        for _ in range(times):
            await parts.writer.run(unit)


async def record(path: Path, times: int) -> None:
    """Sessions in a frozen wall clock, so that only the workspace's clock makes the stamps differ."""
    frozen = datetime(2026, 1, 5, tzinfo=UTC)
    async with open_parts(path, wall=lambda: frozen) as parts:
        say("ready")
        sys.stdin.readline()
        for n in range(times):
            session = await parts.store.create_session(f"{os.getpid()} {n}")
            await parts.store.add_task(session.id, "task")


async def migrate(path: Path) -> None:
    """Open the file, which migrates it if necessary."""
    say("ready")
    sys.stdin.readline()
    async with open_parts(path, wall=system_clock):
        say("open")


async def killed_migrating(path: Path, survived: int) -> None:
    """Die by SIGKILL inside the transaction of migration number ``survived + 1``."""
    calls = 0

    def wall() -> datetime:
        nonlocal calls
        calls += 1
        if calls > survived:
            os.kill(os.getpid(), signal.SIGKILL)
        return system_clock()

    assert survived < len(packaged("sqlite"))
    async with open_parts(path, wall=wall):
        pass


async def record_words(path: Path, times: int) -> None:
    """Record sessions, each with a word of its own, and print the word once it is acknowledged."""
    async with open_parts(path, wall=system_clock) as parts:
        for n in range(times):
            await parts.store.create_session(f"word{n}of{os.getpid()}")
            say(f"word{n}of{os.getpid()}")
        say("end")


async def index(path: Path) -> None:
    """Rebuild the index in small batches until killed; print a line a batch."""
    from acode_tui.storage.sqlite.search import catch_up
    from acode_tui.storage.sqlite.search.index import step
    from acode_tui.storage.sqlite.search.schema import recreate

    catch_up.BATCH_CHARS = 2_000
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        recreate(connection)
        while step(connection):
            say("batch")
        say("done")
        sys.stdin.readline()


if __name__ == "__main__":
    role, file, *rest = sys.argv[1:]
    asyncio.run(globals()[role](Path(file), *map(int, rest)))
