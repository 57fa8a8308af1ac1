"""How a password command is run: split as by a shell, without one, in the home folder."""

import shlex
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.storage.postgres.password_command import PasswordCommandError, run_password_command, split_command


def run(command: str, *, seconds: float = 20.0) -> str:
    return run_password_command(command, seconds=seconds)


@given(arguments=st.lists(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), min_size=1))
def test_arguments_are_quoted_as_in_a_shell(arguments: list[str]) -> None:
    wanted = [each if not each.startswith("~/") else str(Path.home() / each[2:]) for each in arguments]
    assert [each.rstrip("/") for each in split_command(shlex.join(arguments))] == [each.rstrip("/") for each in wanted]


def test_nothing_is_expanded_by_a_shell(tmp_path: Path) -> None:
    assert run(f"echo '$HOME' ; touch {tmp_path}/made '`id`'") == f"$HOME ; touch {tmp_path}/made `id`"
    assert list(tmp_path.iterdir()) == []


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run("pwd") == str(tmp_path.resolve())
    (tmp_path / "print").write_text("#!/bin/sh\necho from home\n")
    (tmp_path / "print").chmod(0o700)
    assert run("~/print") == run("./print") == "from home"


def test_a_program_of_the_current_folder_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloned repository may hold a ``pass`` of its own, and PATH may name the current folder."""
    for folder in ("repository", "home"):
        (tmp_path / folder).mkdir()
    planted = tmp_path / "repository" / "acode-test-pass"
    planted.write_text("#!/bin/sh\necho planted\n")
    planted.chmod(0o700)
    monkeypatch.chdir(tmp_path / "repository")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for path in (".:/usr/bin:/bin", f"{tmp_path / 'repository'}:/usr/bin:/bin", ":/usr/bin:/bin"):
        monkeypatch.setenv("PATH", path)
        with pytest.raises(PasswordCommandError, match="does not exist"):
            run("acode-test-pass")


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    """One that goes on in the background and keeps the output open is not waited for, and is ended."""
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! > {pids}; echo $$ >> {pids}; wait"
    with pytest.raises(PasswordCommandError, match="did not end within 2 s"):
        run(shlex.join(["sh", "-c", script]), seconds=2)
    deadline = time.monotonic() + 20
    for pid in pids.read_text().split():
        while _is_running(pid):
            assert time.monotonic() < deadline


def _is_running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
