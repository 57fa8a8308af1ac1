"""No process that the program starts imports a module from the current folder, or runs a program of it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from acode_tui import processes
from acode_tui.config.workspace_root import git_email
from acode_tui.demo import server as demo_server
from acode_tui.hooks.queue import is_empty
from acode_tui.ingest.parallel import ReaderProcess
from acode_tui.ingest.reader_process import ANNOUNCEMENT
from acode_tui.ops.stats.rates import PriceList
from tests.cli.served import browser
from tests.clocks import GUARD_SECONDS

MODULES = (
    "acode_tui/__init__.py",
    "ahocorasick_rs.py",
    "asyncio/__init__.py",
    "click.py",
    "encodings/__init__.py",
    "json.py",
    "msgspec.py",
    "os.py",
    "pkgutil.py",
    "sitecustomize.py",
    "socket.py",
    "sqlite3.py",
    "structlog.py",
    "textual/__init__.py",
    "usercustomize.py",
)
PROGRAMS = ("git", "ps", "python", "sh", "uname")


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with modules and programs that write their name to ``MARKER`` beside it."""
    folder = tmp_path / "cloned"
    marker = tmp_path / "marker"
    for name in MODULES:
        module = folder / name
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(f"open({str(marker)!r}, 'a').write({name!r} + chr(10))\nraise SystemExit(3)\n")
    for name in PROGRAMS:
        program = folder / name
        program.write_text(f"#!/bin/sh\necho {name} >> {marker}\necho owned@example.org\n")
        program.chmod(0o755)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def ran(tmp_path: Path) -> Callable[[], list[str]]:
    """The names of everything planted that ran so far."""

    def names() -> list[str]:
        marker = tmp_path / "marker"
        return marker.read_text().split() if marker.exists() else []

    return names


