"""Runs the demo: its folder, its agents, its team database, and their order.

All files are in the folder it is given. It reports through a ``DemoObserver``; the user cuts and restores the network.
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
from acode_tui.config.write import write_config_file
from acode_tui.demo.generated_runs import PlannedCall, PlannedRun, RunGenerator, past_runs
from acode_tui.demo.incidents import Incidents
from acode_tui.demo.server import DATABASE, PORT, SUPERUSER, EmbeddedServer, Network
from acode_tui.demo.transcripts import write_transcripts
from acode_tui.domain.clock import system_clock
from acode_tui.domain.errors import AcodeError
from acode_tui.files import PRIVATE_FILE, make_private_folder, try_lock
from acode_tui.workspace import Workspace, open_workspace

PREFIX = "acode-demo-"
LOCK = "lock"
MAX_PARENT_CHARS = 60
"""A socket's path has at most about a hundred characters, with the demo's folder and the socket's name."""

UNLOCKED_SECONDS = 600.0
"""A folder without a lock that is younger than this is being created."""


def temporary_folder() -> Path:
    """The folder for temporary files, or /tmp where the path of a socket below that folder would be too long."""
    usual = Path(tempfile.gettempdir())
    return usual if len(os.fsencode(usual)) <= MAX_PARENT_CHARS else Path("/tmp")  # noqa: S108 - mkdtemp makes it ours


@contextmanager
def demo_folder(parent: Path, *, owner: int | None = None) -> Iterator[Path]:
    """A new folder, mode 0700, removed at the end of the block. ``owner`` is the id of another user to own it."""
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
    """Remove a folder and its files, again if a process that is just ending still writes into it."""
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def sweep(parent: Path, *, end: Callable[[Path], None], owners: frozenset[int]) -> int:
    """Remove the folders that killed demos left in ``parent``; returns their number. ``end`` ends the server in one."""
    return sum(_sweep_one(folder, end, owners) for folder in parent.glob(f"{PREFIX}*"))


def _sweep_one(folder: Path, end: Callable[[Path], None], owners: frozenset[int]) -> bool:
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
            return False  # a demo did not create it, in spite of its name
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


async def record_runs(root: Path, runs: Iterable[PlannedRun], *, sleep: Sleep, pause: Callable[[], float]) -> None:
    """Record run after run into the workspace at ``root``, ``pause()`` seconds apart, until cancelled."""
    for run in runs:
        await record(root, run, sleep=sleep)
        await sleep(pause())


async def record(root: Path, run: PlannedRun, *, sleep: Sleep) -> None:
    """Record a run in real time. If this is cancelled, so is the run."""
    async with recorder.session(run.description, root, metadata=run.metadata) as session:
        for planned_task in run.tasks:
            async with session.task(planned_task.title) as task:
                for content in planned_task.contents:
                    task.artifact(content.type, content.name, content.data, content.content_type)
                for planned_step in planned_task.steps:
                    async with task.step(planned_step.name) as step:
                        for content in planned_step.contents:
                            await sleep(content.seconds)
                            step.artifact(content.type, content.name, content.data, content.content_type)
                        for call in planned_step.calls:
                            async with step.tool(call.tool, call.parameters) as made:
                                await _perform(made, call, sleep)
                        if planned_step.is_abandoned:
                            step.skip()


async def _perform(made: recorder.Call, call: PlannedCall, sleep: Sleep) -> None:
    await sleep(call.seconds)
    if (content := call.content) is not None:
        made.artifact(content.type, content.name, content.data, content.content_type)
    if call.error:
        made.fail(call.error)
    else:
        made.result(call.result)


TRANSCRIPTS = 12
USER = "ada@example.org"
_POLL_SECONDS = 0.2


class DemoStage(Enum):
    """The state of the demo's team database and of the network to it."""

    STARTING = "starting"
    LOCAL = "local"
    FAILED = "failed"
    ONLINE = "online"
    CUT = "cut"
    RESTORED = "restored"


class DemoObserver(Protocol):
    """Receives what the demo reports."""

    def announce(self, title: str, text: str) -> None:
        """Show the user an event of the demo."""

    def report_error(self, error: BaseException) -> None:
        """Show the user that a part of the demo failed."""


@dataclass(frozen=True, slots=True)
class Options:
    """``agents`` record at a time. ``pace`` multiplies all times; ``history`` is the number of past runs.

    ``seed`` decides what the agents do; None gives other runs each time.
    """

    agents: int = 4
    seed: int | None = None
    pace: float = 1.0
    history: int = 60


