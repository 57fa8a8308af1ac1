"""``db``: state, migrations, soundness, outbox and conflicts."""

import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Recorded, Run, answer


@pytest.mark.ac("AC-014")
def test_status_has_the_keys_of_the_contract(run: Run, recorded: Recorded) -> None:
    found = answer(run("db", "status", "--json"))
    assert {name: set(part) for name, part in found.items()} == {
        "sqlite": {"path", "sizeBytes", "schemaVersion", "targetVersion", "journalMode", "sessions", "lastModified"},
        "postgres": {"state", "reason", "hint", "host", "database", "schemaVersion", "latencyMs", "clockOffsetMs"},
        "outbox": {"pending", "oldestPendingAt", "retrying", "failed"},
        "conflicts": {"total", "unreviewed", "quarantined"},
        "sync": {"state", "holder", "lastSyncAt", "nextAttemptAt"},
    }
    assert found["sqlite"]["schemaVersion"] == found["sqlite"]["targetVersion"]
    assert found["sqlite"]["journalMode"] == "wal"
    assert found["sqlite"]["sessions"] == 1
    assert found["outbox"]["pending"] > 0
    assert found["sync"]["state"] == found["postgres"]["state"] == "disabled"
    assert found["postgres"]["reason"] == "PostgreSQL is not enabled"
    assert "config set persistence.postgres.enabled true" in found["postgres"]["hint"]
    shown = run("db", "status").stdout
    assert found["sqlite"]["schemaVersion"] in shown
    assert "config set persistence.postgres.enabled true" in shown


def test_migrate_status_and_dry_run_touch_nothing(run: Run, root: Path) -> None:
    for arguments in (("db", "migrate", "status", "--json"), ("db", "migrate", "--dry-run", "--json")):
        (tier,) = answer(run(*arguments))["tiers"]
        assert set(tier) == {"tier", "from", "to", "applied", "pending"}
        assert tier["tier"] == "sqlite"
        assert tier["from"] is None
        assert tier["applied"] == []
        assert tier["pending"][0] == "1.0.0"
    sql = run("db", "migrate", "--dry-run").stdout
    assert "CREATE TABLE sessions" in sql
    assert not (root / ".agent" / "workspace.db").exists()


def test_a_dry_run_up_to_a_version_prints_the_sql_up_to_it(run: Run, root: Path) -> None:
    tier = answer(run("db", "migrate", "--to", "1.1.0", "--dry-run", "--json"))["tiers"][0]
    assert (tier["from"], tier["to"], tier["pending"]) == (None, "1.1.0", ["1.0.0", "1.1.0"])
    sql = run("db", "migrate", "--to", "1.0.0", "--dry-run").stdout
    assert "-- sqlite 1.0.0" in sql
    assert "-- sqlite 1.1.0" not in sql
    unknown = run("db", "migrate", "--to", "7.0.0", "--dry-run")
    assert unknown.exit_code == 2
    assert "1.0.0, 1.1.0" in unknown.stderr
    assert run("db", "migrate", "--to", "1.0.0").exit_code == 2
    assert not (root / ".agent").exists()


def test_migrate_applies_pending_migrations_once(run: Run) -> None:
    first = answer(run("db", "migrate", "--json"))["tiers"][0]
    assert [set(done) for done in first["applied"]] == [{"version", "description", "durationMs"}] * len(
        first["applied"]
    )
    assert first["applied"][0]["version"] == "1.0.0"
    assert first["pending"] == []
    second = answer(run("db", "migrate", "--json"))["tiers"][0]
    assert second["applied"] == []
    assert second["from"] == second["to"] == first["to"]
    assert "nothing pending" in run("db", "migrate", "status").stdout


@pytest.mark.ac("AC-013")
def test_pending_migrations_stop_other_commands_when_they_are_not_automatic(run: Run, root: Path) -> None:
    run("db", "migrate")
    with sqlite3.connect(root / ".agent" / "workspace.db") as connection:
        newest = connection.execute("SELECT version FROM schema_migrations ORDER BY version DESC").fetchone()[0]
        connection.execute(
            "INSERT INTO schema_migrations SELECT '99.0.0', description, checksum, applied_at, "
            "duration_ms FROM schema_migrations WHERE version = ?",
            (newest,),
        )
    connection.close()
    before = (root / ".agent" / "workspace.db").read_bytes()
    result = run("session", "list")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ACODE-DB-004: ")
    assert (root / ".agent" / "workspace.db").read_bytes() == before


def test_check_of_a_sound_file_is_ok(run: Run, recorded: Recorded) -> None:
    found = answer(run("db", "check", "--json"))
    assert set(found) == {"ok", "checks"}
    assert found["ok"] is True
    assert all(set(each) == {"name", "ok", "description"} for each in found["checks"])


def test_check_finds_an_artifact_that_does_not_fit_its_hash(run: Run, recorded: Recorded, root: Path) -> None:
    with sqlite3.connect(root / ".agent" / "workspace.db") as connection:
        connection.execute("DROP TRIGGER IF EXISTS artifacts_no_update")
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'artifacts'"
        ).fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute("UPDATE artifacts SET content = x'00'")
    connection.close()
    result = run("db", "check", "--json")
    assert result.exit_code == 1
    assert '"ok":false' in result.stdout
    saved = run("artifact", "save", recorded.artifact, "-")
    assert saved.exit_code == 1
    assert saved.stderr.startswith("error: ACODE-DB-007: ")


