"""Opening a workspace: which files are created, with which modes, and what is refused and left unchanged."""

import hashlib
import json
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from acode_tui import logs
from acode_tui.config import IdentitySettings, PersistenceSettings, Settings, SqliteSettings
from acode_tui.config.workspace_root import find_root
from acode_tui.domain.errors import AcodeError, DatabaseConnectionError, IntegrityError, SchemaMismatchError
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.sqlite import connection
from acode_tui.storage.sqlite.connection import PAGE_BYTES, prepare_file, require_sqlite
from acode_tui.workspace import Workspace, open_workspace
from tests.clocks import GUARD_SECONDS
from tests.storage.sqlite.parts import contents, foreign, rows


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fingerprint(path: Path) -> tuple[str, float]:
    return hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime


def with_path(path: Path | str, settings: Settings) -> Settings:
    sqlite = SqliteSettings(path=str(path))
    return msgspec.structs.replace(settings, persistence=PersistenceSettings(sqlite=sqlite))


@pytest.fixture
def umask_022() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.ac("AC-001")
async def test_the_file_is_in_dot_agent_with_its_wal_beside_it(workspace: Workspace, tmp_path: Path) -> None:
    await workspace.store.create_session("x")
    assert workspace.database_path == tmp_path / ".agent" / "workspace.db"
    assert {each.name for each in (tmp_path / ".agent").iterdir()} >= {
        "workspace.db",
        "workspace.db-wal",
        "workspace.db-shm",
    }


@pytest.mark.ac("AC-001")
@pytest.mark.parametrize("name", ["data/runs.db", "runs #1?mode=memory&x=%41.db"])
async def test_the_path_can_be_configured(name: str, tmp_path: Path, plain_settings: Settings) -> None:
    async with open_workspace(tmp_path, settings=with_path(name, plain_settings)) as ws:
        await ws.store.create_session("x")
        assert (tmp_path / name).stat().st_size > 0
        assert (tmp_path / f"{name}-wal").exists()
        assert not (tmp_path / ".agent" / "workspace.db").exists()


@pytest.mark.ac("AC-002")
async def test_every_connection_uses_the_wal(workspace: Workspace) -> None:
    assert rows(workspace.database_path, "PRAGMA journal_mode") == [("wal",)]


@pytest.mark.ac("AC-004")
async def test_a_missing_folder_is_made_with_the_newest_schema(tmp_path: Path, plain_settings: Settings) -> None:
    root = tmp_path / "not" / "yet" / "there"
    async with open_workspace(root, settings=plain_settings) as ws:
        status = await ws.schema()
        assert status.version == status.target == packaged("sqlite")[-1].version
        assert status.pending == ()
        assert (await ws.store.list()).total == 0


@pytest.mark.ac("AC-014")
async def test_the_schema_version_can_be_read(workspace: Workspace) -> None:
    status = await workspace.schema()
    facts = await workspace.database_facts()
    assert status.tier == "sqlite"
    assert facts.schema_version == facts.target_version == status.version
    assert rows(workspace.database_path, "SELECT version FROM schema_migrations WHERE version = ?", status.version)


@pytest.mark.ac("AC-003")
def test_a_sqlite_without_strict_tables_is_refused_by_its_version() -> None:
    with pytest.raises(SchemaMismatchError, match=r"SQLite 3\.36\.0 .* 3\.37"):
        require_sqlite((3, 36, 0))
    require_sqlite((3, 37, 0))


@pytest.mark.ac("AC-057")
@pytest.mark.usefixtures("umask_022")
async def test_files_are_private_under_umask_022(tmp_path: Path, plain_settings: Settings) -> None:
    async with open_workspace(tmp_path, settings=plain_settings) as ws:
        await ws.store.create_session("x")
        assert mode(tmp_path / ".agent") == 0o700
        for suffix in ("", "-wal", "-shm"):
            assert mode(tmp_path / ".agent" / f"workspace.db{suffix}") == 0o600, suffix
        locks = tmp_path / ".agent" / "locks"
        assert mode(locks) == 0o700
        assert {mode(each) for each in locks.iterdir()} == {0o600}


