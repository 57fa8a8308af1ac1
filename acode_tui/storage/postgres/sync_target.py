"""The one connection of the sync: delivers batches, pulls changes, probes the target.

A batch is one transaction: head, ledger, compare-and-set writes, resolved conflicts (see ``apply_batch``). A crash
before its commit leaves nothing; a crash after it is harmless, because the next delivery finds the keys in the ledger
and reads the rows back. Every operation has a deadline; a connection that misses it, or fails, is dropped, and the
next operation opens another one. All failures are PostgresFault. Only the sync worker uses it, one operation at a time.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, nullcontext

import asyncpg
import msgspec

from acode_tui.config.postgres_address import PostgresTarget
from acode_tui.domain.clock import WallClock, parse_time, system_clock
from acode_tui.domain.entities import Entity
from acode_tui.domain.errors import MigrationError, SchemaMismatchError
from acode_tui.domain.incoming import IncomingRules
from acode_tui.domain.validation import Limits
from acode_tui.storage.delivery_protocol import (
    ApplyReply,
    ApplyRow,
    ConflictRules,
    Fault,
    FaultKind,
    Head,
    PostgresFault,
    PullPage,
    RejectedRow,
    RowKey,
    TargetFacts,
)
from acode_tui.storage.ports import TierMigrations
from acode_tui.storage.postgres import migrate
from acode_tui.storage.postgres.apply_batch import deliver, held_otherwise
from acode_tui.storage.postgres.apply_distributed import DistributedDelivery, held_otherwise_distributed
from acode_tui.storage.postgres.apply_sql import ApplyStatements
from acode_tui.storage.postgres.batch_lexemes import Lexemes
from acode_tui.storage.postgres.citus import is_distributed
from acode_tui.storage.postgres.connection import PostgresConnectionFactory, deadline
from acode_tui.storage.postgres.errors import DRIVER_ERRORS, foreign_workspace, translate_to_fault
from acode_tui.storage.postgres.identifiers import is_uuid, quoted_schema
from acode_tui.storage.postgres.pooler import pinned
from acode_tui.storage.postgres.prepared_batch import PreparedBatch, prepare
from acode_tui.storage.postgres.probe import read_facts
from acode_tui.storage.postgres.pull import MAX_PAGE_BYTES, pull_page, read_again, read_head


class PostgresSyncTarget:
    """``SyncTarget`` over one asyncpg connection."""

    def __init__(
        self,
        address: PostgresTarget,
        rules: ConflictRules,
        *,
        schema: str = "public",
        connect_timeout: float = 10.0,
        command_timeout: float = 60.0,
        wall: WallClock = system_clock,
        limits: Limits | None = None,
        statement_cache: int | None = None,
    ) -> None:
        """Time-outs in seconds: of a connection attempt, and of a whole operation such as a batch.

        ``statement_cache`` see ``PostgresConnectionFactory``. ``limits`` bound the values of rows that are read.
        """
        self._incoming = IncomingRules(limits=limits or Limits(), wall=wall)
        self.address = address
        self.schema = schema
        self._rules = rules
        self._statements = ApplyStatements(schema, self._incoming)
        self._connections = PostgresConnectionFactory(
            address,
            connect_timeout=connect_timeout,
            command_timeout=command_timeout,
            statement_cache=statement_cache,
        )
        self._wall = wall
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._connecting: asyncio.Future[asyncpg.Connection[asyncpg.Record]] | None = None
        self._distributed: bool | None = None

    @property
    def is_connected(self) -> bool:
        """Whether a connection is open, as far as the client knows."""
        return self._connection is not None and not self._connection.is_closed()

    async def connect(self) -> None:
        """Open the connection if it is not open. The schema is not checked: see ``probe`` and ``check_schema``."""
        async with self._open():
            pass

    async def close(self) -> None:
        """Close the connection, within two seconds; the next operation opens another one."""
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed():
            return
        try:
            with deadline(connection, 2.0):
                await connection.close()
        except DRIVER_ERRORS:
            connection.terminate()

    def terminate(self) -> None:
        """Drop the connection at once; an operation in flight, connecting included, fails with a PostgresFault."""
        if self._connecting is not None:
            self._connecting.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def probe(self) -> TargetFacts:
        """Versions, round trip, clock, and whether it accepts writes. A missing schema is not an error."""
        async with self._open() as connection:
            return await read_facts(
                connection, schema=self.schema, wall=self._wall, distributed=bool(self._distributed)
            )

    async def check_schema(self) -> str:
        """The schema's version. Raises PostgresFault of kind SCHEMA, with a hint, if it is not this program's."""
        async with self._open() as connection:
            try:
                return await migrate.check_schema(connection, self.schema)
            except MigrationError as error:
                raise PostgresFault(translate_to_fault(error, self.address)) from None

    async def migrate(self, *, distribute: bool = False, dry_run: bool = False) -> TierMigrations:
        """Migrate the schema; see ``migrate.migrate``. Raises PostgresFault and MigrationError."""
        async with self._open(own_transactions=True) as connection:
            self._distributed = None  # asked again by the next connection
            migrated = await migrate.migrate(connection, schema=self.schema, distribute=distribute, dry_run=dry_run)
            self._distributed = await is_distributed(connection, self.schema)
            return migrated

    async def register_workspace(self, workspace_id: str, *, user: str, host: str, version: str) -> Head:
        """Register the workspace, or update when it was last seen. Returns its head.

        The login that registers it owns it. Raises a FOREIGN_WORKSPACE fault if row-level security protects it as
        another login's.
        """
        async with self._open() as connection:
            try:
                # A savepoint behind a pooler, whose transaction goes on after a refusal.
                async with connection.transaction() if connection.is_in_transaction() else nullcontext():
                    # Where row-level security is off, a workspace from before there were owners gets one here.
                    row = await connection.fetchrow(
                        f"INSERT INTO {quoted_schema(self.schema)}.workspaces AS w (id, user_name, host, version) "  # noqa: S608
                        "VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE SET user_name = EXCLUDED.user_name, "
                        "host = EXCLUDED.host, version = EXCLUDED.version, last_seen_at = EXCLUDED.last_seen_at, "
                        "owner = coalesce(w.owner, EXCLUDED.owner) RETURNING change_seq, incarnation",
                        workspace_id,
                        user,
                        host,
                        version,
                    )
            except asyncpg.InsufficientPrivilegeError as error:
                if translate_to_fault(error, self.address).kind is not FaultKind.ROW_SECURITY:
                    raise
                owner = await connection.fetchval(
                    f"SELECT owner FROM {quoted_schema(self.schema)}.workspaces WHERE id = $1",  # noqa: S608
                    workspace_id,
                )
                raise PostgresFault(foreign_workspace(workspace_id, owner, self.address)) from None
            assert row is not None
            return Head(change_seq=row["change_seq"], incarnation=str(row["incarnation"]))

    async def head(self, workspace_id: str) -> Head | None:
        """The workspace's head; None if the database does not know the workspace. Reads one row."""
        async with self._open() as connection:
            return await read_head(connection, self.schema, workspace_id)

    async def renew_incarnation(self, workspace_id: str) -> Head:
        """Give the workspace a new incarnation, before everything is sent again to a server that was restored.

        The server assigns some numbers for the second time, so the pull cursors of other replicas are invalid. They
        detect the new incarnation and send everything again too.
        """
        async with self._open() as connection:
            row = await connection.fetchrow(
                f"UPDATE {quoted_schema(self.schema)}.workspaces SET incarnation = gen_random_uuid() "  # noqa: S608
                "WHERE id = $1 RETURNING change_seq, incarnation",
                workspace_id,
            )
            if row is None:
                raise PostgresFault(_unknown_workspace())
            return Head(change_seq=row["change_seq"], incarnation=str(row["incarnation"]))

    async def apply(
        self,
        workspace_id: str,
        batch: Sequence[ApplyRow],
        *,
        incarnation: str,
        cursor: int = 0,
        only_as_based: bool = False,
        indexed: Collection[str] = (),
        sent_lexemes: Lexemes | None = None,
        prepared: PreparedBatch | None = None,
    ) -> ApplyReply:
        """Deliver a batch in one transaction. Raises ValueError if it has two records of one entity or key.

        ``incarnation`` and ``cursor`` are the head as the caller last saw it. If the server has another incarnation or
        a lower number, nothing is written and a REMOTE_BEHIND fault is raised. A record that the server refuses fails
        the whole batch, with the reason as the fault; the caller halves the batch to find it. ``only_as_based``,
        ``indexed``, ``sent_lexemes`` and ``prepared``: see ``apply_batch.deliver``.
        """
        async with self._open(for_batch=True) as connection:
            return await deliver(
                connection,
                self._statements,
                workspace_id,
                batch,
                incarnation=incarnation,
                known_seq=cursor,
                rules=self._rules,
                incoming=self._incoming,
                now=self._wall(),
                delivery_type=DistributedDelivery if self._distributed else None,
                idle_timeout=self._connections.command_timeout,
                only_as_based=only_as_based,
                indexed=indexed,
                sent_lexemes=sent_lexemes,
                prepared=prepared,
            )

    async def prepare(self, batch: Sequence[ApplyRow]) -> PreparedBatch | None:
        """The part of ``apply`` that needs no connection; None where the tables are distributed."""
        return None if self._distributed else await prepare(batch, self._rules)

    async def pull(
        self, workspace_id: str, after_seq: int, *, limit: int = 1000, max_bytes: int = MAX_PAGE_BYTES
    ) -> PullPage:
        """The workspace's rows with the next values of ``change_seq`` above ``after_seq``; all rows, if called from 0.

        A page has about ``limit`` rows and ``max_bytes`` of artifact content, and all rows of each value.
        """
        async with self._open() as connection:
            page = await pull_page(
                connection, self.schema, workspace_id, after_seq, limit, max_bytes, rules=self._incoming
            )
            if page is None:
                raise PostgresFault(_unknown_workspace())
            return page

    async def read_again(self, keys: Sequence[RowKey]) -> tuple[list[Entity], list[RejectedRow]]:
        """Rows by key, parents first, those that are still not valid apart. A row that is gone is in neither."""
        async with self._open() as connection:
            return await read_again(connection, self.schema, keys, rules=self._incoming)

    async def ledger_has(self, keys: Sequence[tuple[str, str]]) -> set[str]:
        """The keys among these (session id, idempotency key) that the ledger contains, or that it contained.

        A ledger that was pruned lacks old keys. Those count too whose session was removed because of its age, or whose
        row is there and not older.
        """
        async with self._open() as connection:
            rows = await connection.fetch(
                self._statements.delivered,
                sorted({session_id for session_id, _ in keys}),
                [key for _, key in keys],
            )
            held = {row["idempotency_key"] for row in rows}
            rest = [
                (kind, session_id, entity_id, parse_time(stamp), key)
                for session_id, key in keys
                if key not in held
                for kind, entity_id, stamp in [key.split(":", 2)]
                if is_uuid(entity_id)
            ]
            if rest:
                find = held_otherwise_distributed if self._distributed else held_otherwise
                held.update(rest[place][4] for place in await find(connection, self._statements, rest))
            return held

    @asynccontextmanager
    async def _open(
        self, *, for_batch: bool = False, own_transactions: bool = False
    ) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """The connection, opened if need be. A fault is a record's at most once it is open, and ``for_batch``.

        Behind a pooler the block is a transaction, unless it makes its own.
        """
        connection, is_open = self._connection, False
        try:
            if connection is None or connection.is_closed():
                connection = self._connection = await self._connect()
                if self._distributed is None:
                    with deadline(connection, self._connections.command_timeout):
                        async with pinned(connection, pooled=self._connections.is_pooled):
                            self._distributed = await is_distributed(connection, self.schema)
            is_open = True
            is_pooled = self._connections.is_pooled and not (for_batch or own_transactions)
            with deadline(connection, self._connections.command_timeout):
                async with pinned(connection, pooled=is_pooled):
                    yield connection
        except (*DRIVER_ERRORS, SchemaMismatchError) as error:
            fault = self._connections.fault_of(error)
            if self._connections.learn_from(fault.sqlstate) or fault.sqlstate is None:
                self.terminate()
            raise PostgresFault(_placed(fault, before_batch=not (for_batch and is_open))) from None
        except PostgresFault as error:
            if _is_in_transaction(connection):
                self.terminate()
            raise PostgresFault(_placed(error.fault, before_batch=not (for_batch and is_open))) from None
        except BaseException as error:
            # Cancelled during a query, or failed on this side with a transaction open: the connection is unusable.
            if not isinstance(error, Exception) or _is_in_transaction(connection):
                self.terminate()
            raise

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        self._connecting = asyncio.ensure_future(self._connections.connect())
        try:
            return await self._connecting
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise ConnectionAbortedError from None  # cancelled by terminate()
        finally:
            self._connecting = None


def _is_in_transaction(connection: "asyncpg.Connection[asyncpg.Record] | None") -> bool:
    return connection is not None and not connection.is_closed() and bool(connection.is_in_transaction())


def _placed(fault: Fault, *, before_batch: bool) -> Fault:
    return msgspec.structs.replace(fault, before_batch=before_batch)


def _unknown_workspace() -> Fault:
    return Fault(
        kind=FaultKind.REMOTE_BEHIND,
        sentence="the team's database does not know this workspace any more",
        hint="run `acode-tui db sync --full` to send everything again",
    )
