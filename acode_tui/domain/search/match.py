"""Finding the terms of a query in a text, and the snippet that shows them."""

import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain

from acode_tui.domain.display import ELLIPSIS, clean
from acode_tui.domain.search.query import Term
from acode_tui.domain.search.tokens import (
    MAX_PARTED,
    MAX_TOKEN,
    Word,
    end_of_run,
    fold_words,
    foreign_runs,
    has_foreign_words,
    has_unspaced_as_written,
    is_ascii_word,
    is_foreign,
    is_unspaced,
    separated,
    words,
)

Span = tuple[int, int]
"""A range of characters of a text: start and end."""

SNIPPET_WIDTH = 160
MARK = "**"
"""Stands before and after each match in a snippet."""

_BEFORE, _AFTER = 200, 800
"""Characters before the first match, and from it on, that a snippet is made of: white space in them is collapsed."""
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_SPACE = re.compile(r"\s+")
_ESCAPED = re.compile(r"\\(?=[\\*]|$)|\*(?=\*|$)|(?:^|(?<=\*))\*")
_MARKED = re.compile(r"\\([\\*])|(\*\*)")


def find(term: Term, text: str) -> list[Span]:
    """Where a term occurs in a text, in order and without overlap.

    Its tokens stand there one after the other, as whole words or as parts of words. Of a prefix the last token only
    begins there, and the span ends with the word or part that it begins.
    """
    found: list[Span] = []
    for start, end in _matches(term, text):
        if not found or start >= found[-1][1]:
            found.append((start, end))
    return found


def contains(term: Term, text: str) -> bool:
    """Whether a term occurs in a text."""
    return next(_matches(term, text), None) is not None


def find_all(terms: Sequence[Term], text: str) -> list[Span]:
    """Where any of the terms occurs, in order; spans that overlap are one."""
    return list(_merged(sorted(span for term in terms for span in _matches(term, text))))


def find_shown(terms: Sequence[Term], text: str) -> Iterator[Span]:
    """The same, found as they are asked for: a snippet shows few, and a long text is not searched to its end."""
    return _merged(heapq.merge(*(_matches(term, text) for term in terms)))


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    open_: Span | None = None
    for start, end in spans:
        if open_ is None:
            open_ = start, end
        elif start < open_[1]:
            open_ = open_[0], max(end, open_[1])
        else:
            yield open_
            open_ = start, end
    if open_ is not None:
        yield open_


