"""Importing into a real workspace: once, again, grown, forked, refused, cancelled."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.config.settings import FORMATS
from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import IngestError, ValidationError
from acode_tui.domain.ids import imported_id
from acode_tui.domain.states import SessionState, ToolCallState, WorkState
from acode_tui.ingest import FoundTranscript, ImportProgress, ImportReport, discover, import_transcripts
from acode_tui.ingest.file_reader import FileReader
from acode_tui.ingest.format import TranscriptFormat
from acode_tui.ingest.usage import Claims
from acode_tui.storage.ports import SaveResult, TranscriptFile
from acode_tui.workspace import Workspace, open_workspace
from tests.ingest.builders import SESSION, START, Claude, Codex, graph_of, story
from tests.ingest.counting.stories import WRITERS, Event

NOW = START.replace(day=6)
OTHER = "99999999-2222-4333-8444-555555555555"


@pytest.fixture
async def workspace(tmp_path: Path) -> AsyncIterator[Workspace]:
    async with open_workspace(tmp_path / "ws") as opened:
        yield opened


def age(path: Path, at: datetime = START) -> Path:
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path


async def run_import(workspace: Workspace, *paths: Path, **options: Any) -> ImportReport:
    return await import_transcripts(
        workspace.transcripts,
        await discover(paths),
        workspace_id=workspace.workspace_id,
        user_id="dev@example.com",
        wall=options.pop("wall", lambda: NOW),
        **options,
    )


async def stored(workspace: Workspace, native: str = SESSION, source: str = "claude-code") -> SessionGraph:
    return await workspace.store.get_with_hierarchy(imported_id(source, native))


async def test_a_file_that_holds_another_session_now_gives_that_session(workspace: Workspace, tmp_path: Path) -> None:
    usage = {"input_tokens": 10, "output_tokens": 5}
    path = tmp_path / "renamed.jsonl"
    for session in (SESSION, OTHER):
        transcript = Claude(session=session)
        transcript.user(f"Go, {session[:8]}")
        transcript.says("m1", "Done", usage=usage)
        age(transcript.write(path), START.replace(hour=13 if session == OTHER else 12))
        await run_import(workspace, path)
    before = await stored(workspace, OTHER)
    assert (before.metadata or {})["tokens"]["input"] == 10
    age(path, START.replace(hour=14))
    assert (await run_import(workspace, path)).written == 0
    assert (await stored(workspace, OTHER)).metadata == before.metadata


def test_claims_of_a_rewritten_file_go_to_the_next_session_that_claimed_them() -> None:
    key, own = b"12345678", b"abcdefgh"
    claims = Claims()
    for holder, claimed in (("a", key + own), ("b", key), ("a", key)):
        claims.note(holder, claimed)
    claims.forget("a", key + own)
    assert (claims.claim("c", [key, own]), claims.claim("a", [key])) == ([False, True], [True])
    claims.forget("a", key)
    assert (claims.claim("c", [key]), claims.claim("b", [key])) == ([False], [True])
    claims.forget("b", key)
    claims.forget("b", key)
    assert claims.claim("c", [key]) == [True]


class PlainClaims:
    """The same, for every key on its own: who claimed it, in order. The first one holds it."""

    def __init__(self) -> None:
        self.claimants: dict[bytes, list[str]] = {}

    def note(self, holder: str, key: bytes) -> None:
        self.claimants.setdefault(key, []).append(holder)

    def forget(self, holder: str, key: bytes) -> None:
        names = self.claimants.get(key, [])
        if holder in names[1:]:
            names.pop(names.index(holder, 1))
        elif names[:1] == [holder]:
            names.pop(0)

    def claim(self, holder: str, key: bytes) -> bool:
        names = self.claimants.setdefault(key, [])
        if not names:
            names.append(holder)
        return names[0] == holder


_keys = st.lists(st.sampled_from([b"aaaaaaaa", b"aaaabaaa", b"abaaaaab", b"baaaaaaa"]), unique=True, max_size=4)
_claim_step = st.tuples(st.sampled_from(["note", "forget", "claim", "held"]), st.sampled_from("xyz"), _keys)


@given(st.lists(_claim_step, max_size=12), st.sampled_from([0, 2, 32]))
def test_claims_are_those_of_each_key_on_its_own(steps: list[tuple[str, str, list[bytes]]], searched: int) -> None:
    found, plain = Claims(), PlainClaims()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("acode_tui.ingest.usage.SEARCHED_KEYS", searched)
        for name, holder, keys in steps:
            if name == "note":
                found.note(holder, b"".join(keys))
                for key in keys:
                    plain.note(holder, key)
            elif name == "forget":
                found.forget(holder, b"".join(keys))
                for key in keys:
                    plain.forget(holder, key)
            elif name == "claim":
                assert found.claim(holder, keys) == [plain.claim(holder, key) for key in keys]
            else:
                held = {(names[0], key) for key, names in plain.claimants.items() if names}
                keys_of = {
                    (holder, joined[start : start + 8])
                    for holder, joined in found.held().items()
                    for start in range(0, len(joined), 8)
                }
                assert keys_of == held


async def test_a_defect_of_a_reader_affects_only_the_file_that_triggers_it(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = age(Codex().write(tmp_path / "t/bad.jsonl"))
    age(story().write(tmp_path / f"t/{SESSION}.jsonl"))

    def broken(*_: Any) -> None:
        raise TypeError("unhashable type")

    monkeypatch.setattr("acode_tui.ingest.codex.reader.CodexReader.take", broken)
    report = await run_import(workspace, tmp_path / "t")
    assert report.sessions == 1
    assert [(error.file, error.message[:24]) for error in report.errors] == [(str(bad), "cannot be read because o")]


@pytest.mark.parametrize("first", [b'{"type":"of-a-newer-release"}', b"", b"{broken"])
async def test_a_long_line_after_an_unspecific_one_decides_the_format(
    workspace: Workspace, tmp_path: Path, first: bytes
) -> None:
    transcript = Claude()
    transcript.raw(first)
    transcript.user("x" * 400_000)
    transcript.says("m1", "Done")
    report = await run_import(workspace, age(transcript.write(tmp_path / "t.jsonl")))
    assert (report.tasks, report.steps) == (1, 1)


@pytest.mark.parametrize("ended", [True, False])
async def test_a_first_line_longer_than_a_probe_is_skipped(
    workspace: Workspace, tmp_path: Path, ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acode_tui.ingest.file_reader.MAX_PROBE_BYTES", 1_000)
    monkeypatch.setattr("acode_tui.ingest.file_reader.PROBE_BYTES", 500)
    transcript = Claude()
    transcript.user("x" * 5_000)
    if ended:
        transcript.says("m1", "Done")
    path = transcript.write(tmp_path / "t.jsonl")
    if not ended:
        path.write_bytes(transcript.lines[0])
    report = await run_import(workspace, age(path))
    assert (report.tasks, report.errors) == (1 if ended else 0, ())


async def test_a_second_import_writes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    age(story().write(tmp_path / f"t/{SESSION}.jsonl"))
    first = await run_import(workspace, tmp_path / "t")
    pending = await workspace.outbox.pending_count()
    before = await stored(workspace)
    again = await run_import(workspace, tmp_path / "t")
    assert (first.files, first.sessions, first.tasks, first.steps, first.tool_calls) == (1, 1, 3, 5, 3)
    assert first.written == pending
    assert (again.files, again.unchanged, again.sessions, again.written) == (1, 1, 0, 0)
    assert await workspace.outbox.pending_count() == pending
    assert list((await stored(workspace)).entities()) == list(before.entities())


async def test_a_touched_or_copied_file_writes_no_row(workspace: Workspace, tmp_path: Path) -> None:
    path = age(story().write(tmp_path / f"t/{SESSION}.jsonl"))
    await run_import(workspace, path)
    age(path, START.replace(hour=13))
    copy = age(story().write(tmp_path / f"elsewhere/{SESSION}.jsonl"))
    report = await run_import(workspace, path, copy)
    assert (report.unchanged, report.written) == (0, 0)


async def test_a_growing_file_is_read_to_its_last_whole_line(workspace: Workspace, tmp_path: Path) -> None:
    whole = story()
    path = tmp_path / f"{SESSION}.jsonl"
    for cut in range(1, len(whole.lines)):
        half = whole.lines[cut][: len(whole.lines[cut]) // 2]
        path.write_bytes(b"".join(line + b"\n" for line in whole.lines[:cut]) + half)
        report = await run_import(workspace, age(path))
        assert report.skipped_lines == 0
        known = (await workspace.transcripts.known())[str(path)]
        assert known.offset == sum(len(line) + 1 for line in whole.lines[:cut])
    path.write_bytes(whole.data)
    await run_import(workspace, age(path))
    grown = await stored(workspace)
    assert grown.state is SessionState.COMPLETED
    assert [len(task.steps) for task in grown.tasks] == [3, 0, 2]
    state = SessionState.CREATED
    for event in grown.events:
        assert event.from_state is state
        state = event.to_state
    assert state is SessionState.COMPLETED


async def test_a_late_result_updates_the_stored_call(workspace: Workspace, tmp_path: Path) -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.calls("m1", "c1", "Bash")
    path = tmp_path / f"{SESSION}.jsonl"
    await run_import(workspace, age(transcript.write(path), NOW))
    (call,) = (await stored(workspace)).tasks[0].steps[0].tool_calls
    assert call.state is ToolCallState.EXECUTING
    transcript.result("c1", "done")
    await run_import(workspace, age(transcript.write(path), NOW))
    (later,) = (await stored(workspace)).tasks[0].steps[0].tool_calls
    assert (later.id, later.state, len(later.artifacts)) == (call.id, ToolCallState.SUCCEEDED, 1)


async def test_a_session_at_work_is_read_once_more_when_its_file_is_stale(workspace: Workspace, tmp_path: Path) -> None:
    transcript = Claude()
    transcript.user("Go")
    path = age(transcript.write(tmp_path / f"{SESSION}.jsonl"))
    await run_import(workspace, path, wall=lambda: START)
    assert (await stored(workspace)).state is SessionState.EXECUTING
    report = await run_import(workspace, path, wall=lambda: START.replace(minute=5))
    assert report.unchanged == 1
    await run_import(workspace, path, wall=lambda: NOW)
    assert (await stored(workspace)).state is SessionState.PAUSED
    assert (await run_import(workspace, path, wall=lambda: NOW)).unchanged == 1


async def test_a_rewritten_file_is_read_from_its_first_line(workspace: Workspace, tmp_path: Path) -> None:
    path = age(story().write(tmp_path / f"{SESSION}.jsonl"))
    await run_import(workspace, path)
    short = Claude()
    short.user("Another story altogether", uuid="n0")
    short.says("n1", "Yes")
    report = await run_import(workspace, age(short.write(path)))
    assert report.written > 0
    known = (await workspace.transcripts.known())[str(path)]
    assert known.offset == len(short.data)
    # Nothing is deleted: what the file has no longer stands behind the rest, and is marked.
    tasks = (await stored(workspace)).tasks
    assert tasks[0].title == "Another story altogether"
    assert [(task.state, (task.metadata or {}).get("superseded")) for task in tasks[1:]] == [
        (WorkState.SKIPPED, True)
    ] * 3
    await run_import(workspace, age(story().write(path)))
    assert [task.title for task in (await stored(workspace)).tasks][-1] == "Another story altogether"
    assert (await run_import(workspace, path)).written == 0


async def test_forks_are_counted_once_in_one_import_and_in_two(workspace: Workspace, tmp_path: Path) -> None:
    def session(native: str, *messages: str) -> Claude:
        transcript = Claude(native)
        transcript.user("Go")
        for message in messages:
            transcript.says(message, "x", usage={"output_tokens": 10})
        return transcript

    # By name the fork would come first.
    fork_id = "00000000-2222-4333-8444-555555555555"
    age(session(SESSION, "m1", "m2").write(tmp_path / f"t/{SESSION}.jsonl"))
    age(session(fork_id, "m1", "m2", "m3").write(tmp_path / f"t/{fork_id}.jsonl"))
    await run_import(workspace, tmp_path / "t")
    later = age(session(OTHER, "m1", "m2", "m4", "m5").write(tmp_path / f"t/{OTHER}.jsonl"))
    await run_import(workspace, tmp_path / "t")
    # Read again for itself, the fork still leaves to the others what is theirs.
    age(session(OTHER, "m1", "m2", "m4", "m5", "m6").write(later))
    await run_import(workspace, tmp_path / "t")
    counted = [
        ((await stored(workspace, native)).metadata or {})["tokens"]["output"] for native in (SESSION, fork_id, OTHER)
    ]
    assert counted == [20, 10, 30]


async def test_a_file_that_cannot_be_read_is_an_issue_and_stops_nothing(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "t"
    age(story().write(folder / f"{SESSION}.jsonl"))
    (folder / "garbage.jsonl").write_bytes(os.urandom(2000) + b"\n")
    (folder / "other.jsonl").write_bytes(b'{"a": 1}\n')
    (folder / "empty.jsonl").write_bytes(b"")
    (folder / "half.jsonl").write_bytes(b'{"type":"user"')
    (folder / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    (folder / "folder.jsonl").mkdir()
    found = await discover([folder, tmp_path / "missing.jsonl"])
    (folder / "late.jsonl").unlink(missing_ok=True)
    report = await import_transcripts(workspace.transcripts, found, workspace_id=workspace.workspace_id)
    assert report.sessions == 1
    assert {Path(issue.file).name for issue in report.errors} == {
        "garbage.jsonl",
        "other.jsonl",
        "gone.jsonl",
        "missing.jsonl",
    }


async def test_a_file_that_vanished_or_may_not_be_read_is_an_issue(workspace: Workspace, tmp_path: Path) -> None:
    path = story().write(tmp_path / "a.jsonl")
    found = await discover([path])
    path.unlink()
    path.mkdir()
    report = await import_transcripts(workspace.transcripts, found, workspace_id=workspace.workspace_id)
    assert [issue.message for issue in report.errors] == ["Is a directory"]


async def test_a_file_whose_name_is_not_utf8_is_imported(workspace: Workspace, tmp_path: Path) -> None:
    transcript = story()
    transcript.raw(b"oops")
    transcript.add({"type": "mode"})
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.jsonl"))
    age(transcript.write(path))
    first = await run_import(workspace, path)
    assert (first.sessions, [issue.line for issue in first.errors]) == (1, [16])
    assert (await run_import(workspace, path)).unchanged == 1


async def test_bad_lines_are_reported_with_file_and_line(workspace: Workspace, tmp_path: Path) -> None:
    transcript = Codex()
    transcript.raw(b"oops")
    transcript.prompt("Go")
    path = transcript.write(tmp_path / "r.jsonl")
    report = await run_import(workspace, path)
    assert report.skipped_lines == 1
    assert [(issue.file, issue.line) for issue in report.errors] == [(str(path), 2)]


async def test_a_named_format_is_taken_where_the_content_shows_no_other(workspace: Workspace, tmp_path: Path) -> None:
    path = age(story().write(tmp_path / f"{SESSION}.jsonl"))
    unclear = Codex(meta=False)
    for number in range(3):
        unclear.add({"type": f"made-up-{number}"})
    unclear.prompt("Go")
    unclear.says("Done")
    other = age(unclear.write(tmp_path / "rollout.jsonl"))
    assert (await run_import(workspace, path)).sessions == 1
    report = await run_import(workspace, path, other, format="codex")
    assert (report.sessions, report.unchanged) == (1, 0)
    (issue,) = report.errors
    assert issue.file == str(path)
    assert "not a transcript of codex: it looks like one of claude-code" in issue.message
    assert "--format claude-code" in issue.message
    with pytest.raises(IngestError):
        await run_import(workspace, path, format="fortran")


@pytest.mark.parametrize("name", FORMATS)
async def test_a_wrong_name_of_a_format_is_answered_with_the_right_one(
    workspace: Workspace, tmp_path: Path, name: str
) -> None:
    wrong = next(found for found in FORMATS if found != name)
    for number, write in enumerate(WRITERS[name]):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = write(folder, [Event("prompt", "Go"), Event("answer", "Done")])
        report = await run_import(workspace, path, format=wrong)
        assert [issue.message.partition("with ")[2] for issue in report.errors] == [f"--format {name}, or name none"]
        assert report.written == 0


@pytest.mark.parametrize("how", ["replaced", "rewritten", "cut"])
async def test_a_file_that_changes_while_it_is_read(
    workspace: Workspace, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = age(story().write(tmp_path / f"{SESSION}.jsonl"))
    other = Claude()
    other.lines = story().lines[:4]
    if how != "cut":
        other.user("Another end")
    recognise = FileReader._format

    def change(reader: FileReader, source: BinaryIO, size: int) -> TranscriptFormat | None:
        """The file changes once its first lines were looked at."""
        monkeypatch.undo()
        found = recognise(reader, source, size)
        if how == "replaced":
            os.replace(other.write(tmp_path / "new"), path)
        elif how == "cut":
            os.truncate(path, len(other.data))
        else:
            path.write_bytes(other.data)
        return found

    monkeypatch.setattr(FileReader, "_format", change)
    assert (await run_import(workspace, path)).errors == ()
    await run_import(workspace, path)
    now = [task.title for task in graph_of(other).tasks]
    tasks = (await stored(workspace)).tasks
    assert [task.title for task in tasks if not (task.metadata or {}).get("superseded")] == now
    assert (await run_import(workspace, path)).written == 0


@pytest.mark.parametrize("becomes", ["nothing", "a folder", "another file"])
async def test_a_file_that_changes_between_the_search_and_the_reading(
    workspace: Workspace, tmp_path: Path, becomes: str
) -> None:
    first, second = (age(story().write(tmp_path / f"{key}.jsonl")) for key in (SESSION, OTHER))
    found = await discover([tmp_path])
    first.unlink()
    if becomes == "a folder":
        first.mkdir()
    elif becomes == "another file":
        first.write_bytes(b"no transcript\n")
    report = await import_transcripts(workspace.transcripts, found, workspace_id=workspace.workspace_id)
    assert [issue.file for issue in report.errors] == [str(first)]
    assert report.sessions == 1
    assert (await stored(workspace, OTHER)).tasks
    assert second.exists()


async def test_progress_is_reported_for_every_commit_up_to_the_total(workspace: Workspace, tmp_path: Path) -> None:
    for index in range(120):
        native = f"{index:08d}-2222-4333-8444-555555555555"
        transcript = Claude(native)
        transcript.user(f"Task {index}")
        age(transcript.write(tmp_path / f"t/{native}.jsonl"))
    reports: list[ImportProgress] = []
    report = await run_import(workspace, tmp_path / "t", on_progress=reports.append)
    assert report.sessions == 120
    assert len(reports) > 2
    assert reports[0].bytes.done == 0
    assert (reports[-1].files.done, reports[-1].bytes.done) == (120, reports[-1].bytes.total)
    assert [found.files.done for found in reports] == sorted(found.files.done for found in reports)


class RefusingLog:
    """A log that refuses any transaction with a session of this description."""

    def __init__(self, refused: str) -> None:
        self.refused = refused
        self.files: dict[str, TranscriptFile] = {}

    async def known(self, paths: Sequence[str] | None = None) -> dict[str, TranscriptFile]:
        return dict(self.files)

    def prepare(self, graph: SessionGraph, new: bool, whole: bool = False) -> Any:
        return graph

    async def resumes(self, paths: Sequence[str]) -> dict[str, bytes]:
        return {}

    async def stored(self, ids: Sequence[str]) -> set[str]:
        return set()

    async def without_transcript(self, ids: Sequence[str]) -> set[str]:
        return set()

    async def save_many(self, items: Sequence[tuple[TranscriptFile, Sequence[Any]]]) -> tuple[SaveResult, ...]:
        if any(graph.task_description == self.refused for _, graphs in items for graph in graphs):
            raise ValidationError("task_description", "is refused")
        self.files.update({file.path: file for file, _ in items})
        return tuple(SaveResult(unchanged=len(graphs)) for _, graphs in items)


async def test_a_refused_session_does_not_keep_the_rest_of_its_group_out(tmp_path: Path) -> None:
    for name in ("good", "bad", "fine"):
        transcript = Claude(name)
        transcript.user(name)
        transcript.write(tmp_path / f"{name}.jsonl")
    log = RefusingLog("bad")
    report = await import_transcripts(log, await discover([tmp_path]), workspace_id="w")
    assert report.sessions == 2
    assert [(Path(issue.file).name, issue.message) for issue in report.errors] == [
        ("bad.jsonl", "task_description: is refused")
    ]
    assert {Path(path).name for path in log.files} == {"good.jsonl", "fine.jsonl"}


async def test_a_cancelled_import_leaves_whole_commits_to_continue(workspace: Workspace, tmp_path: Path) -> None:
    for index in range(150):
        native = f"{index:08d}-2222-4333-8444-555555555555"
        transcript = Claude(native)
        transcript.user(f"Task {index}")
        age(transcript.write(tmp_path / f"t/{native}.jsonl"))
    started = asyncio.Event()

    def watch(found: ImportProgress) -> None:
        if found.files.done:
            started.set()

    running = asyncio.create_task(run_import(workspace, tmp_path / "t", on_progress=watch))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    # A group that was being stored is stored whole, although its caller is gone: another write comes after it.
    await workspace.store.create_session("a write that comes after it")
    known = await workspace.transcripts.known()
    assert len(known) > 0
    assert await workspace.store.count() == len(known) + 1
    report = await run_import(workspace, tmp_path / "t")
    assert report.unchanged == len(known)
    assert await workspace.store.count() == 150 + 1


async def test_an_unchanged_file_is_not_opened(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = age(story().write(tmp_path / f"{SESSION}.jsonl"))
    await run_import(workspace, path)

    def refuse(*_: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr("acode_tui.ingest.file_reader.FileReader.read", refuse)
    monkeypatch.setattr("acode_tui.ingest.importer.reading_order", refuse)
    assert (await run_import(workspace, path)).unchanged == 1


async def test_imported_rows_carry_the_transcript_s_times(workspace: Workspace, tmp_path: Path) -> None:
    age(story().write(tmp_path / f"{SESSION}.jsonl"))
    await run_import(workspace, tmp_path)
    graph = await stored(workspace)
    assert graph.created_at == START
    assert graph.updated_at.date() == START.date()
    assert max(entity.updated_at for entity in graph.entities()) == graph.updated_at
    assert graph.created_at.tzinfo is UTC


async def test_errors_are_sorted_by_file_and_line(workspace: Workspace, tmp_path: Path) -> None:
    bad = story()
    bad.raw(b"oops")
    bad.raw(b"again")
    found = [
        FoundTranscript(path=tmp_path / "z.jsonl", problem="gone"),
        *await discover([age(bad.write(tmp_path / "m.jsonl"))]),
        FoundTranscript(path=tmp_path / "a.jsonl", problem="gone"),
    ]
    report = await import_transcripts(workspace.transcripts, found, workspace_id=workspace.workspace_id)
    assert [Path(issue.file).name for issue in report.errors] == ["a.jsonl", "m.jsonl", "m.jsonl", "z.jsonl"]
    first, second = (issue.line for issue in report.errors[1:3])
    assert first is not None
    assert second == first + 1
