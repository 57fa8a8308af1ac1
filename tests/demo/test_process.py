"""``acode-tui demo`` as a process in a terminal: it reads none of the user's settings and leaves no file or process."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clocks import GUARD_SECONDS
from tests.memory import folder_for_tests


@pytest.fixture
def temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="acode-", dir=folder_for_tests()) as made:
        yield Path(made)


class Terminal:
    """A program in a terminal of its own; its output is kept unchanged."""

    def __init__(self, *arguments: str, environment: dict[str, str]) -> None:
        self._mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "acode_tui", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", **environment},
            start_new_session=True,
        )
        os.close(theirs)
        self.drawn = b""

    def until(self, text: bytes) -> None:
        deadline = time.monotonic() + GUARD_SECONDS
        while text not in self.drawn:
            assert time.monotonic() < deadline, self.drawn[-2000:]
            self._read(0.1)

    def ended(self) -> int:
        """The exit code. The last output is read, so that the program does not block on it."""
        deadline = time.monotonic() + GUARD_SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            self._read(0.1)
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._mine)

    def _read(self, seconds: float) -> None:
        if select.select([self._mine], [], [], seconds)[0]:
            try:
                self.drawn += os.read(self._mine, 1 << 16)
            except OSError:
                time.sleep(0.01)  # the other end is closed: the program is about to end


def test_the_demo_uses_no_setting_of_the_user_and_leaves_nothing_after_sigterm(temporary: Path, tmp_path: Path) -> None:
    temporary, config = temporary / "t", tmp_path / "config" / "acode-tui"
    temporary.mkdir()
    config.mkdir(parents=True)
    (config / "config.toml").write_text("this is not TOML\n")
    environment = {
        "TMPDIR": str(temporary),
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "ACODE_TUI__PAGE_SIZE": "nonsense",
        "ACODE_WORKSPACE": str(tmp_path / "mine"),
        "ACODE_POSTGRES_URL": "postgresql://me:sentinel@db.example/runs",
        "NO_COLOR": "1",
    }
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    terminal = Terminal("demo", "--local", "--agents", "1", environment=environment)
    try:
        terminal.until(b"local only; pip install")
        terminal.until(b"sessions")
        assert [folder.stat().st_mode & 0o777 for folder in temporary.iterdir()] == [0o700]
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ended() == 128 + signal.SIGTERM
        assert list(temporary.iterdir()) == []
        assert sorted(str(path) for path in tmp_path.rglob("*")) == before
        assert b"sentinel" not in terminal.drawn
    finally:
        terminal.close()


def test_without_a_terminal_the_error_names_the_alternatives() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "acode_tui", "demo"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "--headless" in result.stderr
