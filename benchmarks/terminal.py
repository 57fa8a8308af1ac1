"""Runs a program in a pseudo-terminal, reads its output as it arrives, and counts its CPU time."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self

COLUMNS, ROWS = 120, 36
TIMEOUT_SECONDS = 30


class Terminal:
    """A context manager; the program is ended with it."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._program = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment(), start_new_session=True
        )
        os.close(theirs)
        self.written = b""
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.kill()
        self._program.wait()
        self._reading.join()
        os.close(self._ours)

    def wait_for(self, text: bytes, look_seconds: float = 0.01) -> None:
        """Wait until the program has written this; look for it so often."""
        deadline = monotonic() + TIMEOUT_SECONDS
        while text not in self.written:
            if monotonic() > deadline or self._program.poll() is not None:
                raise RuntimeError(f"it never showed {text!r}; its last words: {self.written[-300:]!r}")
            sleep(look_seconds)

    def press(self, keys: bytes) -> None:
        """Send keys to the program."""
        os.write(self._ours, keys)

    def cpu_seconds(self) -> float:
        """CPU seconds of the program and its threads so far, to a hundredth."""
        fields = Path(f"/proc/{self._program.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Resident memory of the program in bytes."""
        pages = int(Path(f"/proc/{self._program.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._ours, 65536)
            except OSError:
                return
            if not chunk:
                return
            self.written = (self.written + chunk)[-1_000_000:]


def environment() -> dict[str, str]:
    """An environment with colours and without a user's settings."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("ACODE_", "TEXTUAL", "XDG_"))},
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
    }
