"""Pictures of the screens behind the first one: three sizes, and light, dark and ANSI themes where that tells more.

``pytest tests/tui/test_screen_pictures.py --snapshot-update`` takes them anew. One running dashboard is pictured often.
"""

from pathlib import Path

import pytest
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]
from syrupy.assertion import SnapshotAssertion
from textual.pilot import Pilot

from acode_tui.storage.migrations.runner import TierMigrations
from acode_tui.tui.screens.artifact import ArtifactScreen
from acode_tui.tui.screens.log import LogScreen
from tests.tui.driving import over, shown, still, until, until_listed
from tests.tui.fake import FakeWorkspace, fake_id, online
from tests.tui.test_actions import holding
from tests.tui.test_sync_screens import syncing

SMALL, USUAL, LARGE = (80, 24), (120, 36), (200, 60)
SIZES = (SMALL, USUAL, LARGE)
LIGHT, ANSI = "acode-day", "ansi-dark"


class Pictures:
    """Takes a screen in some sizes and themes, and compares each with what is kept."""

    def __init__(self, pilot: Pilot[int], snapshot: SnapshotAssertion) -> None:
        self._pilot = pilot
        self._snapshot = snapshot.use_extension(SVGImageExtension)

    async def see(self, text: str, *keys: str) -> None:
        """Press keys, and wait for a text."""
        for key in keys:
            await self._pilot.press(key)
        await until(self._pilot, lambda: text in shown(self._pilot))

    async def take(self, name: str, sizes: tuple[tuple[int, int], ...] = SIZES, themes: tuple[str, ...] = ()) -> None:
        """Each size in the dark theme, and the usual size in the themes named."""
        pilot = self._pilot
        for width, height in sizes:
            await self._size(width, height)
            self._compare(f"{name} {width}x{height}")
        before = pilot.app.theme
        for theme in themes:
            pilot.app.theme = theme
            await self._size(*USUAL)
            self._compare(f"{name} {theme}")
        pilot.app.theme = before
        await pilot.resize_terminal(*USUAL)

    async def _size(self, width: int, height: int) -> None:
        await self._pilot.resize_terminal(width, height)
        await still(self._pilot, looks=3)

    def _compare(self, name: str) -> None:
        assert self._snapshot(name=name) == self._pilot.app.export_screenshot(), f"{name} looks different"


async def test_a_run(snapshot: SnapshotAssertion) -> None:
    fake = online(FakeWorkspace())
    fake.store.contents[fake_id(2, 5)] = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
    async with over(fake).run_test(size=USUAL) as pilot:
        await until_listed(pilot)
        pictures = Pictures(pilot, snapshot)
        await pictures.see("following", "enter")
        await pictures.see("took", "plus", "j", "j")
        await pictures.take("session", themes=(LIGHT,))
        await pictures.see("validate()", "3", "j")
        await pictures.take("artifacts", (USUAL,))
        await pictures.see("52.1 KB of content", "2")
        await pictures.take("about", (LARGE,))
        await pictures.see("validate()", "3", "enter")
        await pictures.take("diff", (USUAL,), (LIGHT, ANSI))
        await pictures.see("1 of 1 ×", "slash", *"valid", "enter")
        await pictures.take("found", (USUAL,))
        await pictures.see("Artifacts", "escape", "escape")
        await pictures.see("89 50 4e 47", "j", "enter")
        await pictures.take("bytes", (SMALL,))


async def test_what_the_sync_met(snapshot: SnapshotAssertion) -> None:
    fake = online(FakeWorkspace())
    fake.settings = syncing()
    fake.remote_plan = TierMigrations(
        tier="postgres", from_version="1.0.0", to_version="1.2.0", pending=("1.1.0", "1.2.0")
    )
    async with over(fake).run_test(size=USUAL) as pilot:
        await until_listed(pilot)
        pictures = Pictures(pilot, snapshot)
        await pictures.see("22P02", "r")
        await pictures.take("retries", (SMALL, USUAL))
        await pictures.see("Discard this dead letter?", "d")
        await pictures.take("confirm", (SMALL,))
        await pictures.see("Run all the tests", "escape", "escape", "c")
        await pictures.take("conflicts", themes=(ANSI,))
        await pictures.see("First a backup", "escape", "m")
        await pictures.take("migrate", (SMALL,))
        await pictures.see("1.1.0, 1.2.0 applied", "enter")
        await pictures.take("migrated", (SMALL,))


async def test_looking_after_a_workspace(
    snapshot: SnapshotAssertion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    log = tmp_path / "acode.log"
    log.write_text("".join(_entry(*each) for each in LINES))
    fake = FakeWorkspace()
    async with over(fake).run_test(size=USUAL) as pilot, holding(fake):
        await until_listed(pilot)
        pictures = Pictures(pilot, snapshot)
        await pictures.see("unhealthy", "h", "j", "j")
        await pictures.take("health", (SMALL, USUAL), (LIGHT,))
        pilot.app.push_screen(LogScreen(log))
        await pictures.see("statement.slow")
        await pictures.take("log", (SMALL, USUAL))
        await pictures.see("timeout_seconds", "escape", "escape", "o")
        await pictures.see("✗ persistence.sqlite", "j", "enter", "x")
        await pictures.take("settings", (SMALL, USUAL))
        await pictures.see("What looks like a secret", "escape", "escape", "e")
        await pictures.take("export", (SMALL,))
        await pictures.see("older ones make room", "escape", "b")
        await pictures.take("backup", (SMALL,))
        await pictures.see("28%", "enter")
        await pictures.take("backing up", (SMALL,))
        fake.backing_up.set()
        await pictures.see("The backup is made")
        await pictures.take("backed up", (SMALL,))
        await pictures.see("Send the backlog", "escape", "question_mark")
        await pictures.take("help", (USUAL,))


async def test_nothing_there(snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    fake = FakeWorkspace()
    async with over(fake).run_test(size=SMALL) as pilot:
        await until_listed(pilot)
        pictures = Pictures(pilot, snapshot)
        await pictures.see("Nothing was refused", "r")
        await pictures.take("no retries", (SMALL,))
        await pictures.see("No two versions have met", "escape", "c")
        await pictures.take("no conflicts", (SMALL,))
        pilot.app.push_screen(LogScreen(tmp_path / "none.log"))
        await pictures.see("The log is empty")
        await pictures.take("no log", (SMALL,))
        artifact = (await fake.store.get_with_hierarchy(fake_id(0))).tasks[0].steps[0].tool_calls[0].artifacts[0]
        fake.store.contents[artifact.id] = b""
        pilot.app.push_screen(ArtifactScreen(artifact))
        await pictures.see("login.ts")
        await pictures.take("no content", (SMALL,))


LINES = (
    ("info", "workspace.opened", "entity_id=…"),
    ("debug", "statement", "page of sessions"),
    ("warning", "statement.slow", "outbox: 412 ms"),
    ("error", "sync.refused", "23503 [/red] \u202etxt"),
)


def _entry(level: str, event: str, operation: str) -> str:
    stamp = "2026-03-14T12:00:00.000000Z"
    return f'{{"level": "{level}", "timestamp": "{stamp}", "event": "{event}", "operation": "{operation}"}}\n'
