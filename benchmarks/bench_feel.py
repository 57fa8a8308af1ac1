"""The dashboard's latency from a key to its frame and from a transcript's new line to the screen, and what it costs.

Keys are pressed in a dashboard over a real workspace while it drains 50,000 records into a real PostgreSQL, two other
processes record runs and a third writes three transcripts that it follows; a key's time ends when the frame with the
cursor on its new row is written. CPU and memory are those of the whole program in a pseudo-terminal, as the system
counts them: idle, then while another process changes a hundred rows a second, all of them on the shown page, and among
5,000 transcripts. A line's time is from its write until the terminal has received its text, in the run that is open.
"""

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, perf_counter_ns, sleep

from msgspec.structs import replace
from textual import events

import acode_tui
from acode_tui.config import IdentitySettings, IngestSettings, Settings
from acode_tui.config.settings import PersistenceSettings, PostgresSettings
from acode_tui.tui.app import Dashboard
from acode_tui.tui.following import FollowConsent
from acode_tui.tui.garbage import keep_present_objects
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.main.sessions_table import SessionTable
from acode_tui.tui.ports import DashboardWorkspace
from benchmarks import million
from benchmarks.bench_apply import new_database
from benchmarks.result import Measure, at_most
from benchmarks.scale import sized
from benchmarks.terminal import Terminal, environment
from benchmarks.timing import quantile
from benchmarks.workspaces import make_database
from tests.pg import Server, make_server
from tests.storage.runs import make_run

URL = "ACODE_POSTGRES_URL"
RECORDS, QUICK_RECORDS = 50_000, 20_000
RUN_RECORDS = 100
SETTINGS = Settings(
    identity=IdentitySettings(user="bench@example.org"),
    persistence=PersistenceSettings(postgres=PostgresSettings(enabled=True)),
)
ROWS_PER_SECOND = 100

AGENT = """
import asyncio, sys
import acode_tui
async def main():
    async with acode_tui.open_workspace(sys.argv[1]) as ws:
        while True:
            session = await ws.store.create_session("module by an agent")
            task = await ws.store.add_task(session.id, "Analyse")
            for _ in range(20):
                step = await ws.store.add_step(task.id, "Read the login form")
                call = await ws.store.add_tool_call(step.id, "read_file", {"path": "login.ts"})
                await ws.store.complete_tool_call(call.id, result={"lines": 120})
                await asyncio.sleep(0.02)
asyncio.run(main())
"""


