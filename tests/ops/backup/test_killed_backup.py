"""``kill -9`` at any moment of a backup, restore, vacuum or migration leaves the old or the new workspace, whole."""

import asyncio
import random
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from acode_tui.domain.progress import never_cancelled
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.sqlite.connection import connect_to
from acode_tui.storage.sqlite.files.backup_catalog import read_backups
from acode_tui.storage.sqlite.files.backup_verify import verify
from acode_tui.storage.sqlite.files.check import run_checks
from acode_tui.storage.sqlite.migrate import migrate
from acode_tui.workspace import open_workspace
from tests.clocks import TurnedClock
from tests.ops.backup.killing import KINDS, SETTINGS, Killer, backups_in, database_in
from tests.storage.sqlite.parts import foreign, rows
from tests.storage.sqlite.runs.runs import make_run

OLD, NEW = 12, 6
"""Sessions before and after a restore."""

ROUNDS = 50


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    with closing(Killer()) as running:
        yield running


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A workspace with two backups, gaps in its file and a WAL beside it; and one of an older schema."""
    folder = tmp_path_factory.mktemp("templates")
    asyncio.run(_make(folder / "whole"))
    _make_older(folder / "older")
    whole = dict.fromkeys(("backup", "restore", "vacuum"), folder / "whole")
    return {**whole, "migrate": folder / "older"}


async def _make(root: Path) -> None:
    clock = TurnedClock()
    async with open_workspace(root, settings=SETTINGS, wall=clock) as workspace:
        for number in range(NEW):
            await workspace.store.save(make_run(number))
        await workspace.backup()
        clock.turn(minutes=1)
        await workspace.backup()
        for number in range(NEW, OLD):
            await workspace.store.save(make_run(number))
    with foreign(database_in(root)) as connection:
        connection.execute("CREATE TABLE gap (filler)")
        connection.executemany("INSERT INTO gap VALUES (?)", [("x" * 3000,) for _ in range(100)])
        connection.execute("DROP TABLE gap")


def _make_older(root: Path) -> None:
    database = database_in(root)
    database.parent.mkdir(parents=True)
    database.touch()
    with closing(connect_to(database, timeout_seconds=5)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, packaged("sqlite")[:1], lock_path=root / "lock")
        connection.executemany(
            "INSERT INTO sessions (id, task_description, state, created_at, updated_at, workspace_id) "
            "VALUES (?, 'x', 'Created', '2026-01-05T12:00:00.000000Z', '2026-01-05T12:00:00.000000Z', 'w')",
            [(f"session {number}",) for number in range(OLD)],
        )


def look(root: Path) -> int:
    """The number of sessions after opening the workspace, which completes a half-done operation."""

    async def open_it() -> int:
        async with open_workspace(root, settings=SETTINGS) as workspace:
            return (await workspace.store.list()).total or 0

    sessions = asyncio.run(open_it())
    wrong = [
        each
        for each in run_checks(database_in(root), deep=True, seconds=5, check_cancelled=never_cancelled)
        if not each.ok
    ]
    assert [each for each in wrong if each.name != "traces"] == []
    for backup in read_backups(backups_in(root))[0]:
        assert all(finding.ok for finding in verify(backup, packaged("sqlite"), check_cancelled=never_cancelled))
    return sessions


def one_round(killer: Killer, template: Path, root: Path, kind: str, **when: float) -> None:
    """Kill the operation, check the workspace, run the operation again to its end, and check that no files are left."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(template, root)
    end = killer.run(kind, root, **when)  # type: ignore[arg-type]
    before = rows(database_in(root), "SELECT count(*) FROM sessions")[0][0] if kind == "vacuum" else None
    left = look(root)
    expected = {"restore": {OLD, NEW} if end.killed else {NEW}}.get(kind, {OLD})
    assert left in expected
    assert before in (None, OLD)
    assert not killer.run(kind, root).killed
    assert look(root) == (NEW if kind == "restore" else OLD)
    names = [each.name for each in (root / ".agent").rglob("*")]
    assert not [name for name in names if any(sign in name for sign in (".part", "restoring", "replacing", "etilqs"))]
    _, incomplete = read_backups(backups_in(root))
    assert incomplete == ()


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_step_it_is_the_old_or_the_new_one(
    kind: str, killer: Killer, templates: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(templates[kind], tmp_path / "count")
    steps = killer.run(kind, tmp_path / "count").steps
    assert steps > 5
    for step in sorted({1 + steps * part // 3 for part in range(3)}):
        one_round(killer, templates[kind], tmp_path / "round", kind, step=step)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_every_step_and_at_random_moments(
    kind: str, killer: Killer, templates: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(templates[kind], tmp_path / "count")
    steps = killer.run(kind, tmp_path / "count").steps
    for step in range(1, steps + 2):
        one_round(killer, templates[kind], tmp_path / "round", kind, step=step)
    chance = random.Random(kind)
    for _ in range(ROUNDS):
        one_round(killer, templates[kind], tmp_path / "round", kind, seconds=chance.uniform(0.0, 0.06))


def _go_on() -> None:
    """The process is not killed."""
