"""Replaces secrets in text, JSON and bytes, and counts them by kind. It never reports their values.

A value is searched as it is and again after each layer of escapes is decoded, so JSON in a string in JSON, URLs and
HTML hide nothing; runs of base64 are decoded, searched and encoded again. A secret is replaced by ``[redacted:KIND]``,
a home directory by ``~``. Redaction is idempotent: markers are never searched.
"""

import binascii
import re
from base64 import b64encode, urlsafe_b64encode
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from acode_tui.domain.secrets.patterns import (
    ACCESS_RULES,
    ASSIGNED_RULES,
    BEGINNING,
    LEAD,
    MARKER,
    PERSONAL_RULES,
    RUN,
    CustomPattern,
    Rule,
    Span,
    is_aws_secret,
    is_chance_match,
    tokens,
)

HOME_PATH = "home-path"
_LAYERS = 6
"""Largest depth of nested escapes or base64. Each layer doubles the backslashes, so deeper nesting is very rare."""

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'\\/bfnrt]))|\ue000([0-9a-f]{4})")
_WEB_ESCAPE = re.compile(r"%([0-9a-fA-F]{2})|&#[xX]([0-9a-fA-F]{1,4});|&#([0-9]{1,4});|&(amp|apos|gt|lt|quot);")
_WEB_LAYERS = 2
"""A URL within a URL is percent-encoded twice; more layers do not occur."""

_REACH = 256
"""Characters around such an escape in which a secret may be hidden by it; others are found without decoding."""

_ENTITIES = {"amp": "&", "apos": "'", "gt": ">", "lt": "<", "quot": '"'}
_PLAIN = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ASCII_GROUP = "[A-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-]"
_READABLE = re.compile(rf"(?:[A-Za-z0-9+/_-]{{4}})*?(?:{_ASCII_GROUP}){{3}}")
"""Base64 that may decode to text: it contains nine bytes of ASCII. Ordinary words almost never match."""
_PADDING = re.compile("={1,2}")
_FOLDED = re.compile(r"(?:[A-Za-z0-9+/]{60,120}\r?\n){1,100000}[A-Za-z0-9+/]{0,120}={0,2}")
_SPACE = re.compile(r"\s+")
_WIDE = (
    ("utf-16-le", re.compile(rb"(?:[\t\n\r\x20-\x7e]\x00){6,}")),
    ("utf-16-be", re.compile(rb"(?:\x00[\t\n\r\x20-\x7e]){6,}")),
    ("utf-32-le", re.compile(rb"(?:[\t\n\r\x20-\x7e]\x00\x00\x00){6,}")),
    ("utf-32-be", re.compile(rb"(?:\x00\x00\x00[\t\n\r\x20-\x7e]){6,}")),
)
_WEAK_KINDS = {rule.kind for rule in PERSONAL_RULES}
"""Kinds that give way to any other: text around a password may look like an e-mail address."""
_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)


class _Match(NamedTuple):
    """A span to replace, its replacement, and the kinds that it counts for."""

    start: int
    end: int
    replacement: str
    kinds: Counter[str]


class _Scan(NamedTuple):
    """Parameters of one search of a value: where to count, how many layers may still be decoded, binary or text."""

    counts: Counter[str]
    layers: int = _LAYERS
    binary: bool = False

    def inside(self, counts: Counter[str]) -> "_Scan":
        """The parameters for one layer further in."""
        return _Scan(counts, self.layers - 1)


