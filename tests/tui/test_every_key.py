"""Every key of every screen is pressed once and runs its action: none is dead, hidden by another, or always disabled.

One journey through the dashboard records the actions that ran, and compares them with all bindings.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.dom import DOMNode
from textual.pilot import Pilot

from acode_tui.config import workspace_config_path
from acode_tui.config.settings import TuiSettings
from acode_tui.storage.ports import OutboxStats
from acode_tui.tui.app import Dashboard
from acode_tui.tui.main.pane import Pane
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.tools.log import LogScreen
from tests.tui.dialogs.test_import import Scripted
from tests.tui.driving import SETTINGS, over, sessions, shown, until, until_listed
from tests.tui.fake import FakeWorkspace, conflict, exporting_slowly, fake_id, record
from tests.tui.recorded import BACKUP
from tests.tui.test_bindings import bound

SCROLLING = ("j", "k", "G", "g", "ctrl+d", "ctrl+u")
ELSEWHERE = {
    *("network", "follow_runs", "follow_yes", "follow_no", "follow_later"),
    *("parent", "child", "editor", "resume", "resume_yes", "resume_no", "image"),
}
"""Ids of keys that only the demo has, or that need transcripts on this machine (test_following.py), runs of an agent
(run/test_screen.py) or an image (run/test_picture.py).
"""


class Journey:
    """Presses keys, and waits until their text is on the screen."""

    def __init__(self, pilot: Pilot[int]) -> None:
        self._pilot = pilot

    async def press(self, *keys: str, sees: str = "") -> None:
        for each in keys:
            await self._pilot.press(each)
        try:
            await until(self._pilot, lambda: sees in shown(self._pilot))
        except AssertionError:
            raise AssertionError(f"after {keys} {sees!r} is not on\n{shown(self._pilot)}") from None


def recorded_actions(app: Dashboard, monkeypatch: pytest.MonkeyPatch) -> set[tuple[type[DOMNode], str]]:
    """The actions that keys ran, each with the class of the node that binds the key."""
    done: set[tuple[type[DOMNode], str]] = set()
    run = app.run_action

    async def recording(action: Any, default_namespace: DOMNode | None = None, *rest: Any, **more: Any) -> bool:
        handled = await run(action, default_namespace, *rest, **more)
        if handled and default_namespace is not None:
            done.add((type(default_namespace), str(action)))
        return handled

    monkeypatch.setattr(app, "run_action", recording)
    return done


async def test_every_key_is_pressed_and_reaches_its_action(
    fake_online: FakeWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    fake = fake_online
    fake.root = tmp_path / "shop"
    fake.outbox.records = [record(number, dead=number <= 150) for number in range(1, 251)]
    fake.outbox.figures = OutboxStats(pending=4_872, retrying=100, failed=150)
    fake.conflicts.conflicts = [conflict(number) for number in range(250)]
    fake.team = fake.store
    fake.store.contents[fake_id(0, 5)] = b"\n".join(b"needle %d %0300d" % (number, 7) for number in range(2_100))
    importer = Scripted()
    importer.let(4)
    settings = msgspec.structs.replace(SETTINGS, tui=TuiSettings(refresh_seconds=0.5, page_size=50))
    app = over(fake, importer=importer, settings=settings)
    done = recorded_actions(app, monkeypatch)
    async with app.run_test(size=(100, 26)) as pilot:
        await until_listed(pilot)
        journey = Journey(pilot)
        await the_list(journey, pilot)
        await a_session(journey)
        await what_was_refused(journey)
        await looking_after(journey, pilot, fake, tmp_path)
        await a_strangers_file(journey, pilot, fake)
        await journey.press("q")
    not_run = [
        f"{owner.__name__}: {each.key} -> {each.action}"
        for owner, each in bound()
        if each.id not in ELSEWHERE
        and owner is not _demo()
        and not any(action == each.action and issubclass(who, owner) for who, action in done)
    ]
    assert not not_run, "\n".join(not_run)


def _demo() -> type[DOMNode]:
    from acode_tui.tui.demo import DemoDashboard

    return DemoDashboard


async def the_list(journey: Journey, pilot: Pilot[int]) -> None:
    await journey.press("right_square_bracket", sees="page 2 of 3")
    await journey.press("left_square_bracket", sees="page 1 of 3")
    await journey.press("right_curly_bracket", sees="page 3 of 3")
    await journey.press("left_curly_bracket", sees="page 1 of 3")
    await journey.press("end", sees="page 3 of 3")
    await journey.press("home", sees="page 1 of 3")
    await journey.press("j", "ctrl+d", "pagedown", "G", "k", "ctrl+u", "pageup")
    assert 0 < sessions(pilot).cursor_row < sessions(pilot).row_count - 1
    await journey.press("g")
    assert sessions(pilot).cursor_row == 0
    await journey.press("y")
    assert pilot.app.clipboard == fake_id(0)
    await journey.press("f", "right", "left", "space", sees="Created")
    await journey.press("a", sees="120 sessions")
    await journey.press("escape", "space", "j", "equals_sign", sees="Where they differ")
    await journey.press("tab", "y", "R", "enter", sees="session  ")
    await journey.press("escape", sees="Where they differ")
    await journey.press("escape", "space", "slash", *"sta", "tab", sees="state:")
    await journey.press("down", "up", "down", "enter", "ctrl+s", sees="Save the query")
    await journey.press("escape", "ctrl+s", *"mine", "enter", "escape", "slash", sees="mine")
    await journey.press("ctrl+r", sees="Remove this saved query?")
    await journey.press("n", "escape", "slash", *"memory", sees="memory")
    await journey.press("down", "n", "N", "right", "left", "escape", sees="page 1 of 3")
    await journey.press("number_sign", "0", "down", "escape", sees="page 1 of 3")
    await journey.press("O", "O", "O", "d", "d", "v", "v", "M", "M", "R")
    await journey.press("T", sees="source: team")
    await journey.press("T", sees="source: local")
    await journey.press("s", sees="schema")
    await until(pilot, lambda: any(note.title == "sync" for note in pilot.app._notifications))
    await journey.press("p", sees="paused")
    await journey.press("p", sees="idle")
    await journey.press("t", sees="acode-day")
    await journey.press("escape", "question_mark", sees="Send the backlog")
    await journey.press("escape")
    pilot.app.screen.query(Pane).first().focus()
    await journey.press("enter", sees="sqlite")
    await journey.press("escape")
    sessions(pilot).focus()


async def a_session(journey: Journey) -> None:
    await journey.press("F", sees="files changed  all runs")
    await journey.press("escape", sees="Fix the race")
    await journey.press("enter", sees="exit code 1: 2 of 14 tests failed")
    await journey.press("j", "k", "pagedown", "pageup", "ctrl+d", "ctrl+u", "plus", "minus", "G", "g", "e", "E", "e")
    await journey.press("enter", sees="FAIL login.test.ts")
    await journey.press("slash", *"npm", "enter", sees="n N go on")
    await journey.press("n", "N", "escape")
    await journey.press("F", sees="1 change in 1 run")
    await journey.press("n", "N", "tab", "tab", "y", "enter", sees="artifact  ")
    await journey.press("escape", "escape", sees="exit code 1")
    await journey.press("v", sees="Read the login form")
    await journey.press("minus", "plus", "f", "f", "R", "y", "Y", sees="Read the login form")
    await journey.press("j", "k", "G", "g", "ctrl+d", "ctrl+u", "h", "l", "g", "enter", "plus")
    await journey.press("right_square_bracket", sees="Fix the race")
    await journey.press("left_square_bracket", sees="Add input validation")
    await journey.press("x", sees="Known shapes of secrets")
    await journey.press("down", "up", "escape", "1", "2", sees="ada@example.org")
    await journey.press(*SCROLLING, "tab")
    await journey.press("3", "j", "enter", sees="needle 1")
    await journey.press("right_square_bracket", sees="part 2 of")
    await journey.press("left_square_bracket", sees="part 1 of")
    await journey.press("slash", *"needle 3", "enter", sees="1 of")
    await journey.press("n", sees="2 of")
    await journey.press("N", sees="1 of")
    await journey.press("w", "w", "number_sign", "number_sign", *SCROLLING, "l", "h", "y", "Y", "s", sees="Save")
    await journey.press("escape", "escape", "escape", "escape", sees="Fix the race")


async def what_was_refused(journey: Journey) -> None:
    await journey.press("r", sees="dead letters")
    await journey.press("right_square_bracket", sees="page 2 of 2")
    await journey.press("left_square_bracket", sees="page 1 of 2")
    await journey.press("y", "Y", "r", "R", "d", sees="Discard this dead letter?")
    await journey.press("n", "d", sees="Discard this dead letter?")
    await journey.press("y", sees="dead letters")
    await journey.press("enter", sees="session  ")
    await journey.press("escape", sees="dead letters")
    await journey.press("escape", "c", sees="Run all the tests")
    await journey.press("enter", sees="session  ")
    await journey.press("escape", sees="Run all the tests")
    await journey.press("right_square_bracket", sees="page 2 of 2")
    await journey.press("left_square_bracket", sees="page 1 of 2")
    await journey.press("y", "Y", "v", sees="249 not reviewed")
    await journey.press("o", sees="Take the other version?")
    await journey.press("n", "u", sees="Not reviewed")
    await journey.press("escape", sees="Fix the race")


async def looking_after(journey: Journey, pilot: Pilot[int], fake: FakeWorkspace, folder: Path) -> None:
    await journey.press("h", sees="unhealthy")
    await journey.press("R", "y", "escape", "dollar_sign", sees="$12.34")
    await journey.press("R", "y", "B", "b", "b", sees="claude-opus-4-5")
    await journey.press("S", "s", "m", sees="tokens: ")
    await journey.press("enter", sees="model:")
    await journey.press("escape", "dollar_sign", sees="$12.34")
    await journey.press("escape", "b", sees="older ones make room")
    fake.made = [BACKUP]
    await journey.press("r", sees="5,640")
    await journey.press("v", "y", "R", "enter", sees="Restore this backup?")
    await journey.press("n", "escape", "b", sees="older ones make room")
    await journey.press("enter", sees="The backup is made")
    await journey.press("y", "escape", "m", sees="sqlite")
    await journey.press("escape", "e", sees="Known shapes of secrets")
    async with exporting_slowly(fake):
        await journey.press("enter", sees="3,120 of 12,000 rows")
        await journey.press("escape", sees="Stopped.")
    await journey.press("escape", "i", sees="Read the new ones?")
    await journey.press("enter", sees="Imported.")
    await journey.press("escape", "o", sees="timeout_seconds")
    await journey.press("slash", *"path", "down", "escape", "u", "y", "d", "e", "escape", "escape", sees="Fix the race")
    await journey.press("l", "escape", sees="Fix the race")
    log = folder / "acode.log"
    log.write_text('{"level": "info", "timestamp": "2026-03-14T12:00:00.000000Z", "event": "sync.drained"}\n')
    pilot.app.push_screen(LogScreen(log))
    await journey.press(sees="sync.drained")
    await journey.press("f", "space", "y", "slash", "escape", "escape", sees="Fix the race")


async def a_strangers_file(journey: Journey, pilot: Pilot[int], fake: FakeWorkspace) -> None:
    path = workspace_config_path(fake.root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('[persistence.postgres]\nhost = "evil.example"\n')
    fake.settings = msgspec.structs.replace(fake.settings, withheld=("persistence.postgres.host",))
    await journey.press("j", sees="evil.example")
    await journey.press("tab", "j", "k", "escape", sees="settings not trusted")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    await journey.press("A", sees="evil.example")
    await journey.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
