"""Any page under any filter at a million sessions: first, middle and last, forward and back."""

import asyncio
from datetime import UTC, datetime

import acode_tui
from acode_tui.config import Settings
from acode_tui.domain.states import SessionState
from acode_tui.storage.cursors import FIGURES, encode_cursor, end_cursor, figure_cursor, figure_position
from acode_tui.storage.ports import SessionFilter
from acode_tui.workspace import Workspace
from benchmarks.million import QUICK_SESSIONS, SESSIONS, million_sessions
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized
from benchmarks.timing import quantile, timed

PAGE = 50
_MIDDLE = datetime(2024, 10, 24, tzinfo=UTC)
_USER = "user7@example.org"
_WORKSPACE = "00000000-0000-7000-8000-000000000003"

FILTERS: dict[str, SessionFilter] = {
    "no filter": SessionFilter(),
    "one state": SessionFilter(states=[SessionState.PLANNING]),
    "three states": SessionFilter(states=[SessionState.EXECUTING, SessionState.FAILED, SessionState.CREATED]),
    "user": SessionFilter(user=_USER),
    "user and state": SessionFilter(user=_USER, states=[SessionState.FAILED]),
    "workspace": SessionFilter(workspace=_WORKSPACE),
    "workspace and user": SessionFilter(workspace=_WORKSPACE, user=_USER),
    "user without sessions": SessionFilter(user="nobody@example.org"),
    "time range": SessionFilter(since=datetime(2024, 3, 1, tzinfo=UTC), until=datetime(2025, 6, 1, tzinfo=UTC)),
    "user, state, since": SessionFilter(user=_USER, states=[SessionState.FAILED], since=_MIDDLE),
    "by creation": SessionFilter(sort="created"),
    "by creation, one state": SessionFilter(sort="created", states=[SessionState.PLANNING]),
    "by creation, user": SessionFilter(sort="created", user=_USER),
    "by creation, user, state": SessionFilter(sort="created", user=_USER, states=[SessionState.CREATED]),
    "by state": SessionFilter(sort="state"),
    "by state, user": SessionFilter(sort="state", user=_USER),
    "by cost": SessionFilter(sort="cost"),
    "by cost, one state": SessionFilter(sort="cost", states=[SessionState.PLANNING]),
    "by cost, user": SessionFilter(sort="cost", user=_USER),
    "by cost, user without sessions": SessionFilter(sort="cost", user="nobody@example.org"),
    "by tokens": SessionFilter(sort="tokens"),
    "by failed calls": SessionFilter(sort="failed"),
    "by calls": SessionFilter(sort="calls"),
    "by duration": SessionFilter(sort="took"),
    "by creation, user without sessions": SessionFilter(sort="created", user="nobody@example.org"),
}


def run() -> list[Measure]:
    return asyncio.run(_run())


async def _run() -> list[Measure]:
    folder = await asyncio.to_thread(million_sessions)
    measures = []
    async with acode_tui.open_workspace(folder, settings=Settings()) as ours:
        for name, given in FILTERS.items():
            samples: list[float] = []
            for after, before in await _places(ours, given):
                samples += [
                    await timed(ours.store.list(given, limit=PAGE, after=after, before=before))
                    for _ in range(sized(25, 10))
                ]
            measures.append(at_most(f"any page, {name}, 99th percentile", quantile(samples, 0.99) * 1e3, "ms", 20))
    return measures


async def _places(ours: Workspace, given: SessionFilter) -> list[tuple[str | None, str | None]]:
    """Where pages are asked for, as (after, before): at the start, in the middle and at the end, both ways."""
    oldest = end_cursor(given.sort)
    middle = encode_cursor(given.sort, _MIDDLE, "8", SessionState.COMPLETED)
    if given.sort in FIGURES:
        # Four runs of five have no calls: a page in the middle of those with the same figure.
        middle = figure_cursor(given.sort, figure_position(0, sized(SESSIONS, QUICK_SESSIONS) // 2), "8")
    last = (await ours.store.list(given, limit=PAGE, before=oldest)).previous_cursor
    places = [(None, None), (middle, None), (None, middle), (None, oldest)]
    return places if last is None else [*places, (last, None), (None, last)]
