"""``import``: its output, its errors and its progress line."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from acode_tui.cli.progress import ImportLine, describe_import
from acode_tui.domain.progress import Progress
from acode_tui.ingest import ImportProgress
from tests.cli.conftest import Run, answer
from tests.clocks import GUARD_SECONDS

KEYS = {
    "files",
    "sessions",
    "tasks",
    "steps",
    "toolCalls",
    "artifacts",
    "unchanged",
    "skippedLines",
    "unknownRecords",
    "ending",
    "elsewhere",
    "errors",
}
SESSION = "7d1f4d0e-1111-4222-8333-444455556666"


EXPLAINED_KEYS = {"line", "kind", "session", "task", "step", "call", "why", "what"}


def lines(prompt: str, *more: dict[str, Any]) -> str:
    """A small Claude Code transcript: one prompt and its answer."""
    common = {"sessionId": SESSION, "cwd": "/src/shop", "version": "2.1.0", "isSidechain": False}
    records: list[dict[str, Any]] = [
        {
            **common,
            "type": "user",
            "uuid": "a",
            "parentUuid": None,
            "timestamp": "2026-01-05T18:00:00.000Z",
            "message": {"role": "user", "content": prompt},
        },
        {
            **common,
            "type": "assistant",
            "uuid": "b",
            "parentUuid": "a",
            "timestamp": "2026-01-05T18:00:05.000Z",
            "message": {
                "id": "msg_1",
                "role": "assistant",
                "model": "m",
                "content": [{"type": "text", "text": "Done."}],
                "usage": {"input_tokens": 1, "output_tokens": 2},
            },
        },
        *more,
    ]
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def transcript(tmp_path: Path) -> Path:
    path = tmp_path / "projects" / "-src-shop" / f"{SESSION}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(lines("Add input validation"))
    return path


def test_a_second_import_of_a_folder_writes_nothing(run: Run, transcript: Path) -> None:
    first = answer(run("import", str(transcript.parent), "--json"))
    assert set(first) == KEYS
    assert (first["files"], first["sessions"], first["tasks"], first["unchanged"]) == (1, 1, 1, 0)
    assert answer(run("session", "list", "--json"))["sessions"][0]["taskDescription"] == "Add input validation"
    pending = answer(run("db", "status", "--json"))["outbox"]["pending"]
    second = answer(run("import", str(transcript.parent), "--json"))
    assert (second["sessions"], second["unchanged"]) == (0, 1)
    assert answer(run("db", "status", "--json"))["outbox"]["pending"] == pending
    assert "1 unchanged" in run("import", str(transcript)).stdout


def test_bad_lines_are_named_and_skipped(run: Run, transcript: Path) -> None:
    transcript.write_text(lines("Fix it") + "\x1b[31mnonsense\n" + "{}\n")
    found = answer(run("import", str(transcript), "--json"))
    assert found["sessions"] == 1
    assert found["skippedLines"] >= 1
    assert found["errors"][0]["line"] == 3
    assert set(found["errors"][0]) == {"file", "line", "message", "hint"}


def test_all_imports_from_the_folders_of_the_known_agents(
    run: Run, transcript: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".claude").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    nothing = run("import", "--all")
    assert nothing.exit_code == 0
    assert "no transcripts found" in nothing.stdout
    transcript.parent.parent.rename(home / ".claude" / "projects")
    assert answer(run("import", "--everywhere", "--json"))["sessions"] == 1


def test_configured_roots_replace_the_known_ones(run: Run, transcript: Path) -> None:
    assert run("config", "set", "ingest.roots", json.dumps([str(transcript.parent.parent)])).exit_code == 0
    assert answer(run("import", "--everywhere", "--json"))["sessions"] == 1


def test_all_takes_the_runs_of_this_workspaces_folder_and_counts_the_others(
    run: Run, transcript: Path, root: Path
) -> None:
    assert run("config", "set", "ingest.roots", json.dumps([str(transcript.parent.parent)])).exit_code == 0
    (root / "src").mkdir()
    for number, folder in enumerate(
        (root, root / "src", root / "gone", Path(f"{root}-other"), root.parent, "relative")
    ):
        other = f"{number}{SESSION[1:]}"
        text = lines("Here").replace(SESSION, other).replace("/src/shop", str(folder))
        (transcript.parent / f"{other}.jsonl").write_text(text)
    found = answer(run("import", "--all", "--json"))
    assert found["sessions"] == 3
    assert found["elsewhere"] == {"": 1, str(root.parent): 1, "/src/shop": 1, f"{root}-other": 1}
    printed = run("import", "--all")
    assert "3 unchanged" in printed.stdout
    assert "4 transcripts of 4 other folders not imported; --everywhere takes them" in printed.stderr
    assert "(no folder is named)" in printed.stderr
    assert answer(run("import", str(transcript), "--json"))["sessions"] == 1, "a path that was given is imported"
    found = answer(run("import", "--everywhere", "--json"))
    assert (found["unchanged"], found["elsewhere"]) == (4, {})


def test_the_first_import_says_how_many_transcripts_end_soon_and_that_what_is_imported_stays(
    run: Run, transcript: Path
) -> None:
    # Written in 1970: long due.
    os.utime(transcript, (0, 0))
    printed = run("import", str(transcript))
    assert "1 transcript of those found is deleted within a week" in printed.stdout
    assert "what is imported stays" in printed.stdout
    assert "within a week" not in run("import", str(transcript)).stdout
    assert answer(run("import", str(transcript), "--json"))["ending"] == 0


def test_without_a_run_of_this_folder_the_others_are_listed(run: Run, transcript: Path) -> None:
    assert run("config", "set", "ingest.roots", json.dumps([str(transcript.parent.parent)])).exit_code == 0
    printed = run("import", "--all")
    assert printed.exit_code == 0
    assert "no transcript is of a run in this workspace's folder" in printed.stdout
    assert "/src/shop" in printed.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("import",), 2, "--all"),
        (("import", "/nowhere/at/all"), 1, "ACODE-INGEST-001"),
        (("import", "--all", "--format", "nonsense"), 1, "ACODE-INGEST-001"),
    ],
)
def test_an_invalid_call_is_an_error_that_says_why(run: Run, arguments: tuple[str, ...], code: int, words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert words in result.stderr


def test_an_unreadable_file_is_listed_and_the_others_are_imported(
    run: Run, transcript: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed.jsonl"
    closed.write_text(lines("Not for you"))
    may = os.access
    monkeypatch.setattr(
        "os.access", lambda path, *more, **named: str(path) != str(closed) and may(path, *more, **named)
    )
    look = open

    def refused(path: Any, *more: Any, **named: Any) -> Any:
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(closed))
        return look(path, *more, **named)

    monkeypatch.setattr("builtins.open", refused)
    found = answer(run("import", str(closed), str(transcript), "--json"))
    assert found["sessions"] == 1
    assert [(error["file"], error["message"]) for error in found["errors"]] == [(str(closed), "Permission denied")]


def test_a_file_that_is_not_a_transcript_is_named_in_the_error(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text('{"a": 1}\n')
    result = run("import", str(path))
    assert result.exit_code == 1
    assert "other.jsonl" in result.stderr
    assert "--format" in result.stderr


def test_watch_imports_later_lines_and_ends_on_a_signal(transcript: Path, root: Path) -> None:
    arguments = ["--workspace", str(root), "import", str(transcript.parent), "--watch", "--json"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "acode_tui", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            first = json.loads(process.stdout.readline())
            assert "watching" in process.stderr.readline()
            later = transcript.with_name("8d1f4d0e-1111-4222-8333-444455556666.jsonl")
            later.write_text(lines("And another").replace(SESSION, later.stem))
            second = json.loads(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            _, rest = process.communicate(timeout=GUARD_SECONDS)
        finally:
            process.kill()
    assert (first["files"], second["files"]) == (1, 1)
    assert second["sessions"] == 1
    assert process.returncode == 0, rest
    assert "Traceback" not in rest


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_has_rate_and_remaining_time() -> None:
    progress = ImportProgress(
        files=Progress(3, 1200, "files"),
        bytes=Progress(2_000_000, 6_000_000, "bytes", rate=1e6),
        current="/x/\x1b]0;a.jsonl",
    )
    assert describe_import(progress) == "3/1,200 files  2.0 MB of 6.0 MB  1.0 MB/s  4 s left  ␛]0;a.jsonl"
    nothing = ImportProgress(files=Progress(0, 0, "files"), bytes=Progress(0, 0, "bytes"))
    assert describe_import(nothing) == "0/0 files  0 B of 0 B"


def test_the_progress_line_is_erased_and_not_written_too_often() -> None:
    progress = ImportProgress(files=Progress(1, 2, "files"), bytes=Progress(1, 2, "bytes"))
    now = 0.0
    stream = Terminal()
    with ImportLine(stream, lambda: now) as line:
        for now in (1.0, 1.05, 1.2):  # noqa: B007 - the clock reads it
            line.show(progress)
    assert stream.getvalue().count("1/2 files") == 2
    assert stream.getvalue().endswith("\r\x1b[K")
    quiet = io.StringIO()
    with ImportLine(quiet, lambda: 0.0) as line:
        line.show(progress)
    assert quiet.getvalue() == ""


def test_explain_shows_how_each_record_is_understood_and_imports_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / f"{SESSION}.jsonl"
    path.write_text(lines("Check the form") + "{broken\n")
    table = run("import", "--explain", str(path))
    assert table.exit_code == 0
    assert [row.split()[:2] for row in table.stdout.splitlines()][1:] == [
        ["1", "prompt"],
        ["2", "step"],
        ["3", "damaged"],
    ]
    found = answer(run("import", "--explain", str(path), "--json"))
    assert found["format"] == "claude-code"
    assert all(set(record) == EXPLAINED_KEYS for record in found["records"])
    assert found["records"][0]["what"] == "Check the form"
    assert answer(run("session", "list", "--json"))["sessions"] == []


def test_explain_cuts_nothing_off_on_a_narrow_terminal(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"{SESSION}.jsonl"
    path.write_text(lines("Check the form of the sign-up page, and then that of the login page, please"))
    monkeypatch.setenv("COLUMNS", "40")
    printed = run("import", "--explain", str(path)).stdout.splitlines()
    assert max(map(len, printed)) <= 40
    assert "".join(line.replace(" ", "") for line in printed).startswith(
        "1prompt1Checktheformofthesign-uppage,andthenthatoftheloginpage,pleasetype=usermessage.role=user2step1.1"
    )


@pytest.mark.parametrize("more", [["--all"], ["--watch"], ["."]])
def test_explain_takes_one_transcript(run: Run, tmp_path: Path, more: list[str]) -> None:
    path = tmp_path / f"{SESSION}.jsonl"
    path.write_text(lines("Check the form"))
    result = run("import", "--explain", str(path), *more)
    assert result.exit_code == 2
    assert "--explain takes one PATH" in result.stderr
