"""``explain`` says of each record what it changed in the run, and why; reading is the same with it and without."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.domain.errors import IngestError
from acode_tui.ingest.explain import ExplainedRecord, explain
from acode_tui.ingest.observe import observer
from tests.ingest.builders import SESSION, Claude, Codex, Transcript, story
from tests.ingest.copilot.builder import Copilot
from tests.ingest.counting.stories import WRITERS, Event, Write, opencode_database
from tests.ingest.gemini.builder import Gemini, call
from tests.ingest.pi.builder import Pi

STORY = [Event(what, what) for what in ("prompt", "answer", "ok", "failed", "prompt", "answer")]
FORMATS = [(name, write) for name, writes in WRITERS.items() for write in writes]


def explained(transcript: Transcript, folder: Path, name: str = f"{SESSION}.jsonl") -> list[ExplainedRecord]:
    return list(explain(transcript.write(folder / name)).records)


@pytest.mark.parametrize(("format", "write"), FORMATS)
def test_every_format_is_explained(format: str, write: Write, tmp_path: Path) -> None:
    found = explain(write(tmp_path, STORY))
    kinds = [record.kind for record in found.records]
    assert found.format == format
    # An agent that knows no prompt but the problem has one.
    assert kinds.count("prompt") == (1 if format == "swe-agent" else 2)
    assert kinds.count("call") == 2
    # In the spans each event of the story is a trace, which is a task of its own.
    assert {record.task for record in found.records if record.kind == "call"} == ({3, 4} if format == "otlp" else {1})
    assert kinds.count("step") >= 2
    assert all(record.why for record in found.records if record.kind != "quiet")
    assert observer() is None


def test_each_record_of_a_line_file_is_explained_once_and_in_order(tmp_path: Path) -> None:
    transcript = story()
    transcript.raw(b"{broken")
    transcript.user("[Request interrupted by user]")
    found = explained(transcript, tmp_path)
    assert [record.line for record in found] == list(range(1, len(transcript.lines) + 1))
    assert [record.kind for record in found][-2:] == ["damaged", "event"]
    first = found[0]
    assert (first.kind, first.task, first.step, first.what) == ("prompt", 1, None, "Add validation to the login form")
    assert first.why == "type=user message.role=user"
    results = [record for record in found if record.kind == "result"]
    assert [(record.call, record.what) for record in results] == [
        ("c1", "Read: Succeeded"),
        ("c2", "Bash: Failed"),
        ("c3", "Edit: Succeeded"),
    ]


def test_a_record_that_holds_calls_and_their_results_says_how_they_ended(tmp_path: Path) -> None:
    gemini = Gemini()
    gemini.prompt("Go")
    gemini.says(
        "", call("c1", "read_file"), call("c2", "replace", status="error"), call("c3", "glob", status="executing")
    )
    rows = explained(gemini, tmp_path, "session-2026-01-05T12-00-11111111.jsonl")
    assert rows[-1].what == "read_file: Succeeded, replace: Failed, glob"


def test_the_long_text_of_an_event_is_an_event(tmp_path: Path) -> None:
    copilot = Copilot()
    copilot.prompt("Go")
    copilot.event("user.message", content="A reminder. " * 100, source="system")
    assert [record.kind for record in explained(copilot, tmp_path, "events.jsonl")] == ["quiet", "prompt", "event"]


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)
    with pytest.raises(IngestError, match="neither a file nor a folder"):
        explain(path)


def test_a_result_without_its_call_is_named(tmp_path: Path) -> None:
    transcript = Claude()
    transcript.user("Go")
    transcript.says("m1", "I go")
    transcript.result("gone")
    record = explained(transcript, tmp_path)[-1]
    assert (record.kind, record.call, record.what) == ("result", "gone", "of a call that is missing")


def test_readers_say_why_a_message_of_the_user_is_no_prompt(tmp_path: Path) -> None:
    gemini = Gemini()
    gemini.message("user", [{"text": "<session_context>Monday"}])
    gemini.message("user", [{"functionResponse": {"id": "c1"}}])
    gemini.prompt("Go")
    gemini.says("", call("c1", "read_file"))
    rows = explained(gemini, tmp_path, "session-2026-01-05T12-00-11111111.jsonl")
    assert [record.kind for record in rows] == ["quiet", "quiet", "quiet", "prompt", "call"]
    assert "<session_context>: the program wrote it" in rows[1].why
    assert "functionResponse" in rows[2].why
    copilot = Copilot()
    copilot.event("user.message", content="A reminder", source="system")
    copilot.prompt("Go")
    copilot.event("made.up")
    rows = explained(copilot, tmp_path / "copilot", "events.jsonl")
    assert [record.kind for record in rows] == ["quiet", "event", "prompt", "unknown"]
    assert rows[1].why == "type=user.message data.source=system; source=system"
    assert rows[3].what == "made.up"


@pytest.mark.parametrize("transcript", [Claude(), Codex()], ids=["claude-code", "codex"])
def test_a_type_that_a_reader_does_not_know_is_unknown(transcript: Transcript, tmp_path: Path) -> None:
    if isinstance(transcript, Claude):
        transcript.user("Go")
        transcript.record("made-up")
    elif isinstance(transcript, Codex):
        transcript.prompt("Go")
        transcript.line("made-up", text="x")
    found = explained(transcript, tmp_path)[-1]
    assert (found.kind, found.what, found.why) == ("unknown", "made-up", "type=made-up")


def test_the_sessions_of_a_database_are_counted(tmp_path: Path) -> None:
    path = opencode_database(tmp_path, STORY)
    assert {record.session for record in explain(path).records} == {1}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_explaining_raises_nothing_because_of_a_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    transcript = Pi()
    for line in lines:
        transcript.raw(line.replace(b"\n", b""))
    transcript.prompt("Go")
    found = explained(transcript, tmp_path_factory.mktemp("lines"), "2026-01-05_x.jsonl")
    assert found[-1].kind == "prompt"
