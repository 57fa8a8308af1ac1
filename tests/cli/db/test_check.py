"""``db check``: every kind of damage has a finding, and the check changes nothing."""

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from acode_tui.storage.sqlite.connection import PAGE_BYTES
from acode_tui.storage.sqlite.files.check import run_checks
from acode_tui.storage.sqlite.search.tables import FORMAT
from tests.cli.conftest import Recorded, Run, answer
from tests.cli.test_status import trace


def bad(run: Run, *options: str) -> dict[str, str]:
    """The findings that are bad, by name."""
    result = run("db", "check", "--json", *options)
    found = json.loads(result.stdout)
    assert result.exit_code == (0 if found["ok"] else 1)
    assert found["ok"] == all(each["ok"] for each in found["checks"])
    return {each["name"]: each["description"] for each in found["checks"] if not each["ok"]}


def change(root: Path, *statements: str) -> None:
    with closing(sqlite3.connect(root / ".agent" / "workspace.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_an_undamaged_file_passes_and_is_not_changed(run: Run, recorded: Recorded, root: Path) -> None:
    before = trace(root)
    names = [each["name"] for each in answer(run("db", "check", "--deep", "--json"))["checks"]]
    assert names == [
        "integrity",
        "foreign keys",
        "migrations",
        "tables",
        "indexes",
        "triggers",
        "outbox",
        "traces",
        "counters",
        "artifact hashes",
        "search",
        "figures",
        "quarantine",
    ]
    assert trace(root) == before


@pytest.mark.parametrize(
    ("name", "statement", "word"),
    [
        ("tables", "DROP TABLE sync_log", "sync_log is missing"),
        ("tables", "ALTER TABLE steps ADD COLUMN extra TEXT", "steps is changed"),
        ("indexes", "DROP INDEX steps_by_task", "steps_by_task is missing"),
        ("triggers", "DROP TRIGGER session_events_no_update", "session_events_no_update is missing"),
        ("migrations", "UPDATE schema_migrations SET checksum = 'x' WHERE version = '1.1.0'", "another build"),
        ("traces", "DELETE FROM outbox WHERE entity_type = 'step'", "1 of steps"),
        ("traces", "DELETE FROM outbox WHERE entity_type = 'session_event'", "1 of session_events"),
        ("traces", "UPDATE outbox SET processed_at = created_at, outcome = 'applied'", "1 of sessions"),
        ("outbox", "UPDATE outbox SET entity_id = 'nobody' WHERE entity_type = 'step'", "have no row"),
        ("counters", "UPDATE session_totals SET sessions = 7", "counters differ"),
        (
            "search",
            f"UPDATE search_marks SET upto = iif(kind = 'format', {FORMAT}, 1), "
            "row_id = iif(kind = 'format', '', (SELECT id FROM sessions)) WHERE kind IN ('session', 'format')",
            "is not indexed",
        ),
        ("search", "DROP TABLE search_changes", "search_changes is missing"),
        ("search", "DROP INDEX session_facts_by_agent", "session_facts_by_agent is missing"),
        ("search", "UPDATE search_marks SET upto = 7 WHERE kind = 'format'", "another form"),
    ],
)
def test_each_damage_has_its_finding(
    run: Run, recorded: Recorded, root: Path, name: str, statement: str, word: str
) -> None:
    change(root, statement)
    before = trace(root)
    found = bad(run)
    assert set(found) == {name}
    assert word in found[name]
    assert trace(root) == before


def test_a_missing_table_is_reported(run: Run, recorded: Recorded, root: Path) -> None:
    change(root, "PRAGMA foreign_keys = OFF", "DROP TABLE artifacts")
    result = run("session", "list")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ACODE-DB-007: ")
    assert "the file has lost a table: artifacts" in result.stderr
    assert "`acode-tui db check`" in result.stderr
    assert "artifacts is missing" in bad(run)["tables"]


@pytest.mark.parametrize("table", ["steps", "outbox", "workspace_meta", "sync_log"])
def test_a_file_without_a_table_is_unhealthy_and_neither_vacuumed_nor_copied(
    run: Run, recorded: Recorded, root: Path, table: str
) -> None:
    sound = answer(run("db", "backup", "--json"))["name"]
    change(root, "PRAGMA foreign_keys = OFF", f"DROP TABLE {table}")
    before = trace(root)
    status = run("status", "--json")
    assert status.exit_code == 2
    database = json.loads(status.stdout)["checks"][0]
    assert database["status"] == "Unhealthy"
    assert f"it has lost {table}" in database["description"]
    assert "db restore" in database["suggestion"]
    for arguments in (("vacuum",), ("vacuum", "--dry-run"), ("backup",)):
        refused = run("db", *arguments)
        assert refused.exit_code == 1
        assert refused.stderr.startswith("error: ACODE-DB-007: ")
        assert f"the file has lost {table}" in refused.stderr
        assert "`acode-tui db restore`" in refused.stderr
        assert "`acode-tui db recover --from postgres`" in refused.stderr
    assert trace(root / ".agent" / "backups") == {
        name.removeprefix(".agent/backups/"): what
        for name, what in before.items()
        if name.startswith(".agent/backups/")
    }
    restored = answer(run("db", "restore", sound, "--force", "--json"))
    assert restored["safetyBackup"] is None
    assert ".corrupted-" in restored["keptAs"]
    assert run("db", "check").exit_code == 0


def test_a_backup_without_a_table_is_damaged(run: Run, recorded: Recorded, root: Path) -> None:
    made = answer(run("db", "backup", "--json"))
    copy, manifest = Path(made["path"]), Path(made["path"]).with_suffix(".json")
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("DROP TABLE sync_log")
    described = json.loads(manifest.read_text())
    described |= {"sizeBytes": copy.stat().st_size, "sha256": hashlib.sha256(copy.read_bytes()).hexdigest()}
    manifest.write_text(json.dumps(described))
    verified = run("db", "backup", "verify", "--json")
    assert verified.exit_code == 1
    assert json.loads(verified.stdout)["checks"][-1] == {"name": "tables", "ok": False, "description": "lost: sync_log"}
    refused = run("db", "restore", made["name"], "--force")
    assert (refused.exit_code, refused.stderr[:22]) == (1, "error: ACODE-DB-007: t")


def test_the_search_index_is_compared_while_another_process_writes(run: Run, recorded: Recorded, root: Path) -> None:
    with closing(sqlite3.connect(root / ".agent" / "workspace.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = answer(run("db", "check", "--json"))
    (search,) = (each for each in found["checks"] if each["name"] == "search")
    assert search == {
        "name": "search",
        "ok": True,
        "description": "the index fits its rows, as far as they were compared",
    }


def test_figures_that_are_not_those_of_the_rows_are_found(run: Run, recorded: Recorded, root: Path) -> None:
    answer(run("stats", "--json"))
    change(root, "UPDATE figures_by_day SET calls = calls + 1")
    found = bad(run)
    assert set(found) == {"figures"}
    assert "figures_by_day" in found["figures"]
    assert "`acode-tui db search rebuild`" in found["figures"]
    answer(run("db", "search", "rebuild", "--json"))
    assert bad(run, "--deep") == {}


@pytest.mark.parametrize(
    "table", ["search_index", "search_terms", "search_documents", "search_marks", "search_changes", "session_facts"]
)
def test_a_file_without_its_search_index_is_whole(run: Run, recorded: Recorded, root: Path, table: str) -> None:
    """Every row is there: the file is healthy, copied, rewritten and read; only a search names the way out."""
    answer(run("session", "list", "--search", "validation", "--json"))
    change(root, f"DROP TABLE {table}")
    assert "search" in bad(run)
    assert "`acode-tui db search rebuild`" in bad(run)["search"]
    assert set(bad(run)) == {"search"}
    database = json.loads(run("status", "--json").stdout)["checks"][0]
    assert database["status"] == "Healthy"
    assert answer(run("session", "list", "--json"))["total"] == 1
    for arguments in (("backup",), ("vacuum",)):
        assert run("db", *arguments).exit_code == 0
    refused = run("session", "list", "--search", "validation agent:codex")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: ACODE-DB-007: the search index is missing; every row is safe")
    assert "`acode-tui db search rebuild`" in refused.stderr


def test_a_child_without_its_parent_is_found(run: Run, recorded: Recorded, root: Path) -> None:
    change(root, "UPDATE steps SET task_id = 'nobody'")
    assert set(bad(run)) == {"foreign keys"}


def test_discarded_and_delivered_rows_need_no_outbox_record(run: Run, recorded: Recorded, root: Path) -> None:
    change(root, "UPDATE outbox SET processed_at = created_at, outcome = 'discarded' WHERE entity_type = 'step'")
    assert bad(run) == {}
    change(
        root,
        *(f"UPDATE {table} SET sync_version = 1" for table in ("sessions", "session_tasks", "steps", "tool_calls")),
        "DELETE FROM outbox",
    )
    assert bad(run) == {}


@pytest.mark.parametrize("damage", ["noise", "page"])
def test_a_damaged_file_is_reported_and_not_changed(run: Run, recorded: Recorded, root: Path, damage: str) -> None:
    database = root / ".agent" / "workspace.db"
    data = bytearray(database.read_bytes())
    if damage == "noise":
        data = bytearray(b"no database" * 1000)
    else:
        data[PAGE_BYTES * 4 : PAGE_BYTES * 5] = b"\xa5" * PAGE_BYTES
    database.write_bytes(data)
    before = hashlib.sha256(data).hexdigest()
    assert "integrity" in bad(run)
    shown = run("db", "check")
    assert shown.exit_code == 1
    assert "db recover --from postgres" in shown.stderr
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before


@pytest.mark.parametrize("questions", [0, 1, 5, 9])
def test_the_check_can_be_cancelled(recorded: Recorded, root: Path, questions: int) -> None:
    from acode_tui.ops.cancellable_thread import Stopped

    asked: list[str] = []

    def count_call() -> None:
        if len(asked) > questions:
            raise Stopped

    with pytest.raises(Stopped):
        run_checks(
            root / ".agent" / "workspace.db", deep=True, seconds=1, check_cancelled=count_call, on_step=asked.append
        )
    assert len(asked) == questions + 1


def test_a_missing_file_is_an_error_and_is_not_created(run: Run, root: Path) -> None:
    result = run("db", "check")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ACODE-DB-001: ")
    assert list(root.iterdir()) == []


def test_an_older_file_is_checked_and_not_migrated(run: Run, root: Path) -> None:
    from acode_tui.storage.migrations.runner import packaged
    from acode_tui.storage.sqlite.connection import connect_to, prepare_file
    from acode_tui.storage.sqlite.migrate import migrate

    database = root / ".agent" / "workspace.db"
    prepare_file(database)
    assert bad(run) == {}
    with closing(connect_to(database, timeout_seconds=1)) as connection:
        migrate(connection, packaged("sqlite")[:1], lock_path=root / ".agent" / "lock")
    before = trace(root)
    checks: Any = answer(run("db", "check", "--json"))["checks"]
    assert "pending: 1.1.0, 1.2.0, 1.3.0" in {each["name"]: each["description"] for each in checks}["migrations"]
    assert trace(root) == before


def test_a_newer_file_fails_the_check(run: Run, recorded: Recorded, root: Path) -> None:
    change(
        root,
        "INSERT INTO schema_migrations SELECT '99.0.0', description, checksum, applied_at, duration_ms "
        "FROM schema_migrations LIMIT 1",
        "DROP INDEX steps_by_task",
    )
    assert set(bad(run)) == {"migrations"}


def test_the_team_is_checked_only_if_postgres_is_enabled(run: Run, recorded: Recorded, root: Path) -> None:
    assert "not enabled" in bad(run, "--remote")["remote"]
    shutil.rmtree(root / ".agent")
