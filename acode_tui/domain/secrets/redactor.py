"""Takes secrets out of text, JSON and bytes, and counts them by kind. It never tells what it took.

A value is looked at as it stands and as it reads once its escapes are undone, layer by layer, so that JSON within a
string within JSON hides nothing, nor does an address or HTML; runs of base64 are decoded, looked at and encoded again.
What is found gives way to ``[redacted:KIND]``, a home directory to ``~``. Redacting twice is redacting once: markers
are never looked into.
"""

import binascii
import re
from base64 import b64encode, urlsafe_b64encode
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from acode_tui.domain.secrets.patterns import (
    ACCESS,
    ASSIGNED,
    BEGINNING,
    LEAD,
    MARKER,
    PERSONAL,
    RUN,
    CustomPattern,
    Shape,
    Spot,
    is_aws_secret,
    seen_by_chance,
    tokens,
)

HOME_PATH = "home-path"
_LAYERS = 6
"""How deeply escapes or base64 may be nested; each layer doubles the backslashes, so nobody nests much deeper."""

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'\\/bfnrt]))|\ue000([0-9a-f]{4})")
_WEB_ESCAPE = re.compile(r"%([0-9a-fA-F]{2})|&#[xX]([0-9a-fA-F]{1,4});|&#([0-9]{1,4});|&(amp|apos|gt|lt|quot);")
_WEB_LAYERS = 2
"""An address within an address is escaped twice; nothing is more often."""

_REACH = 256
"""How far around such an escape a secret is looked for that it hides; one that is farther is seen without."""

_ENTITIES = {"amp": "&", "apos": "'", "gt": ">", "lt": "<", "quot": '"'}
_PLAIN = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ASCII_GROUP = "[A-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-]"
_READABLE = re.compile(rf"(?:[A-Za-z0-9+/_-]{{4}})*?(?:{_ASCII_GROUP}){{3}}")
"""Base64 that may hold something to read: nine bytes of ASCII stand in it somewhere. Words hardly ever do."""
_PADDING = re.compile("={1,2}")
_FOLDED = re.compile(r"(?:[A-Za-z0-9+/]{60,120}\r?\n){1,100000}[A-Za-z0-9+/]{0,120}={0,2}")
_SPACE = re.compile(r"\s+")
_WIDE = (
    ("utf-16-le", re.compile(rb"(?:[\t\n\r\x20-\x7e]\x00){6,}")),
    ("utf-16-be", re.compile(rb"(?:\x00[\t\n\r\x20-\x7e]){6,}")),
    ("utf-32-le", re.compile(rb"(?:[\t\n\r\x20-\x7e]\x00\x00\x00){6,}")),
    ("utf-32-be", re.compile(rb"(?:\x00\x00\x00[\t\n\r\x20-\x7e]){6,}")),
)
_YIELDING = {shape.kind for shape in PERSONAL}
"""Kinds that say less than any other: what a password stands in may look like an address."""
_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)


class _Found(NamedTuple):
    """A spot to be replaced, and what that counts for."""

    start: int
    end: int
    replacement: str
    kinds: Counter[str]


class _Pass(NamedTuple):
    """What one look at a value goes by: where it counts, how many layers it may still open, what the value is."""

    counts: Counter[str]
    layers: int = _LAYERS
    binary: bool = False

    def inside(self, counts: Counter[str]) -> "_Pass":
        """The same, one layer further in."""
        return _Pass(counts, self.layers - 1)


