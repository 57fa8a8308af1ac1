"""The real program in a real terminal: start, paging, a session, migrations, resizing, and quitting."""

import sys
from pathlib import Path

from acode_tui import SessionState
from acode_tui.config import IdentitySettings, Settings, TuiSettings
from acode_tui.workspace import open_workspace
from tests.clocks import TurnedClock
from tests.e2e.tmux import needs_tmux, terminal

PAGE = 5
SETTINGS = Settings(identity=IdentitySettings(user="ada@example.org"), tui=TuiSettings(page_size=PAGE))


async def recorded(root: Path, clock: TurnedClock, count: int) -> None:
    async with open_workspace(root, wall=clock, settings=SETTINGS) as workspace:
        for number in range(count):
            session = await workspace.store.create_session(f"Run number {number:02}")
        await workspace.store.transition_session(session.id, SessionState.PLANNING, reason="start")
        task = await workspace.store.add_task(session.id, "Analyse the form")
        await workspace.store.add_step(task.id, "Read the login form")
    (root / ".agent" / "config.toml").write_text(f"[tui]\npage_size = {PAGE}\n")


@needs_tmux
async def test_start_page_open_migrate_resize_quit(tmp_path: Path, clock: TurnedClock) -> None:
    root, home = tmp_path / "shop", tmp_path / "home"
    root.mkdir()
    home.mkdir()
    await recorded(root, clock, 2 * PAGE + 2)
    command = [sys.executable, "-m", "acode_tui", "--workspace", str(root)]
    with terminal(command, size=(120, 36), home=str(home)) as window:
        window.until("acode-tui", "Run number 11", "page 1 of 3", "Outbox")
        window.press("]")
        lines = window.until("page 2 of 3", "Run number 06")
        assert not any("Run number 11" in line for line in lines)
        window.press("[")
        window.until("page 1 of 3", "Run number 11")

        window.press("Enter")
        window.until("Analyse the form", "Planning")
        window.press("Escape")
        window.until("page 1 of 3", "Outbox")

        window.press("m")
        window.until("Nothing is due", "persistence.postgres.enabled")
        window.press("Escape")
        window.until_gone("Nothing is due")

        window.resize(80, 24)
        small = window.until_shown(
            lambda lines: len(lines) == 24 and "q quit" in lines[-1] and lines[-2].rstrip().endswith("╯"), "80x24"
        )
        assert all(len(line) <= 80 for line in small)
        window.resize(200, 60)
        window.until_shown(
            lambda lines: len(lines) == 60 and "q quit" in lines[-1] and len(lines[-2].rstrip()) > 150, "200x60"
        )
        window.until("Run number 11", "page 1 of 3")

        window.press("q")
        assert window.exit_code() == 0
        assert not any("Traceback" in line for line in window.lines())


@needs_tmux
def test_a_fault_at_the_start_leaves_the_terminal_as_it_was_and_one_line(tmp_path: Path) -> None:
    (tmp_path / ".agent").mkdir()
    (tmp_path / ".agent" / "workspace.db").write_bytes(b"this is no database, and was none for a long time\n" * 400)
    command = [sys.executable, "-m", "acode_tui", "--workspace", str(tmp_path)]
    with terminal(command, size=(100, 30), home=str(tmp_path)) as window:
        assert window.exit_code() == 1
        lines = window.until("no SQLite database", "db restore")
        assert not any("Traceback" in line for line in lines)
        assert not any("Outbox" in line for line in lines)
