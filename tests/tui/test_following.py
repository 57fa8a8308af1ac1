"""The dashboard follows the transcripts of its folder after one consent, in one process, and goes on after errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from acode_tui.config import IngestSettings
from acode_tui.domain.errors import TransactionError
from acode_tui.ingest.follow_lease import FollowLease
from acode_tui.tui import following
from acode_tui.tui.following import FollowConsent
from acode_tui.tui.transcript_import import TranscriptImporter
from acode_tui.workspace import Workspace, open_workspace
from tests.clocks import TurnedClock
from tests.conftest import PLAIN_SETTINGS
from tests.ingest.builders import START, Claude
from tests.tui.driving import SETTINGS, dashboard, sessions, shown, toasts, until

SESSION = "11111111-2222-4333-8444-555555555555"


class Answers:
    """Where the user's decision is kept."""

    def __init__(self, kept: bool | None = None) -> None:
        self.kept = kept

    @property
    def consent(self) -> FollowConsent:
        return FollowConsent(lambda: self.kept, self.keep)

    def keep(self, agreed: bool) -> None:
        self.kept = agreed


class Folder:
    """A workspace whose folder has one transcript."""

    def __init__(self, root: Path, transcripts: Path) -> None:
        self.root = root
        self.run = Claude(SESSION, cwd=str(root))
        self.path = transcripts / "projects" / "-home-ada-shop" / f"{SESSION}.jsonl"
        self.settings = msgspec.structs.replace(SETTINGS, ingest=IngestSettings(roots=(str(self.path.parent),)))
        self.clock = TurnedClock(START)
        self.workspace: Workspace | None = None
        self.run.user("Fix the login form")
        self.write()

    def write(self) -> None:
        self.run.write(self.path)

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[Workspace]:
        async with open_workspace(self.root, wall=self.clock, settings=PLAIN_SETTINGS) as self.workspace:
            yield self.workspace

    @asynccontextmanager
    async def open(self, answers: Answers, width: int = 100) -> AsyncIterator[Pilot[int]]:
        app = dashboard(
            self.root,
            self.opening,
            settings=self.settings,
            importer=TranscriptImporter(self.settings, wall=self.clock),
            wall=self.clock,
            follow_consent=answers.consent,
        )
        async with app.run_test(size=(width, 24)) as pilot:
            yield pilot


@pytest.fixture
def folder(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path, tmp_path_factory.mktemp("agent"))


async def test_after_one_consent_what_is_written_appears_by_itself(folder: Folder) -> None:
    answers = Answers()
    async with folder.open(answers, width=80) as pilot:
        await until(pilot, lambda: "Follow the runs of this folder: 1 found" in shown(pilot))
        assert "y yes  n no  esc later" in shown(pilot)
        await pilot.press("escape")
        assert "Follow the runs" not in shown(pilot)
    assert answers.kept is None
    async with folder.open(answers) as pilot:
        await until(pilot, lambda: "Follow the runs" in shown(pilot))
        await pilot.press("n")
        await until(pilot, lambda: answers.kept is False)
        assert "Follow the runs" not in shown(pilot)
        await pilot.press("w")
        await until(pilot, lambda: sessions(pilot).row_count == 1 and "● live" in shown(pilot))
        assert answers.kept
        folder.run.says("m1", "It was the form")
        folder.write()
        await until(pilot, lambda: "✓ Completed  Fix the login form" in shown(pilot))
        later = Claude(f"2{SESSION[1:]}", cwd=str(folder.root))
        later.user("And a second run")
        later.write(folder.path.with_name("second.jsonl"))
        await until(pilot, lambda: "And a second run" in shown(pilot))
        await pilot.press("w")
        await until(pilot, lambda: answers.kept is False and "● live" not in shown(pilot))
    async with folder.open(Answers()) as pilot:
        await until(pilot, lambda: "Follow the runs" in shown(pilot))
        await pilot.press("y")
        await until(pilot, lambda: "● live" in shown(pilot))


async def test_an_error_is_shown_once_and_the_following_goes_on(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "FIRST_RETRY_SECONDS", 0.01)
    (folder.path.parent / "broken.jsonl").write_text('{"a": 1}\n')
    (folder.path.parent / "settings.json").write_text("{}")
    other = FollowLease(folder.root / ".agent")
    assert other.take()
    async with folder.open(Answers(kept=True)) as pilot:
        await until(pilot, lambda: f"followed by pid {other.holder()}" in shown(pilot))
        assert sessions(pilot).row_count == 0
        assert folder.workspace is not None
        save, failures = folder.workspace.transcripts.save_many, [TransactionError("the disk is full")] * 3

        async def failing(items: object) -> object:
            if failures:
                raise failures.pop()
            return await save(items)  # type: ignore[arg-type]

        monkeypatch.setattr(folder.workspace.transcripts, "save_many", failing)
        other.release()
        await until(pilot, lambda: sessions(pilot).row_count == 1 and "● live" in shown(pilot))
        assert len([text for _, text in toasts(pilot) if "disk is full" in text]) == 1
