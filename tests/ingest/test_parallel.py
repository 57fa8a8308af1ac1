"""A second process reads large imports: the rows are the same to the byte, and no import depends on that process."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.domain.validation import Limits
from acode_tui.ingest import ImportProgress, ImportReport, discover, groups, import_transcripts, parallel
from acode_tui.ingest.file_reader import FileReader
from acode_tui.ingest.groups import DueFile, GroupReader, PreparedFile
from acode_tui.ingest.reader_process import REPLY, REQUEST, Channel, ReadSettings, RequestedFile
from acode_tui.ingest.usage import Claims
from acode_tui.storage.sqlite.runs.prepare import prepare_run
from acode_tui.workspace import open_workspace
from tests.ingest.builders import START, WORKSPACE, Claude, Codex, Transcript, story
from tests.ingest.test_hostile import CLAUDE_LINES, CODEX_LINES

NOW = START.replace(day=6)
_TABLES = ("sessions", "session_events", "session_tasks", "steps", "tool_calls", "artifacts", "outbox", "ingest_files")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list["Watched"]:
    """A second process reads every import of two files or more, one file a group. Collects the processes started."""
    found: list[Watched] = []

    class Recorded(Watched):
        def __init__(self, prepare: str) -> None:
            super().__init__(prepare)
            found.append(self)

    monkeypatch.setattr(parallel, "PARALLEL_BYTES", 1)
    monkeypatch.setattr(parallel, "READY_SECONDS", 60.0)
    monkeypatch.setattr(parallel, "_cores", lambda: 2)
    monkeypatch.setattr(parallel, "ReaderProcess", Recorded)
    monkeypatch.setattr(groups, "GROUP_FILES", 1)
    return found


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The import's events that were logged as warnings; a slow statement on a busy machine is not one of them."""
    events: list[str] = []

    def warning(_: object, event: str, **__: object) -> None:
        if event.startswith("import."):
            events.append(event)

    monkeypatch.setattr(parallel.log.__class__, "warning", warning)
    return events


class Watched(parallel.ReaderProcess):
    """Counts its replies."""

    replies = 0

    def receive(self) -> memoryview:
        found = super().receive()
        self.replies += 1
        return found

    def ended(self) -> int | None:
        return self._process.returncode


def sessions(folder: Path, count: int, text: str = "x" * 50) -> list[Path]:
    """``count`` sessions, each later than the one before and a fork of it: it repeats the first messages."""
    paths = []
    for index in range(count):
        native = f"{index:08d}-2222-4333-8444-555555555555"
        transcript = Claude(native)
        transcript.user(f"Task {index}")
        for message in range(index + 1):
            transcript.says(f"m{message}", text, usage={"output_tokens": 10})
            transcript.calls(f"m{message}", f"c{index}-{message}", "Bash", {"command": "ls \u2713"})
            transcript.result(f"c{index}-{message}", f"a\x00b {index}")
        paths.append(age(transcript.write(folder / f"{native}.jsonl")))
    return paths


