"""The program in a real terminal: a tmux server of the test's own, on its own socket."""

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest

from tests.clocks import GUARD_SECONDS
from tests.memory import folder_for_tests

_ENDED = "the program ended with "

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Terminal:
    """One window of one tmux server. Waits poll the window until the expected text is there."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self._name = name
        self._environment = dict(environment)

    def start(self, command: Sequence[str], width: int, height: int) -> None:
        # The shell outlives the program and prints its exit code.
        script = f"{shlex.join(command)}; code=$?; echo; echo {_ENDED}$code.; exec sleep 3600"
        size = ("-x", str(width), "-y", str(height))
        self._tmux("set-option", "-g", "status", "off", ";", "new-session", "-d", *size, "sh", "-c", script)

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def lines(self) -> list[str]:
        """The lines of the window."""
        return self._tmux("capture-pane", "-p").split("\n")[:-1]

    def until(self, *texts: str) -> list[str]:
        """Wait until all of these texts are in the window; returns its lines."""
        return self.until_shown(lambda lines: all(any(text in line for line in lines) for text in texts), texts)

    def until_gone(self, text: str) -> None:
        """Wait until this text is no longer in the window."""
        self.until_shown(lambda lines: not any(text in line for line in lines), f"no {text}")

    def until_shown(self, fits: Callable[[list[str]], bool], wanted: object) -> list[str]:
        """Wait until ``fits`` accepts the window's lines; returns them."""
        deadline = time.monotonic() + GUARD_SECONDS
        while not fits(lines := self.lines()):
            assert time.monotonic() < deadline, "\n".join([f"not shown: {wanted}", *lines])
            time.sleep(0.02)
        return lines

    def exit_code(self) -> int:
        """Wait for the program's end; returns its exit code."""
        lines = self.until(_ENDED)
        (last,) = (line for line in lines if line.startswith(_ENDED))
        return int(last.removeprefix(_ENDED).rstrip(". "))

    def stop(self) -> None:
        subprocess.run(self._command("kill-server"), capture_output=True, check=False, env=self._environment)

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            self._command(*arguments),
            capture_output=True,
            text=True,
            check=True,
            env=self._environment,
            timeout=GUARD_SECONDS,
        )
        return done.stdout

    def _command(self, *arguments: str) -> list[str]:
        return ["tmux", "-L", self._name, "-f", "/dev/null", *arguments]


@contextmanager
def terminal(command: Sequence[str], *, size: tuple[int, int], home: str, **more: str) -> Iterator[Terminal]:
    """The program in a window of ``size``, with ``home`` for a home; only this server is ended afterwards."""
    # A size in the environment would take precedence over the window's.
    dropped = ("ACODE_", "PG", "TMUX", "XDG_", "COLUMNS", "LINES")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    with tempfile.TemporaryDirectory(prefix="acode-tmux-", dir=folder_for_tests()) as sockets:
        more = {"HOME": home, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", "TMUX_TMPDIR": sockets, **more}
        made = Terminal("acode-test", {**kept, **more})
        try:
            made.start(command, *size)
            yield made
        finally:
            made.stop()
