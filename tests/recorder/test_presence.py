"""A process that ends before its runs do: the next one to record marks them Paused."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from acode_tui import recorder
from tests.recorder.conftest import Recorded

CHILD = """
import os, signal, sys
from acode_tui import recorder

with recorder.session("Finished", sys.argv[1]), recorder.session("Forked", sys.argv[1]):
    if sys.argv[2] == "fork" and os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
run = recorder.session("Cut short", sys.argv[1])
with run, run.task("Work") as task, task.step("Think") as step, step.tool("bash", {"command": "sleep"}):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@contextmanager
def crash(folder: Path, how: str = "") -> Iterator[int]:
    """Records in a process that is killed; yields its id. What it forked lives until the block ends."""
    with subprocess.Popen([sys.executable, "-c", CHILD, str(folder), how], stdin=subprocess.PIPE) as child:
        assert child.wait(60) == -signal.SIGKILL
        yield child.pid


def locks(folder: Path) -> list[str]:
    return [path.name for path in (folder / ".agent" / "locks").glob("recorder-*")]


def test_a_run_of_a_killed_process_is_paused_by_the_next_recording(folder: Path, recorded: Recorded) -> None:
    with crash(folder) as pid:
        pass
    assert {graph.task_description: str(graph.state) for graph in recorded()}["Cut short"] == "Executing"
    assert len(locks(folder)) == 1
    with recorder.session("Next", folder):
        pass
    cut = next(graph for graph in recorded() if graph.task_description == "Cut short")
    assert str(cut.state) == "Paused"
    assert cut.events[-1].reason == f"the process that recorded it (pid {pid}) ended before the run did"
    assert {str(graph.state) for graph in recorded()} == {"Completed", "Paused"}
    recorder.close()
    assert locks(folder) == []


def test_a_forked_child_that_lives_on_does_not_hide_the_crash(folder: Path, recorded: Recorded) -> None:
    with crash(folder, "fork"), recorder.session("Next", folder):
        pass
    assert {graph.task_description: str(graph.state) for graph in recorded()}["Cut short"] == "Paused"


def test_a_run_that_is_under_way_is_left_alone(folder: Path, recorded: Recorded) -> None:
    """Also after its process has closed the workspace and opened it again."""
    with recorder.session("Long", folder) as run, run.task("Work"):
        recorder.close()
        assert len(locks(folder)) == 1
        with recorder.session("Other", folder):
            pass
        assert {str(graph.state) for graph in recorded()} == {"Executing", "Completed"}
    recorder.close()
    assert locks(folder) == []


def test_a_file_of_a_stranger_in_its_place_harms_nothing(folder: Path, recorded: Recorded) -> None:
    place = folder / ".agent" / "locks"
    place.mkdir(mode=0o700)
    os.mkfifo(place / "recorder-1-pipe.lock")
    (place / "recorder-2-link.lock").symlink_to("/etc/hostname")
    (place / "recorder-3-noise.lock").write_bytes(b"\xff\n'; DROP TABLE sessions; --\n")
    with recorder.session("Next", folder) as run:
        pass
    assert run.lost == 0
    assert [str(graph.state) for graph in recorded()] == ["Completed"]
