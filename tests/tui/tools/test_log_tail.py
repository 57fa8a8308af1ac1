"""Reading the log as it grows, and parsing its lines. Pure but for the file."""

from datetime import UTC, datetime
from pathlib import Path

from acode_tui.tui.tools.log_tail import LogTail, parse_entry


def test_reading_continues_after_the_last_line_and_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = LogTail(path)
    assert tail.read() == []
    path.write_bytes(b'{"event":"one"}\n{"event":"tw')
    assert [entry.event for entry in tail.read()] == ["one"]
    with path.open("ab") as file:
        file.write(b'o"}\n')
    assert [entry.event for entry in tail.read()] == ["two"]
    path.rename(tmp_path / "log.1")
    path.write_bytes(b'{"event":"three"}\n')
    assert [entry.event for entry in tail.read()] == ["three"]


def test_a_line_that_is_not_json_becomes_the_event_of_an_entry() -> None:
    assert parse_entry(b"not json").event == "not json"
    entry = parse_entry(b'{"level":"error","timestamp":"2026-03-14T12:00:01Z","event":"x","duration_ms":3,"pid":1}')
    assert (entry.level, entry.at, entry.event, entry.fields) == (
        "error",
        datetime(2026, 3, 14, 12, 0, 1, tzinfo=UTC),
        "x",
        "duration_ms=3",
    )
