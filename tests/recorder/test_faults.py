"""A failing database loses writes of the record and never stops the agent."""

import asyncio
import logging
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import pytest

import acode_tui
from acode_tui.domain.errors import SchemaMismatchError, TransactionError
from acode_tui.recorder import channel
from acode_tui.recorder.channel import Place, Writes
from acode_tui.recorder.outcome import Losses
from acode_tui.recorder.rows import CallRow, Row
from acode_tui.storage.sqlite.runs.store import SqliteRunStateStore
from acode_tui.storage.sqlite.writer import Writer
from tests.clocks import GUARD_SECONDS
from tests.recorder.conftest import Recorded, states


def agent(folder: Path) -> acode_tui.recorder.Run:
    """Does its work even if nothing can be recorded."""
    worked = False
    with (
        acode_tui.recorder.session("run", folder) as run,
        run.task("t") as task,
        task.step("s") as step,
        step.tool("c", {"a": 1}) as call,
    ):
        task.artifact("UserPrompt", "p", "what to do", "text/markdown")
        step.artifact("ModelResponse", "r", "what was done", "text/markdown")
        call.artifact("FileContent", "x", b"1", "text/plain")
        call.result(1)
        worked = True
    assert worked
    return run


async def agent_async(folder: Path) -> acode_tui.recorder.Run:
    async with (
        acode_tui.recorder.session("run", folder) as run,
        run.task("t") as task,
        task.step("s") as step,
        step.tool("c", {"a": 1}) as call,
    ):
        task.artifact("UserPrompt", "p", "what to do", "text/markdown")
        step.artifact("ModelResponse", "r", "what was done", "text/markdown")
        call.artifact("FileContent", "x", b"1", "text/plain")
        call.result(1)
    return run


