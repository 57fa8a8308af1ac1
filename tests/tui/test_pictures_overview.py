"""Pictures of the main screen: what can be open on it, and each state of the store and of the sync."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from acode_tui.domain.errors import DatabaseConnectionError, SchemaMismatchError, TransactionError
from acode_tui.storage.ports import OutboxStats, SchemaStatus
from acode_tui.sync.ports import SyncState, SyncStatus
from acode_tui.tui.main import overview
from acode_tui.tui.state import DiskSpace
from acode_tui.tui.style.colour_depth import TerminalColours
from tests.tui.dialogs.test_import import Scripted
from tests.tui.driving import dashboard, over, until_listed
from tests.tui.fake import NOW, FakeOutbox, FakeStore, FakeWorkspace, conflict, online, summary
from tests.tui.pictures import RESTING, THEMES, picturing

FALLING = [4_872 + 9 * (60 - number) ** 2 for number in range(60)]
"""A backlog over the last minute."""


async def test_the_first_screen(snapshot: SnapshotAssertion) -> None:
    app = over(online(FakeWorkspace()), settings=RESTING)
    app.state.backlog.samples.extend(FALLING)
    async with picturing(app, snapshot) as pictures:
        await until_listed(pictures.pilot)
        await pictures.see("812 rec/s", "j")
        await pictures.take("busy", (*THEMES, "ansi-light"))
        app.screen.query_one("#outbox").focus()
        await pictures.take("pane")
        await pictures.see("order: state", "escape", "O", "O", "d", "f", "right", "right", "space", "right", "space")
        await pictures.take("chosen")
        await pictures.see("search: con", "escape", "escape", "O", "d", "slash", *"con")
        await pictures.take("search")
        await pictures.see("matches “conx”", "x")
        await pictures.take("nothing found")
        await pictures.see("its beginning", "escape", "v", "number_sign")
        await pictures.take("jump without panes")


async def test_writing_a_query(snapshot: SnapshotAssertion) -> None:
    workspace = FakeWorkspace(12)
    workspace.values = {"project": ("shop", "blog", "[/red] a name of two words")}
    app = over(workspace, settings=RESTING)
    app.personal.save_query("failed this week", "is:failed since:7d")
    app.personal.save_query("[/red] deployments", 'tool:bash "terraform apply"')
    async with picturing(app, snapshot) as pictures:
        await until_listed(pictures.pilot)
        await pictures.see("failed this week", "slash")
        await pictures.take("saved queries")
        await pictures.see("[/red] a name", *"project:")
        await pictures.take("completion")
        await pictures.see("Without `unicorn*`", *"shop login unicorn")
        await pictures.take("what excludes them")
        await pictures.see("enter saves", "ctrl+s")
        await pictures.take("save query")


async def test_help_palette_and_themes(snapshot: SnapshotAssertion) -> None:
    async with picturing(over(online(FakeWorkspace(8)), settings=RESTING), snapshot) as pictures:
        await until_listed(pictures.pilot)
        await pictures.see("Send the backlog", "question_mark")
        await pictures.take("help")
        await pictures.see("Search for commands", "escape", "ctrl+p")
        await pictures.take("palette")
        await pictures.see("Read again", *"read a")
        await pictures.take("palette found")
        await pictures.see("Run: Add input validation", "escape", "ctrl+p", *"input")
        await pictures.take("palette finds runs")
        await pictures.see("acode-day", "escape", "t")
        await pictures.take("themes")


async def test_toasts(snapshot: SnapshotAssertion) -> None:
    async with picturing(over(online(FakeWorkspace(8)), settings=RESTING), snapshot, toasts=True) as pictures:
        await until_listed(pictures.pilot)
        app, forever = pictures.app, 86_400
        app.notify("47 records sent", title="sync", timeout=forever)
        app.notify("there is no theme 'x'; press t to choose one", title="theme", severity="warning", timeout=forever)
        fault = "db.example.org:5432 does not answer\nlook at the network"
        app.notify(fault, title="ACODE-DB-001", severity="error", timeout=forever, markup=False)
        await pictures.see("look at the network")
        await pictures.take("toasts")


async def test_without_colours(snapshot: SnapshotAssertion) -> None:
    app = over(online(FakeWorkspace()), settings=RESTING, terminal=TerminalColours("mono"))
    async with picturing(app, snapshot) as pictures:
        await until_listed(pictures.pilot)
        await pictures.see("4,872 pending")
        await pictures.take("no colour", (*THEMES, "ansi-light"))
        await pictures.see("Conversation", "enter")
        await pictures.see("Read the login form", "v")
        await pictures.take("no colour in a session", (*THEMES, "ansi-light"))


SYNCS = {
    "connecting": SyncStatus(state=SyncState.CONNECTING, target="db.example.org:5432/runs"),
    "idle": SyncStatus(
        state=SyncState.IDLE,
        target="db.example.org:5432/runs",
        last_sync_at=NOW - timedelta(seconds=4),
        schema_version="1.2.0",
        target_schema_version="1.2.0",
    ),
    "offline": SyncStatus(
        state=SyncState.OFFLINE, reason="db.example.org refused the connection", next_attempt_at=NOW.replace(second=59)
    ),
    "auth failed": SyncStatus(
        state=SyncState.AUTH_FAILED,
        reason="password authentication failed for user “runs”",
        next_attempt_at=NOW + timedelta(minutes=5),
    ),
    "misconfigured": SyncStatus(state=SyncState.MISCONFIGURED, reason="ACODE_POSTGRES_URL is not set"),
    "read-only": SyncStatus(state=SyncState.READ_ONLY, reason="the server is a standby that accepts no writes"),
    "remote behind": SyncStatus(
        state=SyncState.REMOTE_BEHIND,
        reason="PostgreSQL lost rows that it had confirmed: acode-tui db resync sends them again",
        schema_version="1.2.0",
        target_schema_version="1.2.0",
    ),
    "paused": SyncStatus(state=SyncState.PAUSED, schema_version="1.2.0", target_schema_version="1.2.0"),
    "standby": SyncStatus(
        state=SyncState.STANDBY,
        holder="ada's desktop (dashboard)",
        last_sync_at=NOW - timedelta(seconds=17),
        schema_version="1.2.0",
        target_schema_version="1.2.0",
    ),
    "stopped": SyncStatus(state=SyncState.STOPPED, reason="this process does not sync"),
}
EMPTY = {"idle", "connecting"}
"""States in which nothing waits."""


async def test_every_state_of_the_sync(snapshot: SnapshotAssertion) -> None:
    workspace = FakeWorkspace(12)
    waiting = OutboxStats(pending=48, oldest_pending_at=NOW.replace(hour=6))
    async with picturing(over(workspace, settings=RESTING), snapshot) as pictures:
        await until_listed(pictures.pilot)
        await pictures.see("local only")
        await pictures.take("local only")
        for name, status in SYNCS.items():
            workspace.outbox.figures = OutboxStats() if name in EMPTY else waiting
            workspace.sync.figures = status
            await pictures.changed(name)
            await pictures.take(name)


async def test_errors_and_warnings(snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = online(FakeWorkspace(40))
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

    async def failing(error: Exception) -> int:
        raise error

    async with picturing(over(workspace, settings=RESTING), snapshot) as pictures:
        await until_listed(pictures.pilot)
        with monkeypatch.context() as full:
            full.setattr(overview, "_disk_space", lambda workspace: DiskSpace(free=12_000_000, total=10**12))
            await pictures.changed("✗ newer")
            await pictures.take("all at once")
        workspace.sync.figures = SYNCS["idle"]
        workspace.conflicts.conflicts = []
        workspace.outbox = FakeOutbox(OutboxStats(pending=48, oldest_pending_at=NOW.replace(hour=6)))
        workspace.failing_write = TransactionError("the disk is full: 48 kB are needed", hint="free some space")
        await pictures.changed("nothing can be written")
        await pictures.take("disk full")
        workspace.failing_write = None
        workspace.schema_status = SchemaStatus(
            tier="sqlite", version="1.0.0", target="1.2.0", pending=("1.1.0", "1.2.0")
        )
        await pictures.changed("2 due")
        await pictures.take("migrations due")
        newer = SchemaMismatchError("the workspace's schema is 9.0.0, newer than 1.2.0", hint="update acode-tui")
        workspace.schema = partial(failing, newer)  # type: ignore[method-assign,assignment]
        await pictures.changed("✗ unusable")
        await pictures.take("schema unusable")
        del workspace.schema
        gone = DatabaseConnectionError("cannot read .agent/workspace.db: disk I/O error", hint="look at the disk")
        workspace.data_version = partial(failing, gone)  # type: ignore[method-assign]
        await pictures.changed("the store cannot be read")
        await pictures.take("store unreadable")


async def test_the_teams_runs(snapshot: SnapshotAssertion) -> None:
    workspace = online(FakeWorkspace(12))
    team = workspace.team = FakeStore([summary(number) for number in range(40)])
    async with picturing(over(workspace, settings=RESTING), snapshot) as pictures:
        await until_listed(pictures.pilot)
        await pictures.see("source: team", "T")
        await pictures.take("team")
        team.sessions = []
        await pictures.see("0 sessions", "R")
        await pictures.take("team without runs")
        team.sessions = [summary(number) for number in range(40)]
        await pictures.see("40 sessions", "R")

        async def away(*_: object, **__: object) -> Any:
            raise DatabaseConnectionError("db.example.org:5432 does not answer", hint="it is asked again")

        team.list = away  # type: ignore[method-assign]
        await pictures.see("does not answer", "R")
        await pictures.take("team away")


async def test_before_there_is_anything(snapshot: SnapshotAssertion) -> None:
    workspace, gate = FakeWorkspace(0), asyncio.Event()
    importer = Scripted()

    @asynccontextmanager
    async def opening() -> AsyncIterator[Any]:
        await gate.wait()
        yield workspace

    app = dashboard(workspace.root, opening, importer=importer, settings=RESTING)
    async with picturing(app, snapshot) as pictures:
        await pictures.see("Opening the workspace")
        await pictures.take("opening")
        gate.set()
        await pictures.see("Claude Code")
        await pictures.take("empty")
        follow = app.state.follow
        follow.phase, follow.found, follow.places = "asking", 13, ("~/.claude", "~/.codex")
        app.follow_changed()
        await pictures.see("13 found")
        await pictures.take("asked to follow")
        follow.phase = "on"
        app.follow_changed()
        await pictures.see("Read the new ones?", "i")
        await pictures.take("import")
        await pictures.see("0 of 4 files", "enter")
        importer.let(1)
        await pictures.see("1 of 4 files")
        await pictures.take("importing")
        importer.let(4)
        await pictures.see("Imported.")
        await pictures.take("imported")


async def test_a_machine_without_transcripts(snapshot: SnapshotAssertion) -> None:
    async with picturing(over(FakeWorkspace(0), settings=RESTING), snapshot) as pictures:
        await pictures.see("No transcripts of runs in this folder")
        await pictures.take("empty without transcripts")
        await pictures.see("reads single files", "i")
        await pictures.take("nothing to import")
