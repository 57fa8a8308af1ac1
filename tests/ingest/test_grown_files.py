"""A file that grew is read on after its last line, and as a whole where it is no longer the file that it was."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from acode_tui.domain.codec import encode_payload
from acode_tui.domain.states import EntityType
from acode_tui.domain.validation import Limits
from acode_tui.ingest import file_reader
from acode_tui.ingest.claude.reader import ClaudeReader
from acode_tui.workspace import Workspace, open_workspace
from tests.ingest.builders import SESSION, START, Claude, Codex, Transcript
from tests.ingest.test_growing_files import STORIES
from tests.ingest.test_import import NOW, age, run_import, stored


@pytest.fixture
async def workspace(tmp_path: Path) -> AsyncIterator[Workspace]:
    async with open_workspace(tmp_path / "ws") as opened:
        yield opened


@pytest.fixture
def wholes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Reads on in files of any size. Collects the files that are read as a whole."""
    found: list[Path] = []
    read = file_reader.FileReader._read_whole

    def recorded(self: Any, source: Any, size: int, context: Any) -> Any:
        found.append(context.path)
        return read(self, source, size, context)

    monkeypatch.setattr(file_reader.FileReader, "_read_whole", recorded)
    monkeypatch.setattr(file_reader, "RESUME_BYTES", 0)
    monkeypatch.setattr("acode_tui.ingest.importer.RESUME_BYTES", 0)
    return found


def conversation(count: int = 8) -> Claude:
    """A session that is still under way."""
    found = Claude()
    found.user("Go")
    for number in range(count):
        found.calls(f"m{number}", f"c{number}", "Bash", {"command": f"ls {number}"})
        found.result(f"c{number}", f"output {number}")
    return found


async def rows(workspace: Workspace, source: str) -> dict[str, tuple[Any, ...]]:
    """The stored run: everything but its stamps and its events, which tell of the ends that were read on the way."""
    graph = await stored(workspace, source=source)
    skip = {"tasks", "steps", "tool_calls", "artifacts", "events", "updated_at", "workspace_id"}
    return {
        entity.id: tuple(getattr(entity, name) for name in entity.__struct_fields__ if name not in skip)
        for entity in graph.entities()
        if entity.kind is not EntityType.SESSION_EVENT
    }


@pytest.mark.parametrize("transcript", STORIES)
@pytest.mark.parametrize("size", [1, 3])
async def test_a_grown_file_gives_the_rows_of_a_fresh_import(
    workspace: Workspace, tmp_path: Path, wholes: list[Path], transcript: Transcript, size: int
) -> None:
    source = "codex" if isinstance(transcript, Codex) else "claude-code"
    path = tmp_path / f"t/{SESSION}.jsonl"
    path.parent.mkdir()
    path.touch()
    for start in range(0, len(transcript.lines), size):
        with path.open("ab") as file:
            file.write(b"".join(line + b"\n" for line in transcript.lines[start : start + size]))
        report = await run_import(workspace, age(path, NOW))
        assert report.errors == ()
    assert len(wholes) < 8
    again = await run_import(workspace, path)
    assert again.unchanged == 1
    async with open_workspace(tmp_path / "other") as other:
        fresh = await run_import(other, path)
        counts = ("sessions", "tasks", "steps", "tool_calls", "artifacts", "skipped_lines")
        assert [getattr(report, name) for name in counts] == [getattr(fresh, name) for name in counts]
        kept, expected = await rows(workspace, source), await rows(other, source)
        # Results that were read before their calls stay with their steps as well.
        assert kept.keys() >= expected.keys()
        assert {found: kept[found] for found in expected} == expected


@pytest.mark.parametrize("transcript", STORIES[:3])
async def test_a_copy_of_a_transcript_that_is_older_or_has_another_name_changes_nothing(
    workspace: Workspace, tmp_path: Path, transcript: Transcript
) -> None:
    source = "codex" if isinstance(transcript, Codex) else "claude-code"
    await run_import(workspace, age(transcript.write(tmp_path / "t" / f"{SESSION}.jsonl")))
    before = await stored(workspace, source=source)
    copies = [transcript.write(tmp_path / "backup.jsonl")]
    for cut in range(2, len(transcript.lines)):
        copies.append(tmp_path / str(cut) / f"{SESSION}.jsonl")
        copies[-1].parent.mkdir()
        copies[-1].write_bytes(b"".join(line + b"\n" for line in transcript.lines[:cut]))
    await run_import(workspace, *map(age, copies))
    after = await stored(workspace, source=source)
    kept, expected = ({row.id: encode_payload(row) for row in graph.entities()} for graph in (after, before))
    assert {found: kept[found] for found in expected} == expected


