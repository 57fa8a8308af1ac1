"""A workspace from nothing: directory, file, every migration; and opening one that is up to date."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import acode_tui
from acode_tui.config import Settings
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized
from benchmarks.timing import milliseconds, timed


def run() -> list[Measure]:
    return asyncio.run(_run())


async def _run() -> list[Measure]:
    made, opened = [], []
    for _ in range(sized(15, 5)):
        with TemporaryDirectory(prefix="acode-benchmark-") as folder:
            made.append(await timed(_open(Path(folder))))
            opened.append(await timed(_open(Path(folder))))
    return [
        at_most("migration from empty, all versions, median", milliseconds(made), "ms", 1000),
        at_most("opening an up-to-date workspace, median", milliseconds(opened), "ms", 250),
    ]


async def _open(folder: Path) -> None:
    async with acode_tui.open_workspace(folder, settings=Settings()):
        pass
