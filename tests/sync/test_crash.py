"""After a crash of either side at any step everything is delivered, each effect once, and no attempt was counted."""

import asyncio
import itertools
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from acode_tui import SessionState
from acode_tui.domain.progress import Progress
from acode_tui.domain.states import WorkState
from acode_tui.storage.delivery_protocol import ApplyReply, PostgresFault
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.sync.ports import SyncState
from acode_tui.workspace import Workspace
from tests.fault_proxy import Mode, fault_proxy, short_deadlines
from tests.pg import Database, Server
from tests.sync.child import STEPS
from tests.sync.conftest import URL, LogLines
from tests.sync.equality import assert_nothing_was_lost
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import add_run, opened, query, syncing


async def work_until_killed(folder: Path, step: str, batch: int) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.sync.child", str(folder), step, str(batch), stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await child.communicate()
    assert child.returncode == -signal.SIGKILL, stderr.decode()


async def edit_all(workspace: Workspace) -> None:
    for (session_id,) in query(workspace, "SELECT id FROM sessions WHERE state <> 'Failed'"):
        await workspace.store.transition_session(session_id, SessionState.FAILED, reason="edited")


@pytest.mark.ac("AC-042")
@pytest.mark.parametrize("edited", [False, True], ids=["left alone", "edited after the crash"])
@pytest.mark.parametrize("step", ["claim not committed", "claimed", "written there", "committed there", "acknowledged"])
async def test_kill_nine_in_a_batch(tmp_path: Path, time: FakeTime, team: Database, step: str, edited: bool) -> None:
    async with opened(tmp_path, time) as workspace:
        for number in range(3):
            await add_run(workspace, f"run {number}")
        await workspace.sync.sync_now()
        for number in range(3):
            await add_run(workspace, f"more {number}")
        await edit_all(workspace)
    await work_until_killed(tmp_path, step, 2)
    async with opened(tmp_path, time) as workspace:
        if edited:
            for (step_id,) in query(workspace, "SELECT id FROM steps"):
                await workspace.store.add_tool_call(step_id, "after_the_crash", {})
            # Rows that the server may have in the version that was claimed.
            for (task_id,) in query(workspace, "SELECT id FROM session_tasks WHERE state = 'Pending'"):
                await workspace.store.transition_task(task_id, WorkState.IN_PROGRESS)
        report = await workspace.sync.sync_now()
        assert (report.failed, report.conflicts, report.remaining) == (0, 0, 0)
        if step == "committed there" and not edited:
            assert report.duplicates > 0
    await assert_nothing_was_lost(workspace.database_path, team)


@pytest.mark.ac("AC-042")
@pytest.mark.parametrize("step", ["before the pull is written", "before the cursor of a first sync"])
async def test_kill_nine_around_the_pull_cursor(tmp_path: Path, time: FakeTime, team: Database, step: str) -> None:
    assert step in STEPS
    async with opened(tmp_path / "a", time) as workspace:
        await add_run(workspace)
        if step == "before the pull is written":
            await workspace.sync.sync_now()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    async with opened(tmp_path / "a", time) as other:
        await add_run(other, "on the other machine")
        await other.sync.sync_now()
    await work_until_killed(tmp_path / "b", step, 1)
    async with opened(tmp_path / "b", time) as workspace:
        await workspace.sync.sync_now()
    await assert_nothing_was_lost(workspace.database_path, team)


