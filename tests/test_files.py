"""Files are replaced atomically, are private, and replace only regular files."""

import errno
import os
import stat
from pathlib import Path

import pytest

from acode_tui.files import make_private_folder, replacing, tighten, widen


def test_a_file_is_replaced_completely_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_appears_meanwhile_is_not_replaced_without_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "a"

    def race() -> None:
        with replacing(path, overwrite=False) as file:
            file.write(b"mine")
            path.write_bytes(b"theirs")

    with pytest.raises(FileExistsError):
        race()
    with pytest.raises(FileExistsError) as refused, replacing(path, overwrite=False):
        pass
    assert (refused.value.errno, refused.value.filename) == (errno.EEXIST, str(path))
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["r" * 255, "\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 85])
def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path, name: str) -> None:
    with replacing(tmp_path / name) as file:
        assert f".acode-{os.getpid()}-" in str(file.name)
        file.write(b"whole")
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(OSError, match="No space") as caught, replacing(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as missing, replacing(tmp_path / "no" / "a"):
        pass
    assert missing.value.filename == str(tmp_path / "no" / "a")


def test_created_folders_and_parents_are_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b")] == [0o700, 0o700]


def test_tighten_only_removes_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"")
    path.chmod(0o444)
    tighten(path, 0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    tighten(tmp_path / "nowhere", 0o600)


def test_widen_only_adds_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"")
    path.chmod(0o404)
    widen(path, 0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    widen(tmp_path / "nowhere", 0o600)


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a regular file"), replacing(pipe):
        raise AssertionError("nothing is written")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
