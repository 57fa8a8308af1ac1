"""``db conflicts`` on a workspace with one conflict: both versions are shown, and the other one can be taken."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from acode_tui.domain.ids import new_id
from tests.cli.conftest import Recorded, Run, answer


@pytest.fixture
def conflict(run: Run, recorded: Recorded, root: Path) -> str:
    """A conflict over the recorded session that the remote version lost."""
    graph = answer(run("session", "show", recorded.session, "--json"))
    local = {name: value for name, value in graph.items() if name not in ("tasks", "events")}
    remote = {**local, "taskDescription": "the other \x1b[31mversion", "updatedAt": "2026-01-01T00:00:00.000000Z"}
    identity = new_id()
    with sqlite3.connect(root / ".agent" / "workspace.db") as connection:
        connection.execute(
            "INSERT INTO sync_conflicts VALUES (?, ?, 'session', ?, ?, ?, ?, ?, 'local', ?, NULL)",
            (
                identity,
                recorded.session,
                recorded.session,
                json.dumps(local),
                json.dumps(remote),
                local["updatedAt"],
                remote["updatedAt"],
                local["updatedAt"],
            ),
        )
    connection.close()
    return identity


@pytest.mark.ac("AC-052")
def test_both_versions_are_shown(run: Run, conflict: str) -> None:
    (found,) = answer(run("db", "conflicts", "list", "--unreviewed", "--json"))["conflicts"]
    assert found["id"] == conflict
    assert found["winner"] == "local"
    assert found["remotePayload"]["taskDescription"].startswith("the other")
    assert found["localPayload"]["id"] == found["remotePayload"]["id"]
    shown = run("db", "conflicts", "show", conflict[:20])
    assert "taskDescription" in shown.stdout
    assert "the other ␛[31mversion" in shown.stdout
    assert conflict[:13] in run("db", "conflicts").stdout
    assert answer(run("db", "conflicts", "--json"))["conflicts"] == [found]


@pytest.mark.ac("AC-051")
def test_resolving_marks_a_conflict_reviewed_and_lowers_the_count(run: Run, conflict: str) -> None:
    assert answer(run("db", "status", "--json"))["conflicts"] == {"total": 1, "unreviewed": 1, "quarantined": 0}
    (resolved,) = answer(run("db", "conflicts", "resolve", conflict, "--json"))["conflicts"]
    assert resolved["reviewedAt"] is not None
    assert answer(run("db", "status", "--json"))["conflicts"] == {"total": 1, "unreviewed": 0, "quarantined": 0}
    assert "no conflicts to review" in run("db", "conflicts", "list", "--unreviewed").stdout


def test_taking_the_other_version_asks_for_confirmation_and_writes_it(
    run: Run, conflict: str, recorded: Recorded
) -> None:
    assert run("db", "conflicts", "resolve", conflict, "--take-other", input="n\n").exit_code == 1
    assert run("db", "conflicts", "resolve", conflict, "--take-other", "--yes").exit_code == 0
    graph = answer(run("session", "show", recorded.session, "--json"))
    assert graph["taskDescription"].startswith("the other")


def test_rows_kept_aside_are_listed_beside_the_conflicts(run: Run, recorded: Recorded, root: Path) -> None:
    with closing(sqlite3.connect(root / ".agent" / "workspace.db")) as connection, connection:
        connection.execute(
            "INSERT INTO quarantined_rows VALUES ('step', 'the-id', 'its-session', 7, 'state: is none that this "
            "program knows', NULL, NULL, NULL, '2026-01-05T18:23:45.123456Z', 'Read \x1b[31m the form')"
        )
    (aside,) = answer(run("db", "conflicts", "--json"))["quarantined"]
    assert aside == {
        "entityType": "step",
        "entityId": "the-id",
        "sessionId": "its-session",
        "changeSeq": 7,
        "reason": "state: is none that this program knows",
        "seenAt": "2026-01-05T18:23:45.123456Z",
        "excerpt": "Read \x1b[31m the form",
    }
    shown = run("db", "conflicts").stdout
    assert "1 row of the team's database kept aside" in shown
    assert "is none that this program knows" in shown
    assert "\x1b[31m" not in shown
    found = {each["name"]: each for each in json.loads(run("status", "--json").stdout)["checks"]}
    assert found["conflicts"]["status"] == "Degraded"
    assert found["conflicts"]["suggestion"] == "acode-tui db conflicts"


def test_a_clock_that_ran_ahead_is_shown_and_repaired(run: Run, recorded: Recorded, root: Path) -> None:
    with closing(sqlite3.connect(root / ".agent" / "workspace.db")) as connection, connection:
        connection.execute("UPDATE workspace_meta SET value = '2999-01-01T00:00:00.000000Z' WHERE key = 'clock_last'")
    clock = {each["name"]: each for each in json.loads(run("status", "--json").stdout)["checks"]}["workspace_clock"]
    assert clock["status"] == "Degraded"
    assert clock["suggestion"] == "acode-tui db check --repair-clock"
    for expected in ("follow the clock from now on", "nothing to repair"):
        result = run("db", "check", "--repair-clock", "--json")
        assert result.exit_code == 0
        assert expected in {each["name"]: each for each in answer(result)["checks"]}["workspace clock"]["description"]
