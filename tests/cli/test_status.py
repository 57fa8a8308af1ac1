"""``status``: exit codes, keys, and that it changes nothing in any workspace."""

import hashlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from acode_tui.storage.sqlite.connection import PAGE_BYTES
from acode_tui.storage.sqlite.files import inspect
from acode_tui.storage.sqlite.files.open_unchanged import write_lock_wait
from tests.cli.conftest import Recorded, Run
from tests.clocks import GUARD_SECONDS
from tests.pg import Database, free_port

NAMES = [
    "database",
    "schema",
    "sync_queue",
    "dead_letters",
    "conflicts",
    "storage",
    "sqlite_library",
    "clock_offset",
    "workspace_clock",
]


@pytest.fixture(autouse=True)
def calm_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the tests independent of the machine's SQLite version, disk and speed."""
    monkeypatch.setattr(inspect, "library_version", lambda: (3, 99, 0))
    for name in ("STORAGE_DEGRADED_PERCENT", "STORAGE_UNHEALTHY_PERCENT", "STORAGE_DEGRADED_BYTES"):
        monkeypatch.setenv(f"ACODE_HEALTH__{name}", "0")
    monkeypatch.setenv("ACODE_HEALTH__DATABASE_SLOW_MS", "60000")


def checks(result: Result) -> dict[str, Any]:
    found = json.loads(result.stdout)
    assert list(found) == ["status", "checks"]
    assert [each["name"] for each in found["checks"]] == NAMES
    for each in found["checks"]:
        assert list(each) == ["name", "status", "durationMs", "description", "details", "suggestion"]
        assert each["status"] in ("Healthy", "Degraded", "Unhealthy")
        assert bool(each["suggestion"]) == (each["status"] != "Healthy")
    ranks = ["Healthy", "Degraded", "Unhealthy"]
    assert found["status"] == max((each["status"] for each in found["checks"]), key=ranks.index)
    assert result.exit_code == ranks.index(found["status"])
    return {each["name"]: each for each in found["checks"]}


def trace(folder: Path) -> dict[str, tuple[int, object]]:
    """Everything in a folder: modes, and for files the time of the last change and the content.

    Only the index of the WAL is left out: it is no part of what is stored, and readers leave their marks in it.
    """
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
            if path.is_file() and not path.name.endswith("-shm")
            else None,
        )
        for path in sorted(folder.rglob("*"))
    }


def test_a_sound_workspace_is_healthy_and_exits_0(run: Run, recorded: Recorded) -> None:
    result = run("status", "--json")
    assert result.exit_code == 0
    checks(result)
    shown = run("status").stdout
    assert "Healthy" in shown
    assert "Unhealthy" not in shown


def test_a_librarys_known_bug_is_a_warning_and_exits_0(
    run: Run, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect, "library_version", lambda: (3, 40, 1))
    result = run("status", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["status"]) == (0, "Healthy")
    assert {each["name"] for each in found["checks"] if each["status"] == "Degraded"} == {"sqlite_library"}
    shown = run("status").stdout
    assert "WAL-reset bug" in shown
    assert "Healthy, with 1 warning (" in shown
    monkeypatch.setattr(inspect, "library_version", lambda: (3, 36, 0))
    assert run("status", "--json").exit_code == 2


def test_status_changes_nothing_and_leaves_no_files(run: Run, recorded: Recorded, root: Path) -> None:
    before = trace(root)
    assert run("status").exit_code == 0
    assert trace(root) == before


def test_a_wal_is_read_and_kept(run: Run, recorded: Recorded, root: Path) -> None:
    database = root / ".agent" / "workspace.db"
    code = (
        f"import os, sqlite3; c = sqlite3.connect({str(database)!r}, isolation_level=None)\n"
        "c.execute('UPDATE outbox SET attempts = 10, failed_at = created_at WHERE id = 1'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    before = trace(root)
    result = run("status", "--json")
    assert checks(result)["dead_letters"]["details"]["count"] == 1
    assert result.exit_code == 1
    assert trace(root) == before


def test_a_missing_workspace_is_a_finding_and_is_not_created(run: Run, root: Path) -> None:
    result = run("status", "--json")
    assert result.exit_code == 2
    assert "no database" in checks(result)["database"]["description"]
    assert list(root.iterdir()) == []


def test_a_newer_database_is_unhealthy_and_not_changed(run: Run, recorded: Recorded, root: Path) -> None:
    with closing(sqlite3.connect(root / ".agent" / "workspace.db")) as connection, connection:
        connection.execute(
            "INSERT INTO schema_migrations SELECT '99.0.0', description, checksum, applied_at, duration_ms "
            "FROM schema_migrations LIMIT 1"
        )
    before = trace(root)
    result = run("status", "--json")
    assert result.exit_code == 2
    assert "99.0.0" in checks(result)["schema"]["description"]
    assert trace(root) == before


def test_pending_migrations_are_degraded_and_stay_pending(run: Run, recorded: Recorded, root: Path) -> None:
    with closing(sqlite3.connect(root / ".agent" / "workspace.db")) as connection, connection:
        connection.execute("DELETE FROM schema_migrations WHERE version >= '1.2.0'")
        connection.execute("DROP TABLE sync_conflicts")
    before = trace(root)
    found = checks(run("status", "--json"))
    assert found["schema"]["status"] == "Degraded"
    assert found["schema"]["suggestion"] == "acode-tui db migrate"
    assert found["conflicts"]["status"] == "Healthy"
    assert trace(root) == before


@pytest.mark.parametrize("damage", ["noise", "page", "truncated", "emptied"])
def test_a_damaged_database_is_unhealthy_and_not_changed(run: Run, recorded: Recorded, root: Path, damage: str) -> None:
    database = root / ".agent" / "workspace.db"
    data = bytearray(database.read_bytes())
    if damage == "noise":
        data = bytearray(b"no database" * 1000)
    elif damage == "page":
        data[PAGE_BYTES * 4 : PAGE_BYTES * 5] = b"\xa5" * PAGE_BYTES
    else:
        del data[len(data) // 2 if damage == "truncated" else 0 :]
    database.write_bytes(data)
    before = trace(root)
    result = run("status", "--json")
    assert result.exit_code == 2
    assert checks(result)["database"]["status"] == "Unhealthy"
    assert trace(root) == before


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)])
def test_a_path_that_is_not_a_file_is_not_opened(run: Run, root: Path, make: Callable[[Path], None]) -> None:
    (root / ".agent").mkdir()
    make(root / ".agent" / "workspace.db")
    assert run("status").exit_code == 2
    assert run("db", "check").exit_code == 1
    assert [path.name for path in (root / ".agent").iterdir()] == ["workspace.db"]


