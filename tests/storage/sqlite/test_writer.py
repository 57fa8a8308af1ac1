"""The writer's promises: one fsync for a group, a failing unit fails alone, no transaction stays open."""

import asyncio
import itertools
import re
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acode_tui.domain.errors import DatabaseConnectionError, TransactionError, ValidationError
from acode_tui.storage.sqlite import checkpoints
from acode_tui.storage.sqlite.connection import SqliteConnectionFactory
from acode_tui.storage.sqlite.writer import CHECKPOINT_CHANGES
from tests.clocks import GUARD_SECONDS, TurnedClock
from tests.storage.sqlite.faults import inject
from tests.storage.sqlite.parts import Parts, count, foreign, open_parts, rows


def put(key: str, value: str = "1") -> Callable[[sqlite3.Connection], str]:
    """A unit that writes one fact."""

    def unit(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO workspace_meta (key, value) VALUES (?, ?)", (key, value))
        return key

    return unit


def facts(path: Path) -> set[str]:
    return {row[0] for row in rows(path, "SELECT key FROM workspace_meta WHERE key LIKE 'k%'")}


async def traced(parts: Parts) -> list[str]:
    """The statements that reach SQLite from now on."""
    statements: list[str] = []
    await parts.connection.run(lambda raw: raw.set_trace_callback(statements.append))
    return statements


class Gate:
    """A unit that holds the writer's thread until the test opens it."""

    def __init__(self) -> None:
        self._entered = threading.Event()
        self._opened = threading.Event()

    def __call__(self, connection: sqlite3.Connection) -> None:
        self._entered.set()
        assert self._opened.wait(GUARD_SECONDS)

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, GUARD_SECONDS)

    def open(self) -> None:
        self._opened.set()


async def test_64_concurrent_writers_share_a_few_commits(parts: Parts) -> None:
    statements = await traced(parts)
    await asyncio.gather(*(parts.writer.run(put(f"k{n}")) for n in range(64)))
    assert len(facts(parts.path)) == 64
    commits = statements.count("COMMIT")
    assert 1 <= commits <= 4
    assert commits == sum(each.startswith("BEGIN IMMEDIATE") for each in statements)


@pytest.mark.ac("AC-005")
async def test_every_transaction_begins_immediate(parts: Parts) -> None:
    statements = await traced(parts)
    session = await parts.store.create_session("one")
    await parts.store.add_task(session.id, "two")
    begins = [each for each in statements if each.upper().startswith("BEGIN")]
    assert begins == ["BEGIN IMMEDIATE"] * 2


@pytest.mark.ac("AC-053")
async def test_a_write_takes_one_commit_and_few_statements(parts: Parts) -> None:
    """``benchmarks`` measures the time; this test checks that there is one wait for the disk."""
    statements = await traced(parts)
    await parts.store.create_session("one")
    own = [each for each in statements if not each.startswith("--")]
    assert own.count("COMMIT") == 1
    assert len(own) <= 12  # four of them are the full-text index's own


async def test_a_change_of_state_sets_only_what_changes(parts: Parts) -> None:
    session = await parts.store.create_session("x", metadata={"large": "y" * 1_000})
    step = await parts.store.add_step((await parts.store.add_task(session.id, "t")).id, "s")
    call = await parts.store.add_tool_call(step.id, "c", {"path": "z" * 1_000}, started=True)
    statements = await traced(parts)
    done = await parts.store.complete_tool_call(call.id, result={"lines": 3})
    updates = [re.findall(r'"(\w+)" = ', sql) for sql in statements if re.match("UPDATE (tool_calls|sessions) ", sql)]
    assert [sorted(names) for names in updates] == [
        ["completed_at", "result", "state", "updated_at"],
        ["updated_at"],
    ]
    stored = await parts.store.get_with_hierarchy(session.id)
    assert stored.metadata == session.metadata
    (same,) = stored.tasks[0].steps[0].tool_calls
    assert (same.parameters, same.result, same.state) == (call.parameters, done.result, done.state)
    assert stored.updated_at == done.updated_at


