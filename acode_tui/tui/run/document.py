"""An artifact's bytes as coloured lines: code by its language, a diff as a diff, JSON pretty, the rest as it is.

Pure, and meant for a worker thread: it may take long for long texts, but in small steps, so that the event loop has its
turns. A long text comes in parts, of which only the one that is looked at is coloured. Every line was cleaned before.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import msgspec
from textual.content import Content

from acode_tui.domain.display import clean
from acode_tui.domain.states import ArtifactType
from acode_tui.tui.style.times import number

Role = Literal["file", "hunk", "added", "removed", "same"]

_HEADER = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_FILE = ("+++", "---", "diff ", "index ")


class Place(NamedTuple):
    """The numbers that come next in the old and in the new text, and how many lines of each the hunk still has."""

    old: int = 0
    new: int = 0
    old_left: int = 0
    new_left: int = 0


OUTSIDE = Place()
"""Where no hunk is."""


class DiffLine(NamedTuple):
    """One line; a number is None where the line is not in that text, or where nobody knows."""

    role: Role
    old: int | None = None
    new: int | None = None


def walk(lines: Iterable[str], place: Place = OUTSIDE) -> tuple[list[DiffLine], Place]:
    """Each line of a stretch of a diff that begins at ``place``, and where the stretch ends."""
    told: list[DiffLine] = []
    old, new, old_left, new_left = place
    for line in lines:
        first = line[:1]
        if line.startswith("@@"):
            old, new, old_left, new_left = _opened(line)
            told.append(DiffLine("hunk"))
        elif not (old_left or new_left) or line.startswith("diff --git "):
            old_left = new_left = 0
            told.append(DiffLine(_role(line)))
        elif first == "+" and new_left:
            told.append(DiffLine("added", None, new))
            new, new_left = new + 1, new_left - 1
        elif first == "-" and old_left:
            told.append(DiffLine("removed", old))
            old, old_left = old + 1, old_left - 1
        elif first in ("", " ") and old_left and new_left:
            told.append(DiffLine("same", old, new))
            old, new, old_left, new_left = old + 1, new + 1, old_left - 1, new_left - 1
        elif first == "\\":
            told.append(DiffLine("same"))
        else:
            # More than the header said, or something else: from here on the numbers are anybody's guess.
            old_left = new_left = 0
            told.append(DiffLine(_role(line)))
    return told, Place(old, new, old_left, new_left)


def labels(lines: Iterable[DiffLine], width: int) -> list[str]:
    """Both numbers of each line, in columns of ``width``."""
    return [f"{_number(line.old):>{width}} {_number(line.new):>{width}}" for line in lines]


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _opened(header: str) -> Place:
    """The place that a hunk begins at; one whose header names none has no numbers."""
    found = _HEADER.match(header)
    if found is None:
        return OUTSIDE
    old, old_count, new, new_count = (int(part) if part is not None else 1 for part in found.groups())
    return Place(old, new, old_count, new_count)


def _role(line: str) -> Role:
    if line.startswith(_FILE):
        return "file"
    return "added" if line.startswith("+") else "removed" if line.startswith("-") else "same"


PART_LINES = 2_000
PART_CHARS = 200_000
MAX_JSON_CHARS = 1_000_000
MAX_COLOURED_LINE = 2_000
HEX_BYTES = 512
_SNIFF = 8_192
_STYLES: dict[Role, str] = {
    "file": "bold $foreground-muted",
    "hunk": "$text-accent",
    "added": "$text-success on $added-ground",
    "removed": "$text-error on $removed-ground",
    "same": "",
}

Kind = Literal["text", "code", "diff", "json", "binary"]


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a document's lines. ``first`` is the number of its first line, of which ``continued`` says that it
    began in the part before; ``place`` is where in a diff it begins.
    """

    text: str
    first: int = 1
    continued: bool = False
    place: Place = OUTSIDE

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")


@dataclass(frozen=True, slots=True)
class Document:
    """What an artifact holds: its kind, its language as Pygments calls it, and its text cut into parts."""

    kind: Kind
    language: str
    parts: tuple[Part, ...]
    line_count: int

    @property
    def wraps(self) -> bool:
        """Whether it reads better wrapped than scrolled sideways."""
        return self.kind == "text" and self.language in ("", "markdown")

    @property
    def is_empty(self) -> bool:
        return not self.line_count and self.kind != "binary"

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(
            ("" if part.continued or not index else "\n") + part.text for index, part in enumerate(self.parts)
        )


