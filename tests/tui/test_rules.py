"""The pure parts: times, bars, pages, labels, documents, comparisons, the log's tail."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.states import ArtifactType
from acode_tui.tui import bindings
from acode_tui.tui.main.panes import BARS, sparkline
from acode_tui.tui.records.compare import compare, side_by_side
from acode_tui.tui.run.detail import timeline
from acode_tui.tui.run.document import (
    HEX_BYTES,
    PART_LINES,
    highlighted_lines,
    language_of,
    line_numbers,
    open_document,
)
from acode_tui.tui.state import BacklogHistory
from acode_tui.tui.tools.log_tail import LogTail, parse_entry
from tests.tui.fake import NOW, graph

DASHBOARD_PAGE = Path(__file__).parent.parent.parent / "docs" / "dashboard.md"


def test_a_run_of_several_days_has_their_dates_in_its_timeline() -> None:
    run = graph(0)
    assert "2026" not in timeline(run.events, run, UTC).plain
    first, last = run.events
    later = msgspec.structs.replace(last, timestamp=last.timestamp + timedelta(days=3))
    told = timeline((first, later), run, UTC).plain.splitlines()
    assert [told[0], told[2]] == [f"{first.timestamp:%Y-%m-%d}", f"{later.timestamp:%Y-%m-%d}"]
    west = timezone(timedelta(hours=-20))
    assert timeline((first, later), run, west).plain.startswith(f"{first.timestamp.astimezone(west):%Y-%m-%d}")


@given(st.lists(st.integers(min_value=0, max_value=10**9)), st.integers(min_value=0, max_value=80))
def test_a_sparkline_is_as_long_as_its_samples_and_highest_at_their_maximum(samples: list[int], width: int) -> None:
    bars = sparkline(samples, width)
    recent = samples[-width:] if width else []
    assert len(bars) == len(recent)
    for bar, sample in zip(bars, recent, strict=True):
        assert (bar == BARS[0]) == (sample == 0)
        if sample and sample == max(recent):
            assert bar == BARS[-1]


def test_the_backlog_keeps_one_sample_a_second() -> None:
    backlog = BacklogHistory()
    for tenth in range(25):
        backlog.add(tenth, NOW + timedelta(seconds=tenth / 10))
    assert list(backlog.samples) == [9, 19, 24]


@pytest.mark.parametrize(
    ("name", "content_type", "type_", "kind", "language"),
    [
        ("a.py", "text/plain", ArtifactType.FILE_CONTENT, "code", "python"),
        ("x", "application/json", ArtifactType.COMMAND_OUTPUT, "json", "json"),
        ("login.ts", "text/x-diff", ArtifactType.FILE_DIFF, "diff", "diff"),
        ("response", "text/markdown", ArtifactType.MODEL_RESPONSE, "text", "markdown"),
        ("Bash output", "text/plain", ArtifactType.COMMAND_OUTPUT, "text", ""),
    ],
)
def test_a_document_is_told_by_type_name_and_content_type(
    name: str, content_type: str, type_: ArtifactType, kind: str, language: str
) -> None:
    document = open_document(b'{"a": 1}\n', name, content_type, type_)
    assert (document.kind, document.language) == (kind, language)


def test_json_is_shown_pretty_and_broken_json_as_it_is() -> None:
    pretty = open_document(b'{"a":[1,2]}', "x.json", "application/json", ArtifactType.FILE_CONTENT)
    assert pretty.text.startswith('{\n  "a"')
    broken = open_document(b'{"a":', "x.json", "application/json", ArtifactType.FILE_CONTENT)
    assert broken.text == '{"a":'


@given(st.binary(max_size=4_000))
def test_any_bytes_can_be_shown_without_control_characters(data: bytes) -> None:
    document = open_document(data, "any.py", "text/plain", ArtifactType.FILE_CONTENT)
    for part in range(len(document.parts)):
        for line in highlighted_lines(document, part):
            assert "\n" not in line.plain
            assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in line.plain)


@given(st.lists(st.text(alphabet="ab \U0001f600", max_size=30), min_size=1, max_size=60))
def test_parts_put_together_are_the_text(lines: list[str]) -> None:
    text = "\n".join(lines * 60)
    document = open_document(text.encode(), "x", "text/plain", ArtifactType.COMMAND_OUTPUT)
    assert [line for part in document.parts for line in part.lines] == (text.splitlines() or [""])
    assert all(len(part.lines) <= PART_LINES for part in document.parts)


def test_one_endless_line_is_cut_into_parts() -> None:
    document = open_document(b"x" * 1_000_000, "x", "text/plain", ArtifactType.COMMAND_OUTPUT)
    assert len(document.parts) == 5
    assert document.text == "x" * 1_000_000
    assert [line_numbers(document, part) for part in range(3)] == [["1"], [" "], [" "]]
    assert document.line_count == 1


def test_numbers_are_those_of_an_editor_whatever_the_bytes_and_the_colours_make_of_lines() -> None:
    text = "\n\nx = 1\r\n\x0cy = '\u2028'\n\n\n"
    document = open_document(text.encode(), "a.py", "text/plain", ArtifactType.FILE_CONTENT)
    assert document.line_count == 6 == len(highlighted_lines(document, 0))
    assert [line.plain for line in highlighted_lines(document, 0)][:4] == ["", "", "x = 1", " y = '<U+2028>'"]
    assert line_numbers(document, 0) == list("123456")
    long = open_document(b"a\n" * 2_500, "a.txt", "text/plain", ArtifactType.COMMAND_OUTPUT)
    assert (line_numbers(long, 0)[0], line_numbers(long, 1)[0], line_numbers(long, 1)[-1]) == ("   1", "2001", "2500")


DIFF = """--- a/x.sql
+++ b/x.sql
@@ -9,4 +9,4 @@ CREATE
 one
