"""``kill -9`` at any moment of a recovery leaves the old file or the new one, whole; the next run completes it."""

import asyncio
import random
import signal
import sys
from pathlib import Path

import pytest

import acode_tui
from acode_tui.domain.errors import IntegrityError
from tests.ops.recovery.test_disaster import damage, files_in
from tests.ops.recovery.test_disaster import enabled as enabled
from tests.ops.recovery.test_disaster import shop as shop
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import query, syncing

SESSIONS = 3
ROUNDS = 50


async def recover_until(folder: Path, step: int) -> int | None:
    """Run a recovery that dies at a step; returns its number of steps if it did not die."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.ops.recovery.child", str(folder), str(step)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await child.communicate()
    if child.returncode == -signal.SIGKILL:
        return None
    assert child.returncode == 0, error.decode()
    return int(out)


async def is_new(folder: Path, old: bytes) -> bool:
    """Whether the file is the new one; fails if it is neither the new nor the old one."""
    try:
        async with acode_tui.open_workspace(folder, settings=syncing()) as workspace:
            assert all(each.ok for each in await workspace.check())
            assert query(workspace, "SELECT count(*) FROM sessions") == [(SESSIONS,)]
            return True
    except IntegrityError:
        assert (folder / ".agent" / "workspace.db").read_bytes() == old
        return False


async def kill_and_look(folder: Path, steps: list[int]) -> list[bool]:
    """Kill a recovery at each step and check the file it leaves; a recovered workspace is damaged again."""
    ends = []
    for step in steps:
        damage(folder)
        old = (folder / ".agent" / "workspace.db").read_bytes()
        await recover_until(folder, step)
        ends.append(await is_new(folder, old))
    if not ends[-1]:
        assert await recover_until(folder, 0)
    assert await is_new(folder, b"")
    assert not [name for name in files_in(folder) if "recovering" in name or "replacing" in name]
    return ends


async def test_killed_in_the_middle_and_in_the_swap_it_is_old_or_new(shop: Path, time: FakeTime) -> None:
    ends = await kill_and_look(shop, [6, 15, 18])
    assert ends == sorted(ends)
    assert set(ends) == {False, True}


@pytest.mark.soak
async def test_killed_at_every_step_it_is_old_or_new(shop: Path, time: FakeTime) -> None:
    damage(shop)
    count = await recover_until(shop, 0)
    assert count
    steps = [step for step in range(1, count + 1) for _ in range(-(-ROUNDS // count))]
    random.shuffle(steps)
    await kill_and_look(shop, steps)