def held_lock(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / ".agent" / "workspace.db", isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    return connection


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_database_locked_for_too_long_loses_writes_and_logs_it_once(
    asynchronous: bool, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (folder / ".agent" / "config.toml").open("a") as config:
        config.write("[persistence.sqlite]\ntimeout_seconds = 0.1\n")
    agent(folder)
    caplog.clear()  # a slow machine may lose a write of this run to so short a time limit
    with closing(held_lock(folder)):
        run = asyncio.run(agent_async(folder)) if asynchronous else agent(folder)
        acode_tui.recorder.close()
    assert run.lost > 5
    assert run.id is None
    lines = [record for record in caplog.records if record.name == "acode_tui.recorder"]
    assert [record.levelno for record in lines] == [logging.WARNING]
    assert "ACODE-DB-002" in lines[0].getMessage()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_database_that_answers_late_holds_the_agent_up_once_and_gets_every_write(
    asynchronous: bool, folder: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent(folder)
    stalls: list[bool] = []
    stall = Writes.stall

    def counted(writes: Any) -> None:
        stalls.append(writes.wait_seconds() > 0)
        stall(writes)

    monkeypatch.setattr(Writes, "stall", counted)
    monkeypatch.setattr(channel, "MAX_WAIT_SECONDS", 0.05)
    with closing(held_lock(folder)) as lock:
        run = asyncio.run(agent_async(folder)) if asynchronous else agent(folder)
        assert stalls.count(True) == 1
        assert run.id is None
        lock.execute("ROLLBACK")
    acode_tui.recorder.close()
    assert run.lost == 0
    assert not channel.channel().workspace(Place(folder)).stalled, "the next run does not wait for its writes"
    late = recorded()[1]
    assert states(late) == {"run": "Completed", "task t": "Completed", "step s": "Completed", "call c": "Succeeded"}
    step = late.tasks[0].steps[0]
    assert [len(holder.artifacts) for holder in (late.tasks[0], step, step.tool_calls[0])] == [1, 1, 1]


def garbage(folder: Path) -> None:
    (folder / ".agent" / "workspace.db").write_bytes(b"not a database at all" * 1000)


def a_folder(folder: Path) -> None:
    (folder / ".agent" / "workspace.db").mkdir()


def newer(folder: Path) -> None:
    agent(folder)
    acode_tui.recorder.close()
    with closing(sqlite3.connect(folder / ".agent" / "workspace.db")) as connection:
        connection.execute("UPDATE schema_migrations SET version = '99.0.0' WHERE version = '1.1.0'")
        connection.commit()


def bad_config(folder: Path) -> None:
    (folder / ".agent" / "config.toml").write_text("[persistence.sqlite]\ntimeout_seconds = 'soon'\n")


@pytest.mark.parametrize("spoil", [garbage, a_folder, newer, bad_config])
def test_a_workspace_that_cannot_be_opened_loses_only_the_record(
    spoil: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(folder)
    run = agent(folder)
    again = asyncio.run(agent_async(folder))
    assert run.lost > 0
    assert again.lost > 0
    assert len([record for record in caplog.records if record.name == "acode_tui.recorder"]) == 2
    with pytest.raises(ZeroDivisionError), acode_tui.recorder.session("run", folder):
        _ = 1 / 0


def test_a_workspace_that_did_not_open_is_not_tried_at_every_write(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    garbage(folder)
    tries = []
    import acode_tui.workspace as workspaces

    real = workspaces.open_workspace

    def counted(*args: Any, **kwargs: Any) -> Any:
        tries.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(workspaces, "open_workspace", counted)
    agent(folder)
    agent(folder)
    assert len(tries) == 1


def test_a_folder_without_a_usable_name_loses_only_the_record(caplog: pytest.LogCaptureFixture) -> None:
    assert agent(Path("/x\0y")).lost > 0
    assert "contains NUL" in caplog.text


def test_a_missing_current_folder_loses_only_the_record(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with acode_tui.recorder.session("run") as run, run.tool("c"):
        pass
    assert run.lost > 0
    os.chdir(folder)


@pytest.mark.parametrize(
    "method",
    [
        "create_session",
        "transition_session",
        "add_task",
        "transition_task",
        "add_step",
        "transition_step",
        "add_tool_call",
        "complete_tool_call",
        "add_artifact",
    ],
)
@pytest.mark.parametrize(
    "fault", [TransactionError("the disk is full"), OSError(28, "no space"), ValueError("no active connection")]
)
def test_the_agent_goes_on_when_any_write_fails(
    method: str, fault: Exception, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: Any, **__: Any) -> NoReturn:
        raise fault

    monkeypatch.setattr(SqliteRunStateStore, method, fail)
    run = agent(folder)
    assert run.lost > 0
    assert len([record for record in caplog.records if record.name == "acode_tui.recorder"]) == min(run.lost, 1)


def test_entering_a_block_is_one_write_and_leaving_it_another(
    folder: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    real = Writer.run

    async def counted(self: Writer, unit: Any, **more: Any) -> Any:
        written.append(unit.__qualname__)
        return await real(self, unit, **more)

    with acode_tui.recorder.session("run", folder) as run, run.task("t") as task, task.step("s") as step:
        monkeypatch.setattr(Writer, "run", counted)
        with step.tool("c") as call:
            call.result(1)
            assert len(written) == 1
            assert states(recorded()[0])["call c"] == "Executing"
        assert len(written) == 2
        with task.step("s2"):
            assert len(written) == 3
            assert states(recorded()[0])["step s2"] == "InProgress"
        assert len(written) == 4


def test_a_write_that_is_cancelled_while_the_workspace_opens_is_a_loss_and_nobody_waits_for_it(folder: Path) -> None:
    opened = channel.channel()
    losses = Losses()
    queued = channel._QueuedWrite(opened.workspace(Place(folder)), CallRow(Row(None), "c", {}), never, losses, 0)

    def begin_and_cancel() -> None:
        opened._begin(queued)
        assert queued.running is not None
        queued.running.cancel()

    opened._loop.call_soon_threadsafe(begin_and_cancel)
    assert queued.done.wait(GUARD_SECONDS)
    assert losses.count == 1


async def never(_: object) -> NoReturn:
    raise AssertionError("the write was cancelled")


def test_an_agent_cannot_cancel_a_write_that_it_waits_for(folder: Path, recorded: Recorded) -> None:
    async def run() -> None:
        session = acode_tui.recorder.session("run", folder)
        entering = asyncio.create_task(session.__aenter__())
        await asyncio.sleep(0)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert session.lost == 0

    asyncio.run(run())
    channel.close()
    assert states(recorded()[0]) == {"run": "Cancelled"}


def test_a_path_is_resolved_once_a_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved: list[Any] = []
    real = os.path.realpath

    def counted(path: Any, **more: Any) -> Any:
        resolved.append(path)
        return real(path, **more)

    with acode_tui.recorder.session("run", folder) as run:
        monkeypatch.setattr(os.path, "realpath", counted)
        with run.tool("c"):
            pass
    assert run.lost == 0
    assert folder not in resolved


def test_a_log_handler_that_raises_does_not_affect_the_agent(folder: Path) -> None:
    class Raising(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise RuntimeError("the log is full")

    garbage(folder)
    log = logging.getLogger("acode_tui.recorder")
    strange = Raising()
    log.addFilter(strange)
    try:
        assert agent(folder).lost > 0
    finally:
        log.removeFilter(strange)


def test_the_writes_that_wait_for_a_hanging_database_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent(folder)
    monkeypatch.setattr(channel, "MAX_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(channel, "MAX_WAITING_WRITES", 10)
    with closing(held_lock(folder)) as lock:
        with acode_tui.recorder.session("run", folder) as run:
            for _ in range(20):
                with run.tool("c"):
                    pass
            assert run.lost > 0
        lock.execute("ROLLBACK")


@pytest.mark.parametrize("nth", range(13))
def test_no_write_waits_for_one_that_was_refused(nth: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted = []
    real = channel.Channel._refusal

    def refuse_one(refusing: channel.Channel, size: int) -> Any:
        submitted.append(size)
        return TransactionError("no room") if len(submitted) == nth + 1 else real(refusing, size)

    def stalled(_: Any) -> NoReturn:
        raise AssertionError("a write waits for ever")

    monkeypatch.setattr(channel.Channel, "_refusal", refuse_one)
    monkeypatch.setattr(Writes, "stall", stalled)
    assert agent(folder).lost > 0


@pytest.mark.parametrize("failures", range(1, 14))
def test_a_workspace_that_opens_later_is_recorded_into_from_then_on(
    failures: int, folder: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = channel.RecordedWorkspace.open
    tries = []

    async def opens_later(workspace: channel.RecordedWorkspace) -> Any:
        tries.append(workspace)
        if len(tries) <= failures:
            raise OSError("not yet")
        return await real(workspace)

    def stalled(_: Any) -> NoReturn:
        raise AssertionError("a write waits for ever")

    monkeypatch.setattr(channel.RecordedWorkspace, "open", opens_later)
    monkeypatch.setattr(Writes, "stall", stalled)
    assert agent(folder).lost > 0
    assert agent(folder).lost == 0
    assert len(recorded()) == 1


FULL = """
import resource, signal, sys
import acode_tui

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with acode_tui.recorder.session("run", sys.argv[1]) as run:
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    for n in range(5):
        with run.tool("c") as call:
            call.artifact("FileContent", "x", bytes(200_000), "text/plain")
print("worked", run.lost > 0)
"""


def test_a_full_disk_loses_only_the_record(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, folder], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "worked True\n"
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (TransactionError("the lock was held"), logging.WARNING),
        (SchemaMismatchError("the file is newer"), logging.ERROR),
        (OSError("no such device"), logging.WARNING),
    ],
)
def test_a_loss_that_only_its_user_can_end_is_logged_as_an_error(
    caplog: pytest.LogCaptureFixture, error: Exception, level: int
) -> None:
    losses = Losses()
    losses.add(error)
    losses.add(error)
    assert losses.count == 2
    assert [record.levelno for record in caplog.records] == [level]
