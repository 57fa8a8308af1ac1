"""The program in a terminal of 80 by 24, over a transcript that grows: a line, a search, its place, failures."""

import sys
from pathlib import Path

from tests.e2e.tmux import needs_tmux, terminal
from tests.ingest.builders import Claude


def failing_call(run: Claude, number: int) -> None:
    run.calls(f"m{number}", f"call-{number}", "Bash", {"command": f"make check-{number}"})
    run.result(f"call-{number}", f"Exit code {number}", is_error=True)
    for line in range(12):
        run.says(f"m{number}-{line}", f"Paragraph {line} after check {number}.")


@needs_tmux
def test_a_line_that_is_written_is_shown_and_a_search_and_failures_lead_to_their_places(tmp_path: Path) -> None:
    root, home = tmp_path / "shop", tmp_path / "home"
    root.mkdir()
    run = Claude(cwd=str(root))
    run.user("Fix the login form")
    failing_call(run, 1)
    path = run.write(home / ".claude" / "projects" / "-shop" / f"{run.session}.jsonl")
    command = [sys.executable, "-m", "acode_tui", "--workspace", str(root)]
    with terminal(command, size=(80, 24), home=str(home)) as window:
        window.until("Follow the runs of this folder: 1 found")
        window.press("y")
        window.until("● live", "Fix the login form", "× 1")

        failing_call(run, 2)
        run.says("last", "The zebra is in the form.")
        run.write(path)
        window.until("× 2")

        window.press("/")
        window.press(*"zebra")
        window.until("The zebra is in the form.", "1 session")
        window.press("Enter")
        window.until("n next hit")
        window.press("n", "Enter")
        window.until("Conversation", "The zebra is in the form.")
        run.says("later", "And this line came while it was open.")
        run.write(path)
        window.press("G")
        lines = window.until("And this line came while it was open.")
        assert len(lines) == 24
        assert all(len(line) <= 80 for line in lines)

        window.press("g", "e")
        lines = window.until("make check-1", "Exit code 1")
        assert not any("Exit code 2" in line for line in lines)
        window.press("e")
        lines = window.until("make check-2", "Exit code 2")
        assert not any("Exit code 1" in line for line in lines)
        window.press("/")
        window.press(*"zebra", "Enter")
        window.until("The zebra is in the form.", "n N go on")
        window.press("q")
        assert window.exit_code() == 0
