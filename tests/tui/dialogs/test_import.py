"""The import dialog: consent before anything is read, progress, stopping."""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from acode_tui.config import IngestSettings
from acode_tui.domain.progress import Progress
from acode_tui.ingest import FoundTranscript, ImportIssue, ImportProgress, ImportReport
from acode_tui.storage.ports import TranscriptFile
from acode_tui.tui.dialogs.import_ import ImportDialog
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.transcript_import import AgentTranscripts, Importer, Survey, TranscriptImporter, group_by_agent
from acode_tui.workspace import Workspace
from tests.clocks import TurnedClock
from tests.tui.driving import SETTINGS, dashboard, opened_with, over, sessions, shown, until
from tests.tui.fake import NOW, FakeWorkspace


def found(name: str, format: str = "claude-code", size: int = 2_000_000) -> FoundTranscript:
    return FoundTranscript(path=Path("/home/ada") / name, format=format, size=size, mtime_ns=1, inode=7)


SURVEY = Survey(
    (
        AgentTranscripts("Claude Code", (found("a.jsonl"), found("b.jsonl"), found("c.jsonl")), (found("a.jsonl"),)),
        AgentTranscripts("Codex", (found("d.jsonl", "codex", 1_500),), (found("d.jsonl", "codex", 1_500),)),
    )
)


class Scripted(Importer):
    """Finds a given survey, and reads a group of files whenever the test lets it."""

    def __init__(self, survey: Survey = SURVEY, rate: float = 0.0) -> None:
        self.found = survey
        self.rate = rate
        self.runs = 0
        self.done = 0
        self._gates = [asyncio.Event() for _ in range(4)]

    def let(self, groups: int) -> None:
        """Let this many groups of files be read."""
        for gate in self._gates[:groups]:
            gate.set()

    async def may_go_on(self, done: int) -> None:
        await self._gates[done].wait()

    async def survey(self, workspace: Any) -> Survey:
        return self.found

    async def run(self, workspace: Any, survey: Survey, progress: Callable[[ImportProgress], None]) -> ImportReport:
        self.runs += 1
        for done in range(5):
            self.done = done
            at = ImportProgress(
                files=Progress(done, 4, "files"),
                bytes=Progress(done * 1_000_000, 4_000_000, "bytes", self.rate if done else 0.0),
                current="/x/a.jsonl",
            )
            progress(at)
            if done < 4:
                await self.may_go_on(done)
        issue = ImportIssue(file="/x/a[b]c.jsonl", line=7, message="not JSON \x1b[31m")
        return ImportReport(
            files=4, sessions=4, tasks=9, steps=30, tool_calls=47, artifacts=50, written=9, errors=(issue,)
        )


async def test_an_empty_workspace_offers_the_transcripts_on_the_machine() -> None:
    importer = Scripted()
    async with over(FakeWorkspace(0), importer=importer).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "Claude Code" in shown(pilot))
        text = shown(pilot)
        assert "3 transcripts" in text
        assert "6.0 MB" in text
        assert "Codex" in text
        assert "i imports them" in text
        assert importer.runs == 0


async def test_without_transcripts_the_dialog_names_other_ways_to_import() -> None:
    async with over(FakeWorkspace(0)).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "No transcripts of runs in this folder" in shown(pilot))
        assert "acode-tui import PATH" in shown(pilot)


async def test_nothing_is_read_before_enter_is_pressed() -> None:
    importer = Scripted(replace(SURVEY, ending=2))
    async with over(FakeWorkspace(0), importer=importer).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "Claude Code" in shown(pilot))
        await pilot.press("i")
        await until(pilot, lambda: "Only folders were read so far. Read the new ones?" in shown(pilot))
        assert "2 of these end within a week; what is imported stays." in shown(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        assert importer.runs == 0


async def test_progress_shows_files_bytes_rate_and_remaining_time() -> None:
    importer = Scripted(rate=500_000.0)
    async with over(FakeWorkspace(0), importer=importer).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "Claude Code" in shown(pilot))
        await pilot.press("i")
        await until(pilot, lambda: "Read the new ones?" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: "0 of 4 files" in shown(pilot))
        importer.let(1)
        await until(pilot, lambda: "1 of 4 files" in shown(pilot))
        assert "1.0 MB of 4.0 MB   500.0 kB/s   6 s left" in shown(pilot)
        importer.let(4)
        await until(pilot, lambda: "Imported." in shown(pilot))
        text = shown(pilot)
        assert "47 tool calls" in text
        assert "a[b]c.jsonl:7  not JSON ␛[31m" in text
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))


