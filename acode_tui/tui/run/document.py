"""An artifact's bytes as highlighted lines: code by language, diffs by line kind, JSON indented, other text as it is.

Pure, and meant for a worker thread: a long text takes long, but in small steps, so that the event loop keeps running.
A long text is cut into parts, of which only the one on screen is highlighted. Every line is cleaned before it is shown.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import msgspec
from textual.content import Content

from acode_tui.domain.display import clean
from acode_tui.domain.quantities import number
from acode_tui.domain.states import ArtifactType
from acode_tui.tui.run.diff import OUTSIDE_HUNK, DiffPosition, LineKind, number_labels, parse_diff

PART_LINES = 2_000
PART_CHARS = 200_000
MAX_JSON_CHARS = 1_000_000
MAX_HIGHLIGHTED_LINE = 2_000
HEX_BYTES = 512
_NUL_SEARCH_BYTES = 8_192
_DIFF_STYLES: dict[LineKind, str] = {
    "file": "bold $foreground-muted",
    "hunk": "$text-accent",
    "added": "$text-success on $added-background",
    "removed": "$text-error on $removed-background",
    "context": "",
}

Kind = Literal["text", "code", "diff", "json", "binary"]


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive lines of a document.

    ``first`` is the number of the first line; ``continued`` is set if that line begins in the part before.
    ``diff_start`` is the position in the diff at which the part begins.
    """

    text: str
    first: int = 1
    continued: bool = False
    diff_start: DiffPosition = OUTSIDE_HUNK

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")


@dataclass(frozen=True, slots=True)
class Document:
    """The content of an artifact: its kind, its language as Pygments names it, and its text cut into parts."""

    kind: Kind
    language: str
    parts: tuple[Part, ...]
    line_count: int

    @property
    def wraps(self) -> bool:
        """Whether long lines are wrapped by default: prose is, code is scrolled sideways."""
        return self.kind == "text" and self.language in ("", "markdown")

    @property
    def is_empty(self) -> bool:
        return not self.line_count and self.kind != "binary"

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(
            ("" if part.continued or not index else "\n") + part.text for index, part in enumerate(self.parts)
        )


def open_document(content: bytes, name: str, content_type: str, type_: ArtifactType) -> Document:
    """Detect what the bytes are and cut them into parts. Nothing is highlighted yet."""
    text = _decode(content)
    if text is None:
        return Document("binary", "", (Part(_hex(content)),), 0)
    kind, language = _kind(text, name, content_type.lower(), type_)
    if kind == "json" and len(text) <= MAX_JSON_CHARS:
        text = _pretty(text)
    parts = tuple(_cut(_lines(text)))
    last = parts[-1]
    count = last.first + last.text.count("\n") if text else 0
    return Document(kind, language, tuple(_with_diff_positions(parts)) if kind == "diff" else parts, count)


def highlighted_lines(document: Document, part: int) -> list[Content]:
    """The lines of one part, in colours of the current theme."""
    if document.is_empty:
        return [Content.styled("(empty: nothing was recorded)", "$foreground-muted")]
    stretch = document.parts[part]
    text = clean(stretch.text, keep_newlines=True)
    if document.kind == "diff":
        parsed = parse_diff(stretch.lines, stretch.diff_start)[0]
        return [_styled(line, _DIFF_STYLES[each.kind]) for line, each in zip(text.split("\n"), parsed, strict=True)]
    plain = [Content(line) for line in text.split("\n")]
    if document.kind == "binary" or not document.language or _has_long_line(text):
        return plain
    from textual.highlight import highlight

    lines = list(highlight(text, language=document.language).split("\n", allow_blank=True))
    # The highlighter drops blank lines at the end. If it changed other lines, numbers would stand beside wrong lines.
    lines += plain[len(lines) :]
    return lines if [line.plain for line in lines] == [line.plain for line in plain] else plain