@pytest.mark.ac("AC-042")
@pytest.mark.ac("AC-046")
async def test_the_connection_is_cut_in_the_reply_to_commit(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    async with fault_proxy("127.0.0.1", team.server.port) as proxy:
        monkeypatch.setenv(URL, team.url_through(proxy.port))
        async with opened(tmp_path, time) as workspace:
            await add_run(workspace)
            proxy.cut_in_reply_to_commit()
            with pytest.raises(PostgresFault):
                await workspace.sync.sync_now()
            assert len(await team.fetch("SELECT 1 FROM sessions")) == 1
            report = await workspace.sync.sync_now()
            assert (report.duplicates, report.synced, report.remaining) == (6, 0, 0)
    await assert_nothing_was_lost(workspace.database_path, team)
    logged = [line["key"] for line in log_lines() if line.get("outcome") == "duplicate"]
    assert len(logged) == 6


async def _through(workspace: Workspace, harm: Callable[[], object], *, times: int) -> None:
    """Drain while ``harm`` strikes after every batch, ``times`` times; each time the drain starts again."""
    left = times

    def strike(_: Progress) -> None:
        nonlocal left
        if left:
            left -= 1
            harm()

    for _ in range(times + 2):
        try:
            if (await workspace.sync.sync_now(batch_size=6, progress=strike)).remaining == 0:
                return
        except PostgresFault:
            continue
    raise AssertionError("it never drained")


async def test_connections_cut_between_and_before_commits(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fault_proxy("127.0.0.1", team.server.port) as proxy:
        monkeypatch.setenv(URL, team.url_through(proxy.port))
        async with opened(tmp_path, time) as workspace:
            for number in range(8):
                await add_run(workspace, f"run {number}")
            await _through(workspace, proxy.cut_before_commit, times=3)
            for number in range(4):
                await add_run(workspace, f"more {number}")
            await _through(workspace, proxy.cut, times=3)
    await assert_nothing_was_lost(workspace.database_path, team)


async def test_backends_terminated_during_a_drain(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time) as workspace:
        for number in range(6):
            await add_run(workspace, f"run {number}")
        tasks: list[asyncio.Task[None]] = []

        def terminate(_: Progress) -> None:
            sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'acode-tui'"
            tasks.append(asyncio.create_task(team.execute(sql)))

        for _ in range(12):
            try:
                if (await workspace.sync.sync_now(batch_size=6, progress=terminate)).remaining == 0:
                    break
            except PostgresFault:
                await asyncio.gather(*tasks)
        await asyncio.gather(*tasks)
        assert (await workspace.sync.sync_now()).remaining == 0
    await assert_nothing_was_lost(workspace.database_path, team)


async def test_a_server_that_crashes_during_a_drain_and_restarts(
    tmp_path: Path, time: FakeTime, private_pg: Callable[[], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = private_pg()
    team = Database(server, "postgres")
    monkeypatch.setenv(URL, team.url)
    async with opened(tmp_path, time, sync=True, settings=syncing(max_batch_size=6)) as workspace:
        await workspace.sync.pause()
        for number in range(6):
            await add_run(workspace, f"run {number}")
        crashed: list[asyncio.Task[None]] = []

        def crash(_: Progress) -> None:
            if not crashed:
                crashed.append(asyncio.create_task(asyncio.to_thread(server.stop, "immediate")))

        try:
            await workspace.sync.sync_now(progress=crash)
        except PostgresFault:
            assert crashed
        await asyncio.gather(*crashed)
        await workspace.sync.resume()
        await time.advance(60)
        assert (await workspace.sync.status()).state is SyncState.OFFLINE
        await asyncio.to_thread(server.start)
        await time.advance(31)
        status = await workspace.sync.status()
        assert (status.state, status.pending) == (SyncState.IDLE, 0)
    await assert_nothing_was_lost(workspace.database_path, team)


async def test_a_network_that_swallows_packets_ends_at_the_deadline_without_loss(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fault_proxy("127.0.0.1", team.server.port) as proxy:
        monkeypatch.setenv(URL, team.url_through(proxy.port))
        async with opened(tmp_path, time) as workspace:
            for number in range(3):
                await add_run(workspace, f"run {number}")
            apply, batches = PostgresSyncTarget.apply, itertools.count(1)
            with ExitStack() as stack:

                async def swallow_the_second(target: PostgresSyncTarget, *arguments: Any, **more: Any) -> ApplyReply:
                    if next(batches) == 2:
                        await proxy.set_mode(Mode.SWALLOW)
                        stack.enter_context(short_deadlines())
                    return await apply(target, *arguments, **more)

                monkeypatch.setattr(PostgresSyncTarget, "apply", swallow_the_second)
                with pytest.raises(PostgresFault, match="did not answer in time"):
                    await workspace.sync.sync_now(batch_size=6)
                with pytest.raises(PostgresFault, match="did not answer in time"):
                    await workspace.sync.sync_now()
            await proxy.set_mode(Mode.PASS)
            assert (await workspace.sync.sync_now()).remaining == 0
    await assert_nothing_was_lost(workspace.database_path, team)
