"""The commands, statements and settings of docs/operating-postgres.md, on a real server."""

import asyncio
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner

from acode_tui.cli.main import cli
from tests.pg import Server

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operating-postgres.md"


def blocks() -> list[tuple[str, str]]:
    """(language, content) of the page's blocks, in order."""
    found = re.findall(r"^( *)```(\w+)\n(.*?)^ *```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [
        (language, "".join(line.removeprefix(indent) for line in content.splitlines(keepends=True)))
        for indent, language, content in found
    ]


async def test_every_command_and_statement_of_the_page_works(
    private_pg: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = private_pg()
    variables = {
        "PATH": f"{server.binaries}:{os.environ['PATH']}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": "postgres",
        "XDG_CONFIG_HOME": str(tmp_path / "xdg"),
        "ACODE_WORKSPACE": str(tmp_path),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".agent").mkdir()
    found = blocks()
    assert {language for language, _ in found} == {"sh", "conf", "ini", "sql", "text"}
    for language, content in found:
        if language == "sh":
            for line in content.splitlines():
                if line.startswith("export "):
                    for name, value in (each.split("=") for each in line.removeprefix("export ").split()):
                        monkeypatch.setenv(name, os.path.expandvars(value))
                else:
                    await asyncio.to_thread(_run, line)
        elif language == "sql":
            await _execute(server, "runs", re.split(r";\n", content))
        elif language == "conf":
            settings = [line.split(" = ") for line in content.splitlines()]
            # The server checks a value that it is to keep.
            await _execute(server, "postgres", [f"ALTER SYSTEM SET {name} = '{value}'" for name, value in settings])
    assert (tmp_path / "status.json").read_text().startswith("{")


def _run(line: str) -> None:
    """Run a line of a shell; a command of the program in this process, for a process takes half a second to start."""
    given = None
    if line.startswith("acode-tui "):
        arguments, _, rest = line.partition(" | ")
        arguments, _, file = arguments.partition(" > ")
        result = CliRunner().invoke(cli, shlex.split(arguments)[1:])
        assert result.exit_code == 0, f"{line}\n{result.output}"
        if file:
            Path(file).write_text(result.stdout)
        if not rest:
            return
        line, given = rest, result.stdout
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line], input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


async def _execute(server: Server, database: str, statements: list[str]) -> None:
    connection = await asyncpg.connect(server.url(database))
    try:
        for statement in filter(str.strip, statements):
            await connection.execute(statement)
    finally:
        await connection.close()
