"""The scenes of the gallery: the real dashboard over a workspace in memory that does not change.

``docs/make_gallery.py`` takes the pictures, so a picture changes only if the dashboard does.
"""

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from textual.pilot import Pilot
from textual.screen import Screen

from acode_tui.demo.demo import Demo, DemoStage, Options
from acode_tui.demo.generated_runs import past_runs
from acode_tui.domain.entities import SessionGraph, SessionSummary
from acode_tui.domain.states import WorkState
from acode_tui.storage.ports import OutboxStats
from acode_tui.sync.ports import SyncState, SyncStatus
from acode_tui.tui.app import Dashboard
from acode_tui.tui.demo import DemoDashboard
from acode_tui.tui.run.artifact import ArtifactScreen
from acode_tui.tui.run.nodes import artifacts_of, tool_call_count
from acode_tui.tui.tools.log import LogScreen
from tests.clocks import GUARD_SECONDS
from tests.tui.dialogs.test_import import Scripted
from tests.tui.driving import SETTINGS, over, shown, still, until, until_listed
from tests.tui.fake import NOW, FakeOutbox, FakeWorkspace, online, record

SMALL, USUAL, LARGE = (80, 24), (120, 36), (200, 60)
_FLIGHT = [0] * 12 + [*range(100, 11_400, 700)] + [*range(11_400, 4_900, -300)]
"""The backlog after a flight, second by second: it grows, then drains."""

_AWAY = [0] * 12 + [*range(100, 4_900, 120)]
"""The backlog during a flight, second by second."""


_SYNC = ("pending",) * 5 + ("retrying", "synced", "failed") + ("synced",) * 200


def shop(count: int = 120) -> FakeWorkspace:
    """A workspace with the runs of the demo's team, in memory."""
    workspace = FakeWorkspace(0)
    runs = list(past_runs(count, workspace_id=workspace.workspace_id, now=NOW, random=Random(5)))[::-1]
    late = [NOW - run.updated_at for run in runs]
    store = workspace.store
    for number, (run, sync) in enumerate(zip(runs, _SYNC, strict=False)):
        # The last ones have just been at work.
        moved = late[number] - timedelta(minutes=2 + 7 * number) if number < 6 else timedelta()
        store.sessions.append(_summary(run, sync, moved))
        store.graphs[run.id] = run
        store.contents.update({each.id: each.content or b"" for each in artifacts_of(run)})
    return workspace


def _summary(run: SessionGraph, sync: str, moved: timedelta) -> SessionSummary:
    return SessionSummary(
        id=run.id,
        created_at=run.created_at + moved,
        updated_at=run.updated_at + moved,
        task_description=run.task_description,
        state=run.state,
        metadata=run.metadata,
        user_id=run.user_id,
        workspace_id=run.workspace_id,
        task_count=len(run.tasks),
        tasks_done=sum(task.state is WorkState.COMPLETED for task in run.tasks),
        tool_call_count=tool_call_count(run),
        artifact_count=len(artifacts_of(run)),
        sync=sync,
    )


def team() -> FakeWorkspace:
    """The same with a team's database that is draining a backlog."""
    workspace = online(shop())
    dead = record(3, attempts=10, dead=True, error="22P05: unsupported Unicode escape sequence")
    workspace.outbox = FakeOutbox(workspace.outbox.figures, [record(1), record(2, attempts=1), dead])
    workspace.team = shop(60).store
    return workspace


def offline() -> FakeWorkspace:
    """The same without its network."""
    workspace = shop()
    workspace.outbox.figures = OutboxStats(pending=4_872, oldest_pending_at=NOW - timedelta(hours=3, minutes=12))
    reason = "db.example.org:5432/runs does not answer"
    workspace.sync.figures = SyncStatus(
        state=SyncState.OFFLINE,
        reason=reason,
        last_sync_at=NOW - timedelta(hours=3, minutes=12),
        next_attempt_at=NOW + timedelta(seconds=28),
        schema_version="1.2.0",
    )
    return workspace


@dataclass(frozen=True)
class Scene:
    """Keys to press, and the text that must appear. ``screen`` opens a screen that no key leads to here; ``seconds``
    limits the wait for the text."""

    name: str
    caption: str
    expected: str
    keys: tuple[str, ...] = ()
    workspace: Callable[[], FakeWorkspace] = team
    size: tuple[int, int] = USUAL
    theme: str | None = None
    screen: Callable[[FakeWorkspace], Screen[Any]] | None = None
    importer: Callable[[], Any] | None = None
    dashboard: Callable[[FakeWorkspace], Dashboard] | None = None
    listed: bool = True
    seconds: float = GUARD_SECONDS