class Demo:
    """One demo in ``home``, with a team database if ``server`` is given. ``opening`` opens its workspace."""

    def __init__(
        self, home: Path, server: EmbeddedServer | None, options: Options, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.root = home / "shop"
        self.stage = DemoStage.LOCAL if server is None else DemoStage.STARTING
        self.network: Network | None = None
        self._home = home
        self._transcripts = home / "transcripts"
        self._server = server
        self._options = options
        self._sleep = sleep
        self._random = Random(options.seed)
        self._observer: DemoObserver | None = None
        self._toggling = asyncio.Lock()
        self._has_rules = False

    def prepare(self) -> Settings:
        """Create the workspace's folder, its configuration and transcripts to import; returns the settings."""
        make_private_folder(self.root / ".agent")
        self._configure(online=False)
        write_transcripts(self._transcripts, TRANSCRIPTS, now=system_clock(), random=self._random)
        return load_settings(self.root)

    def observe_with(self, observer: DemoObserver) -> None:
        """Report to this observer from now on."""
        self._observer = observer

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[Workspace]:
        """Open the workspace with its worker and start the agents. All of it ends with the block."""
        async with open_workspace(self.root, sync=True, mode="dashboard") as workspace:
            running = asyncio.create_task(self._guarded(self._start, workspace), name="acode-demo")
            running.add_done_callback(self._report_defect)
            try:
                yield workspace
            finally:
                running.cancel()
                await asyncio.wait([running])
                await asyncio.to_thread(recorder.close)
                if self.network is not None:
                    await self.network.cut()

    async def toggle_network(self) -> None:
        """Cut the network or restore it. Does nothing where there is none."""
        if self.network is None:
            return
        async with self._toggling:
            if self.network.is_up:
                await self.network.cut()
                self.stage = DemoStage.CUT
            else:
                await self.network.restore()
                self.stage = DemoStage.RESTORED

    def _announce(self, title: str, text: str) -> None:
        if self._observer is not None:
            self._observer.announce(title, text)

    async def pause(self, seconds: float) -> None:
        """Wait so many seconds of the demo's time."""
        await self._sleep(seconds * self._options.pace)

    async def _start(self, workspace: Workspace) -> None:
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
        runs = self._runs(RunGenerator(random, pace=self._options.pace), special)
        pause = partial(random.uniform, 0.5 * self._options.pace, 3.0 * self._options.pace)
        await self._sleep(pause())
        await record_runs(self.root, runs, sleep=self._sleep, pause=pause)

    def _runs(self, generator: RunGenerator, special: list[str]) -> Iterator[PlannedRun]:
        """An agent's runs. ``special`` names runs that the team's database refuses, made once it has its rules."""
        yield generator.run()
        while special and not self._has_rules:
            yield generator.run()
        for name in special:
            yield getattr(generator, name)()
        yield from generator

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
                await self._sleep(_POLL_SECONDS)
            self.network = network
            self.stage = DemoStage.ONLINE
            incidents = Incidents(
                workspace, server, network, self._home / "colleague", pause=self.pause, announce=self._announce
            )
            await incidents.add_rules()
            self._has_rules = True
            await incidents.run()
        finally:
            if self.network is None:
                await network.cut()

    async def _guarded(self, action: Callable[[Workspace], Awaitable[None]], workspace: Workspace) -> None:
        """Run an action and report its errors; the dashboard and the other actions go on."""
        try:
            await action(workspace)
        except* AcodeError as errors:
            if self.stage is DemoStage.STARTING:
                self.stage = DemoStage.FAILED
            for error in leaves(errors):
                self._report_error(error)

    def _report_defect(self, running: "asyncio.Task[None]") -> None:
        """Report a defect too: otherwise the demo would stop without a message."""
        if not running.cancelled() and (error := running.exception()) is not None:
            self._report_error(error)

    def _report_error(self, error: BaseException) -> None:
        if self._observer is not None:
            self._observer.report_error(error)

    def _configure(self, *, online: bool) -> None:
        settings = {
            "identity": {"user": USER},
            "ingest": {"roots": [str(self._transcripts)]},
            "tui": {"bell": False},  # its agents end a run every few seconds
            "persistence": {
                "postgres": {"enabled": online, **address(self._home / "network"), "connect_timeout_seconds": 10.0},
                "sync": {"interval_seconds": 5.0, "initial_backoff_seconds": 4.0, "max_backoff_seconds": 20.0},
            },
        }
        text = "# The demo's settings, deleted with the demo.\n" + tomli_w.dumps(settings)
        # Written as the user's own: the demo approves the settings that it makes.
        write_config_file(self.root, workspace_config_path(self.root), text, os.environ)


def leaves(group: BaseExceptionGroup[AcodeError]) -> Iterator[AcodeError]:
    """Every error in a group of groups."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


def address(folder: Path) -> dict[str, object]:
    """The keys of ``persistence.postgres`` for the demo's database behind the socket in a folder."""
    return {"host": str(folder), "port": PORT, "database": DATABASE, "username": SUPERUSER}
