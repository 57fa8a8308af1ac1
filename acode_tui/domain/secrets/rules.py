"""What a rule is, and the index of keywords that decides whether and where it runs.

A search for all keywords at once passes over a text at some 400 megabytes a second, a regular expression at some ten. A
rule therefore names keywords, and its expression is tried only where one of them stands.
"""

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from ahocorasick_rs import BytesAhoCorasick

Span = tuple[int, int]
"""Start and end in a text."""

MARKER = re.compile(r"\[redacted:[a-z0-9-]{1,40}\]")

_PART = 1 << 20
_SHORT = 256
"""Bytes of data that is first searched for any keyword at all: most short texts have none."""
_LOWER = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")


class Keywords:
    """Lower-case keywords that are looked for together, in one pass over a text."""

    def __init__(self, words: Iterable[bytes]) -> None:
        self._words = sorted(set(words))
        self._longest = max(map(len, self._words), default=0)
        self._automaton = BytesAhoCorasick(self._words)

    def positions(self, data: bytes) -> dict[bytes, "array[int]"]:
        """Where each keyword that occurs in the data begins.

        Long data is searched in parts that overlap, because the automaton returns all that it found in one list: for a
        text of 10 MiB that is nothing but keywords it would take a gigabyte.
        """
        found: dict[bytes, array[int]] = {}
        if len(data) <= _SHORT and not self._automaton.find_matches_as_indexes(data):
            return found
        for begin in range(0, len(data), _PART):
            end = begin + _PART
            part = data if len(data) <= _PART else data[begin : end + self._longest]
            for index, start, _ in self._automaton.find_matches_as_indexes(part, overlapping=True):
                if begin + start < end:
                    word = self._words[index]
                    if word not in found:
                        found[word] = array("I")
                    found[word].append(begin + start)
        return found


class SearchedText:
    """A text with the positions of the keywords in it."""

    __slots__ = ("ascii", "keywords", "text")

    def __init__(self, text: str, keywords: Keywords) -> None:
        self.text = text
        # One byte a character, so a position means the same in both.
        self.ascii = text.encode("ascii", "replace")
        self.keywords = keywords.positions(self.ascii.translate(_LOWER))

    def positions(self, keyword: bytes) -> Sequence[int]:
        """Where the lower-case keyword begins in the text, in either case."""
        return self.keywords.get(keyword, ())


Find = Callable[[SearchedText], Iterable[Span]]


class Rule(NamedTuple):
    """Finds one kind of secret. It is given the positions of its lower-case ``keywords`` and runs if one occurs."""

    kind: str
    keywords: tuple[bytes, ...]
    find: Find


def at_keywords(
    keywords: tuple[bytes, ...],
    pattern: str,
    accept: Callable[[re.Match[str]], bool] | None = None,
    *,
    before: str = "",
    reach: int = 0,
) -> Find:
    """Finds the group ``value`` of a pattern that begins with one of the keywords, if it is accepted.

    ``before`` must match what precedes the keyword, at most ``reach`` characters up to it. A pattern reads a bounded
    number of characters, and what it matched is not searched again, so a search takes linear time.
    """
    compiled = re.compile(pattern)
    preceding = re.compile(before + r"\Z") if before else None

    def find(source: SearchedText) -> Iterator[Span]:
        text = source.text
        for keyword in keywords:
            searched_to = 0
            for at in source.positions(keyword):
                if at < searched_to:
                    continue
                found = compiled.match(text, at)
                if found is None or (accept is not None and not accept(found)):
                    continue
                if preceding is not None and preceding.search(text, max(0, at - reach), at) is None:
                    continue
                searched_to = found.end()
                yield found.span("value")

    return find
