"""A workspace with one recorded run, and a function that runs commands on it."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from acode_tui import ArtifactType, SessionState, StepState, TaskState, open_workspace
from acode_tui.cli.main import cli

HOSTILE = "\x1b[31mAdd\u202e input [/bold] validation\x07\x9b2J\x7f\u2066\u061c\u200e"
Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Isolate the tests from the settings of the machine that runs them."""
    for name in ("ACODE_WORKSPACE", "ACODE_POSTGRES_URL", "ACODE_LOG_LEVEL", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    root.mkdir()
    return root


@pytest.fixture
def run(root: Path) -> Run:
    """Runs ``acode-tui --workspace ROOT`` with these arguments, in this process."""

    def run(*arguments: str, **options: Any) -> Result:
        result = CliRunner().invoke(cli, ["--workspace", str(root), *arguments], **options)
        assert "Traceback" not in result.stderr
        return result

    return run


def answer(result: Result) -> Any:
    """The JSON that a successful command printed."""
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


class Recorded:
    """Ids of the run in ``recorded``."""

    session: str
    artifact: str
    content: bytes = b"\x00binary\xff"


@pytest.fixture
def recorded(root: Path) -> Recorded:
    """A workspace with one run that has a row of every kind, with hostile texts."""
    ids = Recorded()

    async def record() -> None:
        async with open_workspace(root) as workspace:
            store = workspace.store
            session = await store.create_session(HOSTILE, metadata={"cwd": "/x", "\x1b": "\x1b"})
            await store.transition_session(session.id, SessionState.PLANNING, reason="start")
            task = await store.add_task(session.id, HOSTILE)
            await store.transition_task(task.id, TaskState.IN_PROGRESS)
            step = await store.add_step(task.id, HOSTILE)
            await store.transition_step(step.id, StepState.IN_PROGRESS)
            call = await store.add_tool_call(step.id, HOSTILE, {"path": "login.ts"})
            await store.start_tool_call(call.id)
            artifact = await store.add_artifact(
                call.id, ArtifactType.FILE_CONTENT, HOSTILE, ids.content, "application/octet-stream"
            )
            await store.fail_tool_call(call.id, HOSTILE)
            ids.session, ids.artifact = session.id, artifact.id

    asyncio.run(record())
    return ids
