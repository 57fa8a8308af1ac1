"""A disk without room: a write is refused with a clear error and leaves nothing; writes work again once there is room.

The limit of file size that every system has stands in for the full disk; where the tests may mount one, a real one.
"""

import os
import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from acode_tui.domain.errors import AcodeError, DiskFullError
from acode_tui.ops.health import HealthStatus
from acode_tui.workspace import Maintenance, Workspace, open_workspace
from tests.clocks import TurnedClock
from tests.conftest import PLAIN_SETTINGS
from tests.pg import Database
from tests.sync.conftest import team as team
from tests.sync.conftest import time as time
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import add_run, opened

LONG = "x" * 900


@contextmanager
def no_room(most: int = 0) -> Iterator[None]:
    """No file of this process may grow beyond ``most`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def stored(path: Path) -> tuple[int, int, str]:
    with closing(sqlite3.connect(path)) as other:
        sessions, records = (
            other.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("sessions", "outbox")
        )
        return sessions, records, other.execute("PRAGMA integrity_check").fetchone()[0]


async def still_refused(workspace: Workspace) -> None:
    """Wait until the attempt that ``write_error`` began has failed, as it has to on a full disk."""
    with pytest.raises(DiskFullError):
        await workspace.store.create_session(LONG)


async def test_a_write_on_a_full_disk_leaves_nothing_and_one_with_room_succeeds(
    workspace: Workspace, clock: TurnedClock
) -> None:
    await workspace.store.create_session("before")
    with no_room():
        for _ in range(3):
            with pytest.raises(DiskFullError, match=r"ACODE-DB-002.*nothing was written") as caught:
                await workspace.store.create_session(LONG)
            assert "free some space" in caught.value.hint
        assert await workspace.store.count() == 1
        assert (await workspace.outbox.stats()).pending == 1
        assert isinstance(workspace.write_error(), DiskFullError)
        await still_refused(workspace)
        clock.turn(seconds=3)
        assert isinstance(workspace.write_error(), DiskFullError)
        await still_refused(workspace)
    clock.turn(seconds=3)
    workspace.write_error()
    trying = workspace._write_health._attempt
    assert trying is not None
    await trying
    assert workspace.write_error() is None
    await workspace.store.create_session("after")
    assert await workspace.store.count() == 2
    assert stored(workspace.database_path) == (2, 2, "ok")


async def test_a_disk_that_fills_up_keeps_exactly_the_acknowledged_writes(tmp_path: Path) -> None:
    answered = 0
    async with open_workspace(tmp_path, settings=PLAIN_SETTINGS) as workspace:
        with no_room((tmp_path / ".agent" / "workspace.db-wal").stat().st_size + 2_000_000):
            while answered < 500:
                try:
                    await add_run(workspace, LONG)
                except DiskFullError:
                    break
                answered += 1
    assert 0 < answered < 500
    sessions, _, verdict = stored(tmp_path / ".agent" / "workspace.db")
    assert verdict == "ok"
    assert sessions in (answered, answered + 1)
    with closing(sqlite3.connect(tmp_path / ".agent" / "workspace.db")) as other:
        artifacts = other.execute("SELECT count(*) FROM artifacts").fetchone()[0]
        assert artifacts in (answered, answered + 1)
        lost = other.execute(
            "SELECT count(*) FROM sessions WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE entity_id = sessions.id)"
        ).fetchone()[0]
    assert lost == 0


async def test_the_worker_reports_a_full_disk_and_continues_by_itself(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time) as workspace:
        await add_run(workspace)
    async with opened(tmp_path, time, sync=True) as workspace:
        await time.advance(60)
        assert (await workspace.sync.status()).pending == 0
        await workspace.sync.pause()
        await add_run(workspace, "another")
        pending = (await workspace.outbox.stats()).pending
        with no_room():
            await workspace.sync.resume()
            await time.advance(60)
            status = await workspace.sync.status()
            assert "disk" in status.reason
            assert "free some space" in status.hint
            assert isinstance(workspace.write_error(), DiskFullError)
            assert (await workspace.outbox.stats()).pending == pending
        await time.advance(120)
        status = await workspace.sync.status()
        assert (status.pending, status.reason, str(status.state)) == (0, "", "idle")
        assert workspace.write_error() is None
        found = await workspace.validate()
        assert found.matching == found.compared == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not made or made.returncode != 0:
        pytest.skip("only root may mount a file system, and not everywhere")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, *, leave: int = 0) -> Path:
    ballast = folder / "ballast"
    free = os.statvfs(folder)
    room = free.f_bavail * free.f_frsize - leave
    with ballast.open("ab") as file:
        file.write(bytes(max(0, room)))
    return ballast


async def test_a_workspace_on_a_full_disk_can_be_read_and_works_again_with_room(small_disk: Path) -> None:
    async with open_workspace(small_disk, settings=PLAIN_SETTINGS) as workspace:
        await workspace.store.create_session("before")
        fill(small_disk)
        with pytest.raises(DiskFullError):
            await workspace.store.create_session(LONG)
        assert isinstance(workspace.write_error(), DiskFullError)
        checks = {each.name: each for each in (await workspace.health(fresh=True)).checks}
        assert checks["storage"].status is HealthStatus.UNHEALTHY
        assert checks["sync_queue"].status is HealthStatus.HEALTHY
    ballast = fill(small_disk)  # closing gave the WAL's room back
    checks = {each.name: each for each in (await Maintenance(small_disk, PLAIN_SETTINGS).health()).checks}
    assert checks["storage"].status is HealthStatus.UNHEALTHY
    assert checks["database"].details["quickCheck"] == "ok"
    assert checks["sync_queue"].details["pending"] == 1
    ballast.unlink()
    async with open_workspace(small_disk, settings=PLAIN_SETTINGS) as workspace:
        await workspace.store.create_session("after")
        assert await workspace.store.count() == 2


@pytest.mark.parametrize("leave", [0, 8_192, 40_960, 204_800, 327_680])
async def test_a_workspace_that_cannot_be_created_is_created_once_there_is_room(small_disk: Path, leave: int) -> None:
    ballast = fill(small_disk, leave=leave)
    with pytest.raises(AcodeError, match=r"disk is full|No space left|takes no more"):
        async with open_workspace(small_disk, settings=PLAIN_SETTINGS):
            pass
    ballast.unlink()
    async with open_workspace(small_disk, settings=PLAIN_SETTINGS) as workspace:
        await workspace.store.create_session("x")
        assert "/*" in (small_disk / ".agent" / ".gitignore").read_text()


def test_a_workspace_on_a_read_only_file_system_can_be_read(small_disk: Path) -> None:
    import asyncio

    async def begin() -> None:
        async with open_workspace(small_disk, settings=PLAIN_SETTINGS) as workspace:
            await workspace.store.create_session("x")

    async def look() -> None:
        report = await Maintenance(small_disk, PLAIN_SETTINGS).health()
        checks = {each.name: each for each in report.checks}
        assert checks["database"].status is HealthStatus.UNHEALTHY
        assert "nothing can be recorded" in checks["database"].description
        assert checks["sync_queue"].details["pending"] == 1
        found = await Maintenance(small_disk, PLAIN_SETTINGS).check()
        assert all(each.ok for each in found)

    asyncio.run(begin())
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    asyncio.run(look())
