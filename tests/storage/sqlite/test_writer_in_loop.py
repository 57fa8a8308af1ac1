"""Groups that the loop's own thread runs: the same promises, and no wait for another process in that thread."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from acode_tui.domain.errors import TransactionError
from tests.storage.sqlite.parts import Parts, foreign, open_parts
from tests.storage.sqlite.test_writer import facts, put, traced


def thread_of(connection: sqlite3.Connection) -> int:
    """A unit that says which thread runs it."""
    return threading.get_ident()


async def test_the_loop_s_thread_writes_where_that_is_allowed(parts: Parts) -> None:
    allowed = True
    await parts.writer.run_in_loop(lambda: allowed, lambda: True)
    statements = await traced(parts)
    assert await parts.writer.run(thread_of) == threading.get_ident()
    assert await parts.writer.run(put("k0")) == "k0"
    assert facts(parts.path) == {"k0"}
    assert statements.count("COMMIT") == 2
    allowed = False
    assert await parts.writer.run(thread_of) != threading.get_ident()


@pytest.mark.parametrize("at_once", [False, True])
async def test_units_of_one_turn_share_a_commit_unless_each_is_the_only_one(parts: Parts, at_once: bool) -> None:
    await parts.writer.run_in_loop(lambda: True, lambda: at_once)
    statements = await traced(parts)
    await asyncio.gather(*(parts.writer.run(put(f"k{number}")) for number in range(8)))
    assert len(facts(parts.path)) == 8
    assert statements.count("COMMIT") == (8 if at_once else 1)


async def test_a_unit_that_fails_halfway_fails_alone(parts: Parts) -> None:
    await parts.writer.run_in_loop(lambda: True, lambda: False)

    def fails(connection: sqlite3.Connection) -> None:
        put("k-lost")(connection)
        raise KeyError("halfway")

    outcomes = await asyncio.gather(
        parts.writer.run(put("k0")), parts.writer.run(fails), parts.writer.run(put("k1")), return_exceptions=True
    )
    assert [outcomes[0], outcomes[2]] == ["k0", "k1"]
    assert isinstance(outcomes[1], KeyError)
    assert facts(parts.path) == {"k0", "k1"}


@pytest.mark.ac("AC-008")
async def test_another_process_s_lock_is_waited_for_beside_the_loop(parts: Parts) -> None:
    await parts.writer.run_in_loop(lambda: True, lambda: True)
    with foreign(parts.path) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(parts.writer.run(thread_of))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()
        other.execute("COMMIT")
    assert await waiting != threading.get_ident()


@pytest.mark.ac("AC-006")
async def test_a_lock_held_beyond_the_wait_fails_the_write_and_nothing_else(database: Path) -> None:
    async with open_parts(database, timeout_seconds=0.1, monotonic=lambda: 0.0) as parts:
        await parts.writer.run_in_loop(lambda: True, lambda: True)
        with foreign(database) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(TransactionError, match=r"ACODE-DB-002.*another process held the write lock"):
                await parts.writer.run(put("k0"))
            other.execute("ROLLBACK")
        assert await parts.writer.run(put("k1")) == "k1"
        assert facts(database) == {"k1"}
