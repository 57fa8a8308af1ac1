"""From the key that opens a run of 20,000 steps to its first answer on screen, in a terminal of its own."""

import asyncio
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

from msgspec.structs import replace

import acode_tui
from acode_tui.config import Settings
from acode_tui.domain.codec import digest
from acode_tui.domain.entities import Artifact, SessionGraph, StepGraph
from acode_tui.domain.ids import new_id
from acode_tui.domain.states import ArtifactType
from benchmarks.bench_hierarchy import make_graph
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized
from benchmarks.terminal import Terminal

STEPS = 20_000
_ANSWER = "The form trusts its input, in step"
_LOOK_SECONDS = 0.002


def run() -> list[Measure]:
    steps = sized(STEPS, 1_000)
    with TemporaryDirectory(prefix="acode-benchmark-") as name:
        asyncio.run(_make(name, steps))
        samples = [_opened(name) for _ in range(sized(5, 1))]
    return [at_most(f"a run of {steps:,} steps opened as a conversation, median", median(samples) * 1e3, "ms", 150)]


def _opened(folder: str) -> float:
    """Seconds from the key to the answer."""
    with Terminal([sys.executable, "-m", "acode_tui", "--workspace", folder], Path(folder)) as terminal:
        terminal.wait_for(b"login form")
        sleep(2)  # what a dashboard does when it has just opened is not a part of what is measured
        started = perf_counter()
        terminal.press(b"\r")
        terminal.wait_for(_ANSWER.encode(), look_seconds=_LOOK_SECONDS)
        return perf_counter() - started


async def _make(folder: str, steps: int) -> None:
    async with acode_tui.open_workspace(folder, settings=Settings()) as ours:
        graph = make_graph(steps, ours.workspace_id)
        await ours.store.save(_answered(graph))


def _answered(graph: SessionGraph) -> SessionGraph:
    """The run with an answer in each step."""
    return replace(
        graph, tasks=tuple(replace(task, steps=tuple(map(_with_answer, task.steps))) for task in graph.tasks)
    )


def _with_answer(step: StepGraph) -> StepGraph:
    content = f"{_ANSWER} {step.order}.".encode()
    answer = Artifact(
        id=new_id(),
        session_id=step.session_id,
        task_id=step.task_id,
        step_id=step.id,
        type=ArtifactType.MODEL_RESPONSE,
        name="answer",
        content=content,
        content_hash=digest(content),
        content_type="text/plain",
        size=len(content),
        created_at=step.created_at,
        updated_at=step.updated_at,
    )
    return replace(step, artifacts=(answer,))
