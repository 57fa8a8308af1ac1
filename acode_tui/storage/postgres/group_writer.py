"""Writes to PostgreSQL, in groups: those that wait while one transaction runs go together into the next.

A group is planned in memory and delivered as one batch of the sync's own protocol: head, ledger, compare-and-set.
Promises:

- a caller is answered after the server has committed its rows, never before;
- a write that is refused fails alone; the others of its group commit;
- where another process changed a row meanwhile, nothing of the group is written, and it is planned again;
- where the connection is lost, the same batch goes again under the same keys, and the ledger knows if it was applied;
- a caller that is cancelled while it waits writes nothing; one whose group has begun may have written.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from msgspec.structs import replace

from acode_tui.domain.clock import MonotonicClock
from acode_tui.domain.errors import AcodeError, DatabaseConnectionError, TransactionError
from acode_tui.domain.redaction import Redact, unchanged
from acode_tui.domain.validation import Limits
from acode_tui.logs import get_logger
from acode_tui.storage.delivery_protocol import ApplyRow, FaultKind, Head, PostgresFault
from acode_tui.storage.postgres.errors import translate
from acode_tui.storage.postgres.identifiers import Connection, quoted_schema
from acode_tui.storage.postgres.known_rows import KnownRows, Need
from acode_tui.storage.postgres.planned_writes import PlannedWrites
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget

MAX_GROUP = 256
"""Most writes of a group: bounds how long a caller waits behind others."""

MAX_PLANS = 20
"""How often a group is planned again because another process changed one of its rows."""

RETRY_SECONDS = (0.0, 0.1, 0.5, 2.0)
"""Pauses before a batch is sent again whose connection was lost."""

LARGE_BYTES = 64 * 1024
"""From this size on a content is redacted in a thread of its own."""

_AGAIN_KINDS = (
    FaultKind.CONNECTION_LOST,
    FaultKind.TIMEOUT,
    FaultKind.REFUSED,
    FaultKind.UNREACHABLE,
    FaultKind.UNKNOWN_HOST,
    FaultKind.CONTENDED,
    FaultKind.REMOTE_BEHIND,
)
"""Faults that say nothing of the batch: it is sent again, whether or not the server has applied it."""

_AGAIN = ("40001", "40P01", "57P01", "57P02", "57P03", "53300", "26000", "42P05")
"""SQLSTATEs that say nothing of the batch: another transaction, a server that restarts, a pooler."""

log = get_logger("acode_tui.storage.postgres")


_OF_A_RECORD = (FaultKind.SERVER, FaultKind.ROW_SECURITY, FaultKind.ENCODING, FaultKind.PRUNED)


class Write(Protocol):
    """One caller's write."""

    @property
    def needs(self) -> Sequence[Need]:
        """The rows that it looks at."""
        ...

    async def load(self, connection: Connection, schema: str) -> None:
        """Read what it needs beyond ``needs``; called for each plan, on a connection that reads one snapshot."""
        ...

    @property
    def loads(self) -> bool:
        """Whether ``load`` reads anything."""
        ...

    def plan(self, planned: PlannedWrites) -> Any:
        """Plan its rows; the answer is the caller's, an entity as it was planned. Raises AcodeError."""
        ...


class _Queued:
    __slots__ = ("answer", "write")

    def __init__(self, write: Write) -> None:
        self.write = write
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class _OutOfDateError(Exception):
    """The server has other versions of rows than the plan was made from."""


