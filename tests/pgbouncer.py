"""Debian's pgbouncer before the session's server, in transaction mode: each transaction gets another connection."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
class Pooler:
    """A running pgbouncer on 127.0.0.1."""

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
    assert PGBOUNCER is not None
    forget_poolers()
    running: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="acode-pgbouncer-", dir=folder_for_tests()) as name:
        folder = Path(name)
        folder.chmod(0o755)

        def make(**settings: str) -> Pooler:
            port = free_port()
            (folder / "users").write_text('"postgres" ""\n')
            given = {
                "listen_addr": "127.0.0.1",
                "listen_port": str(port),
                "unix_socket_dir": "",
                "auth_type": "trust",
                "auth_file": str(folder / "users"),
                "pool_mode": "transaction",
                "default_pool_size": "3",
                # The connection that was idle for longest, not the last one: a statement never meets its own again.
                "server_round_robin": "1",
                **settings,
            }
            server = pg_database.server
            lines = ["[databases]", f"{pg_database.name} = host=127.0.0.1 port={server.port}"]
            lines += ["[pgbouncer]", *(f"{key} = {value}" for key, value in given.items())]
            (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
            as_nobody: dict[str, Any] = {}
            if os.geteuid() == 0:
                as_nobody = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []}
            running.append(
                subprocess.Popen(
                    [PGBOUNCER, "-q", str(folder / "pgbouncer.ini")], stderr=subprocess.DEVNULL, **as_nobody
                )
            )
            _wait_for(port)
            return Pooler(port, pg_database)

        yield make
        for each in running:
            each.kill()
            each.wait()


def _wait_for(port: int) -> None:
    give_up = time.monotonic() + GUARD_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert time.monotonic() < give_up, "pgbouncer does not listen"
