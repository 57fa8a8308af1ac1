"""What a workspace's file weighs beside the transcripts that were imported into it.

No PostgreSQL, and the search index caught up to the end. "Delivered" is the same file after every record was sent and
has passed its retention, and after a vacuum. The fixed pages of an empty workspace count: the trees are large enough
for them not to matter.
"""

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from acode_tui.domain.entities import Entity
from acode_tui.domain.search.places import texts_of
from acode_tui.ingest import discover, import_transcripts
from acode_tui.storage.sqlite.runs.stream import open_run_rows
from acode_tui.workspace import open_workspace
from benchmarks.bench_import import STEPS, claude_lines, codex_lines, write_transcript
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized

FILES = 12
DATABASE, DELIVERED, INDEX = 0.55, 0.40, 0.30
"""The targets: bytes of the file a byte of transcript, and bytes of the index a byte of the texts that it covers."""

_Lines = Callable[[int, int], list[bytes]]


def run() -> list[Measure]:
    return asyncio.run(_run())


async def _run() -> list[Measure]:
    """The targets are those of both formats together; each alone is for information."""
    both = await _weigh("both formats", (claude_lines, codex_lines))
    alone = await _weigh("claude-code", (claude_lines,)) + await _weigh("codex", (codex_lines,))
    return both + [msgspec.structs.replace(measure, target="", ok=True) for measure in alone]


async def _weigh(name: str, formats: Sequence[_Lines]) -> list[Measure]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tree = root / "transcripts"
        tree.mkdir()
        paths = [write_transcript(tree, lines(STEPS, number)) for lines in formats for number in range(sized(FILES, 4))]
        transcripts = sum(path.stat().st_size for path in paths)
        database = root / "workspace" / ".agent" / "workspace.db"
        async with open_workspace(root / "workspace") as workspace:
            await import_transcripts(workspace.transcripts, await discover(paths), workspace_id=workspace.workspace_id)
            index = await workspace.index.rebuild()
            texts = await _covered(database)
        filled = database.stat().st_size
        _deliver(database)
        return [
            _share(f"size {name}: database a MB of transcripts", filled, transcripts, DATABASE),
            _share(f"size {name}: delivered and vacuumed", database.stat().st_size, transcripts, DELIVERED),
            _share(f"size {name}: search index a MB of text", index.bytes, texts, INDEX),
        ]


def _share(name: str, value: int, whole: int, most: float) -> Measure:
    return at_most(name, value / whole, "MB", most)


async def _covered(database: Path) -> int:
    """Bytes of the texts that are searched."""

    def count(entities: Iterable[Entity]) -> int:
        return sum(len(text.encode(errors="replace")) for entity in entities for text in texts_of(entity))

    async with open_run_rows(database, timeout_seconds=30) as rows:
        return sum([await rows.walk(each, count) for each in await rows.session_ids(after="", limit=10_000)])


def _deliver(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("DELETE FROM outbox")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