def mixed(folder: Path) -> None:
    """Files of both formats, long texts, hostile characters, and files that cannot be read."""
    sessions(folder, 4)
    whole = story()
    whole.raw(b"oops")
    whole.add({"type": "mode"})
    age(whole.write(folder / "story.jsonl"))
    codex = Codex("66666666-2222-4333-8444-555555555555")
    codex.prompt("Go " + "on " * 800)
    codex.calls("k1")
    codex.output("k1", '{"output":"done \\u0000 \\ud800","metadata":{"exit_code":0}}')
    codex.tokens(10, 10)
    codex.says("CommitBatch")
    age(codex.write(folder / "rollout-x.jsonl"))
    (folder / "empty.jsonl").write_bytes(b"")
    (folder / "half.jsonl").write_bytes(b'{"type":"user"')
    (folder / "other.jsonl").write_bytes(b'{"a": 1}\n')
    (folder / "gone.jsonl").symlink_to(folder / "nowhere")
    age(story().write(Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff.jsonl"))))


def age(path: Path, at: datetime = START) -> Path:
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path


async def run_import(
    root: Path,
    folder: Path,
    on_progress: Callable[[ImportProgress], None] | None = None,
    meanwhile: Callable[[], object] = lambda: None,
) -> ImportReport:
    async with open_workspace(root, wall=lambda: NOW) as workspace:
        found = await discover([folder])
        meanwhile()
        return await import_transcripts(
            workspace.transcripts,
            found,
            workspace_id=WORKSPACE,
            user_id="dev@example.com",
            on_progress=on_progress,
            wall=lambda: NOW,
        )


def contents(root: Path) -> dict[str, list[Any]]:
    """Every row that imports wrote into a workspace."""
    (path,) = (root / ".agent").rglob("workspace.db")
    connection = sqlite3.connect(path)
    try:
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY rowid").fetchall() for name in _TABLES}
    finally:
        connection.close()


async def test_the_database_is_the_same_with_one_or_two_processes(
    tmp_path: Path, started: list[Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "t"
    mixed(folder)
    there = await run_import(tmp_path / "there", folder)
    assert started[0].replies == 10
    monkeypatch.setattr(parallel, "PARALLEL_BYTES", 1 << 40)
    here = await run_import(tmp_path / "here", folder)
    assert len(started) == 1
    assert there == here
    assert there.sessions == 6
    assert len(there.errors) == 3
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


async def test_files_that_grew_give_the_same_rows_from_either_process(
    tmp_path: Path, started: list[Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "t"
    paths = sessions(folder, 3)
    whole = [path.read_bytes() for path in paths]
    for ws, parallel_bytes in (("there", 1), ("here", 1 << 40)):
        monkeypatch.setattr(parallel, "PARALLEL_BYTES", parallel_bytes)
        for path, data in zip(paths, whole, strict=True):
            lines = data.splitlines(keepends=True)
            path.write_bytes(b"".join(lines[:-1]))
            age(path)
        await run_import(tmp_path / ws, folder)
        for path, data in zip(paths, whole, strict=True):
            path.write_bytes(data)
            age(path, START.replace(hour=14))
        report = await run_import(tmp_path / ws, folder)
        assert report.written > 0
        assert (await run_import(tmp_path / ws, folder)).unchanged == 3
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert [process.replies for process in started] == [3, 3]


async def test_a_file_that_vanished_is_an_issue_in_the_second_process_too(
    tmp_path: Path, started: list[Watched]
) -> None:
    first, second, _ = sessions(tmp_path / "t", 3)

    def change() -> None:
        first.unlink()
        second.unlink()
        second.mkdir()

    report = await run_import(tmp_path / "ws", tmp_path / "t", meanwhile=change)
    assert (report.sessions, started[0].replies) == (1, 3)
    assert sorted(issue.message for issue in report.errors) == ["Is a directory", "No such file or directory"]


async def test_an_import_loses_nothing_when_its_reader_is_killed(
    tmp_path: Path, started: list[Watched], logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "t"
    # More than a socket holds: it cannot have sent all of it before anything is stored.
    sessions(folder, 12, "x" * 150_000)

    def kill(progress: ImportProgress) -> None:
        if progress.files.done >= 2 and started[0].ended() is None:
            started[0].kill()

    report = await run_import(tmp_path / "there", folder, kill)
    assert 2 <= started[0].replies < 12
    assert logged == ["import.reader_failed"]
    monkeypatch.setattr(parallel, "PARALLEL_BYTES", 1 << 40)
    assert report == await run_import(tmp_path / "here", folder)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


@pytest.mark.parametrize("program", ["", "/nowhere/python", "/bin/false", "python-that-fails", "python-that-mumbles"])
async def test_an_import_loses_nothing_when_its_reader_cannot_start(
    tmp_path: Path, started: list[Watched], logged: list[str], monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    if program.startswith("python-"):
        saying = "exit 3" if program.endswith("fails") else 'printf "\\0\\0\\0\\0\\0\\0\\0\\1x" >&$4; exit 0'
        script = tmp_path / program
        script.write_text(f"#!/bin/bash\n{saying}\n")
        script.chmod(0o700)
        program = str(script)
    folder = tmp_path / "t"
    sessions(folder, 3)
    monkeypatch.setattr(sys, "executable", program)
    report = await run_import(tmp_path / "ws", folder)
    assert (report.sessions, report.errors) == (3, ())
    assert logged == ["import.reader_failed"]
    assert all(process.ended() is not None for process in started)


async def test_a_reader_of_another_version_is_not_used(
    tmp_path: Path, started: list[Watched], logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The program was upgraded while this one runs.
    monkeypatch.setattr(parallel, "VERSION", "0.0.1")
    sessions(tmp_path / "t", 3)
    report = await run_import(tmp_path / "ws", tmp_path / "t")
    assert (report.sessions, started[0].replies) == (3, 0)
    assert logged == ["import.reader_failed"]


async def test_a_cancelled_import_leaves_no_process(tmp_path: Path, started: list[Watched], logged: list[str]) -> None:
    sessions(tmp_path / "t", 30)
    under_way = asyncio.Event()

    def watch(progress: ImportProgress) -> None:
        if progress.files.done >= 2:
            under_way.set()

    running = asyncio.create_task(run_import(tmp_path / "ws", tmp_path / "t", watch))
    await under_way.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert started[0].ended() == -signal.SIGKILL
    assert logged == []
    report = await run_import(tmp_path / "ws", tmp_path / "t")
    assert 2 <= report.unchanged < 30
    assert len(contents(tmp_path / "ws")["sessions"]) == 30


async def test_the_reader_has_its_own_process_session_and_ends_with_the_import(
    tmp_path: Path, started: list[Watched]
) -> None:
    sessions(tmp_path / "t", 4)
    seen: list[int] = []

    def look(progress: ImportProgress) -> None:
        # Ctrl-C and a hang-up of the terminal go to the program alone.
        if not seen and progress.files.done >= 1:
            seen.append(os.getsid(started[0].pid))

    await run_import(tmp_path / "ws", tmp_path / "t", look)
    assert seen == [started[0].pid]
    assert started[0].ended() is not None


def test_an_import_that_ends_before_the_reader_began_starts_none(started: list[Watched]) -> None:
    files = FileReader(workspace_id=WORKSPACE, user_id=None, limits=Limits(), now=NOW)
    source = parallel.GroupSource(
        GroupReader(files, prepare_run, Claims()),
        Claims(),
        ReadSettings(workspace_id=WORKSPACE, user_id=None, limits=Limits(), now=NOW, format=None),
    )
    source.stop()
    source.start_process()
    assert (started, source.has_process) == ([], False)


def _embedding(tmp_path: Path, ending: str) -> list[str]:
    """The command of a program without ``if __name__ == "__main__"`` that imports, outside of a checkout."""
    script = tmp_path / "embedding.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import asyncio, os, pathlib, sys
            from acode_tui import open_workspace
            from acode_tui.ingest import discover, import_transcripts
            from acode_tui.ingest import groups, parallel
            parallel.PARALLEL_BYTES, parallel.READY_SECONDS, groups.GROUP_FILES = 1, 60.0, 1
            parallel._cores = lambda: 2
            class Announced(parallel.ReaderProcess):
                def receive(self):
                    print("answered by", self.pid, flush=True)
                    return super().receive()
            parallel.ReaderProcess = Announced
            def show(progress):
                if progress.files.done == 2:
                    {ending}
            async def main():
                async with open_workspace("ws") as ws:
                    found = await discover(["t"])
                    report = await import_transcripts(ws.transcripts, found, workspace_id="w", on_progress=show)
                    print("sessions", report.sessions)
            asyncio.run(main())
            """
        )
    )
    return [sys.executable, str(script)]


def test_a_program_without_a_main_guard_imports_once(tmp_path: Path) -> None:
    sessions(tmp_path / "t", 3)
    # The reader does not import a module of this name from the current directory.
    (tmp_path / "msgspec.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "elsewhere").mkdir()
    command = _embedding(tmp_path / "elsewhere", "pass")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr, lines[-1]) == (0, "", "sessions 3")
    assert len(lines) == 4
    assert len(set(lines[:-1])) == 1


def test_the_reader_does_not_outlive_a_killed_program(tmp_path: Path) -> None:
    sessions(tmp_path / "t", 4)
    command = _embedding(tmp_path, "os.kill(os.getpid(), 9)")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    # A pipe that the reader could hold open would have kept ``run`` waiting; it holds none, and ends by itself.
    pid = int(done.stdout.split()[2])
    while _is_running(pid):
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_frozen_program_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(OSError, match="no Python interpreter"):
        parallel.ReaderProcess("os:getcwd")


def test_a_prepare_function_without_a_name_is_called_in_this_process() -> None:
    due = [DueFile(Path("a"), parallel.PARALLEL_BYTES, None), DueFile(Path("b"), parallel.PARALLEL_BYTES, None)]
    assert parallel.function_name(prepare_run) == "acode_tui.storage.sqlite.runs.prepare:prepare_run"
    assert not parallel.is_worthwhile(due, lambda graph, new, whole: graph)


@pytest.mark.parametrize(("sizes", "expected"), [((1, 1), False), ((99, 0), False), ((99, 1), False), ((99, 8), True)])
def test_small_imports_and_single_large_files_are_read_in_this_process(
    sizes: Sequence[int], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "_cores", lambda: 2)
    due = [DueFile(Path(str(size)), size * 1024 * 1024, None) for size in sizes]
    assert parallel.is_worthwhile(due, prepare_run) is expected
    monkeypatch.setattr(parallel, "_cores", lambda: 1)
    assert not parallel.is_worthwhile(due, prepare_run)


@settings(max_examples=25)
@given(st.lists(CLAUDE_LINES, max_size=6), st.lists(CODEX_LINES, max_size=6))
def test_requests_and_replies_with_any_lines_survive_encoding(
    tmp_path_factory: pytest.TempPathFactory, claude: list[Any], codex: list[Any]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    due = []
    for name, records in (("claude-code", claude), ("codex", codex)):
        transcript = Transcript()
        for record in records:
            transcript.add(record)
        due.append((name, DueFile(transcript.write(folder / f"{name}.jsonl"), 0, None)))
    for name, file in due:
        files = FileReader(workspace_id=WORKSPACE, user_id=None, limits=Limits(), now=NOW, format=name)
        request = [[RequestedFile(os.fsencode(file.path), file.known)]]
        assert REQUEST.decode(sent(request)) == request
        read = GroupReader(files, prepare_run, Claims()).read([file])
        assert plain(REPLY.decode(sent(read))) == plain(read)


def sent(message: Any) -> bytes:
    """A message as it is sent, without its length."""

    class End:
        data = b""

        def sendall(self, data: bytes) -> None:
            self.data += data

    end = End()
    Channel(end).send(message)  # type: ignore[arg-type]
    return end.data[8:]


def plain(read: list[PreparedFile]) -> list[Any]:
    """Results in a form that compares equal: rows are tuples before they are sent and lists afterwards."""

    def listed(value: Any) -> Any:
        return [listed(item) for item in value] if isinstance(value, (list, tuple)) else value

    return [(file.cursor, listed(file.runs), file.counts, file.skipped, file.problem) for file in read]


def test_the_reading_process_loads_nothing_that_reading_does_not_take() -> None:
    """Its start is CPU that an import pays for."""
    program = (
        "import sys, pkgutil, acode_tui.ingest.reader_process\n"
        f"pkgutil.resolve_name({parallel.function_name(prepare_run)!r})\n"
        "from acode_tui.ingest.added_formats import assume_none\n"
        "from acode_tui.ingest.registry import formats\n"
        "assume_none()\n"
        "formats()\n"
        "print(*sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(shown.stdout.split())
    assert {"acode_tui.ingest.claude.reader", "acode_tui.storage.sqlite.rows"} <= loaded
    assert not loaded & {"asyncio", "aiosqlite", "subprocess", "logging", "acode_tui.config", "acode_tui.logs", "isal"}
    assert "importlib.metadata" not in loaded, "it looks for formats of other packages"


def test_the_reading_process_looks_for_formats_of_packages_where_there_are_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands: list[list[str]] = []

    class Started:
        def __init__(self, command: list[str], **_: object) -> None:
            commands.append(command)

    monkeypatch.setattr(subprocess, "Popen", Started)
    for names in ((), ("mine",)):
        added = tuple(SimpleNamespace(name=name) for name in names)
        monkeypatch.setattr(parallel, "added_formats", lambda added=added: added)
        parallel.ReaderProcess("module:name").close()
    assert [command[-1] for command in commands] == ["module:name", "mine"]
