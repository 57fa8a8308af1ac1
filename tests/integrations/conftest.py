"""The recorder's folder and runs, and what was said in a run."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from acode_tui.domain.entities import SessionGraph, StepGraph, TaskGraph
from acode_tui.workspace import open_workspace
from tests.conftest import PLAIN_SETTINGS
from tests.recorder.conftest import folder, recorded

__all__ = ["folder", "recorded"]

Said = Callable[[SessionGraph], list[tuple[str, str]]]


@pytest.fixture
def said(folder: Path) -> Said:
    """What was said in a run, task by task and step by step: the kind and the text."""

    async def read(graph: SessionGraph) -> list[tuple[str, str]]:
        async with open_workspace(folder, settings=PLAIN_SETTINGS) as workspace:
            return [
                (str(kept.type), (await workspace.store.get_artifact_content(kept.id)).decode())
                for task in graph.tasks
                for holder in cast("tuple[TaskGraph | StepGraph, ...]", (task, *task.steps))
                for kept in holder.artifacts
            ]

    def in_a_loop_of_its_own(graph: SessionGraph) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        thread = threading.Thread(target=lambda: found.extend(asyncio.run(read(graph))))
        thread.start()
        thread.join()
        return found

    return in_a_loop_of_its_own