async def test_a_file_that_is_replaced_while_it_is_read_is_read_again(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = age(conversation().write(tmp_path / f"{SESSION}.jsonl"))
    take = ClaudeReader.take

    def replacing(self: ClaudeReader, line: int, raw: bytes, record: Any) -> None:
        if line == 2:
            other = Claude()
            other.user("Another way")
            other.write(tmp_path / "new").replace(path)
        take(self, line, raw, record)

    monkeypatch.setattr(ClaudeReader, "take", replacing)
    assert (await run_import(workspace, path)).steps == 8
    monkeypatch.setattr(ClaudeReader, "take", take)
    assert (await run_import(workspace, path)).tasks == 1
    assert [task.title for task in (await stored(workspace)).tasks] == ["Another way"]


async def test_only_what_is_new_is_read_and_compared(
    workspace: Workspace, tmp_path: Path, wholes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = conversation(100)
    path = age(found.write(tmp_path / "t" / f"{SESSION}.jsonl"), NOW)
    await run_import(workspace, path)
    lines = len(found.lines)
    found.calls("m100", "c100", "Bash")
    found.result("c100", "output")
    age(found.write(path), NOW)
    taken: list[int] = []
    take = ClaudeReader.take

    def recorded(self: ClaudeReader, line: int, raw: bytes, record: Any) -> None:
        taken.append(line)
        take(self, line, raw, record)

    monkeypatch.setattr(ClaudeReader, "take", recorded)
    report = await run_import(workspace, path)
    assert taken == [lines + 1, lines + 2]
    assert (len(wholes), report.steps, report.tool_calls) == (1, 101, 101)


async def test_a_part_that_reaches_back_further_than_was_kept_is_read_as_a_whole(
    workspace: Workspace, tmp_path: Path, wholes: list[Path]
) -> None:
    found = conversation(40)
    path = age(found.write(tmp_path / "t" / f"{SESSION}.jsonl"), NOW)
    await run_import(workspace, path)
    found.says("m0", "a message of long ago")
    await run_import(workspace, age(found.write(path), NOW))
    assert len(wholes) == 2
    step = (await stored(workspace)).tasks[0].steps[0]
    assert [artifact.name for artifact in step.artifacts] == ["response"]
    assert len((await stored(workspace)).tasks[0].steps) == 40


def _shorter(found: Claude, path: Path) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in conversation(3).lines))


def _rewritten(found: Claude, path: Path) -> None:
    path.write_bytes(found.data.replace(b'"Go"', b'"No"') + b"{}\n")


def _rewritten_before_the_last_line(found: Claude, path: Path) -> None:
    data = bytearray(found.data)
    data[-200:-190] = b" " * 10
    path.write_bytes(bytes(data) + b"{}\n")


def _replaced(found: Claude, path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(found.data + b"{}\n")
    other.replace(path)


def _older(found: Claude, path: Path) -> None:
    path.write_bytes(found.data + b"{}\n")
    age(path, START)


@pytest.mark.parametrize("change", [_shorter, _rewritten, _rewritten_before_the_last_line, _replaced, _older])
async def test_a_file_that_is_not_the_one_that_was_read_is_read_as_a_whole(
    workspace: Workspace, tmp_path: Path, wholes: list[Path], change: Any
) -> None:
    found = conversation(20)
    path = age(found.write(tmp_path / "t" / f"{SESSION}.jsonl"), NOW)
    await run_import(workspace, path)
    change(found, path)
    if change is not _older:
        age(path, NOW.replace(hour=13))
    await run_import(workspace, path)
    assert len(wholes) == 2


async def test_another_limit_of_contents_is_a_reason_to_read_the_whole_file(
    workspace: Workspace, tmp_path: Path, wholes: list[Path]
) -> None:
    found = conversation(3)
    path = age(found.write(tmp_path / "t" / f"{SESSION}.jsonl"), NOW)
    await run_import(workspace, path)
    found.says("m9", "Done")
    await run_import(workspace, age(found.write(path), NOW), limits=Limits(max_artifact_bytes=2_000))
    assert len(wholes) == 2


async def test_what_is_kept_of_another_release_or_damaged_is_not_used(
    workspace: Workspace, tmp_path: Path, wholes: list[Path]
) -> None:
    found = conversation(3)
    path = age(found.write(tmp_path / "t" / f"{SESSION}.jsonl"), NOW)
    await run_import(workspace, path)
    for number, damage in enumerate((b"\x00", b"\x95\x63\x00\xa0\x90\xc4\x00", b"\x95\x02\x01\xa1x"), 1):
        with sqlite3.connect(workspace.database_path) as connection:
            connection.execute("UPDATE ingest_files SET resume = ?", (damage,))
        connection.close()
        found.says(f"n{number}", "on")
        report = await run_import(workspace, age(found.write(path), NOW))
        assert (len(wholes), report.errors, report.steps) == (1 + number, (), 3 + number)


async def test_a_small_file_keeps_nothing_to_read_on(workspace: Workspace, tmp_path: Path) -> None:
    path = age(conversation(3).write(tmp_path / "t" / f"{SESSION}.jsonl"), NOW)
    await run_import(workspace, path)
    assert await workspace.transcripts.resumes([str(path)]) == {}


async def test_the_import_of_a_file_that_aged_reads_no_line(
    workspace: Workspace, tmp_path: Path, wholes: list[Path]
) -> None:
    found = conversation(3)
    path = age(found.write(tmp_path / "t" / f"{SESSION}.jsonl"), START)
    await run_import(workspace, path, wall=lambda: START)
    assert (await stored(workspace)).state.value == "Executing"
    await run_import(workspace, path, wall=lambda: NOW)
    assert (await stored(workspace)).state.value == "Paused"
    assert len(wholes) == 1
