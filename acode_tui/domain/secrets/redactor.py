"""Replaces secrets of known shapes in text, JSON and bytes, and counts them by kind. It never reports their values.

A value is searched as it is and again after each layer of escapes is decoded, so JSON in a string in JSON, URLs and
HTML hide nothing; runs of base64 are decoded, searched and encoded again. A secret is replaced by ``[redacted:KIND]``,
a home directory by ``~``. Redaction is idempotent: markers are never searched.
"""

import functools
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from acode_tui.domain.secrets.encodings import BOMS, FOLDED, PADDING, READABLE, WIDE, decode_base64, encode_like
from acode_tui.domain.secrets.escapes import View, string_views, web_views
from acode_tui.domain.secrets.members import LONGEST_NAMED, is_secret_name, option_before, probe
from acode_tui.domain.secrets.patterns import CustomPattern
from acode_tui.domain.secrets.rule_sets import ACCESS_RULES, ASSIGNED_RULES, PERSONAL_RULES, is_chance_match
from acode_tui.domain.secrets.rules import MARKER, Keywords, Rule, SearchedText, Span
from acode_tui.domain.secrets.runs import LEAST, runs
from acode_tui.domain.secrets.services import is_aws_secret
from acode_tui.domain.secrets.tokens import WITHOUT_DIGITS, tokens

HOME_PATH = "home-path"
_LAYERS = 6
"""Largest depth of nested escapes or base64. Each layer doubles the backslashes, so deeper nesting is very rare."""
_WEB_LAYERS = 2
"""A URL within a URL is percent-encoded twice; more layers do not occur."""
_SHORTEST = 6
"""No shorter text contains a secret of a known shape."""
_SHORTEST_WIDE = 2 * _SHORTEST
"""Bytes of the shortest text in UTF-16 that is searched as such."""
_MARKS = tuple(mark for mark, _ in BOMS)
_SHORT = 100
_MOST_CLEAN = 4_096
"""Texts of at most ``_SHORT`` characters that are remembered because nothing was found in them."""
_DIGIT = re.compile(r"[0-9]")
_WEAK_KINDS = {rule.kind for rule in PERSONAL_RULES}
"""Kinds that give way to any other: text around a password may look like an e-mail address."""


@functools.lru_cache(maxsize=8)
def _index(rules: tuple[Rule, ...]) -> tuple[Keywords, dict[bytes, list[Rule]]]:
    """The keywords of the rules, and the rules of each keyword."""
    by_keyword: dict[bytes, list[Rule]] = {}
    for rule in rules:
        for keyword in rule.keywords:
            by_keyword.setdefault(keyword, []).append(rule)
    return Keywords((*by_keyword, *WITHOUT_DIGITS)), by_keyword


