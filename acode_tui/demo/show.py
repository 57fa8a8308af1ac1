"""The demo itself: what happens when, from the first agent to the second machine.

Everything is in the folder that it is given. What is told to whoever watches goes through ``Audience``; the network is
theirs to cut.
"""

import asyncio
import os
import shutil
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from random import Random
from typing import Protocol

import tomli_w

from acode_tui import recorder
from acode_tui.config import Settings, load_settings, workspace_config_path
from acode_tui.demo.plot import Plot
from acode_tui.demo.script import Call, Run, Script, past_runs
from acode_tui.demo.server import DATABASE, PORT, SUPERUSER, EmbeddedServer, Network
from acode_tui.demo.transcripts import write_transcripts
from acode_tui.domain.clock import system_clock
from acode_tui.domain.errors import AcodeError
from acode_tui.files import PRIVATE_FILE, make_private_folder, replacing, try_lock
from acode_tui.workspace import Workspace, open_workspace

PREFIX = "acode-demo-"
LOCK = "lock"
MAX_PARENT_CHARS = 60
"""A socket's path may have about a hundred characters, its name and the demo's folder included."""

UNLOCKED_SECONDS = 600.0
"""A folder without a lock is being made just now, unless it is older than this."""


def temporary_folder() -> Path:
    """Where temporary files go, if a socket below it has room for its name."""
    usual = Path(tempfile.gettempdir())
    return usual if len(os.fsencode(usual)) <= MAX_PARENT_CHARS else Path("/tmp")  # noqa: S108 - mkdtemp makes it ours


@contextmanager
def demo_folder(parent: Path, *, owner: int | None = None) -> Iterator[Path]:
    """A new folder, 0700, removed at the end of the block. ``owner`` is another user that it is made over to."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        lock = os.open(folder / LOCK, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE_FILE)
        try:
            try_lock(lock)
            if owner is not None:
                os.chown(folder, owner, owner)
            yield folder
        finally:
            remove(folder)
            os.close(lock)
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Take a folder away with all that is in it; what a process that is just ending still writes is taken again."""
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def sweep(parent: Path, *, end: Callable[[Path], None], owners: frozenset[int]) -> int:
    """Remove what killed demos have left in ``parent``; answers how many folders. ``end`` ends what runs in one."""
    return sum(_swept(folder, end, owners) for folder in parent.glob(f"{PREFIX}*"))


def _swept(folder: Path, end: Callable[[Path], None], owners: frozenset[int]) -> bool:
    with suppress(FileNotFoundError):
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
            return False
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            if time.time() - found.st_mtime < UNLOCKED_SECONDS:
                return False
            remove(folder)
            return True
        except OSError:
            return False  # not one of ours, whatever its name
        try:
            if not try_lock(lock):
                return False
            end(folder)
            remove(folder)
            return True
        finally:
            os.close(lock)
    return False


Sleep = Callable[[float], Awaitable[None]]


async def work(root: Path, runs: Iterable[Run], *, sleep: Sleep, rest: Callable[[], float]) -> None:
    """Record run after run into the workspace at ``root``, with ``rest`` seconds between them, until cancelled."""
    for run in runs:
        await record(root, run, sleep=sleep)
        await sleep(rest())


async def record(root: Path, run: Run, *, sleep: Sleep) -> None:
    """Record a run while it happens. Cancelled, it is recorded as cancelled."""
    async with recorder.session(run.description, root, metadata=run.metadata) as session:
        for job in run.jobs:
            async with session.task(job.title) as task:
                for move in job.moves:
                    async with task.step(move.name) as step:
                        for call in move.calls:
                            async with step.tool(call.tool, call.parameters) as made:
                                await _make(made, call, sleep)
                        if move.given_up:
                            step.skip()


async def _make(made: recorder.Call, call: Call, sleep: Sleep) -> None:
    await sleep(call.seconds)
    if (content := call.content) is not None:
        made.artifact(content.type, content.name, content.text, content.content_type)
    if call.error:
        made.fail(call.error)
    else:
        made.result(call.result)


TRANSCRIPTS = 12
USER = "ada@example.org"
_LOOK_SECONDS = 0.2


class Stage(Enum):
    """How far the demo is, as far as the network goes."""

    STARTING = "starting"
    LOCAL = "local"
    FAILED = "failed"
    ONLINE = "online"
    CUT = "cut"
    RESTORED = "restored"


class Audience(Protocol):
    """Whoever watches."""

    def tell(self, title: str, text: str) -> None:
        """Something worth a look has happened."""

    def trouble(self, fault: BaseException) -> None:
        """The demo cannot go on as it should."""


@dataclass(frozen=True, slots=True)
class Options:
    """``pace`` shortens (below 1) or stretches whatever takes time; ``history`` is how many runs stand there at first.

    ``seed`` decides what the agents do; None is another story each time.
    """

    agents: int = 4
    seed: int | None = None
    pace: float = 1.0
    history: int = 60