@pytest.mark.ac("AC-035")
def test_outbox_records_are_listed_retried_and_discarded(run: Run, recorded: Recorded, root: Path) -> None:
    records = answer(run("db", "outbox", "list", "--json"))["records"]
    assert records
    assert {"id", "idempotencyKey", "entityType", "payload", "attempts", "lastError"} <= set(records[0])
    identity = str(records[0]["id"])
    alive = run("db", "outbox", "discard", identity, "--yes")
    assert alive.exit_code == 1
    assert "not a dead letter" in alive.stderr
    with sqlite3.connect(root / ".agent" / "workspace.db") as connection:
        connection.execute(
            "UPDATE outbox SET attempts = 10, failed_at = created_at, last_error = 'refused' WHERE id = ?", (identity,)
        )
    connection.close()
    assert [each["id"] for each in answer(run("db", "outbox", "list", "--status", "failed", "--json"))["records"]] == [
        int(identity)
    ]
    retried = answer(run("db", "outbox", "retry", identity, "--json"))
    assert retried["records"][0]["attempts"] == 0
    assert retried["records"][0]["failedAt"] is None
    assert (retried["retried"], retried["ids"]) == (1, [int(identity)])
    assert answer(run("db", "outbox", "retry", "--all", "--json")) == {"records": [], "retried": 0, "ids": []}
    with sqlite3.connect(root / ".agent" / "workspace.db") as connection:
        connection.execute("UPDATE outbox SET attempts = 3 WHERE id = ?", (identity,))
    connection.close()
    retried = answer(run("db", "outbox", "retry", "--all", "--json"))
    assert (retried["retried"], retried["ids"], retried["records"][0]["id"]) == (1, [int(identity)], int(identity))


@pytest.mark.parametrize(
    "arguments",
    [
        ("backup", "--json", "list"),
        ("backup", "--json", "prune", "--dry-run"),
        ("migrate", "--json", "status"),
        ("conflicts", "--json", "list"),
        ("sync", "--json", "status"),
        ("sync", "--json", "log"),
    ],
)
def test_json_of_a_group_applies_to_its_command(run: Run, recorded: Recorded, arguments: tuple[str, ...]) -> None:
    assert isinstance(answer(run("db", *arguments)), dict)


def test_a_group_without_a_command_has_no_json(run: Run) -> None:
    refused = run("db", "sync", "--json")
    assert (refused.exit_code, refused.stdout) == (2, "")


def test_discarding_asks_for_confirmation(run: Run, recorded: Recorded, root: Path) -> None:
    identity = str(answer(run("db", "outbox", "list", "--json"))["records"][0]["id"])
    with sqlite3.connect(root / ".agent" / "workspace.db") as connection:
        connection.execute("UPDATE outbox SET attempts = 10, failed_at = created_at WHERE id = ?", (identity,))
    connection.close()
    refused = run("db", "outbox", "discard", identity, input="n\n")
    assert refused.exit_code == 1
    assert "nothing was changed" in refused.stderr
    assert answer(run("db", "outbox", "list", "--status", "failed", "--json"))["records"]
    assert run("db", "outbox", "discard", identity, input="y\n").exit_code == 0
    assert answer(run("db", "outbox", "list", "--status", "failed", "--json"))["records"] == []


def test_outbox_ids_must_be_given_and_exist(run: Run) -> None:
    assert run("db", "outbox", "retry").exit_code == 2
    assert run("db", "outbox", "retry", "--all", "1").exit_code == 2
    assert run("db", "outbox", "discard").exit_code == 2
    unknown = run("db", "outbox", "discard", "999", "--yes")
    assert unknown.exit_code == 1
    assert unknown.stderr.startswith("error: ACODE-")
    assert "no pending records" in run("db", "outbox", "list").stdout


def test_an_empty_list_of_conflicts_says_that_there_are_none(run: Run) -> None:
    assert "no conflicts" in run("db", "conflicts").stdout
    assert answer(run("db", "conflicts", "list", "--json")) == {"conflicts": [], "quarantined": []}
    assert run("db", "conflicts", "show", "0190").exit_code == 1
    assert run("db", "conflicts", "resolve", "0190").exit_code == 1


@pytest.mark.ac("AC-025")
@pytest.mark.ac("AC-058")
@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "ACODE_POSTGRES_URL is not set"),
        ("", "is empty"),
        ("postgresql://me:s3cr%zzet@h/d", "%25"),
        ("postgresql://me:s3cret@h:port/d", "port"),
    ],
)
def test_local_work_goes_on_with_an_unusable_address_and_status_gives_the_reason(
    run: Run, recorded: Recorded, url: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if url is not None:
        monkeypatch.setenv("ACODE_POSTGRES_URL", url)
    assert run("config", "set", "persistence.postgres.enabled", "true").exit_code == 0
    found = answer(run("db", "status", "--json"))
    assert found["postgres"]["state"] == found["sync"]["state"] == "misconfigured"
    shown = run("db", "status")
    assert words in shown.stdout
    assert "s3cr" not in shown.output
    assert len(answer(run("session", "list", "--json"))["sessions"]) == 1
    assert answer(run("db", "outbox", "list", "--json"))["records"]