class GroupWriter:
    """The writes of one workspace over one connection. One per process; safe to call from any task of its loop."""

    def __init__(
        self,
        target: PostgresSyncTarget,
        snapshot: Callable[[], AbstractAsyncContextManager[Connection]],
        register: Callable[[], Any],
        *,
        workspace_id: str,
        head: Head,
        clock: MonotonicClock,
        limits: Limits,
        redact: Redact[Any] = unchanged,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        """``snapshot`` opens a connection that reads one snapshot; ``register`` returns the workspace's head."""
        self._target = target
        self._snapshot = snapshot
        self._register = register
        self._workspace_id = workspace_id
        self._head = head
        self._clock = clock
        self._limits = limits
        self._redact = redact
        self._sleep = sleep
        self._known = KnownRows()
        self._waiting: deque[_Queued] = deque()
        self._draining: asyncio.Task[None] | None = None
        self._closed = False

    async def run(self, write: Write) -> Any:
        """Plan and deliver a write with those that wait beside it. Raises AcodeError."""
        if self._closed:
            raise DatabaseConnectionError("the database was closed", hint="open it again")
        queued = _Queued(write)
        self._waiting.append(queued)
        if self._draining is None or self._draining.done():
            self._draining = asyncio.create_task(self._drain(), name="acode-postgres-writes")
        return await queued.answer

    async def close(self) -> None:
        """Deliver what waits, then close the connection."""
        self._closed = True
        if self._draining is not None:
            await asyncio.wait([self._draining])
        await self._target.close()

    async def _drain(self) -> None:
        while self._waiting:
            # One turn of the loop: callers that were answered together write again together.
            await asyncio.sleep(0)
            group = self._take()
            try:
                if group := [queued for queued in group if not queued.answer.done()]:
                    await self._write(group)
            except BaseException as error:
                self._known.clear()
                for queued in group:
                    _refuse(queued, error if isinstance(error, Exception) else TransactionError("writing has ended"))
                if not isinstance(error, Exception):
                    raise

    def _take(self) -> list[_Queued]:
        """The next group. A write that reads beyond its needs is one by itself: what it reads must not change in it."""
        group = [self._waiting.popleft()]
        while self._waiting and len(group) < MAX_GROUP and not (group[0].write.loads or self._waiting[0].write.loads):
            group.append(self._waiting.popleft())
        return group

    async def _write(self, group: list[_Queued]) -> None:
        """Write a group, and answer its callers."""
        try:
            await self._deliver(group)
        except PostgresFault as error:
            self._known.clear()
            if len(group) > 1 and _is_of_a_record(error):
                for queued in group:
                    await self._write([queued])
                return
            for queued in group:
                _refuse(queued, _error_of(error))

    async def _deliver(self, group: list[_Queued]) -> None:
        for _ in range(MAX_PLANS):
            # Nothing was known, so that everything is read now: a refusal is then the last word.
            is_fresh = len(self._known) == 0
            await self._load(group)
            planned = PlannedWrites(self._known, self._clock.tick, workspace_id=self._workspace_id, limits=self._limits)
            answers: list[Any] = []
            for queued in group:
                try:
                    answers.append(queued.write.plan(planned))
                except AcodeError as error:
                    answers.append(error)
            if not is_fresh and any(isinstance(answer, AcodeError) for answer in answers):
                self._known.clear()
                continue
            try:
                sent = await self._send(planned)
            except _OutOfDateError:
                self._known.clear()
                continue
            if any(queued.write.loads for queued in group):
                # Its rows were not planned in the order that keeps what is known below each of them complete.
                self._known.clear()
            for queued, answer in zip(group, answers, strict=True):
                if isinstance(answer, AcodeError):
                    _refuse(queued, answer)
                elif not queued.answer.done():
                    queued.answer.set_result(self._as_stored(answer, sent))
            return
        raise TransactionError("other processes changed the same run again and again")

    def _as_stored(self, answer: Any, sent: dict[str, Any]) -> Any:
        """A planned row as the server has it. A version that a later write of the group replaced was not sent."""
        stored = sent.get(getattr(answer, "id", ""))
        if stored is None or stored.updated_at == answer.updated_at:
            return answer if stored is None else stored
        return self._redact(answer)

    async def _load(self, group: Sequence[_Queued]) -> None:
        if self._known.is_full:
            self._known.clear()
        missing = self._known.missing([need for queued in group for need in queued.write.needs])
        loading = [queued.write for queued in group if queued.write.loads]
        if not missing and not loading:
            return
        schema = quoted_schema(self._target.schema)
        pauses = iter(RETRY_SECONDS)
        while True:
            try:
                async with self._snapshot() as connection:
                    await self._known.load(connection, schema, missing)
                    for write in loading:
                        await write.load(connection, schema)
                return
            except DatabaseConnectionError:
                # A connection of the pool may have been lost while it was idle.
                self._known.clear()
                pause = next(pauses, None)
                if pause is None:
                    raise
                await self._sleep(pause)
                missing = self._known.missing([need for queued in group for need in queued.write.needs])

    async def _send(self, planned: PlannedWrites) -> dict[str, Any]:
        """Deliver the planned rows. The answer is each row as the server has it now. Raises _OutOfDateError."""
        if planned.bytes_to_redact > LARGE_BYTES:
            batch = await asyncio.to_thread(planned.finish, self._redact)
        else:
            batch = planned.finish(self._redact)
        if not batch:
            return {}
        versions = await self._apply(batch, planned.stamped)
        sent: dict[str, Any] = {}
        for row, version in zip(batch, versions, strict=True):
            stored: Any = row.entity
            if hasattr(stored, "sync_version"):
                stored = replace(stored, sync_version=version)
                self._known.note(stored)
                self._known.forget_ended(stored)
            elif hasattr(stored, "content"):
                self._known.rows.pop(stored.id, None)
            sent[stored.id] = stored
        return sent

    async def _apply(self, batch: Sequence[ApplyRow], indexed: set[str]) -> list[int]:
        """Send a batch until the server has answered. The answer is each row's new version."""
        pauses = iter(RETRY_SECONDS)
        while True:
            try:
                reply = await self._target.apply(
                    self._workspace_id,
                    batch,
                    incarnation=self._head.incarnation,
                    only_as_based=True,
                    indexed=indexed,
                    sent_lexemes=self._known.lexemes,
                )
            except PostgresFault as error:
                kind, sqlstate = error.fault.kind, error.fault.sqlstate
                if kind is FaultKind.OUTDATED:
                    raise _OutOfDateError from None
                pause = next(pauses, None)
                if pause is None or not (kind in _AGAIN_KINDS or sqlstate in _AGAIN):
                    raise
                log.warning("write.again", database="postgres", reason=error.fault.sentence, records=len(batch))
                await self._sleep(pause)
                if kind is FaultKind.REMOTE_BEHIND:
                    # The server was restored. Nothing is kept here that it could have lost: its state counts.
                    self._head = await self._register()
            else:
                return [result.sync_version for result in reply.results]


def _refuse(queued: _Queued, error: Exception) -> None:
    if not queued.answer.done():
        queued.answer.set_exception(error)


def _is_of_a_record(error: PostgresFault) -> bool:
    """Whether one of a batch's records may be to blame."""
    fault = error.fault
    return not fault.before_batch and fault.kind in _OF_A_RECORD


def _error_of(error: PostgresFault) -> AcodeError:
    """The caller's error."""
    translated = translate(error)
    if error.fault.kind in _AGAIN_KINDS and not error.fault.before_batch:
        # The sync's hint is that it is retried. Here it was, and whether the server has it is not known.
        return DatabaseConnectionError(
            f"{translated.message}, and the write may or may not be there",
            hint="read the run before you write it again, once the database answers",
        )
    if error.fault.kind in _AGAIN_KINDS:
        return DatabaseConnectionError(translated.message, hint="nothing was written; try again once it answers")
    return translated