SCENES = (
    Scene("dashboard", "The first screen: everything at a glance, and the sessions", "4,872"),
    Scene("dashboard-small", "The same at 80 columns by 24 rows", "4,872", size=SMALL),
    Scene("dashboard-large", "The same at 200 columns by 60 rows", "4,872", size=LARGE),
    Scene("dashboard-day", "The light theme", "4,872", theme="acode-day"),
    Scene("dashboard-ansi", "The terminal's own colours", "4,872", theme="ansi-dark"),
    Scene("offline", "Offline: new records wait in the outbox, and no attempt is spent", "next try", workspace=offline),
    Scene(
        "demo",
        "The demo, while its network is cut",
        "n restores the network",
        workspace=offline,
        dashboard=lambda workspace: _demo(workspace),
    ),
    Scene(
        "empty",
        "An empty workspace offers the transcripts found on the machine",
        "Claude Code",
        workspace=partial(FakeWorkspace, 0),
        importer=Scripted,
        listed=False,
    ),
    Scene("import", "An import asks before it reads", "Read the new ones?", ("i",), importer=Scripted),
    Scene("search", "Search as you type", "search: pool", ("slash", *"pool", "enter")),
    Scene(
        "session",
        "A session: tasks, steps, tool calls, artifacts, and its timeline",
        "took",
        ("enter", "v", "g", "+", "j", "j"),
    ),
    Scene("diff", "An artifact: a diff as a diff", "strict: true", screen=lambda workspace: _diff_screen(workspace)),
    Scene("team", "The whole team's runs, read from PostgreSQL", "source: team", ("T",)),
    Scene("retries", "Records that the server refused, and dead letters", "22P05", ("r",)),
    Scene("conflicts", "Two versions of a row in conflict, side by side", "Run all the tests", ("c",)),
    Scene("health", "Health checks, with suggestions", "unhealthy", ("h", "j", "j")),
    Scene("log", "The program's own log, live", "sync.drained", screen=lambda _: _log_screen()),
    Scene("help", "Every key of the screen", "Send the backlog", ("question_mark",)),
)

_LINES: tuple[dict[str, object], ...] = (
    {"level": "info", "event": "workspace.opened", "database": "sqlite", "duration_ms": 12},
    {"level": "info", "event": "sync.drained", "synced": 412, "superseded": 96, "conflicts": 0, "duration_ms": 231},
    {"level": "warning", "event": "statement.slow", "operation": "page of sessions", "duration_ms": 118},
    {"level": "warning", "event": "sync.conflict", "code": "ACODE-DB-006", "entity_type": "step", "winner": "remote"},
    {
        "level": "error",
        "event": "sync.refused",
        "table": "tool_calls",
        "reason": "23503: no such parent",
        "attempts": 3,
    },
    {"level": "info", "event": "sync.drained", "synced": 37, "superseded": 4, "conflicts": 1, "duration_ms": 48},
)


def _demo(workspace: FakeWorkspace) -> Dashboard:
    demo = Demo(Path("/tmp/acode-demo-2f81c0"), None, Options())
    demo.stage = DemoStage.CUT
    return DemoDashboard(demo, SETTINGS, opening=workspace.opening, wall=lambda: NOW, zone=UTC)


def _diff_screen(workspace: FakeWorkspace) -> ArtifactScreen:
    """The first diff of the first run."""
    run = workspace.store.graphs[workspace.store.sessions[0].id]
    return ArtifactScreen(next(each for each in artifacts_of(run) if "diff" in each.content_type))


def _log_screen() -> LogScreen:
    """The log, of a workspace that has one. The screen reads the file once it is drawn, so it stays until the end."""
    folder = tempfile.mkdtemp(prefix="acode-gallery-")
    atexit.register(shutil.rmtree, folder)
    path = Path(folder) / "acode-tui.log"
    stamps = ({"timestamp": f"2026-03-14T12:0{minute}:17.000000Z"} for minute in range(len(_LINES)))
    path.write_text("".join(json.dumps({**stamp, **line}) + "\n" for stamp, line in zip(stamps, _LINES, strict=True)))
    return LogScreen(path)


async def take(scene: Scene) -> str:
    """The picture of a scene, as SVG."""
    workspace = scene.workspace()
    if scene.dashboard is not None:
        app = scene.dashboard(workspace)
    else:
        app = over(workspace, **({"importer": scene.importer()} if scene.importer else {}))
    async with app.run_test(size=scene.size) as pilot:
        await _prepare(app, pilot, scene, workspace)
        return app.export_screenshot(title="acode-tui", simplify=True) + "\n"


async def _prepare(app: Dashboard, pilot: Pilot[int], scene: Scene, workspace: FakeWorkspace) -> None:
    # The clock of a picture does not move, so the samples of the last minutes are given.
    is_away = workspace.sync.figures.state is SyncState.OFFLINE
    app.state.backlog.samples.extend(_AWAY if is_away else _FLIGHT)
    if scene.listed:
        await until_listed(pilot)
    if scene.theme is not None:
        app.theme = scene.theme
    if scene.screen is not None:
        app.push_screen(scene.screen(workspace))
    for key in scene.keys:
        await pilot.press({"+": "plus"}.get(key, key))
        await pilot.pause()
    await until(pilot, lambda: scene.expected in shown(pilot), seconds=scene.seconds)
    await still(pilot)