async def test_a_folder_s_name_with_nul_is_refused() -> None:
    with pytest.raises(DatabaseConnectionError, match="contains NUL"):
        async with open_workspace("/x\0y"):
            pass


@pytest.mark.ac("AC-057")
async def test_looser_modes_are_tightened(tmp_path: Path, plain_settings: Settings) -> None:
    agent = tmp_path / ".agent"
    async with open_workspace(tmp_path, settings=plain_settings) as ws:
        await ws.store.create_session("x")
        agent.chmod(0o755)
        for suffix in ("", "-wal", "-shm", ".lock"):
            (agent / f"workspace.db{suffix}").chmod(0o644)
        async with open_workspace(tmp_path, settings=plain_settings) as second:
            await second.store.create_session("y")
            assert mode(agent) == 0o700
            for suffix in ("", "-wal", "-shm", ".lock"):
                assert mode(agent / f"workspace.db{suffix}") == 0o600, suffix


@pytest.mark.ac("AC-057")
async def test_modes_in_dot_agent_are_tightened_except_those_of_user_files(
    tmp_path: Path, plain_settings: Settings
) -> None:
    agent, outside = tmp_path / ".agent", tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o755)
    async with open_workspace(tmp_path, settings=plain_settings):
        pass
    own = [agent / "workspace.id"]
    for name in ("backups", "exports", "locks", "logs"):
        (agent / name).mkdir(exist_ok=True)
        (agent / name).chmod(0o755)
        own.append(agent / name / "file")
    config = agent / "config.toml"
    for path in (*own, config, outside / "file"):
        path.touch()
        path.chmod(0o644)
    (agent / "logs" / "link").symlink_to(outside / "file")
    async with open_workspace(tmp_path, settings=plain_settings):
        for name in ("backups", "locks", "logs"):
            assert (mode(agent / name), mode(agent / name / "file")) == (0o700, 0o600), name
        assert mode(agent / "workspace.id") == 0o600
        assert (mode(config), mode(outside), mode(outside / "file")) == (0o644, 0o755, 0o644)


@pytest.mark.ac("AC-057")
@pytest.mark.usefixtures("umask_022")
async def test_dot_agent_is_private_also_where_the_database_is_elsewhere(
    tmp_path: Path, plain_settings: Settings
) -> None:
    (tmp_path / ".agent").mkdir(mode=0o755)
    async with open_workspace(tmp_path, settings=with_path("elsewhere/runs.db", plain_settings)):
        assert mode(tmp_path / ".agent") == 0o700
        assert mode(tmp_path / "elsewhere") == 0o700


async def test_a_stricter_mode_is_left_as_it_is(tmp_path: Path, plain_settings: Settings) -> None:
    (tmp_path / ".agent").mkdir(mode=0o500 if os.getuid() == 0 else 0o700)
    before = mode(tmp_path / ".agent")
    async with open_workspace(tmp_path, settings=plain_settings):
        assert mode(tmp_path / ".agent") == before


async def test_git_ignores_recordings_and_an_existing_gitignore_is_kept(
    tmp_path: Path, plain_settings: Settings
) -> None:
    async with open_workspace(tmp_path / "new", settings=plain_settings):
        assert "/*" in (tmp_path / "new" / ".agent" / ".gitignore").read_text().splitlines()
    (tmp_path / "own" / ".agent").mkdir(parents=True)
    (tmp_path / "own" / ".agent" / ".gitignore").write_text("mine\n")
    async with open_workspace(tmp_path / "own", settings=plain_settings):
        assert (tmp_path / "own" / ".agent" / ".gitignore").read_text() == "mine\n"


@pytest.mark.ac("AC-001")
async def test_a_path_that_is_a_folder_is_refused_and_left_alone(tmp_path: Path, plain_settings: Settings) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    with pytest.raises(DatabaseConnectionError, match="ACODE-DB-001"):
        async with open_workspace(tmp_path, settings=with_path(folder, plain_settings)):
            pass
    assert mode(folder) == 0o755
    assert list(folder.iterdir()) == []