async def test_a_caller_is_answered_after_its_unit_is_on_disk(parts: Parts) -> None:
    for n in range(5):
        await parts.writer.run(put(f"k{n}"))
        assert f"k{n}" in facts(parts.path)


async def test_a_unit_that_fails_fails_alone(parts: Parts) -> None:
    def fails(connection: sqlite3.Connection) -> None:
        raise ValidationError("title", "must not be blank")

    def fails_halfway(connection: sqlite3.Connection) -> None:
        put("k-half")(connection)
        raise ValidationError("name", "must not be blank")

    def refused(connection: sqlite3.Connection) -> None:
        put("k-twice")(connection)
        put("k-twice")(connection)

    units: list[Callable[[sqlite3.Connection], Any]] = [put("k0"), fails, put("k1"), fails_halfway, put("k2"), refused]
    answers = await asyncio.gather(*map(parts.writer.run, units), return_exceptions=True)
    assert answers[0::2] == ["k0", "k1", "k2"]
    assert isinstance(answers[1], ValidationError)
    assert answers[1].field == "title"
    assert isinstance(answers[3], ValidationError)
    assert answers[3].field == "name"
    assert getattr(answers[5], "code", None) == "ACODE-DB-007"
    assert facts(parts.path) == {"k0", "k1", "k2"}


def leaves(parts: Parts, key: str, value: str, *, fails: bool = False) -> Callable[[sqlite3.Connection], None]:
    """A unit that writes a fact, and leaves a value to the end of its transaction, which writes those of each key."""

    def unit(connection: sqlite3.Connection) -> None:
        put(f"k-own-{value}")(connection)
        parts.writer.before_commit(_put_values, key, value)
        if fails:
            raise ValidationError("name", "must not be blank")

    return unit


def _put_values(connection: sqlite3.Connection, key: str, values: list[str]) -> None:
    put(f"{key}={''.join(values)}")(connection)


async def test_what_units_leave_to_the_end_is_written_once_without_those_that_failed(parts: Parts) -> None:
    units = [
        leaves(parts, "k-a", "1"),
        leaves(parts, "k-b", "2"),
        leaves(parts, "k-a", "3", fails=True),
        leaves(parts, "k-a", "4"),
    ]
    answers = await asyncio.gather(*map(parts.writer.run, units), return_exceptions=True)
    assert [isinstance(answer, ValidationError) for answer in answers] == [False, False, True, False]
    assert facts(parts.path) == {"k-own-1", "k-own-2", "k-own-4", "k-a=14", "k-b=2"}
    await parts.writer.run(put("k9"))
    assert facts(parts.path) == {"k-own-1", "k-own-2", "k-own-4", "k-a=14", "k-b=2", "k9"}


async def test_what_cannot_be_written_at_the_end_costs_the_units_that_left_it_alone(parts: Parts) -> None:
    await parts.writer.run(put("k-bad=1"))
    units = [leaves(parts, "k-bad", "1"), leaves(parts, "k-a", "2"), put("k3")]
    answers = await asyncio.gather(*map(parts.writer.run, units), return_exceptions=True)
    assert getattr(answers[0], "code", None) == "ACODE-DB-007"
    assert answers[1:] == [None, "k3"]
    assert facts(parts.path) == {"k-bad=1", "k-own-2", "k-a=2", "k3"}


async def test_a_unit_that_fails_without_a_group_leaves_nothing(parts: Parts) -> None:
    def fails_halfway(connection: sqlite3.Connection) -> None:
        put("k0")(connection)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await parts.writer.run(fails_halfway)
    assert facts(parts.path) == set()
    assert await parts.writer.run(put("k1")) == "k1"


