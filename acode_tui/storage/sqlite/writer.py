"""The one writer of this process, with group commit.

A unit of work is a plain function of the connection. The writer takes the units that wait, runs them inside one
``BEGIN IMMEDIATE`` transaction, commits once, then answers every caller: one thread hop and one fsync a group, or no
hop where the loop's own thread runs the group.
A unit may be run twice: where one of a group fails halfway, the group starts over, each under its own savepoint.
Promises:

- a caller is answered after its unit is on disk, never before;
- a unit that fails is rolled back alone; the others of its group commit;
- a caller that is cancelled leaves no transaction open: one that waited is never run, one that ran is committed;
- what units leave to the end with ``before_commit`` is written once a transaction, without the units that failed;
- a checkpoint runs on a connection of its own, so that no caller waits for it; what was committed beside it is moved
  when no caller waits;
- nothing is committed to a file that was removed from its path or replaced: the write is refused;
- the workspace's clock is read and stored inside the transaction, so that no two processes hand out one stamp.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain, repeat
from time import monotonic, perf_counter, sleep
from typing import Any, TypeVar

import msgspec

from acode_tui.domain.clock import MonotonicClock
from acode_tui.domain.errors import AcodeError, DatabaseConnectionError, TransactionError
from acode_tui.storage.sqlite import meta
from acode_tui.storage.sqlite.checkpoints import Checkpoints, log_failure, move_pages
from acode_tui.storage.sqlite.connection import FunctionConnection, TimedConnection
from acode_tui.storage.sqlite.errors import translate
from acode_tui.storage.sqlite.file_in_place import require_in_place

T = TypeVar("T")
Unit = Callable[[sqlite3.Connection], Any]
LastWrite = Callable[[sqlite3.Connection, str, list[Any]], None]
"""A write that a transaction makes once, after its units: a function of the connection, a key, and what the units gave
under that key."""

MAX_GROUP = 256
"""Most units of a group: bounds how long a caller waits behind others."""

CHECKPOINT_CHANGES = 800
"""Rows written after which a checkpoint starts: about two thousand pages of WAL. Each checkpoint writes the pages again
that all writes share, so twice as many of them write 3 KB more to the disk for each recorded tool call.
"""

BUSY_CHANGES = 16_000
"""The same while callers wait: pages that several groups change are then moved once."""

_LOCK_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.025, 0.025, 0.05, 0.05)
_LAST_LOCK_PAUSE = 0.1
"""Seconds between attempts to take another process's lock: SQLite's own."""

_DEADLINE_OPCODES = 20_000
"""Virtual machine instructions between two checks of the transaction's deadline."""


class _QueuedUnit(msgspec.Struct, frozen=True, eq=False):
    unit: Unit
    future: asyncio.Future[Any]
    quiet: bool