class Redactor:
    """Redacts with one set of rules and counts the replacements in ``counts``.

    ``homes`` are home directories that no rule recognizes, ``patterns`` those of the configuration.
    """

    def __init__(
        self,
        *,
        homes: Iterable[str] = (),
        patterns: Sequence[CustomPattern] = (),
        rules: Sequence[Rule] = (*ACCESS_RULES, *ASSIGNED_RULES, *PERSONAL_RULES),
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._homes = tuple(home.rstrip("/\\") for home in homes if len(home.rstrip("/\\")) > 3)
        self._patterns = tuple(patterns)
        self._rules = tuple(rules)

    def text(self, value: str) -> str:
        """The text without its secrets."""
        return self._text(value, _Scan(self.counts))

    def json(self, value: Any) -> Any:
        """A JSON value without its secrets, keys included. Returns the same object if there are none."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, (list, tuple)):
            items = [self.json(item) for item in value]
            return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
        return value

    def content(self, data: bytes) -> bytes:
        """Bytes without their secrets, searched as UTF-8 and, where they contain it, as UTF-16 and UTF-32."""
        return self._bytes(data, _Scan(self.counts))

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        # Environments are often listed as {"name": "DB_PASSWORD", "value": "..."}.
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
        """Redact a member's value, which its name may mark as a secret."""
        if not isinstance(item, str) or not item or len(item) > 8192:
            return self.json(item)
        redacted = self.text(item)
        if redacted == item and _NAMED.search(name) is not None:
            # Search it as an assignment, so that the same rule decides here and in text.
            quote = "'" if '"' in item else '"'
            probe = f"{name}: {quote}{item}{quote}"
            matches = [match for match in self._matches(probe, _Scan(self.counts)) if match.end > len(name) + 2]
            if matches:
                self.counts.update(matches[0].kinds)
                return matches[0].replacement
        return item if redacted == item else redacted

    def _text(self, value: str, scan: _Scan) -> str:
        # A replacement may make its surroundings match. Every round replaces something, so the loop ends.
        while len(value) > 5 and (matches := self._matches(value, scan)):
            parts: list[str] = []
            position = 0
            for match in matches:
                parts += (value[position : match.start], match.replacement)
                position = match.end
                scan.counts.update(match.kinds)
            parts.append(value[position:])
            value = "".join(parts)
        return value

    def _matches(self, value: str, scan: _Scan) -> list[_Match]:
        """The matches to replace, in order and without overlaps."""
        matches = [*self._search(value, scan), *self._search_web_escapes(value, None, scan, _WEB_LAYERS)]
        view, depth = _decode_escapes(value), 0
        while view is not None and depth < scan.layers:
            matches += [view.to_original(match) for match in self._search(view.text, scan)]
            matches += self._search_web_escapes(view.text, view, scan, _WEB_LAYERS)
            view, depth = _decode_escapes(view.text, view), depth + 1
        return _resolve_overlaps(value, matches) if matches else []

    def _search_web_escapes(self, text: str, below: "_View | None", scan: _Scan, layers: int) -> Iterator[_Match]:
        """Matches around the escapes of URLs and HTML, with those decoded; the rest of the text was searched before."""
        if not layers or ("%" not in text and "&" not in text):
            return
        for start, end in _around_web_escapes(text):
            view = _view(text, _WEB_ESCAPE, _decode_web_escape, below, start, end)
            # A word that is cut by the beginning of the stretch may look like something else.
            whole = 0 if start == 0 else _REACH // 4
            for match in self._search(view.text, scan):
                if match.start >= whole:
                    yield view.to_original(match)
            yield from self._search_web_escapes(view.text, view, scan, layers - 1)

    def _search(self, text: str, scan: _Scan) -> Iterator[_Match]:
        """All matches in the text as it is."""
        yield from self._search_runs(text, scan)
        lower = text.lower()
        for rule in self._rules:
            if rule.hints and not any(hint in lower for hint in rule.hints):
                continue
            for start, end in rule.find(text):
                if not (scan.binary and is_chance_match(rule, end - start)):
                    yield _match(start, end, rule.kind)
        for home in self._homes:
            start = text.find(home)
            while start >= 0:
                end = start + len(home)
                if not text[end : end + 1].isalnum():
                    yield _match(start, end, HOME_PATH)
                start = text.find(home, end)
        for pattern in self._patterns:
            for start, end in pattern.find(text):
                yield _match(start, end, pattern.kind)

    def _search_runs(self, text: str, scan: _Scan) -> Iterator[_Match]:
        """Tokens, and base64 that contains a secret: both are long runs of letters and digits."""
        searched_to = 0
        for run in RUN.finditer(text):
            start, end = run.span()
            if BEGINNING.search(text, start - LEAD if start > LEAD else 0, end) is not None:
                for kind, span in tokens(text, (start, end)):
                    yield _match(*span, kind)
            if end - start == 40 and text[end : end + 1] != "=" and is_aws_secret(run.group()):
                yield _match(start, end, "aws-secret-key")
            elif scan.layers and start >= searched_to and _READABLE.match(text, start, end):
                whole = (_FOLDED.match(text, start) if end - start >= 60 else None) or _PADDING.match(text, end)
                searched_to = whole.end() if whole else end
                match = self._search_base64(text[start:searched_to], scan)
                if match is not None:
                    yield match._replace(start=start, end=searched_to)

    def _search_base64(self, run: str, scan: _Scan) -> _Match | None:
        """The replacement of a run of base64; None if it contains no secret."""
        data = _decode_base64(run)
        if data is None:
            return None
        counts: Counter[str] = Counter()
        redacted = self._bytes(data, scan.inside(counts))
        return None if redacted == data else _Match(0, len(run), _encode_like(run, redacted), counts)

    def _bytes(self, data: bytes, scan: _Scan) -> bytes:
        for mark, encoding in _BOMS:
            if data.startswith(mark):
                return self._wide(data, encoding, scan)
        binary = b"\x00" in data
        if binary:
            for encoding, stretch in _WIDE:
                data = stretch.sub(lambda found: self._stretch(found.group(), encoding, scan), data)  # noqa: B023
        # Each byte that is not UTF-8 becomes a lone surrogate, and the same byte again afterwards.
        text = data.decode("utf-8", "surrogateescape")
        redacted = self._text(text, scan._replace(binary=binary))
        return data if redacted == text else redacted.encode("utf-8", "surrogateescape")

    def _stretch(self, data: bytes, encoding: str, scan: _Scan) -> bytes:
        return self._text(data.decode(encoding), scan).encode(encoding)

    def _wide(self, data: bytes, encoding: str, scan: _Scan) -> bytes:
        """Bytes with a byte order mark; an incomplete unit at the end is kept."""
        unit = 4 if "32" in encoding else 2
        whole = len(data) - len(data) % unit
        try:
            text = data[:whole].decode(encoding, "surrogatepass")
        except UnicodeDecodeError:
            text = data.decode("utf-8", "surrogateescape")
            return self._text(text, scan).encode("utf-8", "surrogateescape")
        redacted = self._text(text, scan)
        return data if redacted == text else redacted.encode(encoding, "surrogatepass") + data[whole:]


_NAMED = re.compile(r"(?i)pass|pwd|secret|key|token|credential|authorization")


class _View:
    """A text with its escapes decoded, and the mapping of its positions to the text before."""

    def __init__(self, text: str, here: list[int], there: list[int], below: "_View | None") -> None:
        self.text = text
        self._here = here
        self._there = there
        self._below = below

    def to_original(self, match: _Match) -> _Match:
        """The same match in the original text."""
        start, end = self._position(match.start), self._position(match.end)
        moved = match._replace(start=start, end=end)
        return moved if self._below is None else self._below.to_original(moved)

    def _position(self, at: int) -> int:
        index = bisect_right(self._here, at) - 1
        return self._there[index] + at - self._here[index]


def _decode_escapes(text: str, below: _View | None = None) -> _View | None:
    if "\\" not in text and "\ue000" not in text:
        return None
    return _view(text, _ESCAPE, _decode_escape, below, 0, len(text)) if _ESCAPE.search(text) else None


def _around_web_escapes(text: str) -> Iterator[Span]:
    """The stretches of text around the escapes of URLs and HTML."""
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
    decode: Callable[[re.Match[str]], str],
    below: _View | None,
    start: int,
    end: int,
) -> _View:
    """A stretch of the text with these escapes decoded."""
    parts: list[str] = []
    # Positions advance in step between two entries. Each escape becomes one character and adds an entry.
    here, there = [0], [start]
    length, position = 0, start
    for found in escape.finditer(text, start, end):
        parts.append(text[position : found.start()])
        length += found.start() - position
        parts.append(decode(found))
        length += 1
        here.append(length)
        there.append(found.end())
        position = found.end()
    parts.append(text[position:end])
    return _View("".join(parts), here, there, below)