async def test_a_parent_that_is_a_file_is_refused(tmp_path: Path, plain_settings: Settings) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatabaseConnectionError, match="ACODE-DB-001") as refused:
        async with open_workspace(tmp_path, settings=with_path(tmp_path / "file" / "runs.db", plain_settings)):
            pass
    assert "--workspace" in refused.value.hint


@contextmanager
def _unprivileged_with_read_only_folder() -> Iterator[Path]:
    """A read-only folder, with this process as a user other than root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        before = os.geteuid()
        if before == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(before)


def test_a_read_only_folder_is_refused_with_a_clear_error() -> None:
    with _unprivileged_with_read_only_folder() as folder:
        with pytest.raises(
            DatabaseConnectionError, match=r"ACODE-DB-001: cannot open .*: Permission denied"
        ) as refused:
            prepare_file(folder / ".agent" / "workspace.db")
        assert "--workspace" in refused.value.hint
        assert list(folder.iterdir()) == []


def _garbage(path: Path) -> None:
    path.write_bytes(b"this was never a database, whatever its name says\n" * 100)


def _header_gone(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[:100] = bytes(100)
    path.write_bytes(data)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: PAGE_BYTES * 2])


def _schema_page_scrambled(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:PAGE_BYTES] = os.urandom(PAGE_BYTES - 100)
    path.write_bytes(data)


@pytest.mark.ac("AC-003")
@pytest.mark.parametrize("damage", [_garbage, _header_gone, _truncated, _schema_page_scrambled])
async def test_a_damaged_file_is_refused_and_its_bytes_stay(
    damage: object, tmp_path: Path, plain_settings: Settings
) -> None:
    async with open_workspace(tmp_path, settings=plain_settings) as ws:
        for n in range(20):
            await ws.store.create_session(f"session {n}")
    path = tmp_path / ".agent" / "workspace.db"
    damage(path)  # type: ignore[operator]
    before = fingerprint(path)
    with pytest.raises(IntegrityError, match="ACODE-DB-007") as refused:
        async with open_workspace(tmp_path, settings=plain_settings) as ws:
            await ws.store.list()
    assert "keep it as it is" in refused.value.hint
    assert fingerprint(path) == before


@pytest.mark.ac("AC-011")
@pytest.mark.parametrize("wal", [False, True])
async def test_another_programs_database_is_refused_untouched(
    wal: bool, tmp_path: Path, plain_settings: Settings
) -> None:
    path = tmp_path / "other.db"
    with foreign(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL" if wal else "PRAGMA user_version = 3")
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    before = fingerprint(path)
    with pytest.raises(SchemaMismatchError, match="another program"):
        async with open_workspace(tmp_path, settings=with_path(path, plain_settings)):
            pass
    assert fingerprint(path) == before


@pytest.mark.ac("AC-057")
@pytest.mark.parametrize("damage", [_garbage, _truncated, None], ids=["garbage", "truncated", "foreign"])
@pytest.mark.usefixtures("umask_022")
async def test_a_refused_file_keeps_its_mode(damage: object, tmp_path: Path, plain_settings: Settings) -> None:
    """Other users may need access: the file is another program's, or it cannot be identified as a workspace's."""
    path = tmp_path / ".agent" / "workspace.db"
    if damage is None:
        path.parent.mkdir()
        with foreign(path) as connection:
            connection.execute("CREATE TABLE bookmarks (url TEXT)")
    else:
        async with open_workspace(tmp_path, settings=plain_settings) as workspace:
            await workspace.store.create_session("x")
        damage(path)  # type: ignore[operator]
    path.chmod(0o644)
    path.parent.chmod(0o755)
    with pytest.raises(AcodeError):
        async with open_workspace(tmp_path, settings=plain_settings):
            pass
    assert (mode(path), mode(path.parent)) == (0o644, 0o755)


def _make_newer(path: Path) -> None:
    with foreign(path) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES ('99.0.0', 'later', 'x', '2026', 1)")


@pytest.mark.ac("AC-013")
async def test_a_newer_database_is_refused_untouched(tmp_path: Path, plain_settings: Settings) -> None:
    async with open_workspace(tmp_path, settings=plain_settings) as ws:
        await ws.store.create_session("x")
    path = tmp_path / ".agent" / "workspace.db"
    _make_newer(path)
    before = fingerprint(path)
    with pytest.raises(SchemaMismatchError, match=r"ACODE-DB-004.*99\.0\.0"):
        async with open_workspace(tmp_path, settings=plain_settings):
            pass
    assert fingerprint(path) == before


async def test_a_newer_database_with_commits_still_in_its_wal_is_refused_untouched(
    tmp_path: Path, plain_settings: Settings
) -> None:
    """A newer program was killed: this program must not checkpoint the WAL that it left."""
    async with open_workspace(tmp_path, settings=plain_settings):
        pass
    path, wal = (tmp_path / ".agent" / f"workspace.db{suffix}" for suffix in ("", "-wal"))
    keeper = sqlite3.connect(path, isolation_level=None)
    keeper.execute("INSERT INTO schema_migrations VALUES ('99.0.0', 'later', 'x', '2026', 1)")
    left = path.read_bytes(), wal.read_bytes()
    keeper.close()
    path.write_bytes(left[0])
    wal.write_bytes(left[1])
    with pytest.raises(SchemaMismatchError, match="ACODE-DB-004"):
        async with open_workspace(tmp_path, settings=plain_settings):
            pass
    assert (path.read_bytes(), wal.read_bytes()) == left


async def test_a_file_left_empty_by_a_killed_first_start_is_completed(tmp_path: Path, plain_settings: Settings) -> None:
    (tmp_path / ".agent").mkdir()
    (tmp_path / ".agent" / "workspace.db").touch()
    async with open_workspace(tmp_path, settings=plain_settings) as ws:
        assert (await ws.schema()).pending == ()


async def test_opening_again_changes_nothing(tmp_path: Path, plain_settings: Settings) -> None:
    async with open_workspace(tmp_path, settings=plain_settings) as ws:
        await ws.store.create_session("x")
        first_id = ws.workspace_id
    before = contents(ws.database_path)
    async with open_workspace(tmp_path, settings=plain_settings) as ws:
        assert ws.workspace_id == first_id
    assert contents(ws.database_path) == before


async def test_a_closed_workspace_raises_an_error_that_names_the_reason(
    tmp_path: Path, plain_settings: Settings
) -> None:
    async with open_workspace(tmp_path, settings=plain_settings) as ws:
        session = await ws.store.create_session("x")
    with pytest.raises(AcodeError, match="the workspace is closed"):
        await ws.store.create_session("late")
    with pytest.raises(AcodeError, match="the workspace is closed"):
        await ws.store.get(session.id)


async def test_nothing_is_left_open_where_opening_fails_late(
    tmp_path: Path, plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads and connections would show as ResourceWarning, which the suite turns into errors."""

    async def refuse(*_: object, **__: object) -> None:
        raise DatabaseConnectionError("no reader")

    monkeypatch.setattr(connection.SqliteConnectionFactory, "open_reader", refuse)
    before = set(threading.enumerate())
    with pytest.raises(DatabaseConnectionError, match="no reader"):
        async with open_workspace(tmp_path, settings=plain_settings):
            pass
    # The loop's pool keeps its threads; connections do not keep theirs.
    for each in set(threading.enumerate()) - before:
        if "_connection_worker_thread" in each.name:
            each.join(GUARD_SECONDS)
            assert not each.is_alive()


