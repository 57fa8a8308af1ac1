"""A workspace rebuilt from PostgreSQL and compared row by row, beside the sync that sent it there."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import acode_tui
from acode_tui.ops.recovery.recover import Recovery
from acode_tui.workspace import Maintenance
from benchmarks.bench_apply import new_database
from benchmarks.bench_sync import SETTINGS, URL, drain, fill, peak_mib
from benchmarks.result import Measure, at_least, at_most
from benchmarks.scale import sized
from benchmarks.servers import measured_on_a_server
from tests.pg import Server

ROWS = 100_000


def run() -> list[Measure]:
    """All measures."""
    return measured_on_a_server(_measure)


async def _measure(server: Server) -> list[Measure]:
    rows = sized(ROWS, 10_000)
    url = await new_database(server, "recover")
    os.environ[URL] = url
    with tempfile.TemporaryDirectory(prefix="acode-bench-") as folder:
        async with acode_tui.open_workspace(folder, settings=SETTINGS) as workspace:
            await fill(workspace, rows)
            rate = await drain(workspace)
            path = workspace.database_path
        path.write_bytes(b"\xde\xad" * 4096)
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "benchmarks.bench_recover", folder],
            stdout=subprocess.PIPE,
            check=True,
            env={**os.environ, URL: url},
        )
    answer = json.loads(done.stdout)
    name = f"recovering {answer['rows']:,} rows"
    return [
        at_least(f"{name}, beside the sync that sent them", answer["rate"], "rows/s", rate, 0.5),
        at_most(f"{name}: resident memory", answer["resident_mib"], "MiB", 200),
    ]


async def _recover_alone(folder: str) -> None:
    """In a process of its own: recover, and print rate and memory."""
    done: Recovery = await Maintenance(Path(folder), SETTINGS).recover(confirm=lambda _: False)
    rows = sum(done.counts.values())
    print(json.dumps({"rows": rows, "rate": rows / done.duration_seconds, "resident_mib": peak_mib()}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(_recover_alone(sys.argv[1]))
    else:
        for line in run():
            print(line)
