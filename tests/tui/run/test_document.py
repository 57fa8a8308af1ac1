"""What an artifact's bytes are, the parts of a long text, highlighting and line numbers. Pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.states import ArtifactType
from acode_tui.tui.run.document import (
    HEX_BYTES,
    PART_LINES,
    highlighted_lines,
    language_of,
    line_numbers,
    open_document,
)


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
def test_the_kind_of_a_document_follows_from_its_type_name_and_content_type(
    name: str, content_type: str, type_: ArtifactType, kind: str, language: str
) -> None:
    document = open_document(b'{"a": 1}\n', name, content_type, type_)
    assert (document.kind, document.language) == (kind, language)


def test_json_is_indented_and_invalid_json_is_unchanged() -> None:
    pretty = open_document(b'{"a":[1,2]}', "x.json", "application/json", ArtifactType.FILE_CONTENT)
    assert pretty.text.startswith('{\n  "a"')
    broken = open_document(b'{"a":', "x.json", "application/json", ArtifactType.FILE_CONTENT)
    assert broken.text == '{"a":'


@given(st.binary(max_size=4_000))
def test_highlighted_lines_of_any_bytes_have_no_control_characters(data: bytes) -> None:
    document = open_document(data, "any.py", "text/plain", ArtifactType.FILE_CONTENT)
    for part in range(len(document.parts)):
        for line in highlighted_lines(document, part):
            assert "\n" not in line.plain
            assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in line.plain)


@given(st.lists(st.text(alphabet="ab \U0001f600", max_size=30), min_size=1, max_size=60))
def test_the_parts_of_a_document_join_to_its_text(lines: list[str]) -> None:
    text = "\n".join(lines * 60)
    document = open_document(text.encode(), "x", "text/plain", ArtifactType.COMMAND_OUTPUT)
    assert [line for part in document.parts for line in part.lines] == (text.splitlines() or [""])
    assert all(len(part.lines) <= PART_LINES for part in document.parts)


def test_a_line_longer_than_a_part_is_cut_into_parts() -> None:
    document = open_document(b"x" * 1_000_000, "x", "text/plain", ArtifactType.COMMAND_OUTPUT)
    assert len(document.parts) == 5
    assert document.text == "x" * 1_000_000
    assert [line_numbers(document, part) for part in range(3)] == [["1"], [" "], [" "]]
    assert document.line_count == 1


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    text = "\n\nx = 1\r\n\x0cy = '\u2028'\n\n\n"
    document = open_document(text.encode(), "a.py", "text/plain", ArtifactType.FILE_CONTENT)
    assert document.line_count == 6 == len(highlighted_lines(document, 0))
    assert [line.plain for line in highlighted_lines(document, 0)][:4] == ["", "", "x = 1", " y = '<U+2028>'"]
    assert line_numbers(document, 0) == list("123456")
    long = open_document(b"a\n" * 2_500, "a.txt", "text/plain", ArtifactType.COMMAND_OUTPUT)
    assert (line_numbers(long, 0)[0], line_numbers(long, 1)[0], line_numbers(long, 1)[-1]) == ("   1", "2001", "2500")


def test_binary_content_is_a_hex_dump_of_its_beginning() -> None:
    document = open_document(b"\0" * (HEX_BYTES + 9), "x.bin", "application/octet-stream", ArtifactType.FILE_CONTENT)
    assert document.kind == "binary"
    assert document.text.startswith("00000000  00 00")
    assert "9 more bytes" in document.text
    assert line_numbers(document, 0) == []


def test_unknown_files_have_no_language() -> None:
    assert language_of("stdout", "text/plain") == ""
    assert language_of("main.rs", "") == "rust"
