"""The demo's folder: private, gone at the end, and swept by the next demo where the one before was killed."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from acode_tui.demo.show import MAX_PARENT_CHARS, PREFIX, demo_folder, sweep, temporary_folder
from tests.memory import folder_for_tests

ME = frozenset({os.geteuid()})

HOLDER = """
import sys
from pathlib import Path
from acode_tui.demo.show import demo_folder
with demo_folder(Path(sys.argv[1])) as folder:
    (folder / "data").mkdir()
    (folder / "data" / "file").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder whose path is short, as a socket's has to be."""
    with tempfile.TemporaryDirectory(prefix="acode-", dir=folder_for_tests()) as made:
        yield Path(made)


def holder(place: Path) -> "tuple[subprocess.Popen[str], Path]":
    """Another process with a demo's folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_folder_is_nobody_elses_and_goes_with_the_block(place: Path) -> None:
    before = os.umask(0)
    try:
        with demo_folder(place) as folder:
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]
            (folder / "a" / "b").mkdir(parents=True)
    finally:
        os.umask(before)
    assert list(place.iterdir()) == []


def test_the_folder_goes_when_the_block_fails(place: Path) -> None:
    with pytest.raises(ZeroDivisionError), demo_folder(place):
        raise ZeroDivisionError
    assert list(place.iterdir()) == []


def test_a_killed_demo_is_swept_and_a_living_one_is_left_alone(place: Path) -> None:
    process, folder = holder(place)
    ended: list[Path] = []
    with process:
        assert sweep(place, end=ended.append, owners=ME) == 0
        assert (folder / "data" / "file").exists()
        process.kill()
        process.wait()
        assert (folder / "data" / "file").exists()
        assert sweep(place, end=ended.append, owners=ME) == 1
    assert ended == [folder]
    assert list(place.iterdir()) == []


def test_what_only_looks_like_a_demos_folder_stays(place: Path, tmp_path: Path) -> None:
    (place / f"{PREFIX}file").write_text("x")
    (place / f"{PREFIX}link").symlink_to(tmp_path)
    (place / f"{PREFIX}new").mkdir()
    odd = place / f"{PREFIX}odd"
    odd.mkdir()
    (odd / "lock").symlink_to(tmp_path / "elsewhere")
    with demo_folder(place) as mine:
        assert sweep(place, end=lambda _: None, owners=frozenset({os.geteuid() + 1})) == 0
        assert sweep(place, end=lambda _: None, owners=ME) == 0
        assert mine.exists()
    assert len(list(place.iterdir())) == 4


def test_a_folder_that_never_got_its_lock_is_swept_once_it_is_old(place: Path) -> None:
    folder = place / f"{PREFIX}half"
    folder.mkdir()
    os.utime(folder, (0, 0))
    assert sweep(place, end=lambda _: None, owners=ME) == 1
    assert not folder.exists()


def test_a_temporary_folder_too_deep_for_a_socket_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deep = tmp_path / ("x" * MAX_PARENT_CHARS)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(deep))
    assert temporary_folder() == Path("/tmp")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/var/tmp")
    assert temporary_folder() == Path("/var/tmp")