class Show:
    """One demo in ``home``. Without a server it is local only. ``opening`` opens its workspace and begins."""

    def __init__(
        self, home: Path, server: EmbeddedServer | None, options: Options, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.root = home / "shop"
        self.stage = Stage.LOCAL if server is None else Stage.STARTING
        self.network: Network | None = None
        self._home = home
        self._transcripts = home / "transcripts"
        self._server = server
        self._options = options
        self._sleep = sleep
        self._random = Random(options.seed)
        self._audience: Audience | None = None
        self._turning = asyncio.Lock()
        self._ruled = False

    def prepare(self) -> Settings:
        """Make the workspace's folder, its configuration and what there is to import; answers the settings."""
        make_private_folder(self.root / ".agent")
        self._configure(online=False)
        write_transcripts(self._transcripts, TRANSCRIPTS, now=system_clock(), random=self._random)
        return load_settings(self.root)

    def watched_by(self, audience: Audience) -> None:
        self._audience = audience

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[Workspace]:
        """The workspace with its worker; meanwhile the agents are at work. All of it ends with the block."""
        async with open_workspace(self.root, sync=True, mode="dashboard") as workspace:
            going = asyncio.create_task(self._guarded(self._begin, workspace), name="acode-demo")
            going.add_done_callback(self._ended)
            try:
                yield workspace
            finally:
                going.cancel()
                await asyncio.wait([going])
                await asyncio.to_thread(recorder.close)
                if self.network is not None:
                    await self.network.cut()

    async def turn_network(self) -> None:
        """Cut the network, or restore it. Nothing where there is none."""
        if self.network is None:
            return
        async with self._turning:
            if self.network.is_up:
                await self.network.cut()
                self.stage = Stage.CUT
            else:
                await self.network.restore()
                self.stage = Stage.RESTORED

    def _tell(self, title: str, text: str) -> None:
        if self._audience is not None:
            self._audience.tell(title, text)

    async def pause(self, seconds: float) -> None:
        """Let so much of the demo's time pass."""
        await self._sleep(seconds * self._options.pace)

    async def _begin(self, workspace: Workspace) -> None:
        async with asyncio.TaskGroup() as group:
            await self._write_history(workspace)
            first: dict[int, list[str]] = {1: ["refused"], 2: ["dead_letter"]} if self._server is not None else {}
            for number in range(self._options.agents):
                group.create_task(self._agent(Random(self._random.getrandbits(64)), first.get(number, [])))
            if self._server is not None:
                group.create_task(self._guarded(self._go_online, workspace))

    async def _write_history(self, workspace: Workspace) -> None:
        runs = past_runs(
            self._options.history, workspace_id=workspace.workspace_id, now=workspace.wall(), random=self._random
        )
        for graph in runs:
            await workspace.store.save(graph)

    async def _agent(self, random: Random, special: list[str]) -> None:
        story = self._story(Script(random, pace=self._options.pace), special)
        rest = partial(random.uniform, 0.5 * self._options.pace, 3.0 * self._options.pace)
        await self._sleep(rest())
        await work(self.root, story, sleep=self._sleep, rest=rest)

    def _story(self, script: Script, special: list[str]) -> Iterator[Run]:
        """An agent's runs. ``special`` are what the team's database will not have, so that has to have said so."""
        yield script.run()
        while special and not self._ruled:
            yield script.run()
        for name in special:
            yield getattr(script, name)()
        yield from script

    async def _go_online(self, workspace: Workspace) -> None:
        server = self._server
        assert server is not None
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.execute, f"CREATE DATABASE {DATABASE}")
        folder = self._home / "network"
        make_private_folder(folder)
        network = Network(folder / server.socket.name, server.socket)
        await network.restore()
        try:
            self._configure(online=True)
            await workspace.reload(load_settings(self.root))
            while (await workspace.sync.status()).schema_version is None:
                await self._sleep(_LOOK_SECONDS)
            self.network = network
            self.stage = Stage.ONLINE
            plot = Plot(workspace, server, network, self._home / "colleague", pause=self.pause, tell=self._tell)
            await plot.begin()
            self._ruled = True
            await plot.unfold()
        finally:
            if self.network is None:
                await network.cut()

    async def _guarded(self, act: Callable[[Workspace], Awaitable[None]], workspace: Workspace) -> None:
        """What goes wrong is told; the dashboard and whatever else is at work go on."""
        try:
            await act(workspace)
        except* AcodeError as faults:
            if self.stage is Stage.STARTING:
                self.stage = Stage.FAILED
            for fault in leaves(faults):
                self._trouble(fault)

    def _ended(self, going: "asyncio.Task[None]") -> None:
        """A defect is told as well: a demo that stands still without a word would be worse."""
        if not going.cancelled() and (fault := going.exception()) is not None:
            self._trouble(fault)

    def _trouble(self, fault: BaseException) -> None:
        if self._audience is not None:
            self._audience.trouble(fault)

    def _configure(self, *, online: bool) -> None:
        settings = {
            "identity": {"user": USER},
            "ingest": {"roots": [str(self._transcripts)]},
            "persistence": {
                "postgres": {"enabled": online, **address(self._home / "network"), "connect_timeout_seconds": 3.0},
                "sync": {"interval_seconds": 5.0, "initial_backoff_seconds": 4.0, "max_backoff_seconds": 20.0},
            },
        }
        with replacing(workspace_config_path(self.root)) as file:
            file.write(b"# The demo's settings; they go with it.\n" + tomli_w.dumps(settings).encode())


def leaves(group: BaseExceptionGroup[AcodeError]) -> Iterator[AcodeError]:
    """Every fault in a group of groups."""
    for fault in group.exceptions:
        if isinstance(fault, BaseExceptionGroup):
            yield from leaves(fault)
        else:
            yield fault


def address(folder: Path) -> dict[str, object]:
    """The keys of ``persistence.postgres`` for the demo's database behind the socket in a folder."""
    return {"host": str(folder), "port": PORT, "database": DATABASE, "username": SUPERUSER}
