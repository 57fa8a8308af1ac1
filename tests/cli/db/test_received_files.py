"""A database that somebody else made: nothing in it runs, and damage of any kind is one line with a code."""

import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from acode_tui.storage.sqlite.files.backup_catalog import Manifest
from acode_tui.storage.sqlite.files.backup_verify import file_sha256
from tests.cli.conftest import Recorded, Run
from tests.cli.test_hostile_folder import outcome

HOSTILE_OBJECTS = (
    "CREATE TRIGGER planted AFTER INSERT ON sessions BEGIN DELETE FROM steps; END",
    "CREATE TRIGGER planted AFTER UPDATE ON outbox BEGIN UPDATE outbox SET payload = 'x'; END",
    "CREATE VIEW planted AS WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n",
    "CREATE VIRTUAL TABLE planted USING fts5 (x)",
    "CREATE VIRTUAL TABLE planted USING rtree (id, a, b)",
    "CREATE TABLE planted (x)",
    "CREATE INDEX planted ON sessions (abs(id))",
    "DROP TRIGGER session_totals_insert;"
    " CREATE TRIGGER session_totals_insert AFTER INSERT ON sessions BEGIN DELETE FROM steps; END",
    "DROP INDEX steps_by_task; CREATE INDEX steps_by_task ON steps (hex(id))",
    "ALTER TABLE steps ADD COLUMN planted TEXT AS (printf('%999999999s', name)) VIRTUAL",
    "PRAGMA writable_schema = ON;"
    " UPDATE sqlite_master SET sql = 'CREATE VIEW sync_log AS SELECT 1', type = 'view' WHERE name = 'sync_log'",
    "CREATE TRIGGER planted AFTER INSERT ON sessions BEGIN DELETE FROM steps; END; PRAGMA writable_schema = ON;"
    " UPDATE sqlite_master SET name = 'sqlite_stat1' WHERE name = 'planted'",
)
OPENING = ("session list", "search validation", "db sync status", "db outbox list", "db vacuum", "db backup", "status")


