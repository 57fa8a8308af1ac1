"""A backup and its verification beside the bare work: the file copied and synced, the file hashed.

The workspace holds runs as transcripts have them: a third of the file is tool results, the rest rows, indexes, outbox.
The file is verified as `db backup verify` does it; the last measure also looks up every index entry.
"""

import asyncio
import hashlib
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import acode_tui
from acode_tui.config import Settings
from acode_tui.domain.clock import system_clock
from acode_tui.ops.backup.create import create_backup, verify_backup
from acode_tui.ops.backup.vacuum import vacuum_file
from acode_tui.storage.ports import Backup
from acode_tui.workspace.maintenance import backup_store, database_files
from benchmarks.bench_hierarchy import make_graph
from benchmarks.result import Measure, at_most, within
from benchmarks.scale import sized
from benchmarks.timing import timed, timed_call

CONTENT_BYTES = 1_500


def run() -> list[Measure]:
    return asyncio.run(_run())


async def _run() -> list[Measure]:
    size = sized(100, 70)
    files, backups = database_files(), backup_store()
    with TemporaryDirectory(prefix="acode-benchmark-") as name:
        folder = Path(name)
        database = await _make(folder / "workspace", size << 20)
        megabytes = database.stat().st_size >> 20
        copied, made = [], []
        hashed, verified, deeply = [], [], []
        backup: Backup | None = None
        for _ in range(sized(7, 3)):
            copied.append(timed_call(_copy, database, folder / "copy"))
            started = perf_counter()
            backup = await create_backup(files, backups, database, folder / "backups", now=system_clock(), keep=1)
            made.append(perf_counter() - started)
            hashed.append(timed_call(_hash, backup.database))
            verified.append(await timed(verify_backup(backups, backup)))
            deeply.append(await timed(verify_backup(backups, backup, deep=True)))
        packed = await timed(vacuum_file(files, database, timeout_seconds=30))
    return [
        within(f"backup of {megabytes} MB, against copy and fsync", _best(made), "ms", _best(copied), 2),
        within(f"verify of {megabytes} MB, against SHA-256", _best(verified), "ms", _best(hashed), 1.5),
        at_most(f"verify --deep of {megabytes} MB", _best(deeply), "ms", 5_000).beside(_best(hashed)),
        at_most(f"vacuum of {megabytes} MB", packed * 1e3, "ms", 10_000),
    ]


async def _make(root: Path, size: int) -> Path:
    async with acode_tui.open_workspace(root, settings=Settings()) as workspace:
        while workspace.database_path.stat().st_size < size:
            await workspace.store.save(make_graph(1_000, workspace.workspace_id, content_bytes=CONTENT_BYTES))
        return workspace.database_path


def _copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    shutil.copyfile(source, target)
    handle = os.open(target, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _best(samples: list[float]) -> float:
    """The quickest, in milliseconds: the median of seven runs varies too much on a busy machine."""
    return min(samples) * 1e3