def snippet(text: str, spans: Iterable[Span], width: int = SNIPPET_WIDTH) -> str:
    """One line of about ``width`` characters around the first span, or of the beginning where there is none.

    Each match stands between ``**`` and ``**``. White space is collapsed and control characters are left out. Asterisks
    and backslashes of the text that could be taken for such marks are escaped as in Markdown; ``snippet_parts`` reads
    them.
    """
    source = iter(spans)
    found = next(source, None)
    first = found[0] if found is not None else 0
    start, end = max(0, first - _BEFORE), min(len(text), first + _AFTER)
    parts = _one_line(_pieces(text, start, end, source if found is None else chain((found,), source)))
    more_before, more_after = start > 0, end < len(text)
    lead, is_match = next(parts, ("", True))
    room = max(width // 4, 0)
    if found is not None and not is_match and len(lead) > room:
        lead, more_before = _from_word(lead[-room:]), True
    shown: list[tuple[str, bool]] = []
    left = width
    for piece, marked in chain(((lead, is_match),) if lead else (), parts):
        if left <= 0 and not (marked and not any(is_match for _, is_match in shown)):
            more_after = True
            break
        if len(piece) > left and not marked:
            piece, more_after = piece[:left].rpartition(" ")[0] or piece[:left], True
        elif len(piece) > max(left, width):
            piece, more_after = piece[:width], True
        left -= len(piece)
        shown.append((piece, marked))
    line = "".join(_marked(piece) if marked else _escaped(piece) for piece, marked in shown).strip()
    return f"{ELLIPSIS if more_before else ''}{line}{ELLIPSIS if more_after else ''}"


def snippet_parts(line: str) -> list[tuple[str, bool]]:
    """The pieces of a snippet, each with whether it is a match."""
    parts: list[tuple[str, bool]] = []
    current, marked, at = "", False, 0
    for found in _MARKED.finditer(line):
        current += line[at : found.start()]
        at = found.end()
        if found[1]:
            current += found[1]
            continue
        if current:
            parts.append((current, marked))
        current, marked = "", not marked
    current += line[at:]
    return [*parts, (current, marked)] if current else parts


def _matches(term: Term, text: str) -> Iterator[Span]:
    if not term.tokens:
        return
    plain, foreign = _prepared(text)
    if foreign and (written := _written(term)) and _has_unspaced_as_written(plain):
        at = -1
        while (at := plain.find(written, at + 1)) >= 0:
            yield at, at + len(written)
        return
    folded = _folded(plain, foreign)
    # Most texts lack one of the tokens, and a search in a string is the fastest test there is.
    if not all(token in folded for token in term.tokens):
        return
    runs = _ascii_runs(term, plain, plain.lower() if foreign else folded)
    if foreign:
        runs = iter(sorted({*runs, *foreign_runs(plain, term.tokens[0])}))
    is_alone = len(term.tokens) == 1
    following = None if is_alone else _following(term.tokens[1:])
    for start, end in runs:
        # With no upper case behind its first letter a run has no parts.
        if not foreign and plain[start + 1 : end] == folded[start + 1 : end]:
            if is_alone:
                if _fits(folded[start:end][:MAX_TOKEN], term.tokens[0], term.kind == "prefix"):
                    yield start, end
                continue
            if following is not None and following.match(folded, end) is None:
                continue
        near, place = _Words(words(plain, start)), 0
        while (word := near.get(place)) is not None and word.start < end:
            yield from _matches_at(term, near, place)
            place += 1


@lru_cache(4)
def _prepared(text: str) -> tuple[str, bool]:
    """A text with its words separated, and whether any is beyond ASCII.

    Kept, for each term of a query is looked for in a text, and what is found is shown.
    """
    plain = separated(text)
    return plain, has_foreign_words(plain)


@lru_cache(4)
def _folded(plain: str, foreign: bool) -> str:
    """What all tokens of such a text stand in."""
    return fold_words(plain) if foreign else plain.lower()


@lru_cache(64)
def _written(term: Term) -> str:
    """A term of a script without spaces as it stands in texts; empty for any other term."""
    return "".join(term.tokens) if all(len(token) == 1 and is_unspaced(token) for token in term.tokens) else ""


_has_unspaced_as_written = lru_cache(4)(has_unspaced_as_written)


def _ascii_runs(term: Term, plain: str, low: str) -> Iterator[Span]:
    """The runs of ASCII letters and digits that may hold the first token, in order."""
    first = term.tokens[0]
    if not first.isascii():
        return
    pattern = _beginning(first, whole=len(first) < MAX_TOKEN and (len(term.tokens) > 1 or term.kind != "prefix"))
    end = 0
    while (at := _next(pattern, first, plain, low, end)) >= 0:
        start = at
        while start > 0 and at - start <= MAX_PARTED and is_ascii_word(plain[start - 1]):
            start -= 1
        end = at + 1
        # A run that begins further to the left has no parts, so no token begins within it.
        if at - start <= MAX_PARTED and (start == 0 or not is_foreign(plain[start - 1])):
            end = end_of_run(plain, start)
            yield start, end


def _next(pattern: re.Pattern[str], token: str, plain: str, low: str, at: int) -> int:
    """Where the next token begins from ``at`` on; -1 if there is none."""
    if len(low) != len(plain):
        # A letter beyond ASCII became two.
        found = pattern.search(plain, at)
        return -1 if found is None else found.start()
    # Of the places where a string search finds it few are looked at with the pattern: a tenth of the time.
    while (at := low.find(token, at)) >= 0 and pattern.match(plain, at) is None:
        at += 1
    return at


@lru_cache(64)
def _beginning(token: str, *, whole: bool) -> re.Pattern[str]:
    """Where a token may begin in ASCII text; with ``whole`` it must also end there."""
    change = "(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])"
    end = f"(?:(?![0-9A-Za-z])|{change})" if whole else ""
    return re.compile(f"(?:(?<![0-9A-Za-z])|{change})(?i:{token}){end}", re.ASCII)


@lru_cache(64)
def _following(tokens: tuple[str, ...]) -> re.Pattern[str] | None:
    """What must come behind a word for these tokens to follow it. None where a word may be longer than its token."""
    if max(map(len, tokens)) >= MAX_TOKEN:
        return None
    return re.compile("".join(f"[^0-9a-z]*+{re.escape(token)}" for token in tokens))


class _Words:
    """The words of a text as far as they were asked for."""

    def __init__(self, source: Iterator[Word]) -> None:
        self._source = source
        self._read: list[Word] = []

    def get(self, place: int) -> Word | None:
        """The word at a place; None past the end."""
        while len(self._read) <= place:
            word = next(self._source, None)
            if word is None:
                return None
            self._read.append(word)
        return self._read[place]


def _matches_at(term: Term, every: _Words, place: int) -> Iterator[Span]:
    """The matches that begin with the word at a place, or with one of its parts."""
    word = every.get(place)
    first, prefix = term.tokens[0], len(term.tokens) == 1 and term.kind == "prefix"
    if word is None or not any(_fits(found, first, prefix) for found in (word.token, *(p.token for p in word.parts))):
        return
    for part in range(max(1, len(word.parts))):
        end = _end_of_match(term, every, place, part)
        if end is not None:
            yield (word.parts[part].start if part else word.start), end


def _end_of_match(term: Term, every: _Words, place: int, part: int) -> int | None:
    """Where the match that begins with a word (or with one of its parts) ends; None if there is none."""
    last = len(term.tokens) - 1
    ends: list[int] = []
    states = {(place, part)}
    for index, token in enumerate(term.tokens):
        following: set[tuple[int, int]] = set()
        ends = []
        for at, piece in states:
            word = every.get(at)
            if word is None:
                continue
            prefix = index == last and term.kind == "prefix"
            if piece == 0 and _fits(word.token, token, prefix):
                following.add((at + 1, 0))
                ends.append(word.end)
            if word.parts and _fits(word.parts[piece].token, token, prefix):
                following.add((at, piece + 1) if piece + 1 < len(word.parts) else (at + 1, 0))
                ends.append(word.parts[piece].end)
        states = following
    return max(ends, default=None)


def _fits(found: str, token: str, prefix: bool) -> bool:
    return found.startswith(token) if prefix else found == token


def _pieces(text: str, start: int, end: int, spans: Iterable[Span]) -> Iterator[tuple[str, bool]]:
    """A part of a text in pieces, each with whether it is one of the spans."""
    at = start
    for begin, stop in spans:
        if begin >= end:
            break
        yield text[at:begin], False
        yield text[begin : min(stop, end)], True
        at = stop
    yield text[at:end], False


def _one_line(pieces: Iterable[tuple[str, bool]]) -> Iterator[tuple[str, bool]]:
    """The pieces without control characters, their white space collapsed also between pieces; no empty pieces."""
    spaced = True
    for piece, marked in pieces:
        piece = clean(_collapsed(piece))
        if spaced:
            piece = piece.lstrip(" ")
        if piece:
            spaced = piece.endswith(" ")
            yield piece, marked


def _collapsed(piece: str) -> str:
    """A piece without control characters and escape sequences, each white space of it one space."""
    line = " ".join(piece.split())
    if not line:
        return piece[:1] and " "
    if not line.isprintable():
        return _SPACE.sub(" ", _CONTROL.sub("", _TERMINAL.sub("", piece)))
    return f"{' ' if piece[0].isspace() else ''}{line}{' ' if piece[-1].isspace() else ''}"


def _from_word(text: str) -> str:
    """The text from its first whole word on."""
    _, space, rest = text.partition(" ")
    return rest if space and rest else text


def _marked(piece: str) -> str:
    return f"{MARK}{_escaped(piece)}{MARK}"


def _escaped(piece: str) -> str:
    if "*" not in piece and "\\" not in piece:
        return piece
    return _ESCAPED.sub(lambda found: "\\" + found[0], piece)
