"""Opening a file never follows a link and never waits, and a mode is changed on the file itself."""

import os
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from acode_tui.files import locked, tighten, tighten_folder, widen
from acode_tui.logs.log import RotatingFile
from acode_tui.plain_files import open_plain, reading_plain, reason_not_plain, what_is_wrong


def make_socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with closing(socket.socket(socket.AF_UNIX)) as end:
            end.bind(path.name)
    finally:
        os.chdir(before)


def make_link(path: Path) -> None:
    target = path.with_name("target")
    target.write_bytes(b"secret")
    target.chmod(0o644)
    path.symlink_to(target)


def make_dangling(path: Path) -> None:
    path.symlink_to(path.with_name("made-by-following"))


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "link": (make_link, "symbolic link"),
    "dangling": (make_dangling, "symbolic link"),
    "loop": (lambda path: path.symlink_to(path), "symbolic link"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "symbolic link"),
    "pipe": (os.mkfifo, "pipe"),
    "socket": (make_socket, "socket"),
    "folder": (Path.mkdir, "folder"),
}


@pytest.fixture(params=KINDS)
def planted(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    make, name = KINDS[request.param]
    make(tmp_path / "file")
    return tmp_path / "file", name


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_APPEND | os.O_CREAT])
def test_what_is_no_regular_file_is_refused_at_once_and_by_its_kind(planted: tuple[Path, str], flags: int) -> None:
    path, name = planted
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=name) as refused:
        open_plain(path, flags)
    assert refused.value.filename == str(path)
    assert name in what_is_wrong(path)
    assert not path.with_name("made-by-following").exists()
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_regular_file_is_opened_and_made_with_its_mode(tmp_path: Path) -> None:
    os.close(open_plain(tmp_path / "new", os.O_CREAT | os.O_RDWR))
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    with reading_plain(tmp_path / "new") as file:
        assert file.read() == b""
    assert what_is_wrong(tmp_path / "new") == ""
    assert what_is_wrong(tmp_path / "missing") == ""
    with pytest.raises(FileNotFoundError):
        open_plain(tmp_path / "missing", os.O_RDONLY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_hard_link_of_another_users_file_is_refused_and_ones_own_is_not(tmp_path: Path) -> None:
    (tmp_path / "first").write_bytes(b"x")
    (tmp_path / "second").hardlink_to(tmp_path / "first")
    os.close(open_plain(tmp_path / "second", os.O_RDWR))
    os.chown(tmp_path / "first", 12345, 12345)
    before = (tmp_path / "first").stat().st_mode
    with pytest.raises(OSError, match="hard link of another user's file"):
        open_plain(tmp_path / "second", os.O_RDWR)
    tighten(tmp_path / "second", 0o400)
    assert (tmp_path / "first").stat().st_mode == before
    (tmp_path / "second").unlink()
    assert reason_not_plain(os.lstat(tmp_path / "first")) == ""


def test_modes_are_never_changed_through_a_link(tmp_path: Path) -> None:
    make_link(tmp_path / "file")
    tighten(tmp_path / "file", 0o600)
    widen(tmp_path / "file", 0o666)
    tighten_folder(tmp_path / "file")
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o644
    tighten(tmp_path / "target", 0o600)
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o600
    widen(tmp_path / "target", 0o660)
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o660
    (tmp_path / "folder").mkdir(mode=0o755)
    tighten(tmp_path / "folder", 0o700)
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o700


def test_changing_the_mode_of_a_database_keeps_the_locks_of_its_connections(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("CREATE TABLE t (x)")
        writer.execute("BEGIN EXCLUSIVE")
        path.chmod(0o666)
        tighten(path, 0o600)
        held = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('BEGIN IMMEDIATE')"
        assert os.spawnlp(os.P_WAIT, "python3", "python3", "-c", f"{held}") != 0
        writer.execute("ROLLBACK")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe"])
def test_a_lock_is_not_taken_through_a_link_or_on_a_pipe(kind: str, tmp_path: Path) -> None:
    KINDS[kind][0](tmp_path / "lock")
    with (
        pytest.raises(OSError, match="lock"),
        locked(tmp_path / "lock", timeout_seconds=0, refusal=lambda: AssertionError()),  # type: ignore[arg-type,return-value]
    ):
        pass
    assert not (tmp_path / "made-by-following").exists()


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "folder", "socket"])
def test_the_log_writes_into_nothing_but_its_own_file(kind: str, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    KINDS[kind][0](tmp_path / "logs" / "acode-tui.log")
    with pytest.raises(OSError):
        RotatingFile(tmp_path / "logs" / "acode-tui.log").write(b"line\n")
    assert not (tmp_path / "logs" / "made-by-following").exists()
    if kind == "link":
        assert (tmp_path / "logs" / "target").read_bytes() == b"secret"