class Writer:
    """Runs units of work. One per process and file; safe to call from any task of its loop."""

    def __init__(
        self,
        connection: FunctionConnection,
        clock: MonotonicClock,
        checkpoints: Checkpoints,
        *,
        timeout_seconds: float = 30.0,
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._checkpoints = checkpoints
        self._timeout_seconds = timeout_seconds
        self._monotonic = monotonic
        self._queue: deque[_QueuedUnit] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._listeners: list[Callable[[], None]] = []
        self._timed: Callable[[float], object] = _ignore
        self.last_error: TransactionError | DatabaseConnectionError | None = None
        """Why the last group did not commit: the disk is full, another process holds the lock, the file is gone.
        None once one has."""
        self._deadline = 0.0
        self._uncheckpointed = 0
        self._in_loop: Callable[[], bool] | None = None
        self._at_once: Callable[[], bool] = bool
        self._given: dict[tuple[LastWrite, str], list[Any]] = {}

    @property
    def clock(self) -> MonotonicClock:
        """The workspace's clock; tick it only inside a unit."""
        return self._clock

    def on_commit(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` on the loop after each commit that is not quiet; returns a function that removes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def observe(self, timed: Callable[[float], object]) -> None:
        """Call ``timed`` after each committed group with its seconds, from taking the lock to being on disk."""
        self._timed = timed

    def before_commit(self, write: LastWrite, key: str, value: object) -> None:
        """Call ``write(connection, key, values)`` once, after this transaction's units; part of a unit.

        ``values`` is what the units gave under that key, in their order, without those of a unit that failed. What is
        written commits with the units or not at all.
        """
        self._given.setdefault((write, key), []).append(value)

    async def run(self, unit: Callable[[sqlite3.Connection], T], *, quiet: bool = False) -> T:
        """``unit(connection)``'s answer once it is on disk. ``quiet``: the listeners are not called.

        Raises what the unit raised; TransactionError when the lock could not be had, the transaction took longer
        than ``timeout_seconds``, or the disk refused (AC-006); DatabaseConnectionError when the file is not at its path
        any more.
        """
        if self._closed:
            raise DatabaseConnectionError("the workspace is closed", hint="open it again")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.append(_QueuedUnit(unit, future, quiet))
        if self._idle.is_set():
            self._idle.clear()
            if self._in_loop is not None and self._at_once() and self._in_loop():
                self._begin_group()
            else:
                # In the loop's next turn: what the other tasks of this turn write joins the group.
                loop.call_soon(self._begin_group)
        return await future

    async def run_in_loop(self, allowed: Callable[[], bool], at_once: Callable[[], bool]) -> None:
        """From now on run a group in the loop's thread where ``allowed()``; for a loop that has nothing else to do.

        That saves two changes of thread a group, and turns of the loop where ``at_once()``: no other write is on its
        way that could join the group. A group that has to wait for another process's lock, or of which a unit fails
        halfway, is run in the connection's thread all the same. Without a WAL nothing changes, since a commit then
        waits for readers.
        """
        if await self._connection.run(_no_lock_wait):
            self._in_loop, self._at_once = allowed, at_once

    async def close(self) -> None:
        """Run the units that wait, then close the connection."""
        self._closed = True
        await self._idle.wait()
        await self._checkpoints.close()
        await self._connection.close()

    # Callbacks and not a task: a task would be two more turns of the loop for each group.

    def _begin_group(self) -> None:
        """Run the units that wait, or hand them to the connection's thread."""
        group: list[_QueuedUnit] = []
        while self._queue and not group:
            taken = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_GROUP))]
            group = [queued for queued in taken if not queued.future.cancelled()]
        if not group:
            self._idle.set()
            if self._checkpoints.has_rest:
                # Not at once: those whom the last group answered go on first.
                asyncio.get_running_loop().call_soon(self._move_rest)
            return
        ended = partial(self._group_ended, group, perf_counter())
        try:
            outcomes = self._group_in_loop(group) if self._in_loop is not None and self._in_loop() else None
            if outcomes is None:
                self._connection.begin(partial(self._group, group), ended)
                return
        except Exception as error:  # noqa: BLE001 - it is not swallowed: every caller of the group gets it
            ended(error)
        else:
            ended(outcomes)

    def _group_in_loop(self, group: list[_QueuedUnit]) -> list[Any] | None:
        """The same as ``_group``, without a wait; None where the connection's thread has to run it."""
        connection = self._connection.raw
        if connection.in_transaction:
            return None
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            return None
        outcomes, whole = self._transact(connection, [queued.unit for queued in group], self._run_plain)
        if whole is None:
            return outcomes
        return None if len(group) > 1 or isinstance(whole, _FailedHalfway) else [whole]

    def _group_ended(self, group: list[_QueuedUnit], started: float, outcomes: list[Any] | BaseException) -> None:
        """Answer every caller, also after a failure, and go on: none waits for ever."""
        try:
            if isinstance(outcomes, BaseException):
                outcomes = [_refusal(outcomes) for _ in group]
            if any(not isinstance(outcome, BaseException) for outcome in outcomes):
                self.last_error = None
                self._timed(perf_counter() - started)
            elif isinstance(outcomes[0], (TransactionError, DatabaseConnectionError)):
                self.last_error = outcomes[0]
            self._answer(group, outcomes)
            if self._uncheckpointed >= (BUSY_CHANGES if self._queue else CHECKPOINT_CHANGES):
                self._uncheckpointed = 0
                self._checkpoints.begin()
        finally:
            self._begin_group()

    def _answer(self, group: list[_QueuedUnit], outcomes: list[Any]) -> None:
        committed = False
        for queued, outcome in zip(group, outcomes, strict=True):
            failed = isinstance(outcome, BaseException)
            committed = committed or not (failed or queued.quiet)
            if queued.future.cancelled():
                continue
            if failed:
                queued.future.set_exception(outcome)
            else:
                queued.future.set_result(outcome)
        if committed:
            for listener in tuple(self._listeners):
                listener()

    def _move_rest(self) -> None:
        """Move what was committed beside a checkpoint, unless a group runs: the next one begins the WAL again."""
        if self._closed or not (self._idle.is_set() and self._checkpoints.has_rest):
            return
        self._idle.clear()
        self._checkpoints.has_rest = False
        outcome: int | BaseException
        try:
            if self._in_loop is None or not self._in_loop():
                self._connection.begin(move_pages, self._rest_moved)
                return
            outcome = move_pages(self._connection.raw)
        except Exception as error:  # noqa: BLE001 - it is logged, and no write may wait for ever
            outcome = error
        self._rest_moved(outcome)

    def _rest_moved(self, outcome: int | BaseException) -> None:
        if isinstance(outcome, BaseException):
            log_failure(outcome)
        self._begin_group()

    # What follows runs in the connection's thread, or in the loop's while nothing runs in the connection's.

    def _group(self, group: list[_QueuedUnit], connection: sqlite3.Connection) -> list[Any]:
        """Each unit's answer, or the exception it ended with."""
        units = [queued.unit for queued in group]
        outcomes, whole = self._transaction(connection, units, self._run_plain)
        if isinstance(whole, _FailedHalfway):
            if len(units) == 1:
                return [whole.refusal]
            outcomes, whole = self._transaction(connection, units, self._run_in_savepoint)
        if whole is None:
            return outcomes
        if len(units) == 1:
            return [whole]
        # The whole transaction was lost, and with it units without an error: each is run in one of its own.
        alone: list[Any] = []
        for unit in units:
            outcomes, whole = self._transaction(connection, [unit], self._run_in_savepoint)
            alone.append(outcomes[0] if whole is None else whole)
        return alone

    def _transaction(
        self, connection: sqlite3.Connection, units: list[Unit], attempt: Callable[[sqlite3.Connection, Unit], Any]
    ) -> tuple[list[Any], BaseException | None]:
        """The units' outcomes, or why none of them was committed."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._take_lock(connection)
        except sqlite3.Error as error:
            return [translate(error, "the write could not begin") for _ in units], None
        return self._transact(connection, units, attempt)

    def _take_lock(self, connection: sqlite3.Connection) -> None:
        """Begin, after the transactions of other processes. Raises sqlite3.Error.

        SQLite waits by itself, unless groups run in the loop: then this thread waits.
        """
        if self._in_loop is None:
            connection.execute("BEGIN IMMEDIATE")
            return
        deadline = monotonic() + self._timeout_seconds
        for pause in chain(_LOCK_PAUSES, repeat(_LAST_LOCK_PAUSE)):
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() >= deadline:
                    raise
            sleep(pause)

    def _transact(
        self, connection: sqlite3.Connection, units: list[Unit], attempt: Callable[[sqlite3.Connection, Unit], Any]
    ) -> tuple[list[Any], BaseException | None]:
        """The same, in a transaction that has begun."""
        changes = connection.total_changes
        self._deadline = self._monotonic() + self._timeout_seconds
        connection.set_progress_handler(self._expired, _DEADLINE_OPCODES)
        try:
            before = meta.read_clock(connection, self._clock)
            outcomes = self._run_units(connection, units, attempt)
            if self._expired():
                raise TransactionError("the transaction took longer than allowed and was rolled back")
            if self._clock.last != before:
                meta.store_clock(connection, self._clock)
            connection.set_progress_handler(None, 0)
            if isinstance(connection, TimedConnection) and connection.file is not None:
                require_in_place(connection.file)
            connection.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - after any exception, the transaction must not stay open
            connection.set_progress_handler(None, 0)
            # SQLITE_FULL, SQLITE_IOERR and an interrupt may have rolled back already.
            # A ROLLBACK that fails is tried again before the next transaction begins.
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                return [], translate(error, "the write did not commit")
            return [], error
        self._uncheckpointed += connection.total_changes - changes
        return outcomes, None

    def _run_units(
        self, connection: sqlite3.Connection, units: list[Unit], attempt: Callable[[sqlite3.Connection, Unit], Any]
    ) -> list[Any]:
        """The units' outcomes; makes the last writes of those that did not fail."""
        outcomes: list[Any] = []
        given: dict[tuple[LastWrite, str], list[Any]] = {}
        for unit in units:
            self._given = {}
            outcome = attempt(connection, unit)
            outcomes.append(outcome)
            if not isinstance(outcome, BaseException):
                for last, values in self._given.items():
                    given.setdefault(last, []).extend(values)
        for (write, key), values in given.items():
            write(connection, key, values)
        return outcomes

    def _run_plain(self, connection: sqlite3.Connection, unit: Unit) -> Any:
        """The unit's answer, or its own error where it failed before it had written anything.

        A savepoint keeps a copy of each page that the unit changes, and units hardly ever fail halfway. Raises
        _FailedHalfway where one did: the group then starts over.
        """
        before = connection.total_changes
        try:
            answer = _run(connection, unit)
        except Exception as error:
            if not connection.in_transaction or self._expired():
                raise
            if connection.total_changes != before:
                raise _FailedHalfway(_refusal(error)) from error
            return _refusal(error)
        return _still_open(connection, answer)

    def _run_in_savepoint(self, connection: sqlite3.Connection, unit: Unit) -> Any:
        """The unit's answer or its own error, rolled back alone; raises where the transaction itself is gone."""
        connection.execute("SAVEPOINT unit")
        try:
            answer = _run(connection, unit)
        except Exception as error:
            if not connection.in_transaction or self._expired():
                raise
            connection.execute("ROLLBACK TO unit")
            connection.execute("RELEASE unit")
            return _refusal(error)
        _still_open(connection, answer)
        connection.execute("RELEASE unit")
        return answer

    def _expired(self) -> bool:
        return self._monotonic() > self._deadline


def _no_lock_wait(connection: sqlite3.Connection) -> bool:
    """Have SQLite answer at once where another process has the lock; False without a WAL, where it goes on waiting."""
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        return False
    connection.execute("PRAGMA busy_timeout = 0").fetchall()
    return True


def _ignore(seconds: float) -> None:
    """The observer until ``observe`` sets one."""


class _FailedHalfway(Exception):
    """A unit without a savepoint failed after it had written; ``refusal`` is its caller's error."""

    def __init__(self, refusal: BaseException) -> None:
        super().__init__()
        self.refusal = refusal


def _run(connection: sqlite3.Connection, unit: Unit) -> Any:
    """The unit's answer. It shares its transaction with others, so it may neither begin nor end one."""
    if not isinstance(connection, TimedConnection):
        return unit(connection)
    connection.within_unit = True
    try:
        return unit(connection)
    finally:
        connection.within_unit = False


def _refusal(error: BaseException) -> BaseException:
    """A unit's error as its caller sees it."""
    if isinstance(error, StopIteration):
        # A future cannot hold one.
        return RuntimeError("the unit of work raised StopIteration")
    if not isinstance(error, sqlite3.Error):
        return error
    translation: AcodeError = translate(error, "the write was refused")
    translation.__cause__ = error
    return translation


def _still_open(connection: sqlite3.Connection, answer: Any) -> Any:
    if not connection.in_transaction:
        raise TransactionError("the transaction was ended by its own unit of work")
    return answer
