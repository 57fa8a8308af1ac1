"""The demo's agents: each records one made-up run after another, by the same recorder that real agents use."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from acode_tui import recorder
from acode_tui.demo.script import Call, Run

Sleep = Callable[[float], Awaitable[None]]


async def work(root: Path, runs: Iterable[Run], *, sleep: Sleep, rest: Callable[[], float]) -> None:
    """Record run after run into the workspace at ``root``, with ``rest`` seconds between them, until cancelled."""
    for run in runs:
        await record(root, run, sleep=sleep)
        await sleep(rest())


async def record(root: Path, run: Run, *, sleep: Sleep) -> None:
    """Record a run while it happens. Cancelled, it is recorded as cancelled."""
    async with recorder.session(run.description, root, metadata=run.metadata) as session:
        for job in run.jobs:
            async with session.task(job.title) as task:
                for move in job.moves:
                    async with task.step(move.name) as step:
                        for call in move.calls:
                            async with step.tool(call.tool, call.parameters) as made:
                                await _make(made, call, sleep)
                        if move.given_up:
                            step.skip()


async def _make(made: recorder.Call, call: Call, sleep: Sleep) -> None:
    await sleep(call.seconds)
    if (content := call.content) is not None:
        made.artifact(content.type, content.name, content.text, content.content_type)
    if call.error:
        made.fail(call.error)
    else:
        made.result(call.result)
