"""Any configuration file is accepted, or refused with one line: no traceback, no hang, no change."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.cli.main import cli
from acode_tui.config import ConfigWatch, keys, load, load_settings, workspace_config_path
from acode_tui.domain.errors import ConfigError
from tests.memory import folder_for_tests

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | TEXTS
    | st.dates()
    | st.datetimes()
    | st.sampled_from(
        ["~nobody-of-that-name/x", "postgresql://u:s3cret@h/d", "(", "(a+)+$", "\x00", "\u202e", "a" * 5000]
    )
)
VALUES = st.recursive(
    SCALARS.filter(lambda value: value is not None),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from([*keys.table(), *sorted(keys.sections())]) | TEXTS
ODD_FILES = [
    b"a = " + b"[" * 50_000,
    b"[tui]\npage_size = " + b"9" * 5_000,
    b"[tui]\npage_size = 0x" + b"f" * 50_000,
    b"[tui.keymap]\n" + b"".join(b"k%d = 'x'\n" % number for number in range(5_000)),
    b"[export]\npatterns = ['" + b"(" * 3_000 + b"']",
    b"[export]\npatterns = ['x{1,99999999999999999999}']",
    b"[persistence.sqlite]\npath = '~nobody-of-that-name/x.db'",
    b"[persistence.sqlite]\npath = '" + b"a" * 100_000 + b"'",
    b"." * 20_000 + b" = 1",
    b"\xff\xfe\x00",
    b"\xef\xbb\xbf[tui]\n",
    b"x" * 1_100_000,
]


def written(value: Any) -> bytes:
    """A nested table of dotted names."""
    tree: dict[str, Any] = {}
    for name, item in value.items():
        node = tree
        *path, leaf = name.split(".")
        for part in path:
            node = node.setdefault(part, {}) if isinstance(node.get(part, {}), dict) else node
        node[leaf] = item
    return tomli_w.dumps(tree).encode()


@pytest.fixture(scope="module")
def workspace() -> Any:
    with tempfile.TemporaryDirectory(dir=folder_for_tests()) as name:
        root = Path(name)
        (root / ".agent").mkdir()
        yield root


def outcome(root: Path, data: bytes) -> str:
    """Empty if the file is accepted, else the error message."""
    path = workspace_config_path(root)
    path.write_bytes(data)
    try:
        found = load_settings(root, environ={"XDG_CONFIG_HOME": str(root / "xdg")})
    except ConfigError as error:
        return str(error)
    found.persistence.sqlite.resolve(root)
    return ""


def check(root: Path, data: bytes) -> None:
    message = outcome(root, data)
    assert "\n" not in message
    assert "s3cret" not in message
    assert len(message) < 1_000 + len(str(root))
    assert workspace_config_path(root).read_bytes() == data


@given(data=st.binary(max_size=300) | TEXTS.map(str.encode))
def test_any_bytes_are_accepted_or_refused_with_one_line(workspace: Path, data: bytes) -> None:
    check(workspace, data)


@given(value=st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_values_are_accepted_or_refused_with_one_line(workspace: Path, value: dict[str, Any]) -> None:
    check(workspace, written(value))


@pytest.mark.parametrize("data", ODD_FILES, ids=lambda data: repr(bytes(data[:24])))
def test_odd_files_are_accepted_or_refused_with_one_line(workspace: Path, data: bytes) -> None:
    check(workspace, data)


@settings(max_examples=20)
@given(value=st.dictionaries(NAMES, VALUES, min_size=1, max_size=2))
def test_commands_print_the_same_line_and_change_nothing(workspace: Path, value: dict[str, Any]) -> None:
    data = written(value)
    message = outcome(workspace, data)
    result = CliRunner().invoke(
        cli, ["--workspace", str(workspace), "config", "show"], env={"XDG_CONFIG_HOME": str(workspace / "xdg")}
    )
    assert result.exit_code == (1 if message else 0), result.stderr
    assert "s3cret" not in result.output
    if message:
        assert result.stderr.startswith("error: ACODE-CONFIG-001: ")
        assert result.stderr.count("\n") == 1
    assert workspace_config_path(workspace).read_bytes() == data


@given(name=NAMES, text=TEXTS | st.sampled_from(["9" * 5_000, "[" * 5_000, "{a = ", "true", "1e400", "nan"]))
def test_any_text_is_accepted_or_refused_as_a_value(name: str, text: str) -> None:
    with suppress(ConfigError):
        keys.parse(keys.find(name), text)


def test_a_pipe_instead_of_the_file_is_refused_without_waiting(tmp_path: Path) -> None:
    path = workspace_config_path(tmp_path)
    path.parent.mkdir()
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="not a plain file"):
        load(tmp_path, environ={"XDG_CONFIG_HOME": str(tmp_path)})
    watch = ConfigWatch(tmp_path, environ={"XDG_CONFIG_HOME": str(tmp_path)})
    assert not watch.changed()
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="symbolic link to /dev/zero"):
        load(tmp_path, environ={"XDG_CONFIG_HOME": str(tmp_path)})
    watch.changed()
