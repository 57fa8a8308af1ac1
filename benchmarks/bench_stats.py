"""Figures at a million sessions, by each kind of key: of all, of days, of an agent, of a project, of the runs of words.

The sessions are those of ``search``. One in five has a step with tokens of one of four models, one of them without a
price and one whose price has changed.
"""

import asyncio

import acode_tui
from acode_tui.config import Settings
from acode_tui.storage.figures_ports import KEYS
from benchmarks.million import first_of_last, million_sessions
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized
from benchmarks.timing import milliseconds, quantile, timed

TARGET = 200
"""Milliseconds."""

_EVERY = {"a word of 10,000 runs": "nightly", "a word of every run": "ticket"}


def _questions() -> dict[str, tuple[str, ...]]:
    week, month, quarter = (f"since:{first_of_last(days)}" for days in (7, 30, 90))
    return {
        "all runs": ("",),
        "the last 7, 30 and 90 days": (week, month, quarter),
        "an agent": ("agent:codex", f"agent:codex {month}"),
        "a project": ("project:project7", f"project:project7 {quarter}"),
        "a word of forty runs": ("quasar",),
        "a word in a week": (f"validation {week}",),
    }


def run() -> list[Measure]:
    return asyncio.run(_run())


async def _run() -> list[Measure]:
    folder = await asyncio.to_thread(million_sessions)
    measures = []
    async with acode_tui.open_workspace(folder, settings=Settings()) as ours:
        # The first question of a process looks prices up, and asks whether something is not counted yet.
        await ours.stats()
        for name, queries in _questions().items():
            samples = [
                await timed(ours.stats(query, by)) for query in queries for by in KEYS for _ in range(sized(5, 2))
            ]
            measures.append(at_most(f"stats, {name}, 95th percentile", quantile(samples, 0.95) * 1e3, "ms", TARGET))
        for name, query in _EVERY.items():
            samples = [await timed(ours.stats(query, by)) for by in KEYS]
            measures.append(Measure(name=f"stats, {name}, median", value=milliseconds(samples), unit="ms"))
    return measures