CHANGES = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1] + "/.agent/workspace.db", isolation_level=None, timeout=30)
newest = [row[0] for row in connection.execute("SELECT id FROM sessions ORDER BY updated_at DESC LIMIT 50")]
states = ("Executing", "AwaitingApproval", "Paused", "Planning")
rate, number, began = int(sys.argv[2]), 0, time.monotonic()
while True:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1000 % 1_000_000:06d}Z"
    connection.execute(
        "UPDATE sessions SET state = ?, updated_at = ? WHERE id = ?",
        (states[number // 50 % 4], stamp, newest[number * 7 % 50]),
    )
    number += 1
    time.sleep(max(0.0, began + number / rate - time.monotonic()))
"""
"""Another process that changes rows of the first page, one at a time."""


LINES = """
import json, sys, time
from pathlib import Path
folder, cwd = Path(sys.argv[1]), sys.argv[2]
number = 0
while True:
    for run in range(3):
        session = f"{run}1111111-2222-4333-8444-555555555555"
        line = {
            "type": "user" if number == 0 else "assistant", "sessionId": session, "cwd": cwd, "uuid": f"{run}-{number}",
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
            "message": {"role": "user", "content": "Fix the login form"} if number == 0 else {
                "id": f"m{number}", "role": "assistant", "model": "claude-a", "stop_reason": None,
                "content": [{"type": "text", "text": f"Line {number} of an answer."}],
            },
        }
        with open(folder / f"{session}.jsonl", "a") as file:
            file.write(json.dumps(line) + "\\n")
    number += 1
    time.sleep(0.1)
"""
"""Another process that writes three transcripts of runs in a folder, ten lines a second each."""


def run() -> list[Measure]:
    folder = Path(tempfile.mkdtemp(prefix="acode-bench-"))
    try:
        server = make_server(folder, fsync="on", full_page_writes="on")
        server.start()
        try:
            keys = asyncio.run(_keys(server))
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return [*keys, *_cost(), *_followed()]


# From a key to its frame


async def _keys(server: Server) -> list[Measure]:
    os.environ[URL] = await new_database(server, "feel")
    with tempfile.TemporaryDirectory(prefix="acode-bench-") as name:
        async with acode_tui.open_workspace(name, settings=SETTINGS) as workspace:
            for _ in range(sized(RECORDS, QUICK_RECORDS) // RUN_RECORDS):
                await workspace.store.save(make_run(workspace.workspace_id, calls=48))
        with (
            tempfile.TemporaryDirectory(prefix="acode-bench-") as transcripts,
            _agents(name, 2),
            _children([sys.executable, "-c", LINES, transcripts, name]),
        ):
            return await _pressed(Path(name), Path(transcripts))


async def _pressed(folder: Path, transcripts: Path) -> list[Measure]:
    @asynccontextmanager
    async def opening() -> AsyncIterator[DashboardWorkspace]:
        async with acode_tui.open_workspace(folder, settings=SETTINGS, sync=True, mode="dashboard") as opened:
            await opened.sync.pause()
            yield opened

    app = _Watched(
        folder,
        replace(SETTINGS, ingest=IngestSettings(roots=(str(transcripts),))),
        opening=opening,
        freeze_objects=keep_present_objects,
        follow_consent=FollowConsent(lambda: True, lambda agreed: None),
    )
    chance = random.Random(7)
    records = sized(RECORDS, QUICK_RECORDS)
    samples: list[float] = []
    async with app.run_test(size=(120, 36)) as pilot:
        while not app.table.row_count or app.workspace is None:
            await pilot.pause(0.01)
        await app.workspace.sync.resume()
        while (await app.workspace.outbox.stats()).pending > records // 20:
            for _ in range(10):
                await asyncio.sleep(chance.uniform(0.005, 0.02))
                samples.append(await app.pressed())
        assert app.following.state.phase == "on"
    assert samples, "the backlog was gone before a key was pressed"
    _note(f"{len(samples):,} keys")
    name = f"key to frame while {records:,} records drain, two agents write and three transcripts grow"
    return [
        at_most(f"{name}, 99th percentile", quantile(samples, 0.99) * 1e3, "ms", 33),
        at_most(f"{name}, median", quantile(samples, 0.5) * 1e3, "ms", 25),
    ]


class _Watched(Dashboard):
    """A dashboard that measures the time from a key that moves the cursor to the frame that shows it."""

    _waiting: tuple[str | None, "asyncio.Future[float]"] | None = None
    _key = "j"

    @property
    def table(self) -> SessionTable:
        screen = self.screen_stack[0]
        assert isinstance(screen, MainScreen)
        return screen.sessions.table

    async def pressed(self) -> float:
        """Seconds from a key, down the page and up again, to its frame."""
        if self.table.cursor_row in (0, self.table.row_count - 1):
            self._key = "j" if self.table.cursor_row == 0 else "k"
        self._waiting = (self.table.cursor_key, asyncio.get_running_loop().create_future())
        began = perf_counter()
        self.post_message(events.Key(self._key, self._key))
        async with asyncio.timeout(10):
            return await self._waiting[1] - began

    def post_display_hook(self) -> None:
        if self._waiting is None or self._batch_count:
            return
        before, painted = self._waiting
        if self.table.cursor_key != before and not painted.done():
            painted.set_result(perf_counter())


# What it costs


def _cost() -> list[Measure]:
    if not Path("/proc/self/stat").exists():
        return []
    seconds = sized(20, 5)
    with tempfile.TemporaryDirectory(prefix="acode-bench-") as name:
        folder = Path(name)
        million.fill(make_database(folder), 10_000)
        with Terminal([sys.executable, "-m", "acode_tui", "--workspace", name], folder) as terminal:
            terminal.wait_for(b"module")
            sleep(3)
            idle, memory = _share(terminal, seconds), terminal.memory()
            with _changing(name):
                sleep(1)
                busy = _share(terminal, seconds)
    return [
        at_most("CPU of an idle dashboard", idle * 100, "% of a core", 1.5),
        at_most("resident memory of an idle dashboard", memory / 1e6, "MB", 90),
        at_most(f"CPU at {ROWS_PER_SECOND} changed rows a second", busy * 100, "% of a core", 15),
    ]


def _followed() -> list[Measure]:
    """A dashboard over many transcripts: its CPU while none grows, and how soon a line of one is on screen."""
    if not Path("/proc/self/stat").exists():
        return []
    files, lines, chance = sized(5_000, 500), sized(60, 10), random.Random(7)
    samples: list[float] = []
    with tempfile.TemporaryDirectory(prefix="acode-bench-") as name, tempfile.TemporaryDirectory() as transcripts:
        make_database(Path(name))
        folder = Path(transcripts)
        for number in range(1, files):
            _append(folder, number, "/elsewhere", {"role": "user", "content": "Fix the login form"})
        _append(folder, 0, name, {"role": "user", "content": "Fix the login form"})
        command = [sys.executable, "-m", "acode_tui", "--workspace", name, "--set", f'ingest.roots=["{transcripts}"]']
        with Terminal(command, Path(name)) as terminal:
            terminal.wait_for(b"Follow the runs")
            terminal.press(b"y")
            terminal.wait_for(b"Fix the login form")
            sleep(3)
            share = _share(terminal, sized(20, 5))
            terminal.press(b"\r")
            terminal.wait_for(b"Conversation")
            for number in range(lines):
                sleep(chance.uniform(0.2, 0.6))
                call = {
                    "type": "tool_use",
                    "id": f"call-{number}",
                    "name": "Bash",
                    "input": {"command": f"mark-{number}."},
                }
                began = perf_counter()
                _append(folder, 0, name, {"role": "assistant", "id": f"m{number}", "model": "a", "content": [call]})
                terminal.wait_for(b"mark-%d." % number, 0.002)
                samples.append(perf_counter() - began)
    return [
        at_most(f"CPU of a dashboard that follows, among {files:,} transcripts", share * 100, "% of a core", 3),
        at_most("a transcript's new line to the screen, 95th percentile", quantile(samples, 0.95) * 1e3, "ms", 1_000),
    ]


def _append(folder: Path, run: int, cwd: str, message: dict[str, object]) -> None:
    """Append a line to the transcript of a run in a folder."""
    session = f"{run:08}-2222-4333-8444-555555555555"
    record = {
        **{"type": message["role"], "sessionId": session, "cwd": cwd, "uuid": f"{run}-{perf_counter_ns()}"},
        **{"timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"), "message": message},
    }
    with (folder / f"{session}.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")


def _share(terminal: Terminal, seconds: int) -> float:
    before, began = terminal.cpu_seconds(), perf_counter()
    sleep(seconds)
    return (terminal.cpu_seconds() - before) / (perf_counter() - began)


@contextmanager
def _agents(folder: str, count: int) -> Iterator[None]:
    with _children(*([sys.executable, "-c", AGENT, folder] for _ in range(count))):
        yield


@contextmanager
def _changing(folder: str) -> Iterator[None]:
    with _children([sys.executable, "-c", CHANGES, folder, str(ROWS_PER_SECOND)]):
        yield


@contextmanager
def _children(*commands: list[str]) -> Iterator[None]:
    started = [subprocess.Popen(command, env=environment()) for command in commands]
    try:
        yield
    finally:
        for child in started:
            child.kill()
            child.wait()


def _note(text: str) -> None:
    print(f"    {text}", file=sys.stderr)
