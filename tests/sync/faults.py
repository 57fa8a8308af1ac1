"""Faults of network, pooler, server and clocks, each real: processes are killed, disks are full, standbys promoted.

Half of the clients connect to the server, the others to pgbouncer in front of it. Both ways lead through a proxy::

    clients ---------------------------------> proxy `server` --> the primary --> its standby
    clients --> proxy `pooler` --> pgbouncer --------^

Each fault lasts as long as ``strike``, and is over afterwards; only what a promoted standby lost stays lost.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext

import asyncpg

from tests.clocks import GUARD_SECONDS
from tests.fault_proxy import FaultProxy, Mode, fault_proxy, short_deadlines
from tests.pg import Database, Server
from tests.pgbouncer import PGBOUNCER, PoolerProcess, pooler_processes

DISK_MEGABYTES = 400
"""Enough for the data and what WAL is kept, and little enough to be filled quickly."""

MAX_CONNECTIONS = 24

OF_PROXY = ("cut", "lose_reply", "cut_commit", "refuse", "black_hole", "half_open")
OF_SERVER = ("terminate", "restart", "block", "time_limit", "too_many_connections", "promote", "promote_with_loss")
OF_CLOCKS = ("clock_step",)

END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'acode-tui'"

Syncs = Callable[[], Awaitable[object]]


class Faults:
    """A primary with a standby, a pooler, and what may happen to them."""

    def __init__(
        self,
        primary: Server,
        standby: Server,
        proxies: tuple[FaultProxy, FaultProxy],
        pooler: PoolerProcess | None,
        chance: random.Random,
        *,
        step_clock: Callable[[], object],
        pass_time: Callable[[], Awaitable[object]],
    ) -> None:
        """``step_clock`` steps the clock of one client; ``pass_time`` lets all of them wait for a while."""
        self.primary = primary
        self._standby = standby
        self._server_proxy, self._pooler_proxy = proxies
        self._pooler = pooler
        self._chance = chance
        self._step_clock = step_clock
        self._pass_time = pass_time

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those that can happen on this machine."""
        those = (*OF_PROXY, *OF_SERVER, *OF_CLOCKS, "disk_full", "pooler_restart")
        return tuple(kind for kind in those if kind not in self.impossible)

    @property
    def impossible(self) -> dict[str, str]:
        """Those that cannot, and why."""
        found = {}
        if not (self.primary.has_small_disk and self._standby.has_small_disk):
            found["disk_full"] = "this user may not mount a small file system"
        if self._pooler is None:
            found["pooler_restart"] = "pgbouncer is not installed (`apt-get install pgbouncer`)"
        return found

    @property
    def team(self) -> Database:
        return Database(self.primary, "postgres")

    @property
    def urls(self) -> tuple[str, str]:
        """Addresses of the server and of the pooler, each behind its proxy."""
        return (
            self.primary.url("postgres", port=self._server_proxy.port),
            self.primary.url("postgres", port=self._pooler_proxy.port),
        )

    async def strike(self, kind: str, syncs: Syncs) -> None:
        """Run ``syncs`` while the fault happens, at once or after some round trips."""
        both = (self._server_proxy, self._pooler_proxy)
        struck = self._chance.choice([both[:1], both[1:], both])
        silent = short_deadlines() if kind in ("black_hole", "half_open", "block") else nullcontext()
        with silent:
            if kind == "lose_reply":
                for proxy in struck:
                    proxy.cut_in_reply_to_commit()
                await syncs()
            elif kind == "cut_commit":
                for proxy in struck:
                    proxy.cut_before_commit()
                await syncs()
            elif kind in ("refuse", "black_hole"):
                for proxy in struck:
                    await proxy.set_mode(Mode.REFUSE if kind == "refuse" else Mode.SWALLOW)
                await syncs()
            elif kind in ("block", "time_limit", "disk_full", "too_many_connections"):
                async with getattr(self, f"_{kind}")():
                    running = asyncio.ensure_future(syncs())
                    while not running.done():
                        await self._pass_time() if kind == "too_many_connections" else await asyncio.sleep(0)
                        await asyncio.wait([running], timeout=0.01)
                    await running
            else:
                if kind.startswith("promote"):
                    await self._prepare_promotion(syncs, loses=kind == "promote_with_loss")
                running = asyncio.ensure_future(syncs())
                await self._after_some_round_trips(running)
                await self._break(kind, struck)
                await running
        for proxy in both:
            proxy.cut()
            await proxy.set_mode(Mode.PASS)
        if kind.startswith("promote"):
            await asyncio.to_thread(self._standby.start_standby_of, self.primary)

    async def _after_some_round_trips(self, running: asyncio.Future[object]) -> None:
        until = self._server_proxy.round_trips + self._chance.randrange(20)
        while self._server_proxy.round_trips < until and not running.done():  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def _break(self, kind: str, struck: tuple[FaultProxy, ...]) -> None:
        if kind == "cut":
            for proxy in struck:
                proxy.cut()
        elif kind == "half_open":
            for proxy in struck:
                await proxy.set_mode(Mode.SWALLOW)
        elif kind == "terminate":
            await self._end_sessions()
        elif kind == "restart":
            await asyncio.to_thread(self.primary.restart)
        elif kind == "pooler_restart":
            assert self._pooler is not None
            await asyncio.to_thread(self._pooler.restart)
        elif kind == "clock_step":
            self._step_clock()
        else:
            await self._fail_over(loses=kind == "promote_with_loss")

    async def _end_sessions(self) -> None:
        await self.primary.execute(END_SESSIONS)

    # A standby takes over

    async def _prepare_promotion(self, syncs: Syncs, *, loses: bool) -> None:
        """Wait until the standby follows. With ``loses`` it then stops to, and lacks what is synced from now on."""
        await self._replication(streams=True)
        if loses:
            await self._standby.execute("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
            await self._replication(streams=False)
            await syncs()

    async def _replication(self, *, streams: bool) -> None:
        async with asyncio.timeout(GUARD_SECONDS):
            while True:
                rows = await self.team.fetch("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'")
                if bool(rows) is streams:
                    return
                await asyncio.sleep(0.02)

    async def _fail_over(self, *, loses: bool) -> None:
        """The primary ends, and every address leads to the standby, as a virtual IP address would.

        A primary that is shut down hands its standby everything first; one that crashed does not.
        """
        await asyncio.to_thread(self.primary.stop, "immediate" if loses else "fast")
        await asyncio.to_thread(self._standby.promote)
        self.primary, self._standby = self._standby, self.primary
        self._server_proxy.lead_to("127.0.0.1", self.primary.port)
        if self._pooler is None:
            self._pooler_proxy.lead_to("127.0.0.1", self.primary.port)

    # What lasts for a while

    @asynccontextmanager
    async def _block(self) -> AsyncIterator[None]:
        """Another program holds a lock for longer than anybody waits."""
        connection = await asyncpg.connect(self.primary.url("postgres"))
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE sessions IN SHARE ROW EXCLUSIVE MODE")
                yield
        finally:
            await connection.close()

    @asynccontextmanager
    async def _time_limit(self) -> AsyncIterator[None]:
        """The server ends every statement after some milliseconds, and none that writes is done by then.

        With the limit alone chance would decide which records pass, and one that is ended while others pass is slow
        itself.
        """
        connection = await asyncpg.connect(self.primary.url("postgres"))
        try:
            await connection.execute(f"ALTER ROLE postgres SET statement_timeout = '{self._chance.randint(5, 20)}ms'")
            async with connection.transaction():
                await connection.execute("LOCK TABLE workspaces IN SHARE ROW EXCLUSIVE MODE")
                await self._end_sessions()
                yield
        finally:
            await connection.execute("ALTER ROLE postgres RESET statement_timeout")
            await connection.execute(END_SESSIONS)
            await connection.close()

    @asynccontextmanager
    async def _too_many_connections(self) -> AsyncIterator[None]:
        """Other programs have all of the server's connections."""
        await self._end_sessions()
        held = []
        try:
            for _ in range(MAX_CONNECTIONS):
                try:
                    held.append(await asyncpg.connect(self.primary.url("postgres")))
                except asyncpg.TooManyConnectionsError:
                    break
            yield
        finally:
            for connection in held:
                await connection.close()

    @asynccontextmanager
    async def _disk_full(self) -> AsyncIterator[None]:
        """Nothing is free on the server's disk."""
        with self.primary.without_disk_space():
            yield
        try:
            await self.team.fetch("SELECT 1")
        except (asyncpg.PostgresError, OSError):
            # It needed a new WAL segment and crashed, or its recovery needs one and has ended: the operator's part.
            await asyncio.to_thread(self.primary.restart)


@asynccontextmanager
async def faults(
    make_server: Callable[..., Server],
    chance: random.Random,
    *,
    step_clock: Callable[[], object],
    pass_time: Callable[[], Awaitable[object]],
) -> AsyncIterator[Faults]:
    """A running primary, its standby, pgbouncer if it is installed, and the proxies."""
    options = {"disk_megabytes": DISK_MEGABYTES, "max_connections": str(MAX_CONNECTIONS), "max_wal_size": "64MB"}
    primary = make_server(**options, wal_keep_size="48MB", shared_buffers="16MB")
    standby = make_server(**options, start=False)
    await asyncio.to_thread(standby.start_standby_of, primary)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(fault_proxy("127.0.0.1", primary.port))
        pooler, behind = None, primary.port
        if PGBOUNCER is not None:
            make_pooler = stack.enter_context(pooler_processes())
            # As many connections as clients: none waits for the transaction of another that a fault has struck.
            settings = {"default_pool_size": "6", "server_login_retry": "0.1", "query_wait_timeout": "1"}
            pooler = make_pooler("postgres", server.port, **settings)
            behind = pooler.port
        front = await stack.enter_async_context(fault_proxy("127.0.0.1", behind))
        yield Faults(primary, standby, (server, front), pooler, chance, step_clock=step_clock, pass_time=pass_time)
