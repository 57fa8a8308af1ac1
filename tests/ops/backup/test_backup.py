"""Backups of a workspace: whole while others write, described without secrets, kept up to the configured number."""

import asyncio
import getpass
import hashlib
import json
import socket
import threading
from pathlib import Path

import msgspec
import pytest

from acode_tui.config import BackupSettings, Settings
from acode_tui.domain.progress import CheckCancelled, Progress
from acode_tui.ops.backup.create import create_backup, verify_backup
from acode_tui.ops.cancellable_thread import run_cancellable
from acode_tui.storage.sqlite.connection import PAGE_BYTES
from acode_tui.storage.sqlite.files import backup_copy, backup_verify
from acode_tui.storage.sqlite.files.backup_catalog import read_backups
from acode_tui.workspace import Workspace, open_workspace
from acode_tui.workspace.maintenance import backup_store, database_files
from tests.clocks import NOON, TurnedClock
from tests.storage.sqlite.parts import assert_sound, foreign, rows


def folder_of(workspace: Workspace) -> Path:
    return workspace.agent_dir / "backups"


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def test_a_workspace_backs_itself_up(workspace: Workspace) -> None:
    session = await workspace.store.create_session("x")
    seen: list[Progress] = []
    made = await workspace.backup(progress=seen.append)
    assert made.name == "acode_backup_20260105_120000"
    assert made.workspace_id == workspace.workspace_id
    assert made.schema_version == (await workspace.schema()).version
    assert made.counts["sessions"] == 1
    assert_sound(made.database)
    assert rows(made.database, "SELECT id FROM sessions") == [(session.id,)]
    assert seen[-1].done == seen[-1].total
    assert seen[-1].done > 0
    assert read_backups(folder_of(workspace)) == ((made,), ())


async def test_a_manifest_names_no_user_host_or_path(workspace: Workspace) -> None:
    made = await workspace.backup()
    text = made.manifest.read_text()
    for private in (str(workspace.root), socket.gethostname(), getpass.getuser(), "ada@example.org"):
        assert private not in text
    assert json.loads(text)["workspaceId"] == workspace.workspace_id


async def test_older_backups_go_after_a_success_and_never_the_one_just_made(
    workspace: Workspace, clock: TurnedClock
) -> None:
    workspace.settings = msgspec.structs.replace(workspace.settings, backup=BackupSettings(max_backups=2))
    made = []
    for _ in range(3):
        made.append((await workspace.backup()).name)
        clock.turn(minutes=1)
    backups, _ = read_backups(folder_of(workspace))
    assert [each.name for each in backups] == [made[2], made[1]]
    # A wall clock that was set back: what was just made is now the oldest, and stays.
    clock.turn(days=-1)
    late = await workspace.backup()
    backups, _ = read_backups(folder_of(workspace))
    assert {each.name for each in backups} == {late.name, made[2]}


async def test_a_cancelled_backup_leaves_nothing_and_has_ended(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = threading.Event()

    def hash_for_ever(path: Path, check: CheckCancelled) -> str:
        copied.set()
        while True:
            check()

    with monkeypatch.context() as patched:
        patched.setattr(backup_copy, "file_sha256", hash_for_ever)
        backing_up = asyncio.create_task(workspace.backup())
        await asyncio.to_thread(copied.wait, 20)
        backing_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await backing_up
    assert names(folder_of(workspace)) == []
    assert (await workspace.backup()).counts["sessions"] == 0


async def test_work_in_a_thread_has_ended_when_its_caller_is_cancelled() -> None:
    entered, ended = threading.Event(), threading.Event()

    def work(check: CheckCancelled) -> None:
        entered.set()
        try:
            while True:
                check()
        finally:
            ended.set()

    running = asyncio.create_task(run_cancellable(work))
    await asyncio.to_thread(entered.wait, 20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()


@pytest.mark.parametrize("deep", [True, False])
async def test_an_index_without_its_entries_is_found_in_a_large_backup_too(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, deep: bool
) -> None:
    for number in range(5):
        await workspace.store.create_session(f"session {number}")
    made = await workspace.backup()
    monkeypatch.setattr(backup_verify, "DEEP_ANYWAY", 0)
    assert all(finding.ok for finding in await verify_backup(backup_store(), made, deep=deep))
    with foreign(made.database) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sessions_by_user'").fetchone()
    data = bytearray(made.database.read_bytes())
    # An index page with no entries on it: sound in itself.
    empty = b"\x0a" + bytes(4) + PAGE_BYTES.to_bytes(2, "big")
    data[(page - 1) * PAGE_BYTES : page * PAGE_BYTES] = empty.ljust(PAGE_BYTES, b"\0")
    made.database.write_bytes(data)
    made = msgspec.structs.replace(made, sha256=hashlib.sha256(data).hexdigest())
    wrong = [finding for finding in await verify_backup(backup_store(), made, deep=deep) if not finding.ok]
    assert [finding.name for finding in wrong] == ["integrity"]
    assert "sessions_by_user" in wrong[0].description


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (b"", "its manifest is damaged"),
        (b"\xff\xfe", "its manifest is damaged"),
        (b"[]", "its manifest is damaged"),
        (b'{"name": 1}', "its manifest is damaged"),
        ({"createdAt": "yesterday"}, "its manifest is damaged"),
        ({"sizeBytes": "many"}, "its manifest is damaged"),
        ({"formatVersion": 2}, "its manifest is of a newer acode-tui"),
        ({"name": "acode_backup_20200101_000000"}, "its manifest is of another backup"),
        (None, "its manifest is missing"),
    ],
)
async def test_an_invalid_manifest_makes_the_backup_incomplete_and_breaks_no_command(
    workspace: Workspace, manifest: bytes | dict[str, object] | None, reason: str
) -> None:
    made = await workspace.backup()
    if manifest is None:
        made.manifest.unlink()
    elif isinstance(manifest, bytes):
        made.manifest.write_bytes(manifest)
    else:
        made.manifest.write_text(json.dumps({**json.loads(made.manifest.read_text()), **manifest}))
    backups, (incomplete,) = read_backups(folder_of(workspace))
    assert backups == ()
    assert incomplete.reason == reason
    (finding,) = await verify_backup(backup_store(), incomplete)
    assert (finding.name, finding.ok, finding.description) == ("manifest", False, reason)
    # It may be a user's own copy: the next backup leaves it where it is.
    await workspace.backup()
    assert made.database.exists()


async def test_two_workspaces_that_share_a_folder_keep_their_own_backups(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    folder = folder_of(workspace)
    settings = msgspec.structs.replace(workspace.settings, backup=BackupSettings(directory=str(folder), max_backups=1))
    workspace.settings = settings
    async with open_workspace(tmp_path / "other", wall=clock, settings=settings) as other:
        first = await other.backup()
        for _ in range(3):
            clock.turn(minutes=1)
            mine = await workspace.backup()
    assert {each.name for each in read_backups(folder)[0]} == {first.name, mine.name}


async def test_a_backup_after_a_replacement_that_was_killed_is_of_the_new_file(
    tmp_path: Path, plain_settings: Settings
) -> None:
    async with open_workspace(tmp_path, settings=plain_settings) as workspace:
        made = await workspace.backup()
        await workspace.store.create_session("in the file that was to go")
        database, folder = workspace.database_path, folder_of(workspace)
    # As a restore leaves it that was killed right after it was decided.
    database.with_name("workspace.db.replacing").write_bytes(made.database.read_bytes())
    again = await create_backup(database_files(), backup_store(), database, folder, now=NOON, keep=7)
    assert again.counts["sessions"] == 0
    assert not database.with_name("workspace.db.replacing").exists()
