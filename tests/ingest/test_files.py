"""Files: whole lines, cursors, discovery, formats detected by content, and unreadable files."""

import io
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.config.settings import FORMATS
from acode_tui.domain.errors import IngestError
from acode_tui.ingest import default_roots, discover
from acode_tui.ingest.cursor import (
    Change,
    FileState,
    classify,
    decode_state,
    encode_state,
    hash_head,
    is_current,
    is_over,
    moment_bytes,
    unchanged,
)
from acode_tui.ingest.discover import find
from acode_tui.ingest.format import FileStat
from acode_tui.ingest.lines import WholeLines
from acode_tui.ingest.registry import format_named, formats
from acode_tui.storage.ports import TranscriptFile
from tests.ingest.builders import START, Claude, Codex, story


@given(st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=9), st.binary(max_size=9))
def test_only_whole_lines_are_returned(lines: list[bytes], tail: bytes) -> None:
    tail = tail.replace(b"\n", b"")
    data = b"".join(line + b"\n" for line in lines)
    reader = WholeLines(io.BytesIO(data + tail), len(data + tail))
    assert list(reader) == [(number, line + b"\n") for number, line in enumerate(lines, 1)]
    assert reader.offset == len(data)
    assert reader.tail == tail


def test_lines_across_chunks_are_joined_and_appended_bytes_are_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("acode_tui.ingest.lines.CHUNK_BYTES", 4)
    data = b"abcdefghij\nkl\n\nmnopq\n"
    reader = WholeLines(io.BytesIO(data + b"later\n"), len(data))
    assert [line for _, line in reader] == [b"abcdefghij\n", b"kl\n", b"\n", b"mnopq\n"]


@given(
    st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=9),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_lines_do_not_depend_on_the_ends_of_chunks(lines: list[bytes], chunk: int, longest: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("acode_tui.ingest.lines.CHUNK_BYTES", chunk)
        reader = WholeLines(io.BytesIO(data + b"tail"), len(data) + 4, max_line=longest)
        assert [line for _, line in reader] == [line + b"\n" if len(line) <= longest else None for line in lines]
        assert reader.offset == len(data)


def test_a_line_beyond_the_limit_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acode_tui.ingest.lines.CHUNK_BYTES", 4)
    data = b"ok\n" + b"x" * 50 + b"\nfine\n"
    reader = WholeLines(io.BytesIO(data), len(data), max_line=10)
    assert [line for _, line in reader] == [b"ok\n", None, b"fine\n"]
    assert reader.offset == len(data)


def cursor(**changes: object) -> TranscriptFile:
    file = TranscriptFile(
        path="/a.jsonl",
        format="codex",
        inode=1,
        size=100,
        mtime_ns=5,
        offset=90,
        head_hash=hash_head(b"head"),
        imported_at=START,
    )
    return msgspec.structs.replace(file, **changes)


@pytest.mark.parametrize(
    ("stat", "head", "format", "expected"),
    [
        (FileStat(1, 100, 5), b"head", None, Change.UNCHANGED),
        (FileStat(1, 100, 5), b"head", "codex", Change.UNCHANGED),
        (FileStat(1, 100, 5), b"head", "claude-code", Change.REWRITTEN),
        (FileStat(1, 150, 6), b"head and more", None, Change.GROWN),
        (FileStat(2, 150, 6), b"head and more", None, Change.GROWN),
        (FileStat(1, 150, 6), b"other", None, Change.REWRITTEN),
        (FileStat(1, 150, 6), b"he", None, Change.REWRITTEN),
        (FileStat(1, 80, 6), b"head", None, Change.REWRITTEN),
        (FileStat(1, 100, 6), b"head", None, Change.GROWN),
    ],
)
def test_a_file_is_unchanged_grown_or_rewritten(
    stat: FileStat, head: bytes, format: str | None, expected: Change
) -> None:
    assert classify(cursor(), stat, head, format) is expected
    assert unchanged(cursor(), stat, format) == (expected is Change.UNCHANGED)


def test_a_file_without_a_cursor_is_new() -> None:
    assert classify(None, FileStat(1, 1, 1), b"") is Change.NEW


@pytest.mark.parametrize("until", [None, datetime(2026, 1, 5, tzinfo=UTC)])
def test_a_cursor_s_state_is_read_back(until: datetime | None) -> None:
    state = FileState(until=moment_bytes(until), session="s", claimed=b"12345678")
    data = encode_state(state)
    assert decode_state(data) == state
    at = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
    assert not is_over(data, at - 1)
    assert is_over(data, at) is (until is not None)
    assert is_current(data)
    assert not is_current(b"")
    assert decode_state(b"\xff").version == 0


async def test_discovery_finds_transcripts_and_hints_at_their_format(tmp_path: Path) -> None:
    story().write(tmp_path / ".claude/projects/-src-shop/a.jsonl")
    Codex().write(tmp_path / ".codex/sessions/2026/01/05/rollout-x.jsonl")
    (tmp_path / ".claude/projects/notes.txt").write_text("no")
    (tmp_path / ".codex/history.jsonl").write_text('{"session_id": "s", "ts": 1, "text": "Hi"}\n')
    roots = default_roots({"HOME": str(tmp_path)})
    found = await discover(roots)
    assert [(item.path.name, item.format) for item in found] == [
        ("a.jsonl", "claude-code"),
        ("history.jsonl", "codex"),
        ("rollout-x.jsonl", "codex"),
    ]
    assert [item.path.name for item in await discover(roots, ["codex"])] == ["history.jsonl", "rollout-x.jsonl"]
    assert default_roots({"HOME": str(tmp_path)}, ["codex"]) == [
        tmp_path / ".codex/sessions",
        tmp_path / ".codex/history.jsonl",
    ]


def test_loops_of_links_are_walked_once(tmp_path: Path) -> None:
    story().write(tmp_path / "a/b/x.jsonl")
    (tmp_path / "a/b/up").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "a/broken.jsonl").symlink_to(tmp_path / "nowhere")
    found = find([tmp_path, tmp_path / "a"])
    assert [item.path.name for item in found if item.problem is None] == ["x.jsonl"]
    assert [item.path.name for item in found if item.problem] == ["broken.jsonl"]


