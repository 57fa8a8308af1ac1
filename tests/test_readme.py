"""The README's example runs, and its commands exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click

from acode_tui.cli.main import cli

README = (Path(__file__).resolve().parents[1] / "README.md").read_text("utf-8")


def test_the_python_example_runs_and_records(tmp_path: Path) -> None:
    example, *_ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ACODE_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Add input validation - 1 task\n"
    assert (tmp_path / ".agent" / "workspace.db").exists()


def test_the_two_commands_are_on_separate_lines() -> None:
    for command in ("pip install -q uv && uv run acode-tui", "pip install -q uv && uv run --group dev pytest"):
        assert f"\n{command}\n" in README


def test_every_command_that_is_named_exists() -> None:
    named = re.findall(r"^(?:uv run )?acode-tui ([a-z]+(?: [a-z]+)?)", README, re.MULTILINE)
    assert named
    for words in named:
        command: click.Command | None = cli
        for word in words.split():
            if isinstance(command, click.Group):
                command = command.get_command(click.Context(command), word)
                assert command is not None, words


def test_the_benchmark_table_has_its_place() -> None:
    assert README.index("<!-- benchmarks:begin -->") < README.index("<!-- benchmarks:end -->")
