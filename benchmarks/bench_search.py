"""Search at a million sessions: rare, middling and very common words, prefixes, several words, and no match."""

import asyncio
from datetime import UTC, datetime

import acode_tui
from acode_tui.config import Settings
from acode_tui.domain.states import SessionState
from acode_tui.storage.cursors import encode_cursor
from acode_tui.storage.ports import SessionFilter
from benchmarks.million import million_sessions
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized
from benchmarks.timing import quantile, timed

_FILTERED = (
    SessionFilter(text="validation", states=[SessionState.FAILED]),
    SessionFilter(text="module7", user="user7@example.org"),
    SessionFilter(text="nightly", since=datetime(2024, 3, 1, tzinfo=UTC)),
)
_SEARCHES: dict[str, tuple[str, ...]] = {
    "rare words": ("T123456", "quasar", "T12345"),
    "middling words": ("nightly", "module77", "module7", "validation", "fix cache"),
    "very common words": ("ticket", "analyse", "the", "Bash", "files"),
    "short prefixes": ("t1", "ti", "va", "qu", "mo"),
    "several words": ("ticket quasar", "ticket module", "validation T12", "analyse cache"),
    "words that nothing fits": ("nomatchatall", "fix nomatch", "zz"),
}
_MIDDLE = encode_cursor("updated", datetime(2024, 10, 24, tzinfo=UTC), "8")


def searches() -> dict[str, tuple[SessionFilter, ...]]:
    """The searched words by kind of difficulty."""
    plain = {name: tuple(SessionFilter(text=text) for text in texts) for name, texts in _SEARCHES.items()}
    return {**plain, "words under a filter": _FILTERED}


def run() -> list[Measure]:
    return asyncio.run(_run())


async def _run() -> list[Measure]:
    folder = await asyncio.to_thread(million_sessions)
    measures = []
    async with acode_tui.open_workspace(folder, settings=Settings()) as ours:
        for name, filters in searches().items():
            samples = []
            for given in filters:
                for after, before in ((None, None), (_MIDDLE, None), (None, _MIDDLE)):
                    for _ in range(sized(10, 4)):
                        listing = ours.store.list(given, after=after, before=before)
                        samples.append(await timed(listing))
            measures.append(at_most(f"search, {name}, 95th percentile", quantile(samples, 0.95) * 1e3, "ms", 100))
    return measures