class Redactor:
    """Redacts with one set of rules and keeps count. ``homes`` are home directories that no rule would know,
    ``patterns`` what configuration adds."""

    def __init__(
        self,
        *,
        homes: Iterable[str] = (),
        patterns: Sequence[CustomPattern] = (),
        shapes: Sequence[Shape] = (*ACCESS, *ASSIGNED, *PERSONAL),
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._homes = tuple(home.rstrip("/\\") for home in homes if len(home.rstrip("/\\")) > 3)
        self._patterns = tuple(patterns)
        self._shapes = tuple(shapes)

    def text(self, value: str) -> str:
        """The text without its secrets."""
        return self._text(value, _Pass(self.counts))

    def json(self, value: Any) -> Any:
        """A JSON value without its secrets, keys included. The same object where there are none."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, (list, tuple)):
            items = [self.json(item) for item in value]
            return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
        return value

    def content(self, data: bytes) -> bytes:
        """Bytes without their secrets: as UTF-8, and as UTF-16 and UTF-32 wherever a stretch of them is."""
        return self._bytes(data, _Pass(self.counts))

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        # As environments are often listed: {"name": "DB_PASSWORD", "value": "..."}.
        label = value.get("name", value.get("key")) if "value" in value else None
        same = True
        for key, item in value.items():
            name = shown = self.text(key)
            number = 2
            while shown in changed:
                shown, number = f"{name} ({number})", number + 1
            kept = self._member(label if key == "value" and isinstance(label, str) else shown, item)
            same = same and shown == key and kept is item
            changed[shown] = kept
        return value if same else changed

    def _member(self, name: str, item: Any) -> Any:
        """A member's value, which its name may make a secret."""
        if not isinstance(item, str) or not item or len(item) > 8192:
            return self.json(item)
        redacted = self.text(item)
        if redacted == item and _NAMED.search(name) is not None:
            # Written as an assignment, so that one rule says what a name makes of a value.
            quote = "'" if '"' in item else '"'
            probe = f"{name}: {quote}{item}{quote}"
            found = [each for each in self._spots(probe, _Pass(self.counts)) if each.end > len(name) + 2]
            if found:
                self.counts.update(found[0].kinds)
                return found[0].replacement
        return item if redacted == item else redacted

    def _text(self, value: str, given: _Pass) -> str:
        # Taking something out may bring to light what stood around it; each round takes something, so it ends.
        while len(value) > 5 and (found := self._spots(value, given)):
            parts: list[str] = []
            position = 0
            for spot in found:
                parts += (value[position : spot.start], spot.replacement)
                position = spot.end
                given.counts.update(spot.kinds)
            parts.append(value[position:])
            value = "".join(parts)
        return value

    def _spots(self, value: str, given: _Pass) -> list[_Found]:
        """What to replace, in order, apart from each other."""
        spots = [*self._look(value, given), *self._look_nearby(value, None, given, _WEB_LAYERS)]
        view, depth = _undone(value), 0
        while view is not None and depth < given.layers:
            spots += [view.outside(spot) for spot in self._look(view.text, given)]
            spots += self._look_nearby(view.text, view, given, _WEB_LAYERS)
            view, depth = _undone(view.text, view), depth + 1
        return _settled(value, spots) if spots else []

    def _look_nearby(self, text: str, below: "_View | None", given: _Pass, layers: int) -> Iterator[_Found]:
        """Every spot around the escapes of addresses and HTML, as it reads there; the rest was looked at already."""
        if not layers or ("%" not in text and "&" not in text):
            return
        for start, end in _around_web_escapes(text):
            view = _view(text, _WEB_ESCAPE, _meant_web, below, start, end)
            # What a stretch begins in the middle of may look like something else.
            whole = 0 if start == 0 else _REACH // 4
            for spot in self._look(view.text, given):
                if spot.start >= whole:
                    yield view.outside(spot)
            yield from self._look_nearby(view.text, view, given, layers - 1)

    def _look(self, text: str, given: _Pass) -> Iterator[_Found]:
        """Every spot in the text as it stands."""
        yield from self._runs(text, given)
        lower = text.lower()
        for shape in self._shapes:
            if shape.hints and not any(hint in lower for hint in shape.hints):
                continue
            for start, end in shape.find(text):
                if not (given.binary and seen_by_chance(shape, end - start)):
                    yield _found(start, end, shape.kind)
        for home in self._homes:
            start = text.find(home)
            while start >= 0:
                end = start + len(home)
                if not text[end : end + 1].isalnum():
                    yield _found(start, end, HOME_PATH)
                start = text.find(home, end)
        for pattern in self._patterns:
            for start, end in pattern.spots(text):
                yield _found(start, end, pattern.kind)

    def _runs(self, text: str, given: _Pass) -> Iterator[_Found]:
        """Tokens, and base64 that holds a secret: all that consists of one long run of letters and digits."""
        past = 0
        for run in RUN.finditer(text):
            start, end = run.span()
            if BEGINNING.search(text, start - LEAD if start > LEAD else 0, end) is not None:
                for kind, spot in tokens(text, (start, end)):
                    yield _found(*spot, kind)
            if end - start == 40 and text[end : end + 1] != "=" and is_aws_secret(run.group()):
                yield _found(start, end, "aws-secret-key")
            elif given.layers and start >= past and _READABLE.match(text, start, end):
                whole = (_FOLDED.match(text, start) if end - start >= 60 else None) or _PADDING.match(text, end)
                past = whole.end() if whole else end
                found = self._encoded(text[start:past], given)
                if found is not None:
                    yield found._replace(start=start, end=past)

    def _encoded(self, run: str, given: _Pass) -> _Found | None:
        """What is to stand in the place of a run of base64."""
        data = _decoded(run)
        if data is None:
            return None
        counts: Counter[str] = Counter()
        redacted = self._bytes(data, given.inside(counts))
        return None if redacted == data else _Found(0, len(run), _encoded_like(run, redacted), counts)

    def _bytes(self, data: bytes, given: _Pass) -> bytes:
        for mark, encoding in _BOMS:
            if data.startswith(mark):
                return self._wide(data, encoding, given)
        binary = b"\x00" in data
        if binary:
            for encoding, stretch in _WIDE:
                data = stretch.sub(lambda found: self._stretch(found.group(), encoding, given), data)  # noqa: B023
        # Each byte that is no UTF-8 becomes a lone surrogate, and itself again afterwards.
        text = data.decode("utf-8", "surrogateescape")
        redacted = self._text(text, given._replace(binary=binary))
        return data if redacted == text else redacted.encode("utf-8", "surrogateescape")

    def _stretch(self, data: bytes, encoding: str, given: _Pass) -> bytes:
        return self._text(data.decode(encoding), given).encode(encoding)

    def _wide(self, data: bytes, encoding: str, given: _Pass) -> bytes:
        """Bytes that say of themselves how they are encoded; what does not fill a unit stays behind them."""
        unit = 4 if "32" in encoding else 2
        whole = len(data) - len(data) % unit
        try:
            text = data[:whole].decode(encoding, "surrogatepass")
        except UnicodeDecodeError:
            text = data.decode("utf-8", "surrogateescape")
            return self._text(text, given).encode("utf-8", "surrogateescape")
        redacted = self._text(text, given)
        return data if redacted == text else redacted.encode(encoding, "surrogatepass") + data[whole:]


_NAMED = re.compile(r"(?i)pass|pwd|secret|key|token|credential|authorization")


class _View:
    """A text with its escapes undone, and where each part of it stood."""

    def __init__(self, text: str, here: list[int], there: list[int], below: "_View | None") -> None:
        self.text = text
        self._here = here
        self._there = there
        self._below = below

    def outside(self, spot: _Found) -> _Found:
        """The same spot in the text that nothing was undone in."""
        start, end = self._position(spot.start), self._position(spot.end)
        moved = spot._replace(start=start, end=end)
        return moved if self._below is None else self._below.outside(moved)

    def _position(self, at: int) -> int:
        place = bisect_right(self._here, at) - 1
        return self._there[place] + at - self._here[place]


def _undone(text: str, below: _View | None = None) -> _View | None:
    if "\\" not in text and "\ue000" not in text:
        return None
    return _view(text, _ESCAPE, _meant, below, 0, len(text)) if _ESCAPE.search(text) else None


def _around_web_escapes(text: str) -> Iterator[Spot]:
    """The stretches that an escape of an address or of HTML is near to."""
    start, end = 0, -1
    for found in _WEB_ESCAPE.finditer(text):
        if found.start() - _REACH > end:
            if end >= 0:
                yield start, end
            start = max(0, found.start() - _REACH)
        end = min(len(text), found.end() + _REACH)
    if end >= 0:
        yield start, end


def _view(
    text: str,
    escape: re.Pattern[str],
    meant: Callable[[re.Match[str]], str],
    below: _View | None,
    start: int,
    end: int,
) -> _View:
    """This stretch of the text with these escapes undone."""
    parts: list[str] = []
    # Between two breaks positions run in step. After an escape, which became one character, they start anew.
    here, there = [0], [start]
    length, position = 0, start
    for found in escape.finditer(text, start, end):
        parts.append(text[position : found.start()])
        length += found.start() - position
        parts.append(meant(found))
        length += 1
        here.append(length)
        there.append(found.end())
        position = found.end()
    parts.append(text[position:end])
    return _View("".join(parts), here, there, below)


def _meant(escape: re.Match[str]) -> str:
    wide, narrow, plain, marked = escape.groups()
    code = wide or narrow or marked
    return chr(int(code, 16)) if code else _PLAIN.get(plain, plain)


def _meant_web(escape: re.Match[str]) -> str:
    percent, wide, decimal, named = escape.groups()
    if named:
        return _ENTITIES[named]
    # A byte of a longer character stands for itself: what is looked for is ASCII.
    return chr(int(decimal) if decimal else int(percent or wide, 16))


def _decoded(run: str) -> bytes | None:
    """The bytes of a run of base64, None where it is none or holds nothing to read."""
    if "\n" in run:
        run = _SPACE.sub("", run)
    body = run.rstrip("=")
    if len(body) < 8 or len(body) % 4 == 1:
        return None
    if "-" in body or "_" in body:
        if "+" in body or "/" in body:
            return None
        body = body.replace("-", "+").replace("_", "/")
    try:
        data = binascii.a2b_base64(body + "=" * (-len(body) % 4), strict_mode=True)
    except binascii.Error:
        return None
    if any(data.startswith(mark) for mark, _ in _BOMS) or (
        b"\x00" in data and any(pattern.search(data) for _, pattern in _WIDE)
    ):
        return data
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return data if text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable() else None


def _encoded_like(run: str, data: bytes) -> str:
    """Base64 in the alphabet of the run that it replaces, padded if that was."""
    encoded = (urlsafe_b64encode if "-" in run or "_" in run else b64encode)(data).decode()
    return encoded if run.endswith("=") or len(run) % 4 == 0 else encoded.rstrip("=")


def _found(start: int, end: int, kind: str) -> _Found:
    return _Found(start, end, "~" if kind == HOME_PATH else f"[redacted:{kind}]", Counter((kind,)))


def _settled(text: str, spots: list[_Found]) -> list[_Found]:
    """Spots in order, those that overlap as one or the weaker left to the next round; markers are never split, and
    nothing is found where nothing but markers is covered."""
    markers = [found.span() for found in MARKER.finditer(text)] if "[redacted:" in text else []
    whole = [_around(spot, markers) for spot in spots]
    kept = sorted((each for each in whole if each is not None), key=lambda each: (each.start, -each.end))
    merged: list[_Found] = []
    for spot in kept:
        last = merged[-1] if merged else None
        if last is None or spot.start >= last.end:
            merged.append(spot)
        elif _YIELDING.issuperset(last.kinds) and not _YIELDING.issuperset(spot.kinds):
            merged[-1] = spot
        elif spot.end > last.end and not _YIELDING.issuperset(spot.kinds):
            merged[-1] = _found(last.start, spot.end, next(iter(max(last, spot, key=_length).kinds)))
    return merged


def _length(spot: _Found) -> int:
    return spot.end - spot.start


def _around(spot: _Found, markers: list[tuple[int, int]]) -> _Found | None:
    """The spot widened to the markers that it cuts; None where it covers nothing else worth hiding."""
    start, end, hidden = spot.start, spot.end, 0
    for first, last in markers:
        if first >= end:
            break
        if last <= start:
            continue
        hidden += min(last, end) - max(first, start)
        start, end = min(start, first), max(end, last)
    if hidden and hidden >= spot.end - spot.start:
        return None
    return spot._replace(start=start, end=end)
