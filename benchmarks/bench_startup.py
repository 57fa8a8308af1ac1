"""Start-up: the time of a plain command, and of the dashboard's first frame and first rows over 10,000 sessions.

The dashboard runs in a pseudo-terminal, as it does for a person, and is timed from the start of its process: until its
frame has been written to the screen, and until a row of the workspace has. The floor is a Textual app of one line,
timed the same way; plain commands, which import no Textual, are compared with it too. All of them find the bytecode of
an earlier start, as an installed program does, whatever the environment says of bytecode.
"""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter

from benchmarks import million
from benchmarks.result import Measure, within
from benchmarks.scale import sized
from benchmarks.timing import milliseconds
from benchmarks.workspaces import make_database

SESSIONS = 10_000
_FRAME = b"Sessions"
_ROW = b"module"
_COLUMNS, _ROWS = 120, 36
_TIMEOUT_SECONDS = 30
_TRIVIAL = """
from textual.app import App
from textual.widgets import Static
class Trivial(App):
    def compose(self):
        yield Static("module")
Trivial().run()
"""


def run() -> list[Measure]:
    with TemporaryDirectory(prefix="acode-benchmark-") as parent:
        folder = str(Path(parent) / "workspace")
        Path(folder).mkdir()
        million.fill(make_database(Path(folder)), SESSIONS)
        dashboard = [sys.executable, "-m", "acode_tui", "--workspace", folder]
        trivial = [sys.executable, "-c", _TRIVIAL]
        painted, first, floor, shown, listed = [], [], [], [], []
        _until_seen(_ROW, trivial, folder)
        _until_seen(_ROW, dashboard, folder)
        _until_done([*dashboard, "session", "list", "--json", "--limit", "50"], folder)
        for _ in range(sized(9, 3)):
            floor.append(_until_seen(_ROW, trivial, folder))
            painted.append(_until_seen(_FRAME, dashboard, folder))
            first.append(_until_seen(_ROW, dashboard, folder))
            shown.append(_until_done([sys.executable, "-m", "acode_tui", "--help"], folder))
            listed.append(_until_done([*dashboard, "session", "list", "--json", "--limit", "50"], folder))
    textual = milliseconds(floor)
    return [
        within(f"first paint with {SESSIONS:,} sessions, median", milliseconds(painted), "ms", textual, 1.6),
        within(f"first rows of {SESSIONS:,} sessions on screen, median", milliseconds(first), "ms", textual, 1.5),
        within("acode-tui --help, median", milliseconds(shown), "ms", textual, 0.6),
        within("acode-tui session list, median", milliseconds(listed), "ms", textual, 1.5),
    ]


def _until_done(command: list[str], folder: str) -> float:
    started = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, env=_environment(folder))
    return perf_counter() - started


def _until_seen(seen: bytes, command: list[str], folder: str) -> float:
    """Seconds until the program in a terminal of its own has written the expected text."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    started = perf_counter()
    program = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=_environment(folder),
        start_new_session=True,
    )
    os.close(theirs)
    try:
        written = b""
        deadline = monotonic() + _TIMEOUT_SECONDS
        while seen not in written:
            if monotonic() > deadline or (not select.select([ours], [], [], 1)[0] and program.poll() is not None):
                raise RuntimeError(f"{command[1:3]} never showed a row; its last words: {written[-300:]!r}")
            if select.select([ours], [], [], 0)[0]:
                written += os.read(ours, 65536)
        return perf_counter() - started
    finally:
        program.kill()
        program.wait()
        os.close(ours)


def _environment(folder: str) -> dict[str, str]:
    left_out = ("ACODE_", "TEXTUAL", "PYTHONDONTWRITEBYTECODE")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(left_out)},
        "PYTHONPYCACHEPREFIX": str(Path(folder).parent / "bytecode"),
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
    }