def test_a_missing_path_is_a_problem(tmp_path: Path) -> None:
    (item,) = find([tmp_path / "none"])
    assert item.problem == "No such file or directory"


def test_a_pipe_is_a_problem_and_is_never_opened(tmp_path: Path) -> None:
    """Opening it would block until another process writes to it."""
    os.mkfifo(tmp_path / "pipe.jsonl")
    for root in (tmp_path, tmp_path / "pipe.jsonl"):
        assert [item.problem for item in find([root])] == ["not an ordinary file"]


def test_a_compressed_rollout_beside_its_plain_file_is_ignored(tmp_path: Path) -> None:
    Codex().write(tmp_path / "one.jsonl")
    (tmp_path / "one.jsonl.zst").write_bytes(b"(\xb5/\xfd")
    (tmp_path / "two.jsonl.zst").write_bytes(b"(\xb5/\xfd")
    assert [item.path.name for item in find([tmp_path])] == ["one.jsonl", "two.jsonl.zst"]


def test_content_decides_the_format() -> None:
    for transcript, name in ((story(), "claude-code"), (Codex(), "codex")):
        records = [msgspec.json.decode(line) for line in transcript.lines]
        assert [found.name for found in formats().values() if found.recognises(records)] == [name]
    assert not any(found.recognises([{"a": 1}, {"type": "x"}]) for found in formats().values())


def test_an_unknown_format_is_refused_with_the_known_names() -> None:
    with pytest.raises(IngestError, match="claude-code, copilot, gemini, opencode, openhands, pi, codex"):
        format_named("fortran")


def test_a_claude_session_started_with_a_summary_is_recognised() -> None:
    transcript = Claude()
    transcript.add({"type": "summary", "summary": "x", "leafUuid": "y"})
    (record,) = [msgspec.json.decode(line) for line in transcript.lines]
    assert formats()["claude-code"].recognises([record])


def test_discovery_opens_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story().write(tmp_path / "a.jsonl")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(os, "open", refuse)
    assert len(find([tmp_path])) == 1


def test_the_settings_know_every_format_that_can_be_read() -> None:
    assert sorted(FORMATS) == sorted(formats())
