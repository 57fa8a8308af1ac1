"""Starts child processes of tests, and ends them in any case."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]


@contextmanager
def child(role: str, path: Path, *arguments: int) -> Iterator[subprocess.Popen[str]]:
    """``tests.storage.sqlite.child`` in a role; killed, if it still runs, when the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.storage.sqlite.child", role, str(path), *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ready(process: subprocess.Popen[str]) -> None:
    """Wait until the child reports that it is ready."""
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def go(process: subprocess.Popen[str]) -> None:
    """Let a waiting child begin."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def finished(process: subprocess.Popen[str]) -> str:
    """A child's output after it has ended with exit code 0."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    return out