async def test_escape_stops_between_two_groups_and_keeps_the_rows_read() -> None:
    importer = Scripted()
    async with over(FakeWorkspace(0), importer=importer).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "Claude Code" in shown(pilot))
        await pilot.press("i")
        await until(pilot, lambda: "Read the new ones?" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: "0 of 4 files" in shown(pilot))
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, ImportDialog)
        importer.let(1)
        await until(pilot, lambda: "What was read is stored" in shown(pilot))
        assert importer.done == 1


async def test_leaving_the_dashboard_stops_an_import_between_two_groups() -> None:
    importer = Scripted()
    async with over(FakeWorkspace(0), importer=importer).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "Claude Code" in shown(pilot))
        await pilot.press("i")
        await until(pilot, lambda: "Read the new ones?" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: importer.runs == 1)
        importer.let(1)
        pilot.app.exit()
    assert importer.done <= 2


async def test_a_survey_without_new_transcripts_says_that_there_are_none() -> None:
    known = Survey((AgentTranscripts("Codex", (found("d.jsonl", "codex"),), ()),))
    async with over(FakeWorkspace(3), importer=Scripted(known)).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: sessions(pilot).row_count == 3)
        await pilot.press("i")
        await until(pilot, lambda: "Nothing new." in shown(pilot))
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, ImportDialog)


async def test_real_transcripts_fill_the_browser(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    projects = tmp_path_factory.mktemp("agent") / "projects" / "-home-ada-shop"
    projects.mkdir(parents=True)
    for number in range(3):
        path = projects / f"0190d6a1-7b2c-7def-8a3e-b4c5d6e7f89{number}.jsonl"
        path.write_text(_transcript(number, tmp_path))
        os.utime(path, times=((clock() - timedelta(days=25)).timestamp(),) * 2)

    settings = msgspec.structs.replace(SETTINGS, ingest=IngestSettings(roots=(str(projects.parent),)))
    importer = TranscriptImporter(settings, wall=clock)
    app = dashboard(tmp_path, opened_with(clock, tmp_path), settings=settings, importer=importer, wall=clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "3 transcripts" in shown(pilot))
        await pilot.press("i")
        await until(pilot, lambda: "Read the new ones?" in shown(pilot))
        assert "3 of these end within a week" in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "Imported." in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: sessions(pilot).row_count == 3)
        assert "Question number 2" in shown(pilot)
        await pilot.press("i")
        await until(pilot, lambda: "Nothing new." in shown(pilot))


def test_a_file_is_fresh_if_it_is_new_or_has_grown() -> None:
    same, grown, new = found("same.jsonl"), found("grown.jsonl", size=3), found("new.jsonl")

    def read(file: FoundTranscript, size: int) -> TranscriptFile:
        return TranscriptFile(
            path=str(file.path),
            format="claude-code",
            inode=7,
            size=size,
            mtime_ns=1,
            offset=size,
            head_hash="",
            imported_at=NOW,
        )

    known = {str(same.path): read(same, same.size), str(grown.path): read(grown, 2)}
    (group,) = group_by_agent([same, grown, new], known).groups
    assert group.name == "Claude Code"
    assert group.fresh == (grown, new)


def _transcript(number: int, folder: Path) -> str:
    session = f"0190d6a1-7b2c-7def-8a3e-b4c5d6e7f89{number}"
    at = datetime(2026, 1, 5, 10, number, tzinfo=UTC).isoformat().replace("+00:00", "Z")
    common = {"sessionId": session, "timestamp": at, "cwd": str(folder), "version": "2.0.0", "isSidechain": False}
    lines = [
        {
            **common,
            "type": "user",
            "uuid": f"u{number}",
            "message": {"role": "user", "content": f"Question number {number}"},
        },
        {
            **common,
            "type": "assistant",
            "uuid": f"a{number}",
            "parentUuid": f"u{number}",
            "requestId": "r1",
            "message": {
                "id": f"m{number}",
                "role": "assistant",
                "model": "opus",
                "content": [{"type": "text", "text": "An answer."}],
                "usage": {"input_tokens": 1, "output_tokens": 2},
            },
        },
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)