@pytest.mark.parametrize("error", [StopIteration(), SystemExit(3), KeyboardInterrupt()])
async def test_every_other_caller_is_answered_when_a_unit_raises(parts: Parts, error: BaseException) -> None:
    def fails(connection: sqlite3.Connection) -> None:
        put("k-bad")(connection)
        raise error

    async def attempt(unit: Callable[[sqlite3.Connection], Any]) -> Any:
        try:
            return await parts.writer.run(unit)
        except BaseException as raised:  # noqa: BLE001 - the test is about any exception
            return type(raised)

    async with asyncio.timeout(GUARD_SECONDS):
        results = await asyncio.gather(*(attempt(unit) for unit in (put("k0"), fails, put("k1"))))
    assert results[0] == "k0"
    assert results[2] == "k1"
    assert isinstance(results[1], type)
    assert facts(parts.path) == {"k0", "k1"}


async def test_a_caller_cancelled_while_it_waits_is_never_run(parts: Parts) -> None:
    gate = Gate()
    holding = asyncio.create_task(parts.writer.run(gate))
    await gate.entered()
    cancelled = asyncio.create_task(parts.writer.run(put("k-cancelled")))
    waiting = asyncio.create_task(parts.writer.run(put("k-waiting")))
    await asyncio.sleep(0)
    cancelled.cancel()
    gate.open()
    assert await waiting == "k-waiting"
    await holding
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert facts(parts.path) == {"k-waiting"}


async def test_a_caller_cancelled_while_its_unit_runs_leaves_no_transaction_open(parts: Parts) -> None:
    gate = Gate()

    def unit(connection: sqlite3.Connection) -> None:
        put("k0")(connection)
        gate(connection)

    running = asyncio.create_task(parts.writer.run(unit))
    await gate.entered()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    next_one = asyncio.create_task(parts.writer.run(put("k1")))
    gate.open()
    assert await next_one == "k1"
    assert not await parts.connection.run(lambda raw: raw.in_transaction)
    # What had begun was committed: a caller that went away cannot take back what it asked for.
    assert facts(parts.path) == {"k0", "k1"}
    with foreign(parts.path) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")


@pytest.mark.ac("AC-006")
async def test_a_statement_beyond_the_time_limit_is_rolled_back(database: Path) -> None:
    looks = itertools.count()
    # On this clock a second passes at each look, so that only the endless statement looks too often.
    async with open_parts(database, timeout_seconds=100, monotonic=lambda: float(next(looks))) as parts:

        def endless(connection: sqlite3.Connection) -> None:
            put("k0")(connection)
            connection.execute("WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n")

        with pytest.raises(TransactionError, match=r"ACODE-DB-002.*longer than allowed"):
            await parts.writer.run(endless)
        assert facts(database) == set()
        assert await parts.writer.run(put("k1")) == "k1"


@pytest.mark.ac("AC-006")
async def test_a_unit_that_dawdles_outside_sql_is_rolled_back_too(database: Path) -> None:
    now = [0.0]
    async with open_parts(database, timeout_seconds=30, monotonic=lambda: now[0]) as parts:

        def dawdles(connection: sqlite3.Connection) -> None:
            put("k0")(connection)
            now[0] += 31

        with pytest.raises(TransactionError, match="longer than allowed"):
            await parts.writer.run(dawdles)
        assert facts(database) == set()

        def in_time(connection: sqlite3.Connection) -> None:
            put("k1")(connection)
            now[0] += 29

        await parts.writer.run(in_time)
        assert facts(database) == {"k1"}


async def test_one_slow_unit_does_not_fail_the_others_of_its_group(database: Path) -> None:
    now = [0.0]
    async with open_parts(database, monotonic=lambda: now[0]) as parts:

        def dawdles(connection: sqlite3.Connection) -> None:
            put("k-slow")(connection)
            now[0] += 31

        answers = await asyncio.gather(
            parts.writer.run(put("k0")),
            parts.writer.run(dawdles),
            parts.writer.run(put("k1")),
            return_exceptions=True,
        )
    assert answers[0] == "k0"
    assert isinstance(answers[1], TransactionError)
    assert answers[2] == "k1"
    assert facts(database) == {"k0", "k1"}


