"""The demo's folder is private and removed at the end; the next demo removes one whose demo was killed."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from acode_tui.demo.demo import MAX_PARENT_CHARS, PREFIX, demo_folder, sweep, temporary_folder
from tests.memory import folder_for_tests

ME = frozenset({os.geteuid()})

HOLDER = """
import sys
from pathlib import Path
from acode_tui.demo.demo import demo_folder
with demo_folder(Path(sys.argv[1])) as folder:
    (folder / "data").mkdir()
    (folder / "data" / "file").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def parent() -> Iterator[Path]:
    """A folder with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="acode-", dir=folder_for_tests()) as made:
        yield Path(made)


def holder(parent: Path) -> "tuple[subprocess.Popen[str], Path]":
    """Another process that holds a demo's folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_folder_is_private_and_removed_after_the_block(parent: Path) -> None:
    before = os.umask(0)
    try:
        with demo_folder(parent) as folder:
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]
            (folder / "a" / "b").mkdir(parents=True)
    finally:
        os.umask(before)
    assert list(parent.iterdir()) == []


def test_the_folder_is_removed_when_the_block_fails(parent: Path) -> None:
    with pytest.raises(ZeroDivisionError), demo_folder(parent):
        raise ZeroDivisionError
    assert list(parent.iterdir()) == []


def test_sweep_removes_the_folder_of_a_killed_demo_and_keeps_that_of_a_running_one(parent: Path) -> None:
    process, folder = holder(parent)
    ended: list[Path] = []
    with process:
        assert sweep(parent, end=ended.append, owners=ME) == 0
        assert (folder / "data" / "file").exists()
        process.kill()
        process.wait()
        assert (folder / "data" / "file").exists()
        assert sweep(parent, end=ended.append, owners=ME) == 1
    assert ended == [folder]
    assert list(parent.iterdir()) == []


def test_sweep_keeps_folders_that_no_demo_made(parent: Path, tmp_path: Path) -> None:
    (parent / f"{PREFIX}file").write_text("x")
    (parent / f"{PREFIX}link").symlink_to(tmp_path)
    (parent / f"{PREFIX}new").mkdir()
    odd = parent / f"{PREFIX}odd"
    odd.mkdir()
    (odd / "lock").symlink_to(tmp_path / "elsewhere")
    with demo_folder(parent) as mine:
        assert sweep(parent, end=lambda _: None, owners=frozenset({os.geteuid() + 1})) == 0
        assert sweep(parent, end=lambda _: None, owners=ME) == 0
        assert mine.exists()
    assert len(list(parent.iterdir())) == 4


def test_sweep_removes_an_old_folder_without_a_lock(parent: Path) -> None:
    folder = parent / f"{PREFIX}half"
    folder.mkdir()
    os.utime(folder, (0, 0))
    assert sweep(parent, end=lambda _: None, owners=ME) == 1
    assert not folder.exists()


def test_a_temporary_folder_too_long_for_a_socket_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deep = tmp_path / ("x" * MAX_PARENT_CHARS)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(deep))
    assert temporary_folder() == Path("/tmp")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/var/tmp")
    assert temporary_folder() == Path("/var/tmp")