def _decode_escape(escape: re.Match[str]) -> str:
    wide, narrow, plain, marked = escape.groups()
    code = wide or narrow or marked
    return chr(int(code, 16)) if code else _PLAIN.get(plain, plain)


def _decode_web_escape(escape: re.Match[str]) -> str:
    percent, wide, decimal, named = escape.groups()
    if named:
        return _ENTITIES[named]
    # A byte of a longer character becomes a character of its own: the rules search for ASCII.
    return chr(int(decimal) if decimal else int(percent or wide, 16))


def _decode_base64(run: str) -> bytes | None:
    """The bytes of a run of base64; None if it is not base64 or its bytes are not text."""
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


def _encode_like(run: str, data: bytes) -> str:
    """Base64 in the alphabet of the run that it replaces, padded if the run was."""
    encoded = (urlsafe_b64encode if "-" in run or "_" in run else b64encode)(data).decode()
    return encoded if run.endswith("=") or len(run) % 4 == 0 else encoded.rstrip("=")


def _match(start: int, end: int, kind: str) -> _Match:
    return _Match(start, end, "~" if kind == HOME_PATH else f"[redacted:{kind}]", Counter((kind,)))


def _resolve_overlaps(text: str, matches: list[_Match]) -> list[_Match]:
    """Matches in order. Of two that overlap, a weak one is left to the next round; others are merged.

    Markers are never split, and a match that covers only markers is dropped.
    """
    markers = [found.span() for found in MARKER.finditer(text)] if "[redacted:" in text else []
    whole = [_widen_to_markers(match, markers) for match in matches]
    kept = sorted((each for each in whole if each is not None), key=lambda each: (each.start, -each.end))
    merged: list[_Match] = []
    for match in kept:
        last = merged[-1] if merged else None
        if last is None or match.start >= last.end:
            merged.append(match)
        elif _WEAK_KINDS.issuperset(last.kinds) and not _WEAK_KINDS.issuperset(match.kinds):
            merged[-1] = match
        elif match.end > last.end and not _WEAK_KINDS.issuperset(match.kinds):
            merged[-1] = _match(last.start, match.end, next(iter(max(last, match, key=_length).kinds)))
    return merged


def _length(match: _Match) -> int:
    return match.end - match.start


def _widen_to_markers(match: _Match, markers: list[Span]) -> _Match | None:
    """The match, extended to the markers that it cuts; None if it covers nothing but markers."""
    start, end, hidden = match.start, match.end, 0
    for first, last in markers:
        if first >= end:
            break
        if last <= start:
            continue
        hidden += min(last, end) - max(first, start)
        start, end = min(start, first), max(end, last)
    if hidden and hidden >= match.end - match.start:
        return None
    return match._replace(start=start, end=end)