def open_document(content: bytes, name: str, content_type: str, type_: ArtifactType) -> Document:
    """Tell what the bytes are and cut them into parts; nothing is coloured yet."""
    text = _decode(content)
    if text is None:
        return Document("binary", "", (Part(_hex(content)),), 0)
    kind, language = _kind(text, name, content_type.lower(), type_)
    if kind == "json" and len(text) <= MAX_JSON_CHARS:
        text = _pretty(text)
    parts = tuple(_cut(_lines(text)))
    last = parts[-1]
    count = last.first + last.text.count("\n") if text else 0
    return Document(kind, language, tuple(_placed(parts)) if kind == "diff" else parts, count)


def coloured(document: Document, part: int) -> list[Content]:
    """One part's lines with colours that follow the theme."""
    if document.is_empty:
        return [Content.styled("(empty: nothing was recorded)", "$foreground-muted")]
    stretch = document.parts[part]
    text = clean(stretch.text, keep_newlines=True)
    if document.kind == "diff":
        roles = walk(stretch.lines, stretch.place)[0]
        return [_styled(line, _STYLES[each.role]) for line, each in zip(text.split("\n"), roles, strict=True)]
    plain = [Content(line) for line in text.split("\n")]
    if document.kind == "binary" or not document.language or _has_long_line(text):
        return plain
    from textual.highlight import highlight

    lines = list(highlight(text, language=document.language).split("\n", allow_blank=True))
    # Blank lines at the end are dropped there. Were any other taken or added, numbers would stand beside wrong lines.
    lines += plain[len(lines) :]
    return lines if [line.plain for line in lines] == [line.plain for line in plain] else plain


def line_numbers(document: Document, part: int) -> list[str]:
    """What stands beside each line of a part: its number, of a diff its numbers in both texts. All are equally wide.

    Empty where lines have no numbers: bytes that are no text, and a diff of which nobody knows where it belongs.
    """
    stretch = document.parts[part]
    if document.kind == "binary" or document.is_empty:
        return []
    if document.kind == "diff":
        told = walk(stretch.lines, stretch.place)[0]
        highest = max((number or 0 for line in told for number in (line.old, line.new)), default=0)
        return labels(told, len(str(highest))) if highest else []
    last = stretch.first + stretch.text.count("\n")
    width = len(str(last))
    numbers = [f"{number:>{width}}" for number in range(stretch.first, last + 1)]
    return [" " * width, *numbers[1:]] if stretch.continued else numbers


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


def _lines(text: str) -> Iterator[str]:
    """The lines as editors count them: a form feed or a paragraph separator does not end one."""
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


def _placed(parts: tuple[Part, ...]) -> Iterator[Part]:
    """The parts of a diff, each with the place that it begins at."""
    place = OUTSIDE
    for part in parts:
        yield replace(part, place=place)
        place = walk(part.lines, place)[1]


def _pieces(line: str) -> list[str]:
    """A line, and one that is longer than a part in as many pieces as it takes; a piece begins a part."""
    if len(line) <= PART_CHARS:
        return [line]
    return [line[start : start + PART_CHARS] for start in range(0, len(line), PART_CHARS)]


def _has_long_line(text: str) -> bool:
    return any(len(line) > MAX_COLOURED_LINE for line in text.split("\n"))


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


MAX_PLACES = 20_000

FoundAt = tuple[int, int]
"""A part and a line in it, both from 0."""


@dataclass(slots=True)
class Found:
    """The lines that hold a text in letters of either case. ``at`` is the one looked at, None before the first."""

    needle: str
    places: list[FoundAt]
    at: int | None = None

    def step(self, direction: int, here: FoundAt) -> FoundAt | None:
        """The next place in a direction, around the ends; at first the next one from ``here``."""
        if not self.places:
            return None
        if self.at is None:
            later = next((index for index, place in enumerate(self.places) if place >= here), 0)
            self.at = later if direction > 0 else (later - 1) % len(self.places)
        else:
            self.at = (self.at + direction) % len(self.places)
        return self.places[self.at]

    @property
    def place(self) -> FoundAt | None:
        """Where one is."""
        return self.places[self.at] if self.at is not None else None

    @property
    def told(self) -> str:
        """``3 of 17``."""
        many = f"{len(self.places):,}" + ("+" if len(self.places) == MAX_PLACES else "")
        return f"{(self.at or 0) + 1:,} of {many}" if self.places else "none"


def find(document: Document, needle: str) -> Found:
    """Every line that holds the text, as it is shown. Meant for a worker thread."""
    wanted = needle.casefold()
    places = [
        (part, line)
        for part, stretch in enumerate(document.parts)
        for line, shown in enumerate(clean(stretch.text, keep_newlines=True).split("\n"))
        if wanted in shown.casefold()
    ]
    return Found(needle, places[:MAX_PLACES])
