"""Search in 150 imported transcripts, and their index: its size as a part of the texts, and its processor time."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import process_time

import acode_tui
from acode_tui.config import Settings
from acode_tui.ingest import discover, import_transcripts
from acode_tui.storage.sqlite.search.indexed_rows import IndexedRows
from acode_tui.storage.sqlite.search.tables import SEARCHED
from acode_tui.workspace import Workspace
from benchmarks.bench_import import claude_lines, codex_lines
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized
from benchmarks.timing import quantile, timed
from benchmarks.workspaces import bare_reader

_QUERIES: dict[str, tuple[str, ...]] = {
    "words and fields": ("validates", "blank field", "tool:Bash form", "inp*", "agent:codex store", "-form store"),
    "phrases": ('"returns early"', '"form early"'),
    "files": ("file:form.ts", "file:shop/file3.ts"),
}
"""Nearly every document has both words of the phrases. No file is named form.ts."""


def run() -> list[Measure]:
    return asyncio.run(_run())


async def _run() -> list[Measure]:
    async with _transcripts(sized(75, 10)) as ours:
        started = process_time()
        made = await ours.index.rebuild()
        seconds = process_time() - started
        samples = {
            name: [await timed(ours.search(query)) for query in queries for _ in range(sized(20, 5))]
            for name, queries in _QUERIES.items()
        }
        chars = _chars(ours.database_path)
    return [
        *(
            at_most(f"search, 150 imported sessions, {name}, 95th percentile", quantile(each, 0.95) * 1e3, "ms", 20)
            for name, each in samples.items()
        ),
        at_most("search index, part of the text that it covers", made.bytes / chars * 100, "%", 30),
        Measure(name="search index, processor time a 100 MB of text", value=seconds / chars * 1e8, unit="s"),
    ]


@asynccontextmanager
async def _transcripts(files: int) -> AsyncIterator[Workspace]:
    """A workspace with so many imported transcripts of each format."""
    with tempfile.TemporaryDirectory(prefix="acode-benchmark-") as name:
        tree = Path(name) / "transcripts"
        tree.mkdir()
        for number in range(files):
            for kind, lines in (("0", claude_lines), ("1", codex_lines)):
                path = tree / f"{number:07d}{kind}-0000-4000-8000-000000000000.jsonl"
                path.write_bytes(b"".join(line + b"\n" for line in lines(60, number)))
        async with acode_tui.open_workspace(Path(name) / "ws", settings=Settings()) as ours:
            found = await discover([tree], None)
            await import_transcripts(
                ours.transcripts, found, workspace_id=ours.workspace_id, user_id=ours.user, limits=ours.settings.limits
            )
            yield ours


def _chars(path: Path) -> int:
    """How many bytes of text are searched."""
    with bare_reader(path) as connection:
        return sum(
            len(text.encode("utf-8", "replace"))
            for kind in SEARCHED
            for row in IndexedRows(connection).after(kind, 0)
            for text in row.texts
        )
