"""The log: JSON lines, private, rotated, redacted, and no line before it is configured."""

import json
import logging
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from acode_tui import logs
from acode_tui.domain.errors import ConfigError
from acode_tui.domain.secrets.known import Secret
from acode_tui.logs.log import RotatingFile

PASSWORD = "p@:/%'\"\\ w"


@pytest.fixture
def agent_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / ".agent"
    folder.mkdir(mode=0o700)
    yield folder
    logs.shut_down()


def written(agent_dir: Path) -> list[dict[str, Any]]:
    path = agent_dir / "logs" / "acode-tui.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_line_is_json_with_its_fields(agent_dir: Path) -> None:
    logs.configure(agent_dir)
    logs.get_logger("store").info("write", database="sqlite", table="steps", entity_id="x", duration_ms=1.23456)
    (line,) = written(agent_dir)
    assert line["event"] == "write"
    assert line["level"] == "info"
    assert line["logger"] == "store"
    assert line["duration_ms"] == 1.235
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("level", "events"),
    [("debug", ["a", "b", "c", "d"]), ("info", ["b", "c", "d"]), ("WARNING", ["c", "d"]), ("error", ["d"])],
)
def test_only_lines_of_the_level_and_above_are_written(agent_dir: Path, level: str, events: list[str]) -> None:
    logs.configure(agent_dir, level=level)
    log = logs.get_logger("x")
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert [line["event"] for line in written(agent_dir)] == events
    assert logs.enabled("debug") is (level == "debug")


def test_nothing_is_written_before_the_log_is_configured(agent_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logs.get_logger("x").error("unheard")
    logging.getLogger("asyncio").debug("unheard")
    assert capfd.readouterr() == ("", "")
    assert not (agent_dir / "logs").exists()


def test_an_unknown_level_is_refused(agent_dir: Path) -> None:
    with pytest.raises(ConfigError, match="debug, info, warning, error"):
        logs.configure(agent_dir, level="loud")


def test_without_a_workspace_no_folder_is_created(tmp_path: Path) -> None:
    logs.configure(tmp_path / "nowhere" / ".agent")
    logs.get_logger("x").error("unheard")
    logs.shut_down()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.ac("AC-057")
def test_log_files_are_private_and_looser_ones_are_tightened(agent_dir: Path) -> None:
    folder = agent_dir / "logs"
    folder.mkdir(mode=0o755)
    path = folder / "acode-tui.log"
    path.write_text("")
    path.chmod(0o644)
    logs.configure(agent_dir)
    logs.get_logger("x").info("a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.ac("AC-058")
def test_a_password_is_in_no_line(agent_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(agent_dir, stderr=True)
    logs.add_secrets([Secret(PASSWORD)])
    try:
        raise ValueError(f"cannot connect with {PASSWORD}")
    except ValueError:
        logs.get_logger("x").error("fault", exc_info=True, nested={"a": [PASSWORD]}, address="postgres://u:other@h/d")
    logging.getLogger("library").error("it was %r", PASSWORD)
    text = (agent_dir / "logs" / "acode-tui.log").read_text() + capfd.readouterr().err
    assert "ValueError" in text
    assert "@h/d" in text
    for spelling in (PASSWORD, repr(PASSWORD)[1:-1], json.dumps(PASSWORD)[1:-1], "other", "p@:"):
        assert spelling not in text


def test_a_log_that_cannot_be_written_raises_nothing(agent_dir: Path) -> None:
    (agent_dir / "logs").write_text("in the way")
    logs.configure(agent_dir)
    logs.get_logger("x").error("lost")


def test_files_rotate_by_size_and_the_oldest_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "a.log"
    file = RotatingFile(path, max_bytes=100, kept=2)
    for number in range(40):
        file.write(f"{number:09}\n".encode())
    file.close()
    assert sorted(each.name for each in path.parent.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    kept = b"".join(each.read_bytes() for each in sorted(path.parent.iterdir(), reverse=True))
    assert kept == b"".join(f"{number:09}\n".encode() for number in range(10, 40))
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in path.parent.iterdir())


def test_processes_that_share_a_file_lose_no_line_when_it_rotates(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom acode_tui.logs.log import RotatingFile\n"
        "file = RotatingFile(Path(sys.argv[1]), max_bytes=40, kept=200)\n"
        "print('ready', flush=True); sys.stdin.read()\n"
        "for number in range(200): file.write(f'{sys.argv[2]} {number:05}\\n'.encode())\n"
    )
    path = tmp_path / "logs" / "a.log"
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", code, str(path), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )
            for name in "abc"
        ]
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
        for process in running:
            assert process.stdin is not None
            process.stdin.close()
    assert [process.returncode for process in running] == [0, 0, 0]
    lines = [line for each in path.parent.iterdir() for line in each.read_text().splitlines()]
    assert sorted(lines) == sorted(f"{name} {number:05}" for name in "abc" for number in range(200))
