"""A fast test of texts for the terms of a query: it lets through every text that has them, and few others.

What it lets through is compared token by token, which takes ten to fifty times as long (``match.contains``).
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import AnyStr, NamedTuple

import msgspec

from acode_tui.domain.search.places import json_texts
from acode_tui.domain.search.query import Term
from acode_tui.domain.search.tokens import MAX_TOKEN, fold_words, has_foreign_words, is_unspaced
from acode_tui.domain.validation import MARK

_decode = msgspec.json.Decoder().decode

SHORT = 3
"""Most letters of a word that is a part of so many others that it is looked for as a word."""

_BETWEEN = "[^0-9a-z]*+"
"""What may stand between two tokens that follow one another; nothing, if they are parts of a word."""
_BETWEEN_IN_JSON = r'(?:[^0-9a-z\\"]|\\.|"(?:[^"a-z]|e|true|false|null)*+")*+'
"""The same in JSON text: an escape, too, and what stands between two strings, which may be numbers."""


_ESCAPE = r"\\[bfnrt]"

_Sequence = tuple[str, re.Pattern[str]]
"""The first of tokens that follow one another, and a pattern of the others with what stands before each."""


class _Short(NamedTuple):
    """Patterns of a short word: in lower case, where it stands alone; and in any case, where it may be a part."""

    alone: re.Pattern[str]
    part: re.Pattern[str]

    def stands_in(self, text: str, low: str) -> bool:
        return self.alone.search(low) is not None or (text != low and self.part.search(text) is not None)


def _short(term: Term, escape: str) -> _Short:
    """``escape`` is what may stand before a word although it ends in a letter."""
    (word,) = term.tokens
    before = f"(?:(?<![0-9a-z]{word})|(?<={escape}{word}))" if escape else f"(?<![0-9a-z]{word})"
    after = "" if term.kind == "prefix" else "(?![0-9a-z])"
    # A part begins with a capital letter, or it is the first one, and one follows it.
    first, rest = word[0], f"(?i:{word[1:]})"
    part = f"{first.upper()}{rest}|{first}{rest}(?=[A-Z])"
    return _Short(re.compile(f"{word}{before}{after}"), re.compile(part, re.ASCII))


class TextFilter:
    """Tests whether a text may have all of some terms."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self.terms = tuple(term.tokens for term in terms if term.tokens)
        """The tokens of each term."""
        self._tokens = tuple(dict.fromkeys(token for term in terms for token in term.tokens))
        # Most texts lack the longest token.
        self._longest = max(self._tokens, key=len, default="").encode()
        self._is_ascii = all(token.isascii() for token in self._tokens)
        # Behind the end of a token of full length the rest of its word may stand.
        sequences = [term.tokens for term in terms if len(term.tokens) > 1 and max(map(len, term.tokens)) < MAX_TOKEN]
        sequences = sequences if self._is_ascii else []
        in_sequences = {token for tokens in sequences for token in tokens}
        self._single = tuple(token for token in self._tokens if token not in in_sequences)
        short = [term for term in terms if len(term.tokens) == 1 and len(term.tokens[0]) <= SHORT and self._is_ascii]
        self._short_plain = [_short(term, "") for term in short]
        self._short_json = [_short(term, _ESCAPE) for term in short]
        self._plain = [_sequence(tokens, _BETWEEN) for tokens in sequences]
        self._json = [_sequence(tokens, _BETWEEN_IN_JSON) for tokens in sequences]
        self._encoded = tuple(token.encode() for token in self._tokens)
        self._encoded_sequences = [(first.encode(), re.compile(rest.pattern.encode())) for first, rest in self._plain]
        # Terms of scripts without spaces mostly stand in a text as they are; to fold it takes ten times as long.
        is_unspaced_alone = all(is_unspaced(token) for token in self._tokens)
        self._written = tuple("".join(tokens) for tokens in self.terms) if is_unspaced_alone else ()
        self.tests_bytes = self._is_ascii and not short
        """Whether ``passes_bytes`` and ``may_be_in_json`` can be asked."""

    def passes(self, text: str) -> bool:
        """Whether a text may have the terms."""
        if self._written and all(written in text for written in self._written):
            return True
        # In an escape sequence there are letters that are part of no token.
        if "\x1b" in text or MARK in text:
            return self._has_tokens(text)
        return self._passes(text, self._plain, self._short_plain)

    def passes_json(self, name: str, stored: str) -> bool:
        """Whether the texts of a JSON value, behind a name, may have the terms; ``stored`` is its encoded form."""
        if has_escaped_letters(stored) or '"' in name or "\\" in name:
            return self.passes("\n".join([name, *json_texts(_decode(stored))]))
        text = f'"{name}"{stored}'
        return self._has_tokens(text) if MARK in text else self._passes(text, self._json, self._short_json)

    def passes_bytes(self, low: bytes) -> bool:
        """The same for a text of ASCII in lower case, without an escape sequence: no string is made of it."""
        for token in self._encoded:
            if token not in low:
                return False
        return all(_next(first, rest, low, 0) >= 0 for first, rest in self._encoded_sequences)

    def passing(self, texts: Sequence[bytes]) -> list[int]:
        """The places of those of many texts of ASCII that pass, without an escape sequence in any of them.

        They are looked through as one: most searches find nothing, and what is done for each text costs more than that.
        """
        if not self._encoded:
            return list(range(len(texts)))
        if len(texts) == 1:
            return [0] if self.passes_bytes(texts[0].lower()) else []
        joined = b"\n".join(texts).lower()
        for token in self._encoded:
            if token not in joined:
                return []
        first, rest = self._encoded_sequences[0] if self._encoded_sequences else (self._longest, None)
        ends = list(accumulate(len(text) + 1 for text in texts))
        found: list[int] = []
        at = 0
        while (at := joined.find(first, at) if rest is None else _next(first, rest, joined, at)) >= 0:
            place = bisect_right(ends, at)
            at = ends[place]
            # What was found may begin in one text and end in another, and there may be further terms.
            if self.passes_bytes(joined[at - 1 - len(texts[place]) : at - 1]):
                found.append(place)
        return found

    def may_be_in_json(self, low: str) -> bool:
        """A faster test of JSON values, and texts beside them, in lower case: it lets more through."""
        for token in self._tokens:
            if token not in low:
                return not low.isascii() or has_escaped_letters(low)
        return True

    def _has_tokens(self, text: str) -> bool:
        """Whether the tokens are somewhere in a text, as far as that shows without reading it as one."""
        if not text.isascii() and has_foreign_words(text):
            low = fold_words(text)
        elif self._is_ascii:
            low = text.lower()
        else:
            return False
        return all(token in low for token in self._tokens)

    def _passes(self, text: str, sequences: Sequence[_Sequence], short: Sequence[_Short]) -> bool:
        if not text.isascii() and has_foreign_words(text):
            low = fold_words(text)
            return all(token in low for token in self._tokens)
        if not self._is_ascii:
            return False
        low = text.lower()
        # Not `all`: this is done for every row, and most do without the cost of a generator.
        for token in self._single if sequences else self._tokens:
            if token not in low:
                return False
        for word in short:
            if not word.stands_in(text, low):
                return False
        return all(_next(first, rest, low, 0) >= 0 for first, rest in sequences)


def has_escaped_letters(stored: str) -> bool:
    """Whether a character of a JSON text may be written as an escape with its number."""
    # From the end, for that takes a third of the time: the backslash is rarer than what follows it.
    return "\\" in stored and stored.rfind("\\u") >= 0


def _sequence(tokens: Sequence[str], between: str) -> _Sequence:
    return tokens[0], re.compile("".join(between + token for token in tokens[1:]), re.DOTALL)


def _next(first: AnyStr, rest: re.Pattern[AnyStr], low: AnyStr, at: int) -> int:
    """Where the first token stands from ``at`` on with the rest behind it; -1 if it does not.

    Finding it takes a third of the time of a pattern, and it is seldom followed by the rest.
    """
    at = low.find(first, at)
    while at >= 0 and rest.match(low, at + len(first)) is None:
        at = low.find(first, at + 1)
    return at
