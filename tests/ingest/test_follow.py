"""Following: what is written is imported, at a cost that does not depend on the other files, by one process."""

import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from acode_tui.domain.validation import Limits
from acode_tui.ingest import scope
from acode_tui.ingest.discover import find_changed
from acode_tui.ingest.follow import FollowedRuns, Follower
from acode_tui.ingest.follow_lease import FollowLease
from acode_tui.workspace import Workspace
from tests.clocks import GUARD_SECONDS
from tests.ingest.builders import Claude

HERE, THERE = "11111111-2222-4333-8444-55555555555", "21111111-2222-4333-8444-55555555555"


def follower_of(workspace: Workspace, root: Path) -> Follower:
    runs = FollowedRuns(roots=(root,), within=workspace.root)
    return Follower(workspace.transcripts, runs, workspace_id="w", user_id=None, limits=Limits(), wall=workspace.wall)


async def test_a_change_reads_the_changed_transcripts_alone_and_only_those_of_this_folder(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path_factory.mktemp("agent") / "projects"
    mine = [Claude(f"{HERE}{number}", cwd=str(workspace.root)) for number in range(3)]
    for number, run in enumerate(mine):
        run.user("Fix the login")
        run.write(root / "a" / f"{HERE}{number}.jsonl")
    other = Claude(f"{THERE}0", cwd="/somewhere/else")
    other.user("Not for this workspace")
    elsewhere = other.write(root / "b" / f"{THERE}0.jsonl")
    follower = follower_of(workspace, root)
    first = await follower.import_all()
    assert (first.sessions, first.elsewhere) == (3, {"/somewhere/else": 1})

    asked: list[Any] = []
    whole = workspace.transcripts.known

    async def known(paths: Any = None) -> Any:
        asked.append(paths)
        return await whole(paths)

    monkeypatch.setattr(workspace.transcripts, "known", known)
    monkeypatch.setattr(scope, "run_folder", lambda item: pytest.fail(f"{item.path} was opened again"))
    mine[1].says("m1", "Done")
    grown = mine[1].write(root / "a" / f"{HERE}1.jsonl")
    elsewhere.write_bytes(elsewhere.read_bytes() * 2)
    noted: list[str] = []

    async def before(ids: Any) -> None:
        noted.extend(ids)

    report = await follower.import_changed({grown, elsewhere, root / "a" / "notes.txt", root / "gone.jsonl"}, before)
    assert (report.files, report.sessions, report.written > 0) == (1, 1, True)
    assert report.touched == tuple(noted)
    assert asked == [[str(grown)]]
    assert (await follower.import_changed({elsewhere})).files == 0
    monkeypatch.undo()
    again = await follower_of(workspace, root).import_all()
    assert (again.unchanged, again.written) == (3, 0)


def test_a_changed_path_leads_to_the_transcript_that_it_is_a_part_of(tmp_path: Path) -> None:
    conversation = tmp_path / "conversations" / "c1"
    event = conversation / "events" / "event-00001-0123abcd.json"
    event.parent.mkdir(parents=True)
    event.write_text("{}")
    plain, packed = tmp_path / "p" / "a.jsonl", tmp_path / "p" / "a.jsonl.zst"
    database = tmp_path / "opencode" / "opencode.db"
    for path in (plain, packed, database, tmp_path / "p" / "notes.txt"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}\n")

    def found(*changed: Path) -> list[Path]:
        return [item.path for item in find_changed(changed, [tmp_path])]

    assert found(event) == [conversation]
    assert found(packed) == []
    assert found(plain, tmp_path / "p" / "notes.txt") == [plain]
    assert found(Path(f"{database}-wal"), database) == [database]
    assert found(tmp_path / "p") == [plain]
    assert found(tmp_path / "p" / "gone.jsonl") == []


async def test_folders_are_watched_before_everything_is_looked_at(workspace: Workspace, tmp_path: Path) -> None:
    root = tmp_path / "projects"
    (root / "a").mkdir(parents=True)
    path = root / "a" / "x.jsonl"
    async with aclosing(follower_of(workspace, root).changes(lambda error: pytest.fail(str(error)))) as changes:
        assert await anext(changes) is None
        path.write_text("{}\n")
        changed = await anext(changes)
        assert changed is not None
        assert path in changed


_HOLD = "import sys; from pathlib import Path; from acode_tui.ingest.follow_lease import FollowLease\n"
_HOLD += "print(FollowLease(Path(sys.argv[1])).take(), flush=True); sys.stdin.read()"


def test_one_process_follows_and_a_killed_one_is_taken_over(tmp_path: Path) -> None:
    mine = FollowLease(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == "True\n"
            assert not mine.take()
            assert mine.holder() == other.pid
        finally:
            other.kill()
            other.wait(timeout=GUARD_SECONDS)
    assert mine.take()
    assert not FollowLease(tmp_path).take()
    mine.release()
    assert FollowLease(tmp_path).take()