@pytest.mark.ac("AC-006")
@pytest.mark.ac("AC-008")
async def test_a_lock_held_beyond_the_wait_fails_the_write_and_nothing_else(database: Path) -> None:
    # The transaction's own time limit stands still: only the wait for the lock is real.
    async with open_parts(database, timeout_seconds=0.2, monotonic=lambda: 0.0) as parts:
        with foreign(database) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(TransactionError, match=r"ACODE-DB-002.*another process held the write lock"):
                await parts.writer.run(put("k0"))
            other.execute("ROLLBACK")
        assert await parts.writer.run(put("k1")) == "k1"
        assert facts(database) == {"k1"}


@pytest.mark.ac("AC-008")
async def test_a_second_writer_waits_and_then_proceeds(parts: Parts) -> None:
    with foreign(parts.path) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO workspace_meta (key, value) VALUES ('k-other', '1')")
        begins, loop = asyncio.Event(), asyncio.get_running_loop()

        def trace(sql: str) -> None:
            if sql == "BEGIN IMMEDIATE":
                loop.call_soon_threadsafe(begins.set)

        await parts.connection.run(lambda raw: raw.set_trace_callback(trace))
        waiting = asyncio.create_task(parts.writer.run(put("k0")))
        await begins.wait()
        assert not waiting.done()
        other.execute("COMMIT")
    assert await waiting == "k0"
    assert facts(parts.path) == {"k-other", "k0"}


