"""The program as a process: exit codes, imports, interruptions and closed pipes."""

import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click
import pytest

from acode_tui.cli.main import cli
from acode_tui.domain.validation import unescape
from tests.cli.conftest import Recorded
from tests.clocks import GUARD_SECONDS

PROGRAM = [sys.executable, "-m", "acode_tui"]


def call(
    *arguments: str, environment: dict[str, str] | None = None, **options: Any
) -> "subprocess.CompletedProcess[str]":
    result = subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
        **options,
    )
    assert "Traceback" not in result.stderr
    return result


def walk(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from walk(command, (*path, name))


COMMANDS = dict(walk(cli))


@pytest.mark.parametrize("path", list(COMMANDS), ids=" ".join)
def test_every_help_text_has_an_example_and_a_sentence(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help
    assert command.epilog is not None
    assert "Example" in command.epilog
    assert "acode-tui" in command.epilog
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["session", "list", "--help"],
        ["demo", "--help"],
        ["db", "--help"],
        ["completion", "bash"],
    ],
)
def test_help_and_version_import_no_driver_and_no_dashboard(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom acode_tui.cli.main import cli\n"
        f"cli.main({arguments!r}, standalone_mode=False)\n"
        "heavy = ('textual', 'rich', 'asyncpg', 'aiosqlite', 'sqlite3', 'structlog', 'prometheus_client', 'aiohttp',"
        " 'humanize')\n"
        "print([m for m in heavy if m in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]"
    assert result.stdout


def test_the_version_and_the_top_help_import_only_click() -> None:
    # They are what a shell's prompt and a completion call: asyncio and msgspec would double what they cost.
    code = (
        "import sys\nfrom acode_tui.cli.main import cli\n"
        "cli.main(['--version'], standalone_mode=False)\ncli.main(['--help'], standalone_mode=False)\n"
        "print([m for m in ('asyncio', 'msgspec', 'platformdirs') if m in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]"


@pytest.mark.parametrize("arguments", [["session", "list"], ["db", "status"], ["config", "show"], ["db", "check"]])
def test_plain_commands_import_neither_textual_nor_rich_nor_asyncpg(
    root: Path, recorded: Recorded, arguments: list[str]
) -> None:
    code = (
        "import sys\nfrom acode_tui.cli.main import cli\n"
        f"code = cli.main(['--workspace', {str(root)!r}, *{arguments!r}], standalone_mode=False)\n"
        "print(code, [m for m in ('textual', 'rich', 'asyncpg', 'aiohttp') if m in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "0 []"


def test_the_dashboard_without_a_terminal_names_headless(root: Path) -> None:
    result = call("--workspace", str(root), stdin=subprocess.DEVNULL)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "--headless" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["session", "show"],
        ["session", "list", "--nonsense"],
        ["--workspace", "/nowhere/at/all", "session", "list"],
        ["--once"],
        ["--headless", "session", "list"],
        ["--metrics", "9187"],
        ["--headless", "--once", "--metrics", "9187"],
        ["--headless", "--metrics", "65536"],
        ["--log-level", "loud", "session", "list"],
    ],
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.returncode == 2
    assert "\nerror: " in result.stderr


def test_the_error_about_a_misplaced_option_of_the_program_says_where_it_belongs() -> None:
    result = call("db", "status", "--workspace", "/srv")
    assert result.returncode == 2
    assert "give it before the command: `acode-tui --workspace … db status`" in result.stderr
    assert "see `acode-tui db status --help`" in call("db", "status", "--nonsense").stderr
    assert "see `acode-tui --help`" in call("--nonsense").stderr


def test_a_workspace_that_is_not_a_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    result = call("session", "list", environment={"ACODE_WORKSPACE": str(file)})
    assert result.returncode == 1
    assert result.stderr.startswith("error: ACODE-CONFIG-001: workspace ")
    assert call("--workspace", str(file), "session", "list").returncode == 2


def test_a_deleted_current_folder_is_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    # As from a shell. With code given to `-c`, Python 3.13.0 itself fails in such a folder, in any import of `socket`.
    folder, python = shlex.quote(str(gone)), shlex.quote(sys.executable)
    shell = f"cd {folder} && rmdir {folder} && exec {python} -m acode_tui session list"
    result = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ACODE-CONFIG-001: the current folder does not exist any more")


def test_an_unknown_log_level_in_the_environment_is_one_line(root: Path) -> None:
    result = call("--workspace", str(root), "session", "list", environment={"ACODE_LOG_LEVEL": "loud"})
    assert result.returncode == 1
    assert result.stderr.startswith('error: ACODE-CONFIG-001: ACODE_LOG_LEVEL: "loud" is not allowed')
    assert result.stderr.count("\n") == 1


def test_a_file_instead_of_the_agent_folder_or_the_database_is_one_line(root: Path) -> None:
    agent = root / ".agent"
    agent.write_text("x")
    result = call("--workspace", str(root), "session", "list")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ACODE-")
    assert result.stderr.count("\n") == 1
    agent.unlink()
    (agent / "workspace.db").mkdir(parents=True)
    result = call("--workspace", str(root), "session", "list")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ACODE-DB-001: ")
    assert result.stderr.count("\n") == 1


def test_an_agent_folder_without_permission_is_one_line(root: Path) -> None:
    agent = root / ".agent"
    agent.mkdir(mode=0o000)
    closed = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if closed and shutil.which("setpriv") is None:
        pytest.skip("root may look everywhere, and setpriv is not there")

    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        line = [*closed, *PROGRAM, "--workspace", str(root), *arguments]
        return subprocess.run(line, capture_output=True, text=True, check=False)

    for arguments, code in ((("session", "list"), 1), (("db", "backup"), 1), (("status",), 3)):
        result = call(*arguments)
        assert result.returncode == code
        assert result.stderr == (
            f"error: ACODE-CONFIG-001: {agent}/config.toml: Permission denied; "
            f"no permission to read {agent}: check its owner and mode\n"
        )
    assert call("config", "path").returncode == 0
    report = call("diagnostics", "--json")
    assert report.returncode == 0
    assert json.loads(report.stdout)["outbox"] == {"error": "Permission denied"}


def test_a_damaged_database_is_one_line_and_is_not_changed(root: Path) -> None:
    (root / ".agent").mkdir(mode=0o700)
    database = root / ".agent" / "workspace.db"
    database.write_bytes(b"this is no database at all, and never was" * 100)
    before = database.read_bytes()
    result = call("--workspace", str(root), "session", "list")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ACODE-DB-007: ")
    assert database.read_bytes() == before


def test_a_folder_name_that_is_not_utf_8_is_printed_reversibly(root: Path, recorded: Recorded) -> None:
    folder = os.fsencode(root) + b"\xe9"
    os.rename(root, folder)
    before = [*PROGRAM, "--workspace", os.fsdecode(folder)]
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}

    def out(*arguments: str) -> bytes:
        return subprocess.run([*before, *arguments], capture_output=True, check=True, env=strict).stdout

    assert out("config", "init") == folder + b"/.agent/config.toml\n"
    assert b"\xe9/.agent/config.toml" in out("config", "set", "tui.page_size", "20")
    printed = json.loads(out("config", "path", "--json"))
    assert os.fsencode(unescape(printed["workspace"])) == folder + b"/.agent/config.toml"
    for format_ in ("csv", "json"):
        target = os.fsdecode(folder + b"/\xe9" + format_.encode())
        printed = json.loads(out("db", "export", "--format", format_, "--output", target, "--json"))
        assert unescape(printed["path"]) == target
        log = json.loads(Path(unescape(printed["redactionLog"])).read_text())
        assert unescape(log["export"]) == Path(target).name


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_under_the_output_is_one_line(root: Path, recorded: Recorded) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [*PROGRAM, "--workspace", str(root), "session", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr.startswith("error: ACODE-IO-001: ")
    assert result.stderr.count("\n") == 1


def test_a_closed_pipe_ends_the_program_without_a_message(root: Path, recorded: Recorded) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [*PROGRAM, "--workspace", str(root), "session", "list", "--json"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert result.returncode == 1
    assert result.stderr == ""


def _until(event: str, lines: IO[str]) -> Iterator[str]:
    for line in lines:
        yield line
        if event in line:
            return


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_headless_runs_until_a_signal_and_exits_with_0(root: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [*PROGRAM, "--workspace", str(root), "--headless"], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            events = [json.loads(line)["event"] for line in _until("headless.started", process.stderr)]
            process.send_signal(number)
            _, rest = process.communicate(timeout=GUARD_SECONDS)
        finally:
            process.kill()
    assert events[-1] == "headless.started"
    assert process.returncode == 0
    assert "Traceback" not in rest
    assert (root / ".agent" / "workspace.db").exists()


@pytest.mark.parametrize("name", ["click", "asyncio"])
def test_an_interrupted_command_exits_130_without_a_traceback(root: Path, name: str) -> None:
    """Ctrl-C in a command's code, and while it waits for the database."""
    body = {"click": "signal.raise_signal(signal.SIGINT)", "asyncio": "invocation.with_workspace(wait)"}[name]
    code = f"""
import asyncio, click, signal, sys
from acode_tui.cli.invocation import pass_invocation
from acode_tui.cli.main import ProgramGroup

class Group(ProgramGroup):
    get_command = click.Group.get_command

async def wait(workspace):
    asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
    await asyncio.Event().wait()

@click.group(cls=Group)
@click.pass_obj
def cli(invocation):
    from pathlib import Path
    invocation.apply_options(Path({str(root)!r}), None)

@cli.command()
@pass_invocation
def work(invocation):
    {body}

cli.main(["work"])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 130
    assert result.stderr.strip() == "interrupted"


def test_an_interruption_while_the_loop_is_created_exits_130_without_a_traceback(root: Path) -> None:
    code = """
import asyncio, os, signal
made = asyncio.new_event_loop

def pressed():
    os.kill(os.getpid(), signal.SIGINT)
    return made()

asyncio.new_event_loop = asyncio.events.new_event_loop = pressed
from acode_tui.__main__ import main
main()
"""
    result = subprocess.run(
        [sys.executable, "-c", code, "--workspace", str(root), "status"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 130
    assert result.stderr.strip() == "interrupted"


_LATE = {
    # While threads are waited for: this one would be for ever.
    "thread": """
def press():
    while signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        pass
    while True:
        # Again and again: one that arrives just before the interpreter blocks does not wake it.
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(0.05)
threading.Thread(target=press).start()
""",
    "exit functions": "atexit.register(os.kill, os.getpid(), signal.SIGINT)",
    # During the interpreter's shutdown.
    "modules": """
class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGINT):
        kill(pid, number)
last = Last()
""",
}


@pytest.mark.parametrize("when", _LATE)
@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["nonsense"], 2)])
def test_an_interruption_after_the_output_keeps_the_exit_code(when: str, arguments: list[str], code: int) -> None:
    script = f"import atexit, os, signal, sys, threading\n{_LATE[when]}\nfrom acode_tui.__main__ import main\nmain()"
    result = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    assert bool(result.stdout) == (code == 0)


@pytest.mark.parametrize("arguments", [[], ["session", "list"]], ids=["dashboard", "command"])
def test_an_interruption_while_modules_are_imported_exits_130_without_output(arguments: list[str]) -> None:
    code = """
import signal, sys
from importlib.abc import MetaPathFinder

class Pressing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "acode_tui.cli.invocation":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Pressing())
from acode_tui.__main__ import main
main()
"""
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (130, "")


@pytest.mark.ac("AC-058")
def test_a_defect_is_one_line_and_its_traceback_is_redacted_in_the_log(root: Path) -> None:
    password = "p@:/%'\"\\ w"
    code = f"""
from pathlib import Path
from acode_tui import logs
from acode_tui.cli.errors import exit_code_of
from acode_tui.domain.secrets.known import Secret
def work():
    raise RuntimeError({password!r} + " in postgres://u:other@h/d")
secret = Secret({password!r})
logs.configure(Path({str(root / ".agent")!r}))
logs.add_secrets([secret])
print(exit_code_of(work, lambda: [secret]))
"""
    (root / ".agent").mkdir()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "1\n"
    assert result.stderr.startswith("error: ACODE-000: unexpected RuntimeError")
    log = root / ".agent" / "logs" / "acode-tui.log"
    line = json.loads(log.read_text())
    assert "RuntimeError" in line["exception"]
    for text in (result.stderr, line["exception"]):
        assert "p@:" not in text
        assert "other" not in text


@pytest.mark.ac("AC-057")
def test_files_are_private_under_any_umask(root: Path) -> None:
    before = os.umask(0o000)
    try:
        assert call("--workspace", str(root), "--log-level", "debug", "session", "list").returncode == 0
    finally:
        os.umask(before)
    for path in (root / ".agent", *(root / ".agent").rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.name != ".gitignore":
            assert mode == (0o700 if path.is_dir() else 0o600), path


def test_what_the_terminals_encoding_lacks_is_a_question_mark(root: Path) -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    config = [sys.executable, "-P", "-m", "acode_tui", "--workspace", str(root), "config"]
    subprocess.run([*config, "set", "identity.user", "\u20ac\u00fc"], env=environ, check=True, capture_output=True)
    shown = subprocess.run([*config, "get", "identity.user"], env=environ, check=True, capture_output=True)
    assert shown.stdout.strip() == b"?\xfc"
