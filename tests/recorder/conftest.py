"""A folder to record in, and the runs that were recorded there."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from acode_tui import recorder
from acode_tui.domain.entities import SessionGraph
from acode_tui.storage.ports import SessionFilter
from acode_tui.workspace import open_workspace
from tests.conftest import PLAIN_SETTINGS

Recorded = Callable[[], list[SessionGraph]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("ACODE_WORKSPACE", raising=False)
    (tmp_path / ".agent").mkdir()
    (tmp_path / ".agent" / "config.toml").write_text('[identity]\nuser = "ada@example.org"\n')
    yield tmp_path
    recorder.close()


@pytest.fixture
def recorded(folder: Path) -> Recorded:
    """Every run in the folder as another process would find it, oldest first."""

    async def read() -> list[SessionGraph]:
        async with open_workspace(folder, settings=PLAIN_SETTINGS) as workspace:
            page = await workspace.store.list(SessionFilter(), limit=100)
            sessions = sorted(page.sessions, key=lambda session: session.created_at)
            return [await workspace.store.get_with_hierarchy(session.id) for session in sessions]

    def in_a_loop_of_its_own() -> list[SessionGraph]:
        found: list[SessionGraph] = []
        thread = threading.Thread(target=lambda: found.extend(asyncio.run(read())))
        thread.start()
        thread.join()
        return found

    return in_a_loop_of_its_own


def states(graph: SessionGraph) -> dict[str, str]:
    """Every name in a run with its state."""
    found = {graph.task_description: str(graph.state)}
    for task in graph.tasks:
        found[f"task {task.title}"] = str(task.state)
        for step in task.steps:
            found[f"step {step.name}"] = str(step.state)
            for call in step.tool_calls:
                found[f"call {call.tool_name}"] = str(call.state)
    return found