def test_the_root_is_the_nearest_folder_with_dot_agent(tmp_path: Path) -> None:
    (tmp_path / ".agent").mkdir()
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find_root(deep, environ={}) == tmp_path
    (tmp_path / "a" / ".agent").mkdir()
    assert find_root(deep, environ={}) == tmp_path / "a"
    named = {"ACODE_WORKSPACE": str(tmp_path / "named")}
    assert find_root(deep, environ=named) == tmp_path / "named"


def test_without_dot_agent_the_root_is_the_current_folder(tmp_path: Path) -> None:
    found = find_root(tmp_path, environ={})
    assert found == tmp_path or (found / ".agent").is_dir()


def test_settings_here_name_a_user() -> None:
    assert Settings(identity=IdentitySettings(user="ada")).identity.user == "ada"


async def test_opening_waits_for_another_writer_of_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite refuses to turn WAL on while another process writes, without waiting: the wait is done by hand."""
    path = tmp_path / "new.db"
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    waited: list[float] = []

    def let_go(seconds: float) -> None:
        waited.append(seconds)
        holder.execute("COMMIT")

    monkeypatch.setattr(connection, "sleep", let_go)
    holder.execute("BEGIN IMMEDIATE")
    holder.execute("CREATE TABLE of_another (x)")
    try:
        opened = await connection.SqliteConnectionFactory(path).open_writer(check=lambda raw: None)
        try:
            assert await opened.run(lambda raw: raw.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
        finally:
            await opened.close()
    finally:
        holder.close()
    assert len(waited) == 1


@pytest.mark.ac("AC-007")
async def test_a_workspace_is_opened_and_read_while_another_process_writes(
    tmp_path: Path, plain_settings: Settings
) -> None:
    """Were opening itself a write, it would wait for the lock, and fail."""
    async with open_workspace(tmp_path, settings=plain_settings) as workspace:
        await workspace.store.create_session("there before")
        path = workspace.database_path
    short_wait = msgspec.structs.replace(
        plain_settings,
        persistence=msgspec.structs.replace(
            plain_settings.persistence,
            sqlite=msgspec.structs.replace(plain_settings.persistence.sqlite, timeout_seconds=1),
        ),
    )
    with foreign(path) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE sessions SET task_description = 'not yet'")
        async with open_workspace(tmp_path, settings=short_wait) as workspace:
            assert [session.task_description for session in (await workspace.store.list()).sessions] == ["there before"]
        other.execute("ROLLBACK")


FORK = """
import asyncio, os, sys
from acode_tui import open_workspace

