"""Where exports go: the remains of killed exports are removed, and no other files."""

import os
import subprocess
import sys
from pathlib import Path

from acode_tui.ops.export.destination import sweep_parts


def test_only_the_remains_of_killed_exports_are_removed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    (tmp_path / f".runs.json.acode-{gone.pid}-abc_1234.part").write_bytes(b"half")
    (tmp_path / f".runs.acode-{gone.pid}-abc_1234.part").mkdir()
    (tmp_path / f".runs.acode-{gone.pid}-abc_1234.part" / "steps.csv").write_bytes(b"half")
    others = {
        ".runs.json.abc_1234.part",
        ".runs.json.acode-x-abc_1234.part",
        f"runs.json.acode-{gone.pid}-abc_1234.part",
        f".runs.json.acode-{gone.pid}-abc_1234.old",
        f".runs.json.acode-{os.getpid()}-abc_1234.part",
        f".runs.json.acode-{os.getppid()}-abc_1234.part",
    }
    for name in others:
        (tmp_path / name).write_bytes(b"")
    sweep_parts(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == others
    sweep_parts(tmp_path / "nowhere")