@pytest.fixture(params=["", "{}", ":/nowhere", ".:", "{}:{}/."], ids=["none", "absolute", "empty", "relative", "twice"])
def python_path(request: pytest.FixtureRequest, planted: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Values of ``PYTHONPATH`` that name the current folder; ``sys.path`` has it too, as after ``python -m``."""
    value = str(request.param).replace("{}", str(planted))
    monkeypatch.setenv("PYTHONPATH", value)
    monkeypatch.setattr(sys, "path", ["", str(planted), *sys.path])
    return value


def test_the_planted_folder_is_one_that_a_plain_child_would_import_from(
    planted: Path, ran: Callable[[], list[str]]
) -> None:
    subprocess.run([sys.executable, "-m", "acode_tui", "--version"], cwd=planted, check=False, capture_output=True)
    assert ran()


def test_the_reader_of_an_import_imports_nothing_from_the_current_folder(
    python_path: str, ran: Callable[[], list[str]]
) -> None:
    process = ReaderProcess("acode_tui.storage.sqlite.runs.prepare:prepare_run")
    try:
        assert process.is_ready(GUARD_SECONDS)
        assert ANNOUNCEMENT.decode(process.receive()), "it started, with the program's own modules"
    finally:
        process.kill()
        process.close()
    assert ran() == []


def test_a_python_process_imports_nothing_from_the_current_folder(
    python_path: str, ran: Callable[[], list[str]]
) -> None:
    command = processes.python_command("from acode_tui.__main__ import main; main()", "--version")
    done = subprocess.run(command, env=processes.environment(), check=False, capture_output=True, text=True)
    assert done.stdout.startswith("acode-tui"), done.stderr
    assert ran() == []


async def test_the_prices_of_models_are_looked_up_without_the_current_folder(
    python_path: str, ran: Callable[[], list[str]], tmp_path: Path
) -> None:
    found = await PriceList(tmp_path / "cache").rates(["claude-sonnet-4-5"])
    assert found["claude-sonnet-4-5"], "it started, and found a price"
    assert ran() == []


def test_the_worker_of_a_hook_imports_nothing_from_the_current_folder(
    planted: Path, ran: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACODE_WORKSPACE", raising=False)
    (planted / ".agent").mkdir(mode=0o700)
    event = json.dumps({"hook_event_name": "Stop", "cwd": str(planted)})
    # ``sys.path`` has the current folder, as after ``python -m``; what the hook itself needs is loaded before that.
    program = (
        "import acode_tui.hooks.receive as receive, sys; sys.path.insert(0, '');"
        f"sys.exit(receive.receive('claude-code', {event!r}))"
    )
    assert subprocess.run([sys.executable, "-P", "-c", program], cwd=planted, check=False).returncode == 0
    deadline = time.monotonic() + GUARD_SECONDS
    while not is_empty(planted / ".agent"):
        assert time.monotonic() < deadline, "the worker did not finish"
        time.sleep(0.02)
    assert (planted / ".agent" / "workspace.db").exists()
    assert ran() == []


async def test_a_dashboard_in_the_browser_imports_nothing_from_the_current_folder(
    planted: Path, tmp_path: Path, ran: Callable[[], list[str]]
) -> None:
    kept = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    command = [sys.executable, "-P", "-m", "acode_tui", "--workspace", str(planted), "--serve", "--serve-port", "0"]
    server = await asyncio.create_subprocess_exec(*command, env=kept, stderr=subprocess.PIPE)
    assert server.stderr is not None
    try:
        async with asyncio.timeout(GUARD_SECONDS), browser() as session:
            printed = (await server.stderr.readline()).decode().partition(" is at ")[2].split()[0]
            address = printed.partition("/?")[0]
            assert (await session.get(printed)).status == 200
            async with session.ws_connect(f"{address}/ws?width=100&height=30", origin=address) as window:
                drawn = b""
                while b"No runs recorded here yet" not in drawn:
                    message = await window.receive()
                    assert message.type is aiohttp.WSMsgType.BINARY, drawn
                    drawn += message.data
                server.send_signal(signal.SIGTERM)
                async for _ in window:
                    pass  # until it is closed
            assert await server.wait() == 0
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()
    assert ran() == []


@pytest.mark.parametrize("first", ["", ".", "bin/..", "{}"], ids=["empty", "dot", "relative", "absolute"])
def test_programs_are_not_looked_for_in_the_current_folder(
    first: str, planted: Path, ran: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join([first.replace("{}", str(planted)), os.environ["PATH"], ""]))
    (planted / "bin").mkdir()
    assert git_email(planted) != "owned@example.org"
    demo_server._command_line(os.getpid())
    found = processes.find_program("python3")
    assert found is None or not found.startswith(str(planted))
    assert ran() == []


def test_a_hostile_repository_runs_nothing_when_its_configuration_is_read(
    planted: Path, ran: Callable[[], list[str]], tmp_path: Path
) -> None:
    subprocess.run(["git", "init", "-q"], cwd=planted, check=True)
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\necho hook >> {tmp_path / 'marker'}\n")
    hook.chmod(0o755)
    for key in ("core.fsmonitor", "core.pager", "core.sshCommand", "core.editor", "alias.config", "pager.config"):
        value = f"!{hook}" if key.startswith("alias") else str(hook)
        subprocess.run(["git", "config", key, value], cwd=planted, check=True)
    subprocess.run(["git", "config", "user.email", "mallory@example.org"], cwd=planted, check=True)
    assert git_email(planted) == "mallory@example.org", "it is a name to show, not a permission"
    assert ran() == []


def test_a_checkout_of_the_program_as_the_current_folder_still_finds_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkout = Path(processes.__file__).parent.parent
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(sys, "path", ["", str(checkout), "/usr/lib/python"])
    assert processes.module_path() == [str(checkout), "/usr/lib/python"]


def test_only_the_current_folder_and_relative_ones_are_taken_from_python_path(planted: Path, tmp_path: Path) -> None:
    kept = processes.environment({"PYTHONPATH": f"lib::{planted}:{tmp_path}:/nowhere", "A": "b"})
    assert kept == {"PYTHONPATH": f"{tmp_path}:/nowhere", "PYTHONSAFEPATH": "1", "A": "b"}
    assert "PYTHONPATH" not in processes.environment({"PYTHONPATH": "."})
    assert "PYTHONPATH" not in processes.environment({})


def test_every_place_that_starts_a_process_is_known() -> None:
    """A new one is a new way in: give it a test here."""
    package = Path(processes.__file__).parent
    starts = (
        "subprocess.",
        "create_subprocess",
        "multiprocessing",
        "ProcessPool",
        "os.exec",
        "os.spawn",
        "os.system",
        "os.fork",
    )
    found = {
        str(module.relative_to(package))
        for module in package.rglob("*.py")
        if any(start in module.read_text(encoding="utf-8") for start in starts)
    }
    # A password command is the user's own, and is found as git is; so are an editor and an agent, which
    # tui/run/test_outside.py tests.
    places = {
        "cli/serve/app.py",
        "config/workspace_root.py",
        "demo/server.py",
        "hooks/receive.py",
        "ingest/parallel.py",
        "ops/stats/rates.py",
        "storage/postgres/password_command.py",
        "tui/run/outside.py",
    }
    assert found == places
