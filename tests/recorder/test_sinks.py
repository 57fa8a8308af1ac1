"""A sink of another installed package is given each run when its recording ends, and its defects harm no run."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from acode_tui import recorder
from acode_tui.recorder import sinks
from tests.recorder.conftest import Recorded

MODULE = """
import json, os, time


class Ledger:
    def on_session_end(self, graph):
        if graph.task_description == "Last":
            time.sleep(0.5)
        with open(os.environ["LEDGER"], "a") as file:
            calls = [call.tool_name for task in graph.tasks for step in task.steps for call in step.tool_calls]
            file.write(json.dumps([graph.task_description, str(graph.state), calls]) + "\\n")


class Failing:
    def on_session_end(self, graph):
        raise RuntimeError("the sink is broken")


unusable = object()
"""
ENTRY_POINTS = """
[acode_tui.sinks]
failing = ledger_sink:Failing
ledger = ledger_sink:Ledger
missing = ledger_sink:Missing
unusable = ledger_sink:unusable
"""


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with these entry points on the module path; what its sink writes."""
    site = tmp_path / "site"
    metadata = site / "ledger_sink-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "ledger_sink.py").write_text(MODULE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ledger-sink\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("LEDGER", str(tmp_path / "ledger.jsonl"))
    monkeypatch.setattr(sinks._process, "sinks", sinks.Sinks())
    yield tmp_path / "ledger.jsonl"
    recorder.close()


def lines(ledger: Path) -> list[object]:
    return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []


def test_a_sink_has_each_run_at_its_end_and_a_broken_one_is_named_once(
    folder: Path, ledger: Path, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    with recorder.session("First", folder) as run, run.tool("read_file"):
        pass
    with recorder.session("Second", folder) as run, run.task("Ask"):
        run.leave_open(approval=True)
    recorder.close()
    assert run.lost == 0
    assert lines(ledger) == [["First", "Completed", ["read_file"]], ["Second", "AwaitingApproval", []]]
    named = sorted(
        record.getMessage().split(": ")[1] for record in caplog.records if record.name == "acode_tui.recorder"
    )
    assert named == ["failing", "missing", "unusable"]
    assert sinks.sinks().failures == 4
    assert len(recorded()) == 2


def test_a_package_in_the_current_folder_is_no_sink(
    folder: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ledger.parent / "site")
    with recorder.session("Run", folder):
        pass
    recorder.close()
    assert lines(ledger) == []


def test_a_sink_that_never_answers_holds_nothing_up(
    folder: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "MAX_WAITING", 1)
    release = threading.Event()

    class Hanging:
        def on_session_end(self, graph: object) -> None:
            release.wait()

    slow = sinks.Sinks()
    slow._sinks = {"hanging": Hanging()}
    monkeypatch.setattr(sinks._process, "sinks", slow)
    for number in range(4):
        with recorder.session(f"Run {number}", folder) as run:
            pass
        assert run.lost == 0
    recorder.close(0.1)
    assert slow.failures >= 2
    release.set()


def test_the_end_of_a_process_waits_for_its_sinks(folder: Path, ledger: Path) -> None:
    code = "import sys\nfrom acode_tui import recorder\nwith recorder.session('Last', sys.argv[1]): pass\n"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ledger.parent / 'site')!r})\n{code}", str(folder)],
        timeout=60, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert lines(ledger) == [["Last", "Completed", []]]
