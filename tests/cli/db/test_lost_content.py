"""A database whose content is lost: commands that do not open the workspace report it too, and create nothing."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Recorded, Run, answer
from tests.cli.test_status import trace

EMPTIED = "the file is empty, and it was not"
WAL_ALONE = "the file is missing, and its WAL is still there"
COMMANDS = [("db", "backup"), ("db", "vacuum"), ("db", "vacuum", "--dry-run"), ("db", "migrate", "status")]


@pytest.fixture(params=[EMPTIED, WAL_ALONE])
def loss(request: pytest.FixtureRequest, recorded: Recorded, root: Path) -> str:
    """The expected finding for the file in its current state."""
    database = root / ".agent" / "workspace.db"
    if request.param == EMPTIED:
        database.write_bytes(b"")
    else:
        database.unlink()
        database.with_name("workspace.db-wal").write_bytes(b"x")
    return str(request.param)


def test_a_check_finds_the_loss(run: Run, root: Path, loss: str) -> None:
    before = trace(root)
    result = run("db", "check", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["ok"] is False
    assert [(each["name"], each["ok"]) for each in found["checks"]] == [("integrity", False)]
    assert loss in found["checks"][0]["description"]
    assert trace(root) == before


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_on_the_file_report_that_its_content_is_lost(
    run: Run, root: Path, loss: str, command: tuple[str, ...]
) -> None:
    files = {each.name for each in (root / ".agent").iterdir() if each.name.startswith("workspace.db")}
    result = run(*command)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ACODE-DB-007: ")
    assert loss in result.stderr
    assert "`acode-tui db restore`" in result.stderr
    assert {each.name for each in (root / ".agent").iterdir() if each.name.startswith("workspace.db")} == files
    assert not list((root / ".agent").glob("backups/*.db"))


def test_an_empty_file_in_an_unused_workspace_is_valid(run: Run, root: Path) -> None:
    (root / ".agent").mkdir()
    (root / ".agent" / "workspace.db").touch()
    assert answer(run("db", "check", "--json"))["ok"] is True
    assert "pending" in run("db", "migrate", "status").stdout
    assert run("db", "backup").stderr.startswith("error: ACODE-DB-001: ")