@pytest.mark.ac("AC-006")
async def test_the_lock_wait_is_the_timeout_in_milliseconds(parts: Parts) -> None:
    def pragmas(raw: sqlite3.Connection) -> list[Any]:
        names = ("busy_timeout", "journal_mode", "synchronous", "foreign_keys")
        return [raw.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await parts.connection.run(pragmas) == [30_000, "wal", 2, 1]


async def test_a_full_disk_writes_nothing_and_the_store_recovers(parts: Parts) -> None:
    await parts.store.create_session("before")

    def cap(raw: sqlite3.Connection) -> None:
        pages = raw.execute("PRAGMA page_count").fetchone()[0]
        raw.execute(f"PRAGMA max_page_count = {pages + 4}")

    await parts.connection.run(cap)
    before = count(parts.path, "sessions"), count(parts.path, "outbox")
    with pytest.raises(TransactionError, match="the disk is full"):
        await parts.store.create_session("x", metadata={"filler": "y" * 60_000})
    assert (count(parts.path, "sessions"), count(parts.path, "outbox")) == before
    assert not await parts.connection.run(lambda raw: raw.in_transaction)
    await parts.connection.run(lambda raw: raw.execute("PRAGMA max_page_count = 1000000").fetchone())
    await parts.store.create_session("after")
    assert count(parts.path, "sessions") == 2
    assert rows(parts.path, "PRAGMA integrity_check") == [("ok",)]


async def test_a_full_disk_fails_the_large_write_and_not_its_small_neighbours(parts: Parts) -> None:
    def cap(raw: sqlite3.Connection) -> None:
        pages = raw.execute("PRAGMA page_count").fetchone()[0]
        raw.execute(f"PRAGMA max_page_count = {pages + 4}")

    await parts.connection.run(cap)
    answers = await asyncio.gather(
        parts.writer.run(put("k0")),
        parts.writer.run(put("k-big", "x" * 100_000)),
        parts.writer.run(put("k1")),
        return_exceptions=True,
    )
    assert answers[0] == "k0"
    assert isinstance(answers[1], TransactionError)
    assert answers[2] == "k1"
    assert facts(parts.path) == {"k0", "k1"}


@pytest.mark.parametrize("ending", ["COMMIT", "ROLLBACK"])
async def test_a_unit_cannot_end_its_own_transaction(parts: Parts, ending: str) -> None:
    runs = []

    def innocent(connection: sqlite3.Connection) -> None:
        runs.append(1)
        connection.execute("UPDATE workspace_meta SET value = value + 1 WHERE key = 'k-counter'")

    def ends(connection: sqlite3.Connection) -> None:
        put("k-bad")(connection)
        connection.execute(ending)

    await parts.writer.run(put("k-counter", "0"))
    answers = await asyncio.gather(
        parts.writer.run(innocent), parts.writer.run(ends), parts.writer.run(innocent), return_exceptions=True
    )
    assert answers[0] is None
    assert isinstance(answers[1], TransactionError)
    assert answers[2] is None
    assert rows(parts.path, "SELECT value FROM workspace_meta WHERE key = 'k-counter'") == [("2",)]
    assert facts(parts.path) == {"k-counter"}
    assert await parts.writer.run(put("k0")) == "k0"


async def test_a_rollback_that_fails_answers_its_callers_and_the_next_write_works(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = inject(monkeypatch)
    async with open_parts(database) as parts, asyncio.timeout(GUARD_SECONDS):

        def unit(connection: sqlite3.Connection) -> None:
            put("k0")(connection)
            raise ZeroDivisionError

        faults.arm(None)
        faults.rollback_fails = True
        answers = await asyncio.gather(parts.writer.run(unit), return_exceptions=True)
        assert isinstance(answers[0], Exception)
        faults.disarm()
        assert await parts.writer.run(put("k1")) == "k1"
        assert facts(database) == {"k1"}


async def test_close_finishes_waiting_units(database: Path) -> None:
    async with open_parts(database) as parts:
        gate = Gate()
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(parts.writer.run(gate))]
        await gate.entered()
        tasks += [asyncio.create_task(parts.writer.run(put(f"k{n}"))) for n in range(600)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(parts.writer.close())
        await asyncio.sleep(0)
        gate.open()
        await closing
        await asyncio.gather(*tasks)
        with pytest.raises(DatabaseConnectionError, match="closed"):
            await parts.writer.run(put("late"))
    assert len(facts(database)) == 600


def put_many(connection: sqlite3.Connection) -> None:
    """A unit that makes a checkpoint due."""
    facts = [(f"k{n}", "1") for n in range(CHECKPOINT_CHANGES)]
    connection.executemany("INSERT INTO workspace_meta (key, value) VALUES (?, ?)", facts)


async def test_a_checkpoint_runs_automatically_and_no_caller_waits_for_it(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, ran = threading.Event(), threading.Event()
    move = checkpoints.move_pages

    def held(connection: sqlite3.Connection) -> int:
        assert answered.wait(GUARD_SECONDS), "a write waits for the checkpoint"
        ran.set()
        return move(connection)

    monkeypatch.setattr(checkpoints, "move_pages", held)
    before = parts.path.stat().st_size
    await parts.writer.run(put_many)
    assert parts.checkpoints.is_running
    assert await parts.writer.run(put("k-next")) == "k-next"
    answered.set()
    await parts.checkpoints.settled()
    assert ran.is_set()
    assert parts.path.stat().st_size > before


@pytest.mark.parametrize("in_loop", [False, True])
async def test_what_is_committed_beside_a_checkpoint_is_moved_too_so_that_the_wal_begins_again(
    parts: Parts, in_loop: bool
) -> None:
    if in_loop:
        await parts.writer.run_in_loop(lambda: True, lambda: True)
    with foreign(parts.path) as reading:
        reading.execute("BEGIN")
        reading.execute("SELECT * FROM workspace_meta").fetchall()
        await parts.writer.run(put_many)
        # The reader needs what was there before, so the checkpoint leaves the pages of the write in the WAL.
        await parts.checkpoints.settled()
        reading.execute("COMMIT")
        assert parts.checkpoints.has_rest
        for number in range(3):
            await parts.writer.run(put(f"k-{number}"))
            await asyncio.sleep(0)
        assert not parts.checkpoints.has_rest
        pages = reading.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    assert pages < 10, "the WAL has all that was ever written to it"


async def test_checkpoints_are_rarer_while_callers_wait(parts: Parts) -> None:
    gate, begun = Gate(), []

    def much(connection: sqlite3.Connection) -> None:
        put_many(connection)
        gate(connection)

    def look(connection: sqlite3.Connection) -> None:
        begun.append(parts.checkpoints.is_running)

    first = asyncio.create_task(parts.writer.run(much))
    await gate.entered()
    second = asyncio.create_task(parts.writer.run(look))
    await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(first, second)
    assert begun == [False]
    assert parts.checkpoints.is_running


async def test_closing_waits_for_a_checkpoint_and_folds_the_rest(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    move = checkpoints.move_pages

    def held(connection: sqlite3.Connection) -> int:
        assert goes_on.wait(GUARD_SECONDS)
        return move(connection)

    monkeypatch.setattr(checkpoints, "move_pages", held)
    async with open_parts(database) as parts:
        await parts.writer.run(put_many)
        closing = asyncio.create_task(parts.writer.close())
        await asyncio.sleep(0)
        assert not closing.done()
        goes_on.set()
        await closing
    assert not database.with_name(database.name + "-wal").exists()
    assert len(facts(database)) == CHECKPOINT_CHANGES


async def test_a_checkpoint_that_fails_affects_no_caller(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = inject(monkeypatch)
    async with open_parts(database) as parts:
        faults.arm(None)
        faults.fail_on = "wal_checkpoint"
        await parts.writer.run(put_many)
        await parts.checkpoints.settled()
        assert [await parts.writer.run(put(f"k-{n}")) for n in range(2)] == ["k-0", "k-1"]
        assert any("wal_checkpoint" in statement for statement in faults.disarm())
        assert len(facts(database)) == CHECKPOINT_CHANGES + 2


async def test_a_checkpoint_for_which_no_thread_can_be_started_is_left_to_the_closing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From Python 3.12 on, that is so at the end of the interpreter: a recorder writes its last records then."""

    async def no_thread(*_: object, **__: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(SqliteConnectionFactory, "open_checkpointer", no_thread)
    path = tmp_path / "workspace.db"
    async with open_parts(path) as parts:
        await parts.writer.run(put("k0"))
        parts.checkpoints.begin()
        task = parts.checkpoints._running
        assert task is not None
        await task
    assert facts(path) == {"k0"}
    assert not path.with_name("workspace.db-wal").exists()


async def test_listeners_hear_of_commits_and_of_nothing_else(parts: Parts) -> None:
    heard: list[int] = []
    stop = parts.writer.on_commit(lambda: heard.append(1))

    def fails(connection: sqlite3.Connection) -> None:
        raise ValidationError("x", "y")

    with pytest.raises(ValidationError):
        await parts.writer.run(fails)
    assert heard == []
    await parts.writer.run(put("k0"))
    assert heard == [1]
    stop()
    await parts.writer.run(put("k1"))
    assert heard == [1]


async def test_the_clock_is_stored_with_the_write_and_read_by_the_next_process(database: Path) -> None:
    wall = TurnedClock()
    async with open_parts(database, wall=wall) as parts:
        wall.turn(days=30)
        first = await parts.store.create_session("in a month")
    wall.turn(days=-60)
    async with open_parts(database, wall=wall) as parts:
        second = await parts.store.create_session("two months earlier, says the wall")
    assert second.created_at > first.updated_at


async def test_two_connections_to_one_file_never_issue_the_same_stamp(database: Path) -> None:
    wall = TurnedClock()
    async with open_parts(database, wall=wall) as one, open_parts(database, wall=wall) as two:
        made = await asyncio.gather(*((one, two)[n % 2].store.create_session(f"s{n}") for n in range(100)))
    assert len({session.updated_at for session in made}) == 100
