"""Debian's pgbouncer before the session's server, in transaction mode: each transaction gets another connection."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from acode_tui.storage.postgres.pooler import forget_poolers
from tests.clocks import GUARD_SECONDS
from tests.memory import folder_for_tests
from tests.pg import UNPRIVILEGED, Database, free_port

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")

needs_pgbouncer = pytest.mark.skipif(
    PGBOUNCER is None, reason="pgbouncer is not installed (`apt-get install pgbouncer`)"
)


@dataclass
class PoolerProcess:
    """A pgbouncer on 127.0.0.1 before one database of the server on another port there."""

    folder: Path
    database: str
    server_port: int
    settings: dict[str, str]
    port: int = field(default_factory=free_port)
    _running: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        assert PGBOUNCER is not None
        (self.folder / "users").write_text('"postgres" ""\n')
        given = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": str(self.folder / "users"),
            "pool_mode": "transaction",
            "default_pool_size": "3",
            # The connection that was idle for longest, not the last one: a statement never meets its own again.
            "server_round_robin": "1",
            **self.settings,
        }
        lines = ["[databases]", f"{self.database} = host=127.0.0.1 port={self.server_port}"]
        lines += ["[pgbouncer]", *(f"{key} = {value}" for key, value in given.items())]
        (self.folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        as_nobody: dict[str, Any] = {}
        if os.geteuid() == 0:
            as_nobody = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []}
        self._running = subprocess.Popen(
            [PGBOUNCER, "-q", str(self.folder / "pgbouncer.ini")], stderr=subprocess.DEVNULL, **as_nobody
        )
        _wait_for(self.port)

    def stop(self) -> None:
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None

    def restart(self) -> None:
        self.stop()
        self.start()


@contextmanager
def pooler_processes() -> Iterator[Callable[..., PoolerProcess]]:
    """Makes started poolers, which stop at the end of the block; takes what PoolerProcess takes, without a folder."""
    forget_poolers()
    made: list[PoolerProcess] = []
    with tempfile.TemporaryDirectory(prefix="acode-pgbouncer-", dir=folder_for_tests()) as name:

        def make(database: str, server_port: int, **settings: str) -> PoolerProcess:
            folder = Path(name) / str(len(made))
            folder.mkdir()
            made.append(PoolerProcess(folder, database, server_port, settings))
            made[-1].start()
            return made[-1]

        Path(name).chmod(0o755)
        try:
            yield make
        finally:
            for each in made:
                each.stop()


@dataclass
class Pooler:
    """A running pgbouncer before a test's database."""

    port: int
    database: Database

    @property
    def url(self) -> str:
        return self.database.url_through(self.port)

    async def spread(self) -> None:
        """Have it open three connections to the server, which the transactions of one client then use in turn."""
        clients = [await asyncpg.connect(self.url, statement_cache_size=0) for _ in range(3)]
        for statement in ("BEGIN", "COMMIT"):
            for client in clients:
                await client.execute(statement)
        for client in clients:
            await client.close()


@pytest.fixture
def make_pooler(pg_database: Database) -> Iterator[Callable[..., Pooler]]:
    """Starts a pgbouncer before the test's database; takes settings of its ``[pgbouncer]`` section."""
    with pooler_processes() as make:
        yield lambda **settings: Pooler(make(pg_database.name, pg_database.server.port, **settings).port, pg_database)


def _wait_for(port: int) -> None:
    give_up = time.monotonic() + GUARD_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert time.monotonic() < give_up, "pgbouncer does not listen"
