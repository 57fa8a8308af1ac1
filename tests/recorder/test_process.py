"""The recorder at the end of a process and in a fork: no write is lost, and a child records only its own sessions."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import acode_tui
from tests.recorder.conftest import Recorded, states

README = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")


def python(code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ACODE_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_end_of_the_process_flushes_and_closes(folder: Path, recorded: Recorded) -> None:
    code = """
import acode_tui
from acode_tui.recorder import channel
with acode_tui.recorder.session("run") as run:
    channel.MAX_WAIT_SECONDS = 0.0
    for n in range(50):
        with run.tool("c", n): pass
"""
    done = python(code, folder)
    assert (done.returncode, done.stderr) == (0, "")
    (graph,) = recorded()
    assert graph.state == "Completed"
    assert len(graph.tasks[0].steps) == 50
    assert not (folder / ".agent" / "workspace.db-wal").exists()


def test_threads_that_outlive_the_main_one_are_recorded_too(folder: Path, recorded: Recorded) -> None:
    code = """
import acode_tui, threading
def work():
    threading.main_thread().join()
    with run.tool("late"): pass
    run.__exit__(None, None, None)
run = acode_tui.recorder.session("run").__enter__()
threading.Thread(target=work).start()
"""
    done = python(code, folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert states(recorded()[0])["call late"] == "Succeeded"


def test_an_uncaught_exception_is_recorded_and_printed_as_usual(folder: Path, recorded: Recorded) -> None:
    done = python("import acode_tui\nwith acode_tui.recorder.session('run'):\n    1 / 0", folder)
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert recorded()[0].events[-1].reason == "ZeroDivisionError: division by zero"


def test_a_failing_database_ends_the_process_as_it_would_have_ended(folder: Path) -> None:
    (folder / ".agent" / "workspace.db").mkdir()
    done = python("import acode_tui\nwith acode_tui.recorder.session('run') as run: print('worked')", folder)
    assert (done.returncode, done.stdout) == (0, "worked\n")
    assert len(done.stderr.splitlines()) == 1
    assert "ACODE-DB-001" in done.stderr


def test_recording_as_late_as_atexit_breaks_nothing(folder: Path, recorded: Recorded) -> None:
    code = """
import atexit
def late():
    with acode_tui.recorder.session("late"): print("worked")
atexit.register(late)
import acode_tui
with acode_tui.recorder.session("run"): pass
"""
    done = python(code, folder)
    assert (done.returncode, done.stdout) == (0, "worked\n"), done.stderr
    assert recorded()[0].task_description == "run"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_records_its_own_sessions_and_not_its_parents(folder: Path, recorded: Recorded) -> None:
    code = """
import acode_tui, os
@acode_tui.tool
def work(): pass
with acode_tui.recorder.session("parent") as run:
    with run.tool("before"): pass
    child = os.fork()
    if child == 0:
        work()
        with run.tool("inherited"): pass
        with acode_tui.recorder.session("child"): work()
        raise SystemExit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    with run.tool("after"): pass
"""
    done = python(code, folder)
    assert done.returncode == 0, done.stderr
    parent, child = recorded()
    assert states(parent) == {
        "parent": "Completed",
        "task parent": "Completed",
        "step before": "Completed",
        "call before": "Succeeded",
        "step after": "Completed",
        "call after": "Succeeded",
    }
    assert states(child)["call work"] == "Succeeded"


def test_importing_the_package_loads_no_recorder(folder: Path) -> None:
    done = python("import sys, acode_tui\nprint('acode_tui.recorder' in sys.modules)", folder)
    assert done.stdout == "False\n"
    assert "recorder" in dir(acode_tui)
    assert "tool" in dir(acode_tui)


def test_the_examples_in_the_readme_run_and_record(folder: Path, recorded: Recorded) -> None:
    section = README.partition("### Record your own agent")[2].partition("\n### ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    # Those of frameworks need the framework: tests/integrations runs them as examples/ has them.
    examples = [block for block in blocks if "acode_tui.integrations" not in block]
    assert len(examples) == 2
    for example in examples:
        (folder / "login.ts").write_text("export {}\n")
        done = python(example, folder)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    short, long = recorded()
    assert states(short) == {
        "Add validation": "Completed",
        "task Add validation": "Completed",
        "step read_file": "Completed",
        "call read_file": "Succeeded",
    }
    assert set(states(long).values()) == {"Completed", "Succeeded"}
    assert len(long.tasks[0].steps[0].tool_calls[0].artifacts) == 1
