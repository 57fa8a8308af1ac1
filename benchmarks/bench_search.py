"""Search at a million sessions with their texts: rare and common words, phrases, prefixes, fields, what is excluded.

Each query is asked for a page of sessions, at the newest, in the middle both ways, and for a page of places. Beside it:
the same over 150 imported transcripts; the index's size and the time that it takes to be made, a part of the texts.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import process_time

import acode_tui
from acode_tui.config import Settings
from acode_tui.domain.states import SessionState
from acode_tui.ingest import discover, import_transcripts
from acode_tui.storage.cursors import encode_cursor
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.sqlite.search.indexed_rows import IndexedRows
from acode_tui.storage.sqlite.search.tables import SEARCHED
from acode_tui.workspace import Workspace
from benchmarks.bench_import import claude_lines, codex_lines
from benchmarks.million import million_sessions
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized
from benchmarks.timing import quantile, timed
from benchmarks.workspaces import bare_reader

_QUERIES: dict[str, tuple[str, ...]] = {
    "rare words": ("T123456", "quasar", "xylograph"),
    "middling words": ("nightly", "module77", "module7", "exhausted", "session_store.py"),
    "very common words": ("ticket", "analyse", "the", "Bash", "files"),
    "parts of identifiers": ("cookie", "access", "refreshAccessToken"),
    "prefixes": ("ti*", "va*", "qua*", "mod*", "T1234*", "m*"),
    "several words": ("ticket quasar", "ticket module7", "validation xylograph", "analyse cache"),
    "phrases": ('"connection pool exhausted"', '"error handling"', '"release notes"', '"quasar ticket"'),
    "scripts without spaces": ("修复", "登录表单", "错误 quasar"),
    "fields": (
        "agent:codex validation",
        "agent:claude-code",
        "project:project7",
        "tool:bash xylograph",
        "file:login.ts quasar",
        "failed:error",
        "is:failed nightly",
        "state:failed cache",
        "user:user7@example.org nightly",
        "since:2024-03-01 nightly",
    ),
    "excluded words": ("ticket -validation", "nightly -bash", "agent:codex -ticket", "xylograph -the"),
    "words that nothing fits": ("nomatchatall", "fix nomatch", "zz*"),
}
_FILTERS = (
    SessionFilter(text="validation", states=[SessionState.FAILED]),
    SessionFilter(text="module7", user="user7@example.org"),
    SessionFilter(text="nightly", since=datetime(2024, 3, 1, tzinfo=UTC)),
)
_MIDDLE = encode_cursor("updated", datetime(2024, 10, 24, tzinfo=UTC), "8")

_IMPORTED = (
    "validates",
    "blank field",
    '"returns early"',
    "tool:Bash form",
    "inp*",
    "agent:codex store",
    "-form store",
)


def run() -> list[Measure]:
    return asyncio.run(_run())


async def _run() -> list[Measure]:
    folder = await asyncio.to_thread(million_sessions)
    measures: list[Measure] = []
    pages: list[float] = []
    async with acode_tui.open_workspace(folder, settings=Settings()) as ours:
        # The first search of a process loads modules, and asks whether the index is behind.
        await ours.search("quasar")
        for name, queries in _QUERIES.items():
            samples = []
            for query in queries:
                samples += await _sampled(ours, SessionFilter(text=query), sized(6, 3))
                samples += [await timed(ours.search(query)) for _ in range(sized(6, 3))]
            pages += samples
            measures.append(_p95(name, samples, 60))
        filtered = [sample for given in _FILTERS for sample in await _sampled(ours, given, sized(10, 4))]
        measures.append(_p95("words under a filter", filtered, 60))
        measures.append(at_most("search, any page", max(pages + filtered) * 1e3, "ms", 100))
    return [*measures, *await _imported()]


async def _sampled(ours: Workspace, given: SessionFilter, times: int) -> list[float]:
    """Seconds of pages at the newest session, and in the middle both ways."""
    places: tuple[tuple[str | None, str | None], ...] = ((None, None), (_MIDDLE, None), (None, _MIDDLE))
    return [
        await timed(ours.store.list(given, after=after, before=before))
        for after, before in places
        for _ in range(times)
    ]


def _p95(name: str, samples: list[float], bound: float) -> Measure:
    return at_most(f"search, {name}, 95th percentile", quantile(samples, 0.95) * 1e3, "ms", bound)


async def _imported() -> list[Measure]:
    async with _transcripts(sized(75, 10)) as ours:
        started = process_time()
        made = await ours.index.rebuild()
        seconds = process_time() - started
        samples = [await timed(ours.search(query)) for query in _IMPORTED for _ in range(sized(20, 5))]
        chars = _chars(ours.database_path)
    return [
        at_most("search, 150 imported sessions, 95th percentile", quantile(samples, 0.95) * 1e3, "ms", 20),
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