def change(database: Path, script: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.executescript(script)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


@pytest.fixture
def database(recorded: Recorded, root: Path) -> Path:
    return root / ".agent" / "workspace.db"


@pytest.mark.parametrize("script", HOSTILE_OBJECTS)
def test_a_file_with_an_object_that_acode_tui_did_not_make_is_not_used(run: Run, database: Path, script: str) -> None:
    change(database, script)
    before = database.read_bytes()
    for command in OPENING:
        result = run(*command.split(" "))
        outcome(result, command)
        assert result.exit_code, command
        if command != "status":
            assert "error: ACODE-DB-007" in result.stderr, command
    assert run("db", "check").exit_code == 1
    assert database.read_bytes() == before


@pytest.mark.parametrize("script", HOSTILE_OBJECTS)
def test_a_backup_with_such_an_object_is_not_restored(run: Run, database: Path, script: str) -> None:
    assert run("db", "backup").exit_code == 0
    (copy,) = (database.parent / "backups").glob("*.db")
    change(copy, script)
    manifest = msgspec.json.decode(copy.with_suffix(".json").read_bytes(), type=Manifest)
    described = msgspec.structs.replace(
        manifest, size_bytes=copy.stat().st_size, sha256=file_sha256(copy, lambda: None)
    )
    copy.with_suffix(".json").write_bytes(msgspec.json.encode(described))
    before = database.read_bytes()
    result = run("db", "restore", "latest", "--force")
    outcome(result, "db restore")
    assert result.exit_code == 1
    assert "ACODE-DB-007" in result.stderr
    assert database.read_bytes() == before


def test_a_view_or_a_virtual_table_in_an_export_is_not_read(run: Run, root: Path, database: Path) -> None:
    export = root / "runs.db"
    assert run("db", "export", "--format", "sqlite", "--output", str(export)).exit_code == 0
    for script in (
        "ALTER TABLE steps RENAME TO s2; CREATE VIEW steps AS SELECT * FROM s2",
        "CREATE TRIGGER planted AFTER INSERT ON sessions BEGIN DELETE FROM steps; END",
        "CREATE TABLE planted (x)",
        "CREATE INDEX planted ON sessions (abs(id))",
    ):
        changed = root / "changed.db"
        shutil.copy(export, changed)
        change(changed, script)
        result = run("db", "import", str(changed))
        outcome(result, script)
        assert result.exit_code == 1, script
        assert "ACODE-EXPORT-001" in result.stderr


def test_statistics_that_sqlite_collected_are_no_foreign_object(run: Run, database: Path) -> None:
    change(database, "ANALYZE")
    assert run("session", "list").exit_code == 0
    assert run("db", "check").exit_code == 0


Damage = Callable[[bytes, random.Random], bytes]

COMMANDS = (
    "status",
    "session list",
    "session list --search validation",
    "session show SESSION",
    "search validation",
    "artifact show ARTIFACT --content",
    "db check",
    "db check --deep",
    "db status",
    "db outbox list",
    "db conflicts list",
    "db sync status",
    "db vacuum",
    "db export --format json --output ROOT/out.json --force",
    "db export --format sqlite --output ROOT/out.db --force",
    "db backup",
    "db search rebuild",
    "diagnostics",
)


def damaged(data: bytes, source: random.Random) -> bytes:
    """The bytes with a few of them changed, a stretch overwritten or moved, or an end cut off."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 3, 20))):
        at = source.randrange(len(changed))
        kind = source.choice(("bit", "byte", "zeros", "noise", "copy"))
        length = source.choice((1, 8, 100, 4096))
        if kind == "bit":
            changed[at] ^= 1 << source.randrange(8)
        elif kind == "byte":
            changed[at] = source.randrange(256)
        elif kind == "zeros":
            changed[at : at + length] = bytes(min(length, len(changed) - at))
        elif kind == "noise":
            changed[at : at + length] = source.randbytes(min(length, len(changed) - at))
        else:
            start = source.randrange(len(changed))
            stretch = bytes(changed[start : start + min(length, len(changed) - at)])
            changed[at : at + len(stretch)] = stretch
    if source.random() < 0.1:
        del changed[source.randrange(len(changed)) :]
    return bytes(changed)


WORDS = (b"Planning", b"Created", b"2026-", b"{", b"text/plain", b"application", b"session", b"Add", b"00Z")


def weighted(data: bytes, source: random.Random) -> bytes:
    """Damage within the texts and numbers of rows: SQLite sees a sound file, the program must not trust it."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 2, 5))):
        word = source.choice(WORDS)
        places = [found.start() for found in re.finditer(re.escape(word), data)]
        if places:
            at = source.choice(places)
            changed[at : at + len(word)] = source.choice(
                (source.randbytes(len(word)), b"\xff" * len(word), b"\0" * len(word), b"9" * len(word), word[::-1])
            )
    return bytes(changed)


@pytest.fixture
def whole(run: Run, database: Path) -> bytes:
    """A file without a WAL."""
    change(database, "SELECT 1")
    return database.read_bytes()


@pytest.mark.parametrize("how", [damaged, weighted])
def test_a_damaged_file_is_one_line_with_a_code_for_every_command(
    run: Run, recorded: Recorded, root: Path, database: Path, whole: bytes, how: Damage
) -> None:
    source = random.Random(0)
    names = {"SESSION": recorded.session, "ARTIFACT": recorded.artifact}
    for command in COMMANDS:
        for suffix in ("-wal", "-shm", "-journal"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
        database.write_bytes(how(whole, source))
        words = [names.get(word, word.replace("ROOT", str(root))) for word in command.split(" ")]
        result = run(*words)
        outcome(result, command)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_is_never_imported_by_halves(
    run: Run, recorded: Recorded, root: Path, tmp_path: Path, seed: int
) -> None:
    export = tmp_path / "runs.db"
    assert run("db", "export", "--format", "sqlite", "--output", str(export)).exit_code == 0
    whole, source = export.read_bytes(), random.Random(seed)
    other = tmp_path / "other"
    other.mkdir()
    for how in (damaged, weighted):
        for _ in range(4):
            export.write_bytes(how(whole, source))
            result = run("--workspace", str(other), "db", "import", str(export))
            outcome(result, "db import")


def test_a_value_too_large_to_be_one_is_refused_before_it_is_read(
    run: Run, recorded: Recorded, root: Path, tmp_path: Path
) -> None:
    import resource

    export = tmp_path / "runs.db"
    assert run("db", "export", "--format", "sqlite", "--output", str(export)).exit_code == 0
    change(export, "UPDATE sessions SET task_description = CAST(zeroblob(400000000) AS TEXT)")
    other = tmp_path / "other"
    other.mkdir()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = run("--workspace", str(other), "db", "import", str(export))
    outcome(result, "db import")
    assert result.exit_code == 1
    assert "has a value larger than 67.1 MB" in result.stderr
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 200_000_000
