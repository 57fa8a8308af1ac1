"""An ``.agent`` that came with a repository: no command follows a link in it, waits, or fails without a code."""

import os
import random
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.conftest import Recorded, Run

COMMANDS = (
    "status",
    "db status",
    "db check",
    "db check --deep",
    "session list",
    "search validation",
    "config show",
    "config set tui.theme nord",
    "db backup",
    "db backup list",
    "db backup verify latest",
    "db restore latest --force",
    "db vacuum",
    "db export --format json",
    "db migrate --dry-run",
    "db outbox list",
    "db sync now",
    "db search rebuild",
    "import ROOT/transcripts",
    "diagnostics",
)
NAMES = (
    "",
    "backups",
    "config.toml",
    "exports",
    "locks",
    "locks/migrate.lock",
    "logs",
    "logs/acode-tui.log",
    "workspace.db",
    "workspace.db-journal",
    "workspace.db-shm",
    "workspace.db-wal",
    "workspace.db.lock",
    "workspace.db.replacing",
    "workspace.id",
)


def outcome(result: Result, command: str) -> None:
    """One line with a code, or success."""
    assert result.exit_code in (0, 1, 2, 3), (command, result.exit_code, result.stderr)
    assert "Traceback" not in result.output + result.stderr
    assert "ACODE-000" not in result.output + result.stderr, (command, result.stderr)
    if result.exit_code == 1 and not result.stdout:
        assert "error: ACODE-" in result.stderr, (command, result.stderr)


def run_all(run: Run, root: Path, commands: Sequence[str] = COMMANDS) -> list[tuple[str, Result]]:
    done = []
    for command in commands:
        result = run(*(word.replace("ROOT", str(root)) for word in command.split(" ")))
        outcome(result, command)
        done.append((command, result))
    return done


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder of the user's with every name in it, which must be the same afterwards, to the mode and the time."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    for name in NAMES[1:]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if not any(other.startswith(f"{name}/") for other in NAMES) and name not in ("backups", "exports"):
            (folder / name).write_bytes(f"the user's own {name}\n".encode())
            (folder / name).chmod(0o644)
        else:
            (folder / name).mkdir(exist_ok=True)
    before = trace(folder)
    yield folder
    assert trace(folder) == before


def trace(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(each): (each.stat().st_mode, each.stat().st_mtime_ns, each.read_bytes() if each.is_file() else b"")
        for each in [folder, *sorted(folder.rglob("*"))]
    }


def put_away(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name or ".agent")
def test_no_command_follows_a_link(run: Run, recorded: Recorded, root: Path, outside: Path, name: str) -> None:
    planted = root / ".agent" / name
    put_away(planted)
    planted.parent.mkdir(exist_ok=True)
    planted.symlink_to(outside / name)
    done = run_all(run, root)
    if "/" not in name and name not in ("workspace.db.lock", "workspace.db.replacing"):
        assert any(result.exit_code for _, result in done), "it is refused, not passed over"
        assert any("symbolic link" in result.output + result.stderr for _, result in done)


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name or ".agent")
def test_no_command_makes_what_a_dangling_link_names(
    run: Run, recorded: Recorded, root: Path, tmp_path: Path, name: str
) -> None:
    planted = root / ".agent" / name
    put_away(planted)
    planted.parent.mkdir(exist_ok=True)
    planted.symlink_to(tmp_path / "made")
    run_all(run, root)
    assert not (tmp_path / "made").exists()


def bound(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with closing(socket.socket(socket.AF_UNIX)) as end:
            end.bind(path.name)
    finally:
        os.chdir(before)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", NAMES[1:])
def test_no_command_waits_for_what_is_no_file(run: Run, recorded: Recorded, root: Path, name: str) -> None:
    """Every command meets a pipe, a third of them each a socket and a folder, another third with each name."""
    kinds: tuple[tuple[Callable[[Path], object], Sequence[str]], ...] = (
        (os.mkfifo, COMMANDS),
        (bound, COMMANDS[NAMES.index(name) % 3 :: 3]),
        (Path.mkdir, COMMANDS[(NAMES.index(name) + 1) % 3 :: 3]),
    )
    for make, commands in kinds:
        planted = root / ".agent" / name
        put_away(planted)
        planted.parent.mkdir(exist_ok=True)
        make(planted)
        run_all(run, root, commands)


def test_random_bytes_in_place_of_every_file_are_a_clear_error(run: Run, recorded: Recorded, root: Path) -> None:
    assert run("db", "backup").exit_code == 0
    assert run("session", "list").exit_code == 0
    source = random.Random(1)
    agent = root / ".agent"
    saved = root.parent / "saved"
    shutil.copytree(agent, saved)
    files = [each.relative_to(saved) for each in sorted(saved.rglob("*")) if each.is_file()]
    for name in [*files, None]:
        shutil.rmtree(agent)
        shutil.copytree(saved, agent)
        for each in files if name is None else [name]:
            (agent / each).write_bytes(source.randbytes(source.choice((0, 1, 100, 5000))))
        run_all(run, root)


def test_a_journal_that_names_another_file_does_not_delete_it(run: Run, root: Path, tmp_path: Path) -> None:
    """SQLite deletes the super-journal that a hot journal names: any file of the user's, if the journal is planted."""
    precious = tmp_path / "precious"
    agent = root / ".agent"
    agent.mkdir()

    def plant(database: Path) -> None:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("CREATE TABLE t (x)")
        name = os.fsencode(precious)
        header = bytes.fromhex("d9d505f920a163d7") + (0).to_bytes(4, "big") + bytes(4) + (2).to_bytes(4, "big")
        header += (512).to_bytes(4, "big") + (4096).to_bytes(4, "big")
        end = (0).to_bytes(4, "big") + name + len(name).to_bytes(4, "big") + (sum(name) & 0xFFFFFFFF).to_bytes(4, "big")
        journal = header.ljust(512, b"\0") + end + bytes.fromhex("d9d505f920a163d7")
        database.with_name(database.name + "-journal").write_bytes(journal)

    precious.write_bytes(b"years of work")
    plant(tmp_path / "plain.db")
    with closing(sqlite3.connect(tmp_path / "plain.db")) as connection:
        connection.execute("SELECT * FROM t").fetchall()
    assert not precious.exists(), "the journal does what it is planted for"

    precious.write_bytes(b"years of work")
    plant(agent / "workspace.db")
    done = run_all(run, root)
    assert precious.read_bytes() == b"years of work"
    assert any("-journal" in result.stderr for _, result in done)
