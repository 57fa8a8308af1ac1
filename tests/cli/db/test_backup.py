"""``db backup``, ``db restore`` and ``db vacuum`` from the command line."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Recorded, Run, answer
from tests.cli.test_process import COMMANDS

KEYS = {"name", "path", "sizeBytes", "sha256", "schemaVersion", "counts"}


@pytest.mark.usefixtures("recorded")
def test_a_backup_is_created_listed_verified_and_deleted(run: Run, root: Path) -> None:
    made = answer(run("db", "backup", "--json"))
    assert made.keys() >= KEYS
    assert made["counts"]["sessions"] == 1
    assert Path(made["path"]).parent == root / ".agent" / "backups"
    listed = answer(run("db", "backup", "list", "--json"))
    assert [each["name"] for each in listed["backups"]] == [made["name"]]
    assert listed["backups"][0].keys() >= KEYS
    verified = answer(run("db", "backup", "verify", "--json"))
    assert verified["ok"] is True
    assert [check["name"] for check in verified["checks"]] == ["manifest", "size", "hash", "integrity", "schema"]
    assert made["name"] in run("db", "backup", "list").stdout
    assert run("db", "backup", "delete", made["name"], input="n\n").exit_code == 1
    assert Path(made["path"]).exists()
    assert (
        answer(run("db", "backup", "delete", made["name"], "--force", "--json"))["deleted"][0]["name"] == made["name"]
    )
    assert list(Path(made["path"]).parent.iterdir()) == []


@pytest.mark.usefixtures("recorded")
def test_a_backup_is_made_where_the_output_says(run: Run, root: Path, tmp_path: Path) -> None:
    target = tmp_path / "usb" / "shop.db"
    made = answer(run("db", "backup", "--output", str(target), "--json"))
    assert (made["name"], made["path"]) == ("shop", str(target))
    assert answer(run("db", "backup", "verify", str(target), "--json"))["ok"] is True
    assert run("db", "restore", str(target), "--force").exit_code == 0
    again = run("db", "backup", "--output", str(target))
    assert again.exit_code == 1
    assert "is there already" in again.stderr
    for _ in range(2):
        in_folder = answer(run("db", "backup", "--output", str(target.parent), "--json"))
        assert Path(in_folder["path"]).parent == target.parent
    assert len(list(target.parent.glob("*.db"))) == 3
    own = answer(run("db", "backup", "list", "--json"))["backups"]
    assert all("_pre_restore" in each["name"] for each in own)
    assert run("db", "backup", "--output", str(tmp_path / "copy")).exit_code == 2
    assert run("db", "backup", "--output", str(target), "list").exit_code == 2


@pytest.mark.usefixtures("recorded")
def test_a_damaged_backup_is_found_and_not_restored(run: Run) -> None:
    made = answer(run("db", "backup", "--json"))
    data = bytearray(Path(made["path"]).read_bytes())
    data[-1] ^= 1
    Path(made["path"]).write_bytes(data)
    result = run("db", "backup", "verify", made["name"])
    assert result.exit_code == 1
    assert "the manifest says" in result.stdout
    result = run("db", "restore", made["name"], "--force")
    assert result.exit_code == 1
    assert "ACODE-DB-007" in result.stderr
    Path(made["path"]).with_suffix(".json").unlink()
    assert run("db", "backup", "verify", "--all", "--json").exit_code == 1
    assert "its manifest is missing" in run("db", "backup", "list").stderr
    assert "its manifest is missing" in run("db", "restore", made["name"], "--force").stderr


@pytest.mark.usefixtures("recorded")
def test_a_restore_asks_first_and_reports_the_result(run: Run, root: Path) -> None:
    made = answer(run("db", "backup", "--json"))
    assert "could be restored" in run("db", "restore", made["name"], "--dry-run").stdout
    refused = run("db", "restore", made["name"], input="n\n")
    assert refused.exit_code == 1
    assert "nothing was changed" in refused.stderr
    # The file is not a database any more: commands fail and name the remedies, of which a restore is one.
    (root / ".agent" / "workspace.db").write_bytes(b"gone\n" * 5000)
    failed = run("session", "list")
    assert failed.exit_code == 1
    assert "ACODE-DB-007" in failed.stderr
    done = answer(run("db", "restore", "latest", "--force", "--json"))
    assert done.keys() >= KEYS
    assert done["keptAs"].startswith(str(root / ".agent" / "workspace.db.corrupted-"))
    assert answer(run("session", "list", "--json"))["total"] == 1


def test_a_question_without_an_answer_aborts_and_names_force(run: Run, recorded: Recorded) -> None:
    name = answer(run("db", "backup", "--json"))["name"]
    for arguments in (("restore", name), ("backup", "delete", name)):
        refused = run("db", *arguments, input="")
        assert (refused.exit_code, refused.stdout) == (1, "")
        last = refused.stderr.splitlines()[-1]
        assert last == "aborted: nothing was changed; there was no answer; --force does not ask"
    assert len(answer(run("db", "backup", "list", "--json"))["backups"]) == 1


@pytest.mark.parametrize(
    "path",
    [
        ("db", "outbox", "discard"),
        ("db", "conflicts", "resolve"),
        ("db", "restore"),
        ("db", "backup", "delete"),
        ("db", "backup", "prune"),
    ],
)
def test_every_question_can_be_skipped_with_force_or_yes(path: tuple[str, ...]) -> None:
    assert {"--force", "--yes"} <= {name for each in COMMANDS[path].params for name in each.opts}


def test_without_backups_the_next_step_is_named(run: Run, recorded: Recorded) -> None:
    assert "make one with `acode-tui db backup`" in run("db", "backup", "list").stderr
    for arguments in (
        ("restore", "latest"),
        ("restore", "acode_backup_x"),
        ("backup", "verify"),
        ("backup", "delete", "x"),
    ):
        result = run("db", *arguments)
        assert result.exit_code == 1
        assert "ACODE-NOTFOUND-001" in result.stderr
    assert run("db", "restore").exit_code == 2
    assert answer(run("db", "backup", "prune", "--json")) == {"deleted": [], "kept": [], "dryRun": False}


def test_without_a_database_nothing_is_created(run: Run, root: Path) -> None:
    result = run("db", "backup")
    assert result.exit_code == 1
    assert "there is no database" in result.stderr
    assert not (root / ".agent").exists()


@pytest.mark.usefixtures("recorded")
def test_a_vacuum_reports_the_freed_space(run: Run, root: Path) -> None:
    with closing(sqlite3.connect(root / ".agent" / "workspace.db")) as connection:
        connection.executescript("CREATE TABLE gone AS SELECT randomblob(1000000); DROP TABLE gone")
    planned = answer(run("db", "vacuum", "--dry-run", "--json"))
    assert planned.keys() >= {"beforeBytes", "afterBytes"}
    done = answer(run("db", "vacuum", "--json"))
    assert done["beforeBytes"] - done["afterBytes"] > 900_000
    assert done["beforeBytes"] - planned["afterBytes"] > 900_000
    assert " before, " in run("db", "vacuum").stdout


@pytest.mark.usefixtures("recorded")
def test_prune_keeps_the_newest(run: Run) -> None:
    names = [answer(run("db", "backup", "--json"))["name"] for _ in range(3)]
    planned = answer(run("db", "backup", "prune", "--keep", "1", "--dry-run", "--json"))
    assert [each["name"] for each in planned["deleted"]] == [names[1], names[0]]
    assert len(answer(run("db", "backup", "list", "--json"))["backups"]) == 3
    done = answer(run("db", "backup", "prune", "--keep", "1", "--force", "--json"))
    assert [each["name"] for each in done["kept"]] == [names[2]]
    assert [each["name"] for each in answer(run("db", "backup", "list", "--json"))["backups"]] == [names[2]]


@pytest.mark.usefixtures("recorded")
def test_a_name_may_be_shortened_or_be_a_path(run: Run, tmp_path: Path) -> None:
    made = answer(run("db", "backup", "--json"))
    assert answer(run("db", "backup", "verify", made["name"][:-1], "--json"))["name"] == made["name"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for end in (".db", ".json"):
        path = Path(made["path"]).with_suffix(end)
        path.rename(elsewhere / path.name)
    assert answer(run("db", "restore", str(elsewhere / made["name"]), "--force", "--json"))["name"] == made["name"]
    assert json.loads((elsewhere / f"{made['name']}.json").read_text())["name"] == made["name"]
