"""An event of a running agent: its transcript is imported, and its run shows that it waits for the user."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acode_tui.domain.entities import SessionGraph
from acode_tui.hooks.events import claude_code_event
from acode_tui.hooks.queue import TAKEN, is_empty, put
from acode_tui.hooks.receive import workspace_of
from acode_tui.hooks.worker import run
from acode_tui.storage.ports import SessionFilter
from acode_tui.workspace import open_workspace
from tests.clocks import GUARD_SECONDS, TurnedClock
from tests.conftest import PLAIN_SETTINGS
from tests.ingest.builders import SESSION, START, Claude


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ACODE_WORKSPACE", raising=False)
    root = tmp_path / "shop"
    (root / ".agent").mkdir(parents=True, mode=0o700)
    return root


@pytest.fixture
def transcript(tmp_path: Path) -> Path:
    """A run whose last line is a call without an answer."""
    claude = Claude()
    claude.user("Delete build")
    claude.calls("m1", "toolu_1", "Bash", {"command": "rm -r build"})
    return claude.write(tmp_path / f"{SESSION}.jsonl")


def hook_input(name: str, transcript: Path, cwd: Path, **fields: str) -> str:
    common = {"session_id": SESSION, "transcript_path": str(transcript), "cwd": str(cwd), "hook_event_name": name}
    return json.dumps({**common, **fields})


def runs(root: Path) -> list[SessionGraph]:
    async def read() -> list[SessionGraph]:
        async with open_workspace(root, settings=PLAIN_SETTINGS) as workspace:
            page = await workspace.store.list(SessionFilter(), limit=10)
            return [await workspace.store.get_with_hierarchy(each.id) for each in page]

    return asyncio.run(read())


def test_a_run_waits_while_its_agent_does(root: Path, transcript: Path) -> None:
    clock = TurnedClock(START)
    clock.turn(seconds=5)

    def report(name: str, **fields: str) -> str:
        put(root / ".agent", claude_code_event(hook_input(name, transcript, root, **fields)))
        clock.turn(seconds=1)
        assert run(root, wall=clock) == 1
        [graph] = runs(root)
        return str(graph.state)

    assert report("PreToolUse") == "Executing"
    assert report("PermissionRequest", tool_name="Bash") == "AwaitingApproval"
    assert report("PreToolUse") == "AwaitingApproval", "another call beside it answers nothing"
    assert report("PostToolUse") == "Executing"
    [graph] = runs(root)
    assert [event.reason for event in graph.events][-2:] == ["consent to Bash", "the agent went on: PostToolUse"]
    assert is_empty(root / ".agent")


def test_events_that_could_not_be_worked_on_wait_for_the_next(root: Path, transcript: Path) -> None:
    put(root / ".agent", claude_code_event(hook_input("Stop", transcript, root)))
    database = root / ".agent" / "workspace.db"
    database.write_bytes(b"no database at all" * 100)
    assert run(root) == 0
    assert (root / ".agent" / TAKEN).exists()
    database.unlink()
    assert run(root) == 1
    assert len(runs(root)) == 1


@pytest.mark.parametrize("path", ["", "relative.jsonl", "/does/not/exist.jsonl", "/dev/null", "/dev/zero"])
def test_a_transcript_that_is_none_harms_nothing(root: Path, path: str) -> None:
    text = json.dumps({"hook_event_name": "Stop", "session_id": SESSION, "transcript_path": path, "cwd": str(root)})
    put(root / ".agent", claude_code_event(text))
    assert run(root) == 1
    assert runs(root) == []


def test_a_folder_that_is_no_workspace_is_left_alone(tmp_path: Path) -> None:
    assert workspace_of(str(tmp_path)) is None or tmp_path not in workspace_of(str(tmp_path)).parents  # type: ignore[union-attr]
    (tmp_path / ".agent").symlink_to(tmp_path)
    assert workspace_of(str(tmp_path)) is None


def hook(*arguments: str, text: str = "", cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-X", "importtime", "-m", "acode_tui", "hook", *arguments]
    return subprocess.run(command, input=text, cwd=cwd, capture_output=True, text=True, timeout=GUARD_SECONDS)


def test_the_agent_does_not_wait_for_the_import(root: Path, transcript: Path) -> None:
    """The process that the agent waits for imports neither click nor a database, and leaves its output alone."""
    done = hook("claude-code", text=hook_input("Stop", transcript, root), cwd=root)
    assert (done.returncode, done.stdout) == (0, "")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"click", "asyncio", "sqlite3", "msgspec", "structlog", "acode_tui.cli.main"}
    deadline = time.monotonic() + GUARD_SECONDS
    while not is_empty(root / ".agent"):
        assert time.monotonic() < deadline, "the worker did not finish"
        time.sleep(0.02)
    assert [graph.task_description for graph in runs(root)] == ["Delete build"]


@pytest.mark.parametrize("arguments", [("claude-code",), ("codex", "not JSON")])
def test_what_is_no_event_is_one_line(root: Path, arguments: tuple[str, ...]) -> None:
    """And not exit code 2, with which Claude Code would refuse the agent's call."""
    done = hook(*arguments, text="not JSON", cwd=root)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"acode-tui hook {arguments[0]}: not the input of a hook")
    assert os.listdir(root / ".agent") == []
