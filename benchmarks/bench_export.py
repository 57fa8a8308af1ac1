"""Exports: memory that does not grow with the size of the export, and time beside a bare loop over the same rows.

Each export runs in a process of its own, so that its memory is its own. The data are artifacts of source code and tool
calls with results, a home directory or an address here and there, as real runs have them.
"""

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from acode_tui.config import IdentitySettings, Settings
from acode_tui.domain.codec import digest
from acode_tui.ops.export.export import ExportRequest
from acode_tui.workspace import open_workspace
from benchmarks.bare_export import bare_csv, bare_json, bare_sqlite
from benchmarks.bench_sync import peak_mib
from benchmarks.result import Measure, at_most, within
from benchmarks.scale import sized
from benchmarks.timing import timed_call
from tests.storage.runs import make_run

MEGABYTES = (10, 100)
SETTINGS = Settings(identity=IdentitySettings(user="bench@example.org"))
TIMES_A_BARE_LOOP = 2.5
CALLS = 40
CONTENT = 24_000
"""Bytes of an artifact; a run of so many calls holds about a megabyte."""

_LINES = (
    "def validate(form: Form, *, strict: bool = False) -> list[Problem]:",
    "    return [problem for field in form.fields for problem in check(field, strict=strict)]",
    "import { createServer } from './server'; // see https://example.org/docs?page=2#top",
    '    assert response.json() == {"name": "Ada", "id": "0190d6a1-7b2c-7def-8a3e-b4c5d6e7f890"}',
    "    at Object.<anonymous> (/usr/lib/node_modules/jest/build/runner.js:411:13)",
)
_TELLING = ("  cwd: /home/ada/src/shop", "Author: Ada Lovelace <ada@example.org>")


def run() -> list[Measure]:
    """All measures."""
    small, large = (sized(whole, quick) for whole, quick in zip(MEGABYTES, (10, 30), strict=True))
    with tempfile.TemporaryDirectory(prefix="acode-bench-") as folder:
        roots = {}
        for size in (small, large):
            roots[size] = Path(folder) / str(size)
            roots[size].mkdir()
            asyncio.run(_fill(roots[size], size))
        measures = []
        for format, bare in (("json", bare_json), ("csv", bare_csv), ("sqlite", bare_sqlite)):
            few, _ = _alone(roots[small], format, redact=False)
            rounds = [_round(roots[large], format, bare) for _ in range(sized(5, 2))]
            many, seconds, floor = (min(each) for each in zip(*rounds, strict=True))
            name = f"export of {large} MB as {format}"
            measures.append(within(f"{name}: resident memory beside {small} MB", many, "MiB", few, 1.15))
            measures.append(within(f"{name}, beside a bare loop", seconds, "s", floor, TIMES_A_BARE_LOOP))
        peak, seconds = _alone(roots[large], "json", redact=True)
        few_peak, _ = _alone(roots[small], "json", redact=True)
        name = f"export of {large} MB as json, redacted"
        measures.append(within(f"{name}: resident memory beside {small} MB", peak, "MiB", few_peak, 1.15))
        measures.append(at_most(name, seconds, "s", 30))
        return measures


async def _fill(root: Path, megabytes: int) -> None:
    async with open_workspace(root, settings=SETTINGS) as workspace:
        rng = random.Random(megabytes)
        for _ in range(megabytes):
            graph = make_run(workspace.workspace_id, calls=CALLS)
            (task,) = graph.tasks
            (step,) = task.steps
            calls = []
            for call in step.tool_calls:
                content = _text(rng, CONTENT).encode()
                artifact = msgspec.structs.replace(
                    call.artifacts[0], content=content, size=len(content), content_hash=digest(content)
                )
                calls.append(msgspec.structs.replace(call, result=_text(rng, 1_000), artifacts=(artifact,)))
            step = msgspec.structs.replace(step, tool_calls=tuple(calls))
            task = msgspec.structs.replace(task, steps=(step,))
            await workspace.store.save(msgspec.structs.replace(graph, tasks=(task,)))


def _text(rng: random.Random, size: int) -> str:
    lines: list[str] = []
    length = 0
    while length < size:
        line = rng.choice(_TELLING) if rng.random() < 0.01 else f"{rng.choice(_LINES)}  # {rng.randrange(10**6)}"
        lines.append(line)
        length += len(line) + 1
    return "\n".join(lines)


def _round(root: Path, format: str, bare: Callable[[Path, Path], None]) -> tuple[float, float, float]:
    """Memory and seconds of an export, then the seconds of the bare loop. What was written is removed again."""
    mib, seconds = _alone(root, format, redact=False)
    floor = timed_call(bare, root / ".agent" / "workspace.db", root / "bare")
    for each in (*root.glob("out-*"), *root.glob("bare*")):
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    return mib, seconds, floor


def _alone(root: Path, format: str, *, redact: bool) -> tuple[float, float]:
    """Most memory in MiB, and seconds, of an export in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bench_export", str(root), format, str(int(redact))]
    answer = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return answer["mib"], answer["seconds"]


async def _export(root: Path, format: str, redact: bool) -> None:
    async with open_workspace(root, settings=SETTINGS) as workspace:
        request = ExportRequest(format=format, path=root / f"out-{os.getpid()}", redact=redact)  # type: ignore[arg-type]
        report = await workspace.export(request)
    print(json.dumps({"mib": peak_mib(), "seconds": report.duration_seconds}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(_export(Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "1"))
    else:
        for measure in run():
            print(measure)