--- removed, and no file's name
+++ added, and no file's name
 three
\\ No newline at end of file

+++ beyond what the header counted
@@ -200 +201,2 @@
-old
+new
+newer
@@ @@
-somewhere
"""


def test_a_diff_has_the_numbers_of_both_texts_and_none_where_nobody_knows() -> None:
    document = open_document(DIFF.encode(), "x.diff", "text/x-diff", ArtifactType.FILE_DIFF)
    assert [label.split() for label in line_numbers(document, 0)] == [
        *([], [], []),
        *(["9", "9"], ["10"], ["10"], ["11", "11"], [], ["12", "12"], []),
        *([], ["200"], ["201"], ["202"]),
        *([], []),
    ]
    assert {len(label) for label in line_numbers(document, 0)} == {7}
    styles = [next((str(span.style) for span in line.spans), "") for line in highlighted_lines(document, 0)]
    assert ["error" in style for style in styles][4] and ["success" in style for style in styles][5]  # noqa: PT018
    assert "muted" in styles[0]
    nowhere = open_document(b"@@ @@\n-a\n+b\n", "x.diff", "text/x-diff", ArtifactType.FILE_DIFF)
    assert line_numbers(nowhere, 0) == []


def test_a_diff_that_is_cut_into_parts_goes_on_counting() -> None:
    body = "".join(f" {n}\n" for n in range(4_500))
    diff = f"--- a\n+++ b\n@@ -1,4500 +1,4501 @@\n+first\n{body}"
    document = open_document(diff.encode(), "x.diff", "text/x-diff", ArtifactType.FILE_DIFF)
    assert [line_numbers(document, part)[0].split() for part in (1, 2)] == [["1997", "1998"], ["3997", "3998"]]
    assert line_numbers(document, 2)[-1].split() == ["4500", "4501"]


@given(st.text(alphabet="+- @\\x,123\n", max_size=300))
def test_whatever_calls_itself_a_diff_is_shown_line_by_line(text: str) -> None:
    document = open_document(("@@ -1,9 +1,9 @@\n" + text).encode(), "x.diff", "text/x-diff", ArtifactType.FILE_DIFF)
    assert len(highlighted_lines(document, 0)) == len(document.parts[0].lines)
    assert len(line_numbers(document, 0)) in (0, len(document.parts[0].lines))


def test_bytes_that_are_no_text_show_their_head() -> None:
    document = open_document(b"\0" * (HEX_BYTES + 9), "x.bin", "application/octet-stream", ArtifactType.FILE_CONTENT)
    assert document.kind == "binary"
    assert document.text.startswith("00000000  00 00")
    assert "9 more bytes" in document.text
    assert line_numbers(document, 0) == []


def test_unknown_files_have_no_language() -> None:
    assert language_of("stdout", "text/plain") == ""
    assert language_of("main.rs", "") == "rust"


def test_fields_that_differ_come_first() -> None:
    local = msgspec.Raw(b'{"id":"1","name":"a","order":1,"gone":2}')
    remote = msgspec.Raw(b'{"id":"1","name":"b","order":1,"new":3}')
    fields = compare(local, remote)
    assert [(field.name, field.local, field.remote) for field in fields] == [
        ("name", "a", "b"),
        ("gone", "2", None),
        ("new", None, "3"),
        ("order", "1", "1"),
    ]
    assert "(absent)" in side_by_side(fields, 80).plain


def test_the_log_is_read_on_from_where_it_stopped_and_over_a_rotation(tmp_path: Path) -> None:
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


def test_a_line_that_is_no_json_is_shown_as_it_stands() -> None:
    assert parse_entry(b"not json").event == "not json"
    entry = parse_entry(b'{"level":"error","timestamp":"2026-03-14T12:00:01Z","event":"x","duration_ms":3,"pid":1}')
    assert (entry.level, entry.at, entry.event, entry.fields) == (
        "error",
        datetime(2026, 3, 14, 12, 0, 1, tzinfo=UTC),
        "x",
        "duration_ms=3",
    )


def test_the_manual_names_every_key_that_can_be_remapped() -> None:
    page = DASHBOARD_PAGE.read_text()
    tables = (bindings.APP, bindings.MAIN, bindings.SESSION, bindings.VIEWER, bindings.RETRIES, bindings.CONFLICTS)
    ids = {binding.id for table in (*tables, bindings.LOG, bindings.TREE, bindings.SCROLL) for binding in table}
    assert {id_ for id_ in ids if f"`{id_}`" not in page} == set()


def test_keys_in_another_order_are_no_difference_and_equal_lines_stand_beside_each_other() -> None:
    local = msgspec.Raw(b'{"metadata": {"b": 1, "a": [1], "only": "here"}, "name": "x"}')
    remote = msgspec.Raw(b'{"name": "x", "metadata": {"a": [1], "b": 1}}')
    assert [field.name for field in compare(local, remote) if not field.is_equal] == ["metadata"]
    same_order = msgspec.Raw(b'{"metadata": {"only": "here", "a": [1], "b": 1}, "name": "x"}')
    assert all(field.is_equal for field in compare(local, same_order))
    shown = side_by_side(compare(local, remote), 80).plain.splitlines()
    assert [row.split() for row in shown if '"a": [' in row] == [['"a":', "[", '"a":', "["]]
    assert [row.split()[-1] for row in shown if "only" in row] == ["│"]


def test_a_field_with_a_hostile_name_is_shown_by_name() -> None:
    version = msgspec.Raw(msgspec.json.encode({"\x1b[31m\u202e" + "字" * 20: 1}))
    shown = side_by_side(compare(version, version), 60).plain
    assert "\x1b" not in shown
    assert "\u202e" not in shown
