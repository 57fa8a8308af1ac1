"""``kill -9`` at any moment loses no acknowledged write and leaves every row with its outbox record."""

import random
import time
from pathlib import Path

import pytest

from tests.storage.sqlite.parts import ENTITY_TABLES, assert_sound, foreign, open_parts
from tests.storage.sqlite.processes import child


def _killed_while_writing(path: Path, lines: int) -> list[str]:
    """The writes that a writer had acknowledged when it was killed, shortly after its ``lines``-th line."""
    with child("crash", path) as process:
        assert process.stdout is not None
        heard = [process.stdout.readline() for _ in range(lines)]
        time.sleep(random.random() * 0.02)
        process.kill()
        heard += process.stdout.readlines()
    return [line.rstrip("\n") for line in heard if line.endswith("\n")]


def _assert_nothing_lost(path: Path, acknowledged: list[str]) -> None:
    with foreign(path) as connection:
        stored = {table: {row[0] for row in connection.execute(f"SELECT id FROM {table}")} for table in ENTITY_TABLES}
        stored["state"] = {row[0] for row in connection.execute("SELECT id FROM sessions WHERE state = 'Planning'")}
        moved = {row[0] for row in connection.execute("SELECT session_id FROM session_events")}
    for line in acknowledged:
        table, identifier = line.split()
        assert identifier in stored[table], f"an acknowledged write is gone: {line}"
    assert moved == stored["state"]


async def _rounds(path: Path, rounds: int) -> None:
    acknowledged: list[str] = []
    for _ in range(rounds):
        acknowledged += _killed_while_writing(path, random.randint(1, 60))
        _assert_nothing_lost(path, acknowledged)
        assert_sound(path)
    async with open_parts(path) as parts:
        await parts.store.create_session("life goes on")
    assert_sound(path)


@pytest.mark.ac("AC-005")
async def test_kill_9_loses_no_acknowledged_write(database: Path) -> None:
    await _rounds(database, 4)


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_kill_9_a_hundred_times_loses_no_acknowledged_write(database: Path) -> None:
    await _rounds(database, 100)
