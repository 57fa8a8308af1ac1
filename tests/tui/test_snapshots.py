"""Pictures of the first screen in its states: three sizes, and light, dark and ANSI themes where that tells more.

``pytest tests/tui/test_snapshots.py --snapshot-update`` takes them anew. One running dashboard is pictured often.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion

from acode_tui.domain.errors import DatabaseConnectionError
from acode_tui.storage.ports import OutboxStats
from acode_tui.sync.ports import SyncState, SyncStatus
from acode_tui.tui import reading
from acode_tui.tui.state import Space
from tests.tui.driving import dashboard, over, until_listed
from tests.tui.fake import NOW, FakeStore, FakeWorkspace, conflict, online, summary
from tests.tui.test_import_screen import Scripted
from tests.tui.test_screen_pictures import ANSI, LIGHT, SIZES, SMALL, USUAL, Pictures

FALLING = [4_872 + 9 * (60 - number) ** 2 for number in range(60)]
"""A backlog over the last minute."""


async def test_the_first_screen(snapshot: SnapshotAssertion) -> None:
    app = over(online(FakeWorkspace()))
    app.state.backlog.samples.extend(FALLING)
    async with app.run_test(size=USUAL) as pilot:
        await until_listed(pilot)
        pictures = Pictures(pilot, snapshot)
        await pictures.see("812 rec/s", "j")
        await pictures.take("busy")
        for theme in (LIGHT, ANSI):
            app.theme = theme
            await pictures.take(f"busy {theme}")
        app.theme = "acode-night"
        await pictures.see("order: state", "O", "O", "d", "f", "right", "right", "space", "right", "space")
        await pictures.take("chosen", (SMALL, USUAL))
        await pictures.see("matches “zebra”", "escape", "slash", *"zebra")
        await pictures.take("nothing found", (SMALL,))
        await pictures.see("its beginning", "escape", "escape", "v", "number_sign")
        await pictures.take("jump without panes", (SMALL,))


async def test_everything_at_its_worst(snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = online(FakeWorkspace())
    workspace.sync.figures = SyncStatus(
        state=SyncState.SCHEMA_MISMATCH,
        reason="the team's schema is 9.0.0, newer than this program",
        target="db.example.org:5432/runs",
        holder="laptop (headless)",
        schema_version="9.0.0",
        target_schema_version="1.2.0",
        clock_offset_ms=-4_000,
        last_sync_at=NOW.replace(hour=6),
    )
    workspace.conflicts.conflicts = [conflict(number) for number in range(12)]
    monkeypatch.setattr(reading, "_space", lambda workspace: Space(free=12_000_000, total=10**12))
    async with over(workspace).run_test(size=USUAL) as pilot:
        await until_listed(pilot)
        pictures = Pictures(pilot, snapshot)
        await pictures.see("✗ newer")
        await pictures.take("worst", SIZES)


async def test_offline_then_without_a_store(snapshot: SnapshotAssertion) -> None:
    workspace = FakeWorkspace()
    workspace.outbox.figures = OutboxStats(pending=48, oldest_pending_at=NOW.replace(hour=6))
    workspace.sync.figures = SyncStatus(
        state=SyncState.OFFLINE, reason="db.example.org refused the connection", next_attempt_at=NOW.replace(second=59)
    )
    workspace.team = FakeStore([summary(number) for number in range(40)])

    async def failing() -> int:
        raise DatabaseConnectionError("cannot read .agent/workspace.db: disk I/O error", hint="look at the disk")

    async with over(workspace).run_test(size=USUAL) as pilot:
        await until_listed(pilot)
        pictures = Pictures(pilot, snapshot)
        await pictures.see("next try")
        await pictures.take("offline", (USUAL,))
        await pictures.see("source: team", "T")
        await pictures.take("team", (SMALL, USUAL))
        await pictures.see("source: local", "T")
        workspace.data_version = failing  # type: ignore[method-assign]
        await pictures.see("the store cannot be read")
        await pictures.take("store", (USUAL,))


async def test_before_there_is_anything(snapshot: SnapshotAssertion) -> None:
    workspace, gate = FakeWorkspace(0), asyncio.Event()
    workspace.sync.figures = msgspec.structs.replace(workspace.sync.figures, hint="")

    @asynccontextmanager
    async def opening() -> AsyncIterator[Any]:
        await gate.wait()
        yield workspace

    async with dashboard(workspace.root, opening, importer=Scripted()).run_test(size=USUAL) as pilot:
        pictures = Pictures(pilot, snapshot)
        await pictures.see("Opening the workspace")
        await pictures.take("opening", (SMALL,))
        gate.set()
        await pictures.see("Claude Code")
        await pictures.take("empty", (SMALL, USUAL))
        await pictures.see("Read the new ones?", "i")
        await pictures.take("import", (USUAL,))
