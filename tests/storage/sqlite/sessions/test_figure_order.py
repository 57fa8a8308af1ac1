"""Pages in the order of a figure: every run once, the largest first, under every filter, both ways."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from acode_tui import open_workspace
from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.errors import IntegrityError, ValidationError
from acode_tui.domain.states import SessionState, ToolCallState
from acode_tui.storage.cursors import FIGURES, end_cursor
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.sqlite.runs.store import SqliteRunStateStore
from acode_tui.storage.sqlite.sessions import ranges
from acode_tui.storage.sqlite.sessions.figure_order import LOOKED_UP
from tests.storage.runs import T0, make_run

STATES = (SessionState.EXECUTING, SessionState.COMPLETED, SessionState.FAILED)
WORKSPACE = "0190d6a1-0000-7000-8000-000000000001"


def _run(number: int) -> Any:
    """A run with ties in every figure."""
    run = make_run(WORKSPACE, description=f"run {number} {'zebra' if number % 2 else 'horse'}", calls=3 + number % 2)
    (task,) = run.tasks
    (step,) = task.steps
    ended = T0 + timedelta(seconds=number % 4)
    failed = {"state": ToolCallState.FAILED, "error_message": "x", "result": None}
    calls = tuple(
        msgspec.structs.replace(call, completed_at=ended, updated_at=ended, **(failed if at < number % 3 else {}))
        for at, call in enumerate(step.tool_calls)
    )
    step = msgspec.structs.replace(step, tool_calls=calls)
    task = msgspec.structs.replace(task, steps=(step,))
    tokens = {"tokens": {"input": 100 * (number % 5), "output": 1, "cacheRead": 10**9, "cacheWrite": 0}}
    metadata = {**tokens, "models": ["m"], "cost": (number * 5 % 4) / 100}
    return msgspec.structs.replace(run, updated_at=ended, state=STATES[number % 3], metadata=metadata, tasks=(task,))


def _figure(sort: str, session: SessionSummary) -> float:
    if sort == "took":
        return (session.updated_at - session.created_at).total_seconds()
    if sort in ("failed", "calls"):
        return session.failed_calls if sort == "failed" else session.tool_call_count
    metadata = session.metadata or {}
    return float(metadata["cost"] if sort == "cost" else metadata["tokens"]["input"])


async def _walk(store: SqliteRunStateStore, given: SessionFilter) -> tuple[list[SessionSummary], list[SessionSummary]]:
    """All runs page by page from the front, and from the end."""
    forth, back = list[SessionSummary](), list[SessionSummary]()
    page = await store.list(given, limit=5)
    while True:
        forth += page.sessions
        if page.next_cursor is None:
            break
        page = await store.list(given, limit=5, after=page.next_cursor)
    before: str | None = end_cursor(given.sort)
    while before is not None:
        page = await store.list(given, limit=5, before=before)
        back = [*page.sessions, *(each for each in back if each not in page.sessions)]
        before = page.previous_cursor
    return forth, back


@pytest.mark.parametrize("looked_up", [LOOKED_UP, 0])
async def test_pages_by_a_figure_hold_every_run_once_the_largest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked_up: int
) -> None:
    monkeypatch.setattr(ranges, "LOOKED_UP", looked_up)
    async with open_workspace(tmp_path) as workspace:
        for number in range(13):
            await workspace.store.save(_run(number))
        filters: tuple[dict[str, Any], ...] = (
            *({}, {"states": [SessionState.FAILED]}, {"text": "zebra"}, {"user": "ada"}, {"user": "nobody"}),
            *({"since": T0 + timedelta(seconds=2)}, {"text": "zebra", "states": [SessionState.COMPLETED]}),
        )
        for sort in FIGURES:
            for parts in filters:
                given = SessionFilter(sort=sort, **parts)
                expected = {each.id for each in await workspace.store.list(SessionFilter(**parts), limit=200)}
                forth, back = await _walk(workspace.store, given)
                assert [each.id for each in forth] == [each.id for each in back], given
                assert len(forth) == len(expected) == await workspace.store.count(given), given
                assert {each.id for each in forth} == expected, given
                figures = [_figure(sort, each) for each in forth]
                assert figures == sorted(figures, reverse=True), given
        cursor = (await workspace.store.list(SessionFilter(sort="took"), limit=1)).next_cursor
        with pytest.raises(ValidationError, match="ordered by took"):
            await workspace.store.list(SessionFilter(sort="failed"), after=cursor)
        with closing(sqlite3.connect(workspace.database_path)) as connection, connection:
            connection.execute("DROP TABLE session_facts")
        with pytest.raises(IntegrityError):
            await workspace.store.list(SessionFilter(sort="took"))
