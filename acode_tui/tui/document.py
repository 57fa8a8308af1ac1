"""An artifact's bytes as coloured lines: code by its language, a diff as a diff, JSON pretty, the rest as it is.

Pure, and meant for a worker thread: it may take long for long texts. A long text comes in parts, of which only the one
that is looked at is coloured. Every line was cleaned before.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec
from textual.content import Content

from acode_tui.domain.display import clean
from acode_tui.domain.states import ArtifactType
from acode_tui.tui.times import number

PART_LINES = 2_000
PART_CHARS = 200_000
MAX_JSON_CHARS = 1_000_000
MAX_COLOURED_LINE = 2_000
HEX_BYTES = 512
_SNIFF = 8_192

Kind = Literal["text", "code", "diff", "json", "binary"]


@dataclass(frozen=True, slots=True)
class Document:
    """What an artifact holds: its kind, its language as Pygments calls it, and its text cut into parts."""

    kind: Kind
    language: str
    parts: tuple[str, ...]
    line_count: int

    @property
    def wraps(self) -> bool:
        """Whether it reads better wrapped than scrolled sideways."""
        return self.kind == "text" and self.language in ("", "markdown")


def open_document(content: bytes, name: str, content_type: str, type_: ArtifactType) -> Document:
    """Tell what the bytes are and cut them into parts; nothing is coloured yet."""
    text = _decode(content)
    if text is None:
        return Document("binary", "", (_hex(content),), 0)
    kind, language = _kind(text, name, content_type.lower(), type_)
    if kind == "json" and len(text) <= MAX_JSON_CHARS:
        text = _pretty(text)
    lines = text.splitlines()
    return Document(kind, language, _cut(lines), len(lines))


def coloured(document: Document, part: int) -> list[Content]:
    """One part's lines with colours that follow the theme."""
    text = clean(document.parts[part], keep_newlines=True)
    if document.kind == "diff":
        return [_diff_line(line) for line in text.split("\n")]
    if document.kind == "binary" or not document.language or _has_long_line(text):
        return [Content(line) for line in text.split("\n")]
    from textual.highlight import highlight

    return list(highlight(text, language=document.language).split("\n", allow_blank=True))


def language_of(name: str, content_type: str) -> str:
    """The Pygments name of a file's language, empty when nobody knows it."""
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
    if b"\0" in content[:_SNIFF]:
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


def _cut(lines: list[str]) -> tuple[str, ...]:
    parts: list[str] = []
    part: list[str] = []
    chars = 0
    for line in lines:
        for piece in _pieces(line):
            if part and (len(part) >= PART_LINES or chars + len(piece) > PART_CHARS):
                parts.append("\n".join(part))
                part, chars = [], 0
            part.append(piece)
            chars += len(piece)
    return (*parts, "\n".join(part)) if part or not parts else tuple(parts)


def _pieces(line: str) -> list[str]:
    if len(line) <= PART_CHARS:
        return [line]
    return [line[start : start + PART_CHARS] for start in range(0, len(line), PART_CHARS)]


def _has_long_line(text: str) -> bool:
    return any(len(line) > MAX_COLOURED_LINE for line in text.split("\n"))


def _diff_line(line: str) -> Content:
    style = ""
    if line.startswith(("+++", "---", "diff ", "index ")):
        style = "bold $foreground-muted"
    elif line.startswith("@@"):
        style = "$text-accent"
    elif line.startswith("+"):
        style = "$text-success on $added-ground"
    elif line.startswith("-"):
        style = "$text-error on $removed-ground"
    return Content.styled(line, style) if line else Content("")


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