@pytest.fixture
def write_lock(recorded: Recorded, root: Path) -> Iterator[None]:
    with closing(sqlite3.connect(root / ".agent" / "workspace.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def test_a_lock_that_is_never_released_is_unhealthy(
    run: Run, write_lock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait ends before the check does, so the description gives the reason. Only here it ends sooner still."""
    monkeypatch.setenv("ACODE_HEALTH__CHECK_TIMEOUT_SECONDS", str(GUARD_SECONDS))
    allowed: list[float] = []

    def short_wait(path: Path, *, seconds: float) -> float:
        allowed.append(seconds)
        return write_lock_wait(path, seconds=0.05)

    monkeypatch.setattr(inspect, "write_lock_wait", short_wait)
    result = run("status", "--json")
    assert result.exit_code == 2
    found = checks(result)
    assert "locked" in found["database"]["description"]
    assert found["sync_queue"]["status"] == "Healthy"
    assert len(allowed) == 1
    assert GUARD_SECONDS / 4 < allowed[0] < GUARD_SECONDS


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_an_unreadable_file_is_a_finding(run: Run, recorded: Recorded, root: Path) -> None:
    (root / ".agent" / "workspace.db").chmod(0)
    assert run("status", "--json").exit_code == 2


def test_a_workspace_that_cannot_be_checked_exits_3(run: Run, root: Path) -> None:
    (root / ".agent").mkdir()
    (root / ".agent" / "config.toml").write_text("[health]\nqueue_degraded = 'many'\n")
    result = run("status", "--json")
    assert result.exit_code == 3
    assert result.stderr.startswith("error: ACODE-CONFIG-001: ")
    assert result.stdout == ""


@pytest.mark.ac("AC-025")
@pytest.mark.ac("AC-058")
def test_an_unreachable_server_is_degraded_with_the_reason(
    run: Run, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACODE_POSTGRES_URL", f"postgresql://me:s3cret@127.0.0.1:{free_port()}/shop")
    run("config", "set", "persistence.postgres.enabled", "true")
    result = run("status", "--json")
    assert result.exit_code == 1
    found = checks(result)
    assert found["schema"]["status"] == "Degraded"
    assert found["sync_queue"]["status"] == "Healthy"
    assert "s3cret" not in result.output


def test_a_silent_server_is_unreachable(run: Run, recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACODE_HEALTH__CHECK_TIMEOUT_SECONDS", str(GUARD_SECONDS))
    run("config", "set", "persistence.postgres.connect_timeout_seconds", "0.2")
    run("config", "set", "persistence.postgres.enabled", "true")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("ACODE_POSTGRES_URL", f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/shop")
        found = checks(run("status", "--json"))
    assert {each["name"]: each["status"] for each in found.values() if each["status"] != "Healthy"} == {
        "schema": "Degraded"
    }


async def test_a_reachable_server_is_checked_on_both_sides(
    run: Run, recorded: Recorded, pg_database: Database, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    monkeypatch.setenv("ACODE_POSTGRES_URL", pg_database.url)
    run("config", "set", "persistence.postgres.enabled", "true")

    async def status() -> Result:
        return await asyncio.to_thread(run, "status", "--json")

    found = checks(await status())
    assert found["schema"]["status"] == found["clock_offset"]["status"] == "Healthy"
    assert found["schema"]["details"]["postgres"]["version"] == "1.5.0"
    assert found["clock_offset"]["details"]["offsetSeconds"] is not None

    with closing(sqlite3.connect(root / ".agent" / "workspace.db")) as connection, connection:
        connection.execute("UPDATE outbox SET created_at = '2020-01-01T00:00:00.000000Z'")
    found = checks(await status())
    assert found["sync_queue"]["status"] == "Unhealthy"
    assert "none finished" in found["sync_queue"]["description"]

    await pg_database.execute("UPDATE schema_migrations SET version = '99.0.0' WHERE version = '1.5.0'")
    result = await status()
    assert result.exit_code == 2
    assert checks(result)["schema"]["status"] == "Unhealthy"
    shutil.rmtree(root / ".agent" / "logs", ignore_errors=True)


@pytest.mark.parametrize(
    "command", ["status", "db status", "session list", "config show", "diagnostics", "trust", "stats"]
)
def test_a_user_without_a_home_has_every_command(
    run: Run, recorded: Recorded, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """As in a container with a uid of its own: no HOME, and no entry among the users."""

    def unknown(uid: int) -> Any:
        raise KeyError(uid)

    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    result = run(*command.split())
    assert result.exit_code in (0, 1)  # 1: degraded, for a disk that is almost full
    assert "ACODE-000" not in result.output