async def main():
    async with open_workspace({folder!r}) as ws:
        await ws.store.create_session("before")
        child = os.fork()
        if child == 0:
            {child}
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        await ws.store.create_session("after")
        print(await ws.store.count())
    async with open_workspace({folder!r}) as ws:
        print(await ws.store.count())

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize(("child", "code"), [("sys.exit(3)", 3), ("sys.exit()", 0), ("sys.exit('no')", 1)])
def test_a_forked_child_that_exits_ends_at_once_and_leaves_the_workspace_to_its_parent(
    tmp_path: Path, child: str, code: int
) -> None:
    script = FORK.format(folder=str(tmp_path), child=child)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{code}\n2\n2\n"), done.stderr


@pytest.mark.parametrize(("level", "written"), [("debug", True), ("info", False), (None, False)])
async def test_the_environment_sets_the_level_of_the_log_in_the_python_api(
    tmp_path: Path, plain_settings: Settings, monkeypatch: pytest.MonkeyPatch, level: str | None, written: bool
) -> None:
    if level is None:
        monkeypatch.delenv("ACODE_LOG_LEVEL", raising=False)
    else:
        monkeypatch.setenv("ACODE_LOG_LEVEL", level)
    async with open_workspace(tmp_path, settings=plain_settings) as ws:
        session = await ws.store.create_session("x")
    log = tmp_path / ".agent" / "logs" / "acode-tui.log"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    writes = [line for line in lines if line["event"] == "row.write"]
    assert bool(writes) is written
    assert not logs.is_configured()
    if written:
        line = writes[0]
        assert (line["database"], line["table"], line["operation"]) == ("sqlite", "sessions", "insert")
        assert (line["entity_id"], line["outbox_enqueued"]) == (session.id, 1)
        assert line["duration_ms"] >= 0
    elif level is None:
        assert not log.exists()
