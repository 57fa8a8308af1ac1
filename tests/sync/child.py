"""A worker in a process of its own that kills itself at one step: ``python -m tests.sync.child FOLDER STEP BATCH``.

The steps stand between claiming a batch and having it acknowledged; ``BATCH`` counts from 1.
"""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from acode_tui.storage.postgres import apply_batch
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.storage.sqlite.sync import records
from acode_tui.storage.sqlite.sync.journal import SqliteSyncJournal
from acode_tui.storage.sqlite.sync.outbox import SqliteOutbox
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import opened

BATCH_SIZE = 6


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, count: int) -> None:
    """Die when ``owner.name`` is called for the ``count``-th time."""
    _wrap(owner, name, count, die, None)


def after(owner: Any, name: str, count: int) -> None:
    """Die when ``owner.name`` has returned for the ``count``-th time."""
    _wrap(owner, name, count, None, die)


def _wrap(owner: Any, name: str, count: int, first: Callable[[], None] | None, last: Callable[[], None] | None) -> None:
    plain = getattr(owner, name)
    calls = 0

    async def wrapped(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count and first is not None:
            first()
        result = await plain(*args, **options)
        if calls == count and last is not None:
            last()
        return result

    setattr(owner, name, wrapped)


def after_acknowledging(count: int) -> None:
    """Die when the ``count``-th batch is acknowledged, which happens with the claim of the next or by itself."""
    calls = 0

    def wrap(name: str, is_acknowledged: Callable[..., bool]) -> None:
        plain = getattr(SqliteOutbox, name)

        async def wrapped(*args: Any, **options: Any) -> Any:
            nonlocal calls
            result = await plain(*args, **options)
            calls += is_acknowledged(options)
            if calls == count:
                die()
            return result

        setattr(SqliteOutbox, name, wrapped)

    wrap("claim", lambda options: options.get("delivered") is not None)
    wrap("acknowledge", lambda options: True)


def before_the_claim_commits(count: int) -> None:
    """Die in the transaction that claims the ``count``-th batch and acknowledges the one before."""
    plain, calls = records.claim, 0

    def claim(connection: sqlite3.Connection, ids: Iterable[int]) -> None:
        nonlocal calls
        plain(connection, ids)
        calls += 1
        if calls == count:
            die()

    records.claim = claim


STEPS: dict[str, Callable[[int], None]] = {
    "claim not committed": before_the_claim_commits,
    "claimed": lambda count: before(PostgresSyncTarget, "apply", count),
    "written there": lambda count: before(apply_batch.Delivery, "settle_rest", count),
    "committed there": lambda count: after(PostgresSyncTarget, "apply", count),
    "acknowledged": after_acknowledging,
    "before the pull is written": lambda _: before(SqliteSyncJournal, "adopt", 1),
    "before the cursor of a first sync": lambda _: before(SqliteSyncJournal, "set_pull_cursor", 1),
}


async def main(folder: Path, step: str, batch: int) -> None:
    STEPS[step](batch)
    async with opened(folder, FakeTime()) as workspace:
        await workspace.sync.sync_now(batch_size=BATCH_SIZE)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