class _Match(NamedTuple):
    """A span to replace, its replacement, and the kinds that it counts for."""

    start: int
    end: int
    replacement: str
    kinds: Counter[str]

    def moved(self, view: View) -> "_Match":
        """The same match in the original of a view."""
        start, end = view.to_original((self.start, self.end))
        return self._replace(start=start, end=end)


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
        self._keywords, self._by_keyword = _index(self._rules)
        self._clean: set[str] = set()
        """Short texts in which nothing was found: names and paths come again with every row."""

    def text(self, value: str) -> str:
        """The text with secrets of known shapes hidden."""
        if value in self._clean:
            return value
        redacted = self._text(value, _Scan(self.counts))
        if redacted is value and len(value) <= _SHORT:
            if len(self._clean) >= _MOST_CLEAN:
                self._clean.clear()
            self._clean.add(value)
        return redacted

    def json(self, value: Any) -> Any:
        """A JSON value with secrets of known shapes hidden, in keys too. The same object if there are none."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, (list, tuple)):
            return self._items(value)
        return value

    def content(self, data: bytes) -> bytes:
        """Bytes with secrets of known shapes hidden, as UTF-8 and, where they contain it, UTF-16 and UTF-32."""
        return self._bytes(data, _Scan(self.counts))

    def _items(self, items: list[Any] | tuple[Any, ...]) -> Any:
        """A list; an item after an option of a command is searched together with it."""
        kept = [
            self._value(option, item, partly=True) if (option := option_before(items, index)) else self.json(item)
            for index, item in enumerate(items)
        ]
        return kept if any(a is not b for a, b in zip(kept, items, strict=True)) else items

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        # Environments are often listed as {"name": "DB_PASSWORD", "value": "..."}.
        label = value.get("name", value.get("key")) if "value" in value else None
        manifest = value.get("kind") == "Secret"
        same = True
        for key, item in value.items():
            name = shown = self.text(key)
            number = 2
            while shown in changed:
                shown, number = f"{name} ({number})", number + 1
            if manifest and key in ("data", "stringData") and isinstance(item, dict):
                kept: Any = {self.text(each): self._hidden(text) for each, text in item.items()}
                kept = item if kept == item else kept
            else:
                kept = self._member(label if key == "value" and isinstance(label, str) else shown, item)
            same = same and shown == key and kept is item
            changed[shown] = kept
        return value if same else changed

    def _hidden(self, item: Any) -> Any:
        """A value of a Kubernetes secret; its name says nothing, its place everything."""
        if not isinstance(item, str) or not item or MARKER.fullmatch(item):
            return self.json(item)
        self.counts["credential"] += 1
        return "[redacted:credential]"

    def _member(self, name: str, item: Any) -> Any:
        """A member's value, which its name may mark as a secret."""
        if isinstance(item, str) and is_secret_name(name):
            return self._value(f"{name}: ", item)
        return self.json(item)

    def _value(self, before: str, item: Any, *, partly: bool = False) -> Any:
        """A value that is searched as it is and, if that finds nothing, after what stands before it.

        So the same rules decide here and in text. Unless ``partly``, a secret in it hides all of it.
        """
        if not isinstance(item, str) or not item or len(item) > LONGEST_NAMED:
            return self.json(item)
        redacted = self.text(item)
        if redacted != item:
            return redacted
        text, start = probe(before, item)
        for match in self._matches(text, _Scan(self.counts)):
            if match.end > start:
                self.counts.update(match.kinds)
                begin = max(0, match.start - start) if partly else 0
                return item[:begin] + match.replacement + (item[match.end - start :] if partly else "")
        return item

    def _text(self, value: str, scan: _Scan) -> str:
        if len(value) < LEAST and value.isidentifier() and not self._patterns:
            return value  # Most values are such words; no rule finds a secret in one.
        # A replacement may make its surroundings match. Every round replaces something, so the loop ends.
        while len(value) >= _SHORTEST and (matches := self._matches(value, scan)):
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
        matches = self._search(value, scan)
        self._search_views(value, None, scan, (scan.layers, _WEB_LAYERS), matches)
        return _resolve_overlaps(value, matches) if matches else []

    def _search_views(
        self, text: str, below: View | None, scan: _Scan, layers: tuple[int, int], matches: list[_Match]
    ) -> None:
        """Add the matches around escapes, with those decoded; the rest of the text was searched before."""
        strings, webs = layers
        if webs and ("%" in text or "&" in text):
            for view, whole in web_views(text, below):
                matches += [match.moved(view) for match in self._search(view.text, scan) if match.start >= whole]
                self._search_views(view.text, view, scan, (0, webs - 1), matches)
        if strings and ("\\" in text or "\ue000" in text):
            for view, whole in string_views(text, below):
                matches += [match.moved(view) for match in self._search(view.text, scan) if match.start >= whole]
                self._search_views(view.text, view, scan, (strings - 1, webs), matches)

    def _search(self, text: str, scan: _Scan) -> list[_Match]:
        """All matches in the text as it is."""
        source = SearchedText(text, self._keywords)
        matches = self._search_runs(source, scan) if len(text) >= LEAST else []
        rules = {id(rule): rule for keyword in source.keywords for rule in self._by_keyword.get(keyword, ())}
        for rule in rules.values():
            for start, end in rule.find(source):
                if start < end and not (scan.binary and is_chance_match(rule, end - start)):
                    matches.append(_match(start, end, rule.kind))
        for home in self._homes:
            start = text.find(home)
            while start >= 0:
                end = start + len(home)
                if not text[end : end + 1].isalnum():
                    matches.append(_match(start, end, HOME_PATH))
                start = text.find(home, end)
        for pattern in self._patterns:
            matches += [_match(start, end, pattern.kind) for start, end in pattern.find(text)]
        return matches

    def _search_runs(self, source: SearchedText, scan: _Scan) -> list[_Match]:
        """Tokens with a known prefix, secret keys of AWS, and base64 that contains a secret: all are long runs."""
        text = source.text
        letters_alone = not source.keywords.keys().isdisjoint(WITHOUT_DIGITS)
        searched_to = decoded_to = 0
        matches: list[_Match] = []
        for start, end in runs(source.ascii):
            if letters_alone or _DIGIT.search(text, start, end):
                for kind, span in tokens(text, (start, end), searched_to):
                    searched_to = span[1]
                    matches.append(_match(*span, kind))
                if start < searched_to:
                    continue
                if end - start == 40 and is_aws_secret(source, (start, end)):
                    matches.append(_match(start, end, "aws-secret-key"))
            if scan.layers and start >= decoded_to and READABLE.match(text, start, end):
                whole = (FOLDED.match(text, start) if end - start >= 60 else None) or PADDING.match(text, end)
                decoded_to = whole.end() if whole else end
                match = self._search_base64(text[start:decoded_to], scan)
                if match is not None:
                    matches.append(match._replace(start=start, end=decoded_to))
        return matches

    def _search_base64(self, run: str, scan: _Scan) -> _Match | None:
        """The replacement of a run of base64; None if it contains no secret."""
        data = decode_base64(run)
        if data is None:
            return None
        counts: Counter[str] = Counter()
        redacted = self._bytes(data, scan.inside(counts))
        return None if redacted == data else _Match(0, len(run), encode_like(run, redacted), counts)

    def _bytes(self, data: bytes, scan: _Scan) -> bytes:
        if data.startswith(_MARKS):
            encoding = next(encoding for mark, encoding in BOMS if data.startswith(mark))
            return self._wide(data, encoding, scan)
        binary = b"\x00" in data
        if binary and len(data) >= _SHORTEST_WIDE:
            for encoding, stretch in WIDE:
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


def _match(start: int, end: int, kind: str) -> _Match:
    return _Match(start, end, "~" if kind == HOME_PATH else f"[redacted:{kind}]", Counter((kind,)))


def _resolve_overlaps(text: str, matches: list[_Match]) -> list[_Match]:
    """Matches in order. Of two that overlap, a weak one is left to the next round; others are merged.

    Markers are never split, and a match that covers only markers is dropped.
    """
    markers = [found.span() for found in MARKER.finditer(text)] if "[redacted:" in text else []
    ends = [end for _, end in markers]
    whole = [_widen_to_markers(match, markers, ends) for match in matches] if markers else matches
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


def _widen_to_markers(match: _Match, markers: list[Span], ends: list[int]) -> _Match | None:
    """The match, extended to the markers that it cuts; None if it covers nothing but markers."""
    start, end, hidden = match.start, match.end, 0
    for index in range(bisect_right(ends, match.start), len(markers)):
        first, last = markers[index]
        if first >= end:
            break
        hidden += min(last, end) - max(first, start)
        start, end = min(start, first), max(end, last)
    if hidden and hidden >= match.end - match.start:
        return None
    return match._replace(start=start, end=end)
