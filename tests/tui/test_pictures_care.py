"""Pictures of health, log, settings, backups, and the demo."""

from datetime import UTC
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from syrupy.assertion import SnapshotAssertion

from acode_tui.config.trust import AskedSetting, Trust
from acode_tui.demo.demo import Demo, DemoStage, Options
from acode_tui.domain.errors import DiskFullError
from acode_tui.storage.ports import Check
from acode_tui.tui.demo import DemoDashboard
from acode_tui.tui.dialogs.trust import TrustDialog
from acode_tui.tui.tools.log import LogScreen
from tests.tui.driving import NothingFound, dashboard, over, until_listed
from tests.tui.fake import NOW, FakeWorkspace, holding, online
from tests.tui.pictures import RESTING, picturing
from tests.tui.recorded import BACKUP

LINES = (
    ("info", "workspace.opened", "entity_id=…"),
    ("debug", "statement", "page of sessions"),
    ("warning", "statement.slow", "outbox: 412 ms"),
    ("error", "sync.refused", "23503 [/red] \u202etxt"),
)


async def test_health_and_backups(snapshot: SnapshotAssertion) -> None:
    fake = FakeWorkspace(8)
    async with picturing(over(fake, settings=RESTING), snapshot) as pictures, holding(fake):
        await until_listed(pictures.pilot)
        await pictures.see("unhealthy", "h", "j", "j")
        await pictures.take("health")
        await pictures.see("older ones make room", "escape", "b")
        await pictures.take("backup")
        fake.made = [BACKUP, replace(BACKUP, name="acode_backup_20260301_090000", counts={"sessions": 3})]
        fake.findings = (Check(name="hash", ok=True, description="the bytes are those of the manifest"),)
        await pictures.see("acode_backup_20260301", "r")
        await pictures.see("✓ hash", "v")
        await pictures.take("backups")
        await pictures.see("older ones make room", "escape", "b")
        await pictures.see("28%", "enter")
        await pictures.take("backing up")
        fake.backing_up.set()
        await pictures.see("The backup is made")
        await pictures.take("backed up")
        fake.refuses = DiskFullError("there is no room for the backup", hint="free some space")
        await pictures.see("older ones make room", "escape", "b")
        await pictures.see("there is no room", "enter")
        await pictures.take("backup refused")


async def test_a_settings_file_that_is_not_trusted(snapshot: SnapshotAssertion) -> None:
    fake = FakeWorkspace(8)
    withheld = ("persistence.postgres.enabled", "persistence.postgres.host", "persistence.postgres.password_env")
    fake.settings = msgspec.structs.replace(fake.settings, withheld=withheld)
    values = (True, "evil.example.org", "AWS_SECRET_ACCESS_KEY")
    effects = ("evil.example.org:5432/loot", "evil.example.org:5432/loot", "is set")
    asked = (AskedSetting(key=k, value=v, leads_to=e) for k, v, e in zip(withheld, values, effects, strict=True))
    trust = Trust(
        root=fake.root,
        trusted=False,
        settings=(
            AskedSetting(key="persistence.sqlite.path", value="../pay/.agent/workspace.db", leads_to="/home/ada/p.db"),
            *asked,
            AskedSetting(key="backup.directory", value="/x\u202e[/bold]\x1b", leads_to=None),
        ),
        owner=None,
        sha256="",
        declined=False,
    )
    async with picturing(over(fake, settings=RESTING), snapshot) as pictures:
        await until_listed(pictures.pilot)
        await pictures.see("settings not trusted")
        pictures.app.push_screen(TrustDialog(trust))
        await pictures.see("not now")
        await pictures.take("trust")


async def test_log_and_settings(snapshot: SnapshotAssertion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    log = tmp_path / "acode.log"
    log.write_text("".join(_entry(*each) for each in LINES))
    async with picturing(over(FakeWorkspace(8), settings=RESTING), snapshot) as pictures:
        await until_listed(pictures.pilot)
        pictures.app.push_screen(LogScreen(log))
        await pictures.see("statement.slow")
        await pictures.take("log")
        await pictures.see("outbox: 412 ms", "slash", *"slow", "enter")
        await pictures.take("log filtered")
        await pictures.see("sessions", "escape", "escape")
        pictures.app.push_screen(LogScreen(tmp_path / "none.log"))
        await pictures.see("The log is empty")
        await pictures.take("no log")
        await pictures.see("timeout_seconds", "escape", "o")
        await pictures.take("settings")
        await pictures.see("1 of", "slash", *"inter sec")
        await pictures.take("settings found")
        await pictures.see("timeout_seconds", "escape", "g")
        await pictures.see("✗ persistence.sqlite", "j", "enter", "x")
        await pictures.take("setting refused")


async def test_the_demo(snapshot: SnapshotAssertion) -> None:
    demo = Demo(Path("/tmp/acode-demo-2f81c0"), None, Options())
    workspace = online(FakeWorkspace(12))
    app = DemoDashboard(demo, RESTING, opening=workspace.opening, wall=lambda: NOW, zone=UTC, importer=NothingFound())
    async with picturing(app, snapshot) as pictures:
        await until_listed(pictures.pilot)
        for stage in (DemoStage.ONLINE, DemoStage.CUT, DemoStage.LOCAL):
            demo.stage = stage
            app.screen.query_one("#demo").refresh()
            await pictures.see("demo")
            await pictures.take(stage.value)


async def test_migrations_that_may_not_run_by_themselves(snapshot: SnapshotAssertion) -> None:
    class Asking:
        opening = FakeWorkspace().opening

        async def due(self) -> tuple[str, ...]:
            return ("1.1.0", "1.2.0")

    asking: Any = Asking()
    app = dashboard(FakeWorkspace().root, asking.opening, settings=RESTING, migration_consent=asking)
    async with picturing(app, snapshot) as pictures:
        await pictures.see("Migrate the workspace?")
        await pictures.take("migrate at the start")
        await pictures.see("120 sessions", "y")


def _entry(level: str, event: str, operation: str) -> str:
    stamp = "2026-03-14T12:00:00.000000Z"
    return f'{{"level": "{level}", "timestamp": "{stamp}", "event": "{event}", "operation": "{operation}"}}\n'


async def test_figures(snapshot: SnapshotAssertion) -> None:
    fake = FakeWorkspace(8)
    async with picturing(over(fake, settings=RESTING), snapshot) as pictures:
        await until_listed(pictures.pilot)
        await pictures.see("█", "dollar_sign")
        await pictures.take("figures by day")
        await pictures.see("claude-opus-4-5┤", "b")
        await pictures.take("figures by model")
        await pictures.see("Bash┤", "B", "B", "m")
        await pictures.take("figures by tool")
        fake.figures = {}
        await pictures.see("no run fits", "R")
        await pictures.take("no figures")
