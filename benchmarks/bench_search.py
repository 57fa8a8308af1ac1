"""Search at a million sessions with their texts: rare and common words, phrases, prefixes, fields, what is excluded.

Each query is asked for a page of sessions, at the newest, in the middle both ways, and for a page of places.
"""

import asyncio
from datetime import UTC, datetime

import acode_tui
from acode_tui.config import Settings
from acode_tui.domain.states import SessionState
from acode_tui.storage.cursors import encode_cursor
from acode_tui.storage.ports import SessionFilter
from acode_tui.workspace import Workspace
from benchmarks.million import million_sessions
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized
from benchmarks.timing import quantile, timed

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
    return measures


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
