"""Texts with their escapes decoded, and the way back from a position in them to the original.

Decoding is one pass in C; positions are mapped only when something was found.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator

from acode_tui.domain.secrets.rules import Span

_ESCAPE = re.compile(r"(\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[\"'\\/bfnrt])|\ue000[0-9a-f]{4})")
_WEB_ESCAPE = re.compile(r"(%[0-9a-fA-F]{2}|&#[xX][0-9a-fA-F]{1,4};|&#[0-9]{1,4};|&(?:amp|apos|gt|lt|quot);)")
_ENTITIES = {"&amp;": "&", "&apos;": "'", "&gt;": ">", "&lt;": "<", "&quot;": '"'}
_PLAIN = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_REACH = 256
"""Characters around an escape in which a secret may be hidden by it; others are found without decoding."""


class View:
    """A stretch of a text with one kind of escape decoded; each escape becomes one character."""

    def __init__(
        self, text: str, source: str, escape: re.Pattern[str], start: int, end: int, below: "View | None"
    ) -> None:
        self.text = text
        self._source = source
        self._escape = escape
        self._start, self._end = start, end
        self._below = below
        self._here: list[int] = []
        self._there: list[int] = []

    def to_original(self, span: Span) -> Span:
        """The same span in the original text."""
        if not self._here:
            self._map()
        start, end = self._position(span[0]), self._position(span[1])
        return (start, end) if self._below is None else self._below.to_original((start, end))

    def _map(self) -> None:
        # Positions advance in step between two entries. Each escape adds an entry.
        self._here, self._there = [0], [self._start]
        shrunk = self._start
        for found in self._escape.finditer(self._source, self._start, self._end):
            shrunk += found.end() - found.start() - 1
            self._here.append(found.end() - shrunk)
            self._there.append(found.end())

    def _position(self, at: int) -> int:
        index = bisect_right(self._here, at) - 1
        return self._there[index] + at - self._here[index]


def string_views(text: str, below: View | None = None) -> Iterator[tuple[View, int]]:
    """The stretches around the escapes of JSON, Python and C, decoded, each with the position from which it counts.

    A word that is cut by the beginning of a stretch may look like something else.
    """
    marks = [mark for mark in ("\\", "\ue000") if mark in text]
    following = dict.fromkeys(marks, -1)
    end = -1
    while (at := _next(text, following, end + 1)) < len(text):
        start, end = max(0, at - _REACH), at
        # In jumps, because there may be an escape in every line: to the last one that is near enough.
        while (last := max(text.rfind(mark, end + 1, end + 2 * _REACH) for mark in marks)) >= 0:
            end = last
        if view := _view(text, _ESCAPE, _CHARACTERS, start, min(len(text), end + _REACH), below):
            yield view, _cut(start)


def _next(text: str, following: dict[str, int], start: int) -> int:
    """The first of the marks from here on; where each was seen is kept, so the text is read once."""
    for mark, at in following.items():
        if at < start:
            found = text.find(mark, start)
            following[mark] = found if found >= 0 else len(text)
    return min(following.values(), default=len(text))


def web_views(text: str, below: View | None = None) -> Iterator[tuple[View, int]]:
    """The stretches around the escapes of URLs and HTML, decoded. See ``string_views``."""
    following = {mark: -1 for mark in "%&" if mark in text}
    start, end, at = 0, -1, -1
    while (at := _next(text, following, at + 1)) < len(text):
        found = _WEB_ESCAPE.match(text, at)
        if found is None:
            continue
        if at - 2 * _REACH > end:
            if end >= 0 and (view := _view(text, _WEB_ESCAPE, _WEB_CHARACTERS, start, end, below)):
                yield view, _cut(start)
            start = max(0, at - _REACH)
        end = min(len(text), found.end() + _REACH)
    if end >= 0 and (view := _view(text, _WEB_ESCAPE, _WEB_CHARACTERS, start, end, below)):
        yield view, _cut(start)


def _cut(start: int) -> int:
    return 0 if start == 0 else _REACH // 4


def _view(
    text: str, escape: re.Pattern[str], characters: dict[str, str], start: int, end: int, below: View | None
) -> View | None:
    parts = escape.split(text[start:end])
    if len(parts) == 1:
        return None
    parts[1::2] = map(characters.__getitem__, parts[1::2])
    return View("".join(parts), text, escape, start, end, below)


class _Characters(dict[str, str]):
    """The character of each escape; numeric ones are computed when they first occur."""

    def __missing__(self, escape: str) -> str:
        if escape.startswith("&#"):
            digits = escape[2:-1]
            code = int(digits[1:], 16) if digits[0] in "xX" else int(digits)
        elif escape.startswith("\\") and escape[1] not in "ux":
            code = ord(_PLAIN.get(escape[1], escape[1]))
        else:
            # A byte of a longer character becomes a character of its own: the rules search for ASCII.
            code = int(escape.lstrip("\\ux%\ue000") or "0", 16)
        self[escape] = chr(code)
        return self[escape]


_CHARACTERS = _Characters()
_WEB_CHARACTERS = _Characters(_ENTITIES)
