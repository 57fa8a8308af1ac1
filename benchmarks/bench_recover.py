"""A workspace rebuilt from PostgreSQL and compared row by row, beside the sync that sent it there and a bare copy.

The bare copy selects every row as the text that SQLite stores and inserts it in one commit: no page, entity, event,
comparison or search for what is missing.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import asyncpg

import acode_tui
from acode_tui.domain.schema import TABLES, Column, Table
from acode_tui.ops.recovery.recover import Recovery
from acode_tui.storage.sqlite import rows
from acode_tui.workspace import Maintenance
from benchmarks.bench_apply import new_database
from benchmarks.bench_sync import SETTINGS, URL, drain, fill, peak_mib
from benchmarks.result import Measure, at_least, at_most
from benchmarks.scale import sized
from benchmarks.servers import measured_on_a_server
from benchmarks.workspaces import bare_writer, make_database
from tests.pg import Server

ROWS = 100_000
PAGE = 1_024
"""Rows that the bare copy fetches at once."""


def run() -> list[Measure]:
    """All measures."""
    return measured_on_a_server(_measure)


async def _measure(server: Server) -> list[Measure]:
    number = sized(ROWS, 10_000)
    url = await new_database(server, "recover")
    os.environ[URL] = url
    with tempfile.TemporaryDirectory(prefix="acode-bench-") as folder:
        async with acode_tui.open_workspace(folder, settings=SETTINGS) as workspace:
            await fill(workspace, number)
            rate = await drain(workspace)
            path = workspace.database_path
        with tempfile.TemporaryDirectory(prefix="acode-bench-") as other:
            copied = await _bare_copy(url, await asyncio.to_thread(make_database, Path(other)))
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
        Measure(name=f"{name}, beside a bare copy", value=answer["rate"], unit="rows/s").beside(copied),
        at_most(f"{name}: resident memory", answer["resident_mib"], "MiB", 200),
    ]


async def _bare_copy(url: str, database: Path) -> float:
    """Rows a second of a copy of every row into an empty workspace's file."""
    connection = await asyncpg.connect(url)
    rows_copied = 0
    started = perf_counter()
    with bare_writer(database) as bare:
        bare.execute("BEGIN IMMEDIATE")
        async with connection.transaction():
            for kind, table in TABLES.items():
                cursor = await connection.cursor(_select_as_stored(table))
                while page := await cursor.fetch(PAGE):
                    rows.insert_many(bare, rows.INSERT[kind], page)
                    rows_copied += len(page)
        bare.execute("COMMIT")
    elapsed = perf_counter() - started
    await connection.close()
    return rows_copied / elapsed


def _select_as_stored(table: Table) -> str:
    return f"SELECT {', '.join(map(_as_stored, table.columns))} FROM {table.name}"


def _as_stored(column: Column) -> str:
    name = f'"{column.name}"'
    if column.kind == "time":
        return f"""to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    return f"{name}::text" if column.kind in ("uuid", "json") else name


async def _recover_alone(folder: str) -> None:
    """In a process of its own: recover, and print rate and memory."""
    done: Recovery = await Maintenance(Path(folder), SETTINGS).recover(confirm=lambda _: False)
    number = sum(done.counts.values())
    print(json.dumps({"rows": number, "rate": number / done.duration_seconds, "resident_mib": peak_mib()}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(_recover_alone(sys.argv[1]))
    else:
        for line in run():
            print(line)