def line_numbers(document: Document, part: int) -> list[str]:
    """The label of each line of a part: its number, or in a diff its numbers in both texts. All are equally wide.

    Empty for content that is not text, and for a diff whose hunks do not give line numbers.
    """
    stretch = document.parts[part]
    if document.kind == "binary" or document.is_empty:
        return []
    if document.kind == "diff":
        parsed = parse_diff(stretch.lines, stretch.diff_start)[0]
        highest = max((number or 0 for line in parsed for number in (line.old, line.new)), default=0)
        return number_labels(parsed, len(str(highest))) if highest else []
    last = stretch.first + stretch.text.count("\n")
    width = len(str(last))
    numbers = [f"{number:>{width}}" for number in range(stretch.first, last + 1)]
    return [" " * width, *numbers[1:]] if stretch.continued else numbers


def language_of(name: str, content_type: str) -> str:
    """The Pygments name of a file's language, empty if it is unknown."""
    from pygments.lexers import (  # type: ignore[import-untyped]
        get_lexer_for_filename,
        get_lexer_for_mimetype,
    )
    from pygments.util import ClassNotFound  # type: ignore[import-untyped]

    for find, key in ((get_lexer_for_filename, name.rsplit("/", 1)[-1]), (get_lexer_for_mimetype, content_type)):
        if not key or key in ("text/plain", "application/octet-stream"):
            continue
        try:
            lexer = find(key)
        except ClassNotFound:
            continue
        return str(lexer.aliases[0]) if lexer.aliases and lexer.aliases[0] != "text" else ""
    return ""


def _kind(text: str, name: str, content_type: str, type_: ArtifactType) -> tuple[Kind, str]:
    lowered = name.lower()
    if type_ is ArtifactType.FILE_DIFF or "diff" in content_type or lowered.endswith((".diff", ".patch")):
        return "diff", "diff"
    if "json" in content_type or lowered.endswith(".json"):
        return "json", "json"
    if "markdown" in content_type or lowered.endswith(".md"):
        return "text", "markdown"
    language = language_of(name, content_type)
    return ("code", language) if language else ("text", "")


def _decode(content: bytes) -> str | None:
    if b"\0" in content[:_NUL_SEARCH_BYTES]:
        return None
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None


def _pretty(text: str) -> str:
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        return text


def _lines(text: str) -> Iterator[str]:
    """The lines as editors count them: a form feed or a paragraph separator does not end a line."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = end if end >= 0 else len(text)
        yield text[start:end]
        start = end + 1


def _cut(lines: Iterator[str]) -> Iterator[Part]:
    part: list[str] = []
    chars, first, continued = 0, 1, False
    for at, line in enumerate(lines, 1):
        for index, piece in enumerate(_pieces(line)):
            if part and (len(part) >= PART_LINES or chars + len(piece) > PART_CHARS):
                yield Part("\n".join(part), first, continued)
                part, chars = [], 0
            if not part:
                first, continued = at, index > 0
            part.append(piece)
            chars += len(piece)
    yield Part("\n".join(part), first, continued)


def _with_diff_positions(parts: tuple[Part, ...]) -> Iterator[Part]:
    """The parts of a diff, each with the position at which it begins."""
    position = OUTSIDE_HUNK
    for part in parts:
        yield replace(part, diff_start=position)
        position = parse_diff(part.lines, position)[1]


def _pieces(line: str) -> list[str]:
    """The line, or if it is longer than a part its pieces, each of which begins a part."""
    if len(line) <= PART_CHARS:
        return [line]
    return [line[start : start + PART_CHARS] for start in range(0, len(line), PART_CHARS)]


def _has_long_line(text: str) -> bool:
    return any(len(line) > MAX_HIGHLIGHTED_LINE for line in text.split("\n"))


def _styled(line: str, style: str) -> Content:
    return Content.styled(line, style) if line and style else Content(line)


def _hex(content: bytes) -> str:
    rows = []
    for start in range(0, min(len(content), HEX_BYTES), 16):
        chunk = content[start : start + 16]
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in chunk)
        left, right = chunk[:8].hex(" "), chunk[8:].hex(" ")
        rows.append(f"{start:08x}  {left:<23}  {right:<23}  {shown}")
    if len(content) > HEX_BYTES:
        rows += ["", f"{number(len(content) - HEX_BYTES)} more bytes; `acode-tui artifact save` writes them to a file"]
    return "\n".join(rows) or "(no bytes)"
