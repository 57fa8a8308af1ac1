"""The demo's PostgreSQL: it ends with its demo, and the cleaning-up after a killed demo spares other servers."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from acode_tui.demo.server import EmbeddedServer, _environment, copy_installation, end_server, installation
from acode_tui.domain.errors import DatabaseConnectionError
from tests.clocks import GUARD_SECONDS

WAITS = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]


@contextmanager
def waiting(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has started to run: just after its start the system may not show its command line yet."""
    with subprocess.Popen([*WAITS, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        yield process


def noted(folder: Path, pid: int | str) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "postmaster.pid").write_text(f"{pid}\n{folder}/data\n")


def test_the_server_of_a_killed_demo_is_ended(tmp_path: Path) -> None:
    with waiting(str(tmp_path / "data")) as left:
        noted(tmp_path, left.pid)
        end_server(tmp_path)
        assert left.wait(timeout=GUARD_SECONDS) < 0


@pytest.mark.parametrize("pid", ["", "nonsense", 2**22 + 1])
def test_an_unusable_pid_file_ends_no_process(tmp_path: Path, pid: int | str) -> None:
    noted(tmp_path, pid)
    end_server(tmp_path)


def test_a_process_that_reuses_the_pid_is_left_alone(tmp_path: Path) -> None:
    with waiting() as other:
        noted(tmp_path, other.pid)
        end_server(tmp_path)
        assert other.poll() is None
        other.communicate()
        assert other.returncode == 0


def test_a_failed_program_is_named_with_the_alternative(tmp_path: Path) -> None:
    programs = tmp_path / "installed" / "bin"
    programs.mkdir(parents=True)
    (programs / "psql").write_text("#!/bin/sh\necho 'psql: error: no such place' >&2\nexit 2\n")
    (programs / "psql").chmod(0o755)
    tmp_path.chmod(0o755)
    with pytest.raises(DatabaseConnectionError, match=r"psql.*demo --local"):
        EmbeddedServer(tmp_path, tmp_path / "installed").execute("SELECT 1")


def test_no_postgres_variable_of_the_user_reaches_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICE", "production")
    monkeypatch.setenv("PGPASSWORD", "sentinel")
    assert not [name for name in _environment() if name.startswith("PG")]


def test_the_extra_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert installation() is not None
    monkeypatch.setattr("acode_tui.demo.server.PACKAGE", "no_such_package_at_all")
    assert installation() is None


def test_a_copy_of_the_server_keeps_the_libraries_beside_its_package(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "some_server"
    (package / "pginstall18" / "bin").mkdir(parents=True)
    (package / "pginstall18" / "bin" / "postgres").touch()
    libraries = package.with_name("some_server.libs")
    libraries.mkdir()
    (libraries / "libpq.so").touch()
    copy = copy_installation(package / "pginstall18", tmp_path / "copy")
    assert (copy / "bin" / "postgres").exists()
    assert (copy / "bin" / "../../../some_server.libs/libpq.so").exists()
