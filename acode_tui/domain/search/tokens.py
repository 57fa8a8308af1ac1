"""Tokens: the units that a search compares. The index, the matching of texts and both databases use these functions.

A run of letters and digits is a token, folded: lower case, without accents. In scripts that are written without spaces
each character is a token. A run with changes of case has parts, which are tokens too: ``withCookie`` is the tokens
``withcookie``, ``with`` and ``cookie``. Terminal escape sequences separate, as every other character does.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple

from acode_tui.domain.validation import MARK

MAX_TOKEN = 255
"""Characters of a token. Only the beginning of a longer run is indexed and compared."""

MAX_PARTED = 64
"""Most characters of a run that is split into parts. A longer one is encoded data, not an identifier."""

# Ranges, not categories: `re` has none, and computing them takes longer than opening the workspace file.
_UNSPACED_RANGES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Japanese syllables
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
)
_ACCENTS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0711\u0730-\u074a\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"
    "\ufe20-\ufe2f"
)
"""Marks that folding drops: accents, and the vowel points of Hebrew and Arabic."""
_SIGNS = "\u0900-\u0963\u0966-\u096f\u0971-\u0dff\u3099\u309a" + _UNSPACED_RANGES
"""Marks that belong to a word and stay: the vowel signs of Indian scripts, the sound marks of Japanese."""
_FOLLOWING = _ACCENTS + "\u3099\u309a\uff9e\uff9f\u1160-\u11ff"
"""Characters that may be composed with the one before them: marks, and the letters that end a Korean syllable."""

_ASCII = bytes(range(128))
_SEPARATED = bytes(code if chr(code).isalnum() else 0x20 for code in _ASCII) + b" " * 128
"""For ``bytes.translate``: the letters and digits of ASCII, and spaces in place of all other characters."""
_ASCII_RUN = re.compile("[0-9A-Za-z]+")
_DIGITS = re.compile("[0-9]+")
_CASE_CHANGE = re.compile("(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])")
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_STORED = re.compile(MARK + "[0-9a-f]{4}")


class _Patterns(NamedTuple):
    """Compiled when a text has characters beyond ASCII: their compilation takes some milliseconds."""

    run: re.Pattern[str]
    accent: re.Pattern[str]
    cluster: re.Pattern[str]
    token: re.Pattern[str]
    foreign: re.Pattern[str]
    unspaced: re.Pattern[str]


@cache
def _patterns() -> _Patterns:
    run, unspaced = rf"[\w{_ACCENTS}{_SIGNS}]", f"[{_UNSPACED_RANGES}]"
    return _Patterns(
        re.compile(rf"{run}+"),
        re.compile(f"[{_ACCENTS}]+"),
        re.compile(f".[{_FOLLOWING}]*", re.DOTALL),
        re.compile(rf"{unspaced}|(?:(?!{unspaced}){run})+"),
        re.compile(rf"(?<![0-9A-Za-z])[0-9A-Za-z]*+(?:[^\W\x00-\x7f]|[{_ACCENTS}{_SIGNS}]){run}*"),
        re.compile(unspaced),
    )


class Part(NamedTuple):
    """A part of a word: the characters ``start`` to ``end`` of a text, and the token that they fold to."""

    start: int
    end: int
    token: str


class Word(NamedTuple):
    """A token of a text with its place in the text; ``parts`` are its parts, in order, or empty."""

    start: int
    end: int
    token: str
    parts: tuple[Part, ...] = ()


def fold(text: str) -> str:
    """The text in the form in which texts are compared: compatible forms, lower case, no accents."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return unicodedata.normalize("NFC", _patterns().accent.sub("", text))


def words(text: str, start: int = 0) -> Iterator[Word]:
    """The tokens of a text from ``start``, in order. ``start`` must not lie within a run."""
    plain = separated(text)
    pattern = _ASCII_RUN if plain.isascii() else _patterns().run
    for match in pattern.finditer(plain, start):
        run, at = match[0], match.start()
        if run.isascii():
            yield Word(at, match.end(), run.lower()[:MAX_TOKEN], _parts(run, at))
        else:
            yield from _words_of(run, at)


def tokens(text: str) -> tuple[str, ...]:
    """The tokens of a text in order, without parts."""
    return tuple(word.token for word in words(text))


def index_tokens(text: str) -> dict[str, None]:
    """Every token and every part of a text once, in the order of their first occurrence."""
    plain = separated(text)
    found: dict[str, None] = {}
    pattern = _ASCII_RUN if plain.isascii() else _patterns().run
    # A text repeats its words: what costs more than finding them is done once a word.
    for run in dict.fromkeys(pattern.findall(plain)):
        if not run.isascii():
            _add_folded(run, found)
            continue
        low = run.lower()
        found[low[:MAX_TOKEN]] = None
        if run[1:] != low[1:]:
            found.update((part.token, None) for part in _parts(run, 0))
    return found


def index_body(texts: Iterable[str]) -> str:
    """What is given to FTS5 with ``tokenize = 'ascii'`` in place of several texts: each of their tokens.

    FTS5 folds ASCII itself, so words of ASCII are given as they stand.
    """
    runs, found = _runs(texts)
    found.update(dict.fromkeys(runs if _are_short(runs) else [run[:MAX_TOKEN] for run in runs]))
    _add_parts(runs, found)
    return " ".join(found)


def index_tokens_of_all(texts: Iterable[str]) -> dict[str, None]:
    """The ``index_tokens`` of several texts, in any order. For many short ones it takes a fraction of the time."""
    runs, found = _runs(texts)
    low = [run.lower() for run in runs]
    found.update(dict.fromkeys(low if _are_short(low) else [run[:MAX_TOKEN] for run in low]))
    _add_parts(runs, found)
    return found


_whole: set[str] = set()
"""Runs of ASCII that are known to have no parts, none longer than ``MAX_PARTED``."""

_MAX_WHOLE = 65_536


def _add_parts(runs: dict[str, None], found: dict[str, None]) -> None:
    """Add the parts of runs of ASCII."""
    # Most words of a text are known from the texts before it: a difference of sets looks at none of them in Python.
    for run in set(runs) - _whole:
        if len(run) > MAX_PARTED:
            continue
        if run.islower() or run.isdigit() or not (parts := _part_tokens(run)):
            if len(_whole) < _MAX_WHOLE:
                _whole.add(run)
        else:
            found.update(dict.fromkeys(parts))


def _runs(texts: Iterable[str]) -> tuple[dict[str, None], dict[str, None]]:
    """The runs of letters and digits of ASCII in several texts, each once, and the tokens of texts with other words."""
    plain: list[bytes] = []
    foreign: dict[str, None] = {}
    for text in texts:
        if "\x1b" in text or MARK in text:
            text = separated(text)
        if text.isascii():
            plain.append(text.encode())
        elif has_foreign_words(text):
            foreign.update(index_tokens(text))
        else:
            # Each other character becomes a question mark, which separates as well.
            plain.append(text.encode("ascii", "replace"))
    # A table and a split take a third of the time of a pattern, for most of which it makes the same words again.
    return dict.fromkeys(b"\n".join(plain).translate(_SEPARATED).decode("ascii").split()), foreign


def _are_short(runs: Iterable[str]) -> bool:
    return max(map(len, runs), default=0) <= MAX_TOKEN


@lru_cache(32_768)
def _part_tokens(run: str) -> dict[str, None]:
    return dict.fromkeys(part.token for part in _parts(run, 0))


def index_text(text: str) -> str:
    """What is given to FTS5 with ``tokenize = 'ascii'`` in place of a text: each of its tokens, separated by spaces."""
    return " ".join(index_tokens(text))


def separated(text: str) -> str:
    """The text with spaces in place of underscores and of each character of an escape sequence: nothing moves."""
    if "\x1b" in text:
        text = _TERMINAL.sub(_blank, text)
    if MARK in text:
        text = _STORED.sub(_blank, text)
    return text.replace("_", " ")


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def has_foreign_words(text: str) -> bool:
    """Whether a word of the text has characters beyond ASCII. Dashes, arrows and emoji are no words."""
    return not text.isascii() and any(is_foreign(char) for char in _beyond_ascii(text))


def _beyond_ascii(text: str) -> set[str]:
    """The characters of a text that are not ASCII."""
    # The set of a whole text takes eight times as long as taking the ASCII out of its bytes first.
    beyond = text.encode("utf-8", "surrogatepass").translate(None, _ASCII).decode("utf-8", "surrogatepass")
    return set(beyond)


def has_unspaced_as_written(text: str) -> bool:
    """Whether each token of a script without spaces stands in the text as it is, and stands for itself there alone."""
    return all(_is_as_written(char) for char in _beyond_ascii(text))


@lru_cache(4096)
def _is_as_written(char: str) -> bool:
    folded = fold(char)
    is_kept = folded == char or not is_unspaced(folded)
    return is_kept and _patterns().cluster.fullmatch(f"a{char}") is None


@lru_cache(4096)
def is_foreign(char: str) -> bool:
    """Whether a character beyond ASCII belongs to words."""
    return not char.isascii() and _patterns().run.match(char) is not None


def fold_words(text: str) -> str:
    """A string that has every token and part of a text with words beyond ASCII; folding only these takes less time."""
    foreign = dict.fromkeys(match[0] for match in _patterns().foreign.finditer(text))
    return f"{text.lower()} {fold(' '.join(foreign))}"


def foreign_runs(plain: str, token: str) -> Iterator[tuple[int, int]]:
    """The runs with characters beyond ASCII that fold to something with this token in it."""
    for match in _patterns().foreign.finditer(plain):
        if token in fold(match[0]):
            yield match.span()


def is_ascii_word(char: str) -> bool:
    return char.isascii() and char.isalnum()


def end_of_run(plain: str, start: int) -> int:
    """Where the run of ASCII letters and digits ends that begins at ``start``."""
    match = _ASCII_RUN.match(plain, start)
    return match.end() if match is not None else start


def is_unspaced(text: str) -> bool:
    """Whether a text has letters of a script that is written without spaces."""
    return not text.isascii() and _patterns().unspaced.search(text) is not None


def _parts(run: str, at: int) -> tuple[Part, ...]:
    """The parts of a run that begins at ``at``; none where its case does not change within it."""
    if len(run) > MAX_PARTED or run.islower():
        return ()
    ascii_run = run.isascii()
    shape = run if ascii_run else _shape(run)
    cuts = [0, *(match.start() for match in _CASE_CHANGE.finditer(shape)), len(run)]
    if len(cuts) == 2 or _is_encoded(run, len(cuts) - 1):
        return ()
    folded = ((start, end, fold(run[start:end])[:MAX_TOKEN]) for start, end in pairwise(cuts))
    # An accent that no letter precedes is a part of which folding leaves nothing.
    return tuple(Part(at + start, at + end, token) for start, end, token in folded if token)


def _is_encoded(run: str, parts: int) -> bool:
    """Whether a run looks like a random id or base64: digits in many places, or many parts of a few letters."""
    return len(_DIGITS.findall(run)) > 2 or (parts > 4 and len(run) < 3 * parts)


def _shape(run: str) -> str:
    """A letter of the same case, or a digit, for each character. A mark is like the letter before it."""
    shape, last = [], "0"
    for char in run:
        if not unicodedata.category(char).startswith("M"):
            last = "A" if char.isupper() else "a" if char.islower() else "0"
        shape.append(last)
    return "".join(shape)


def _words_of(run: str, at: int) -> Iterator[Word]:
    """The tokens of a run with characters beyond ASCII."""
    patterns = _patterns()
    # Folding changes lengths, so each cluster is folded alone: a letter with what may be composed with it.
    open_at, folded = 0, ""
    for cluster in patterns.cluster.finditer(run):
        pieces = patterns.token.findall(text := fold(cluster[0]))
        if text and pieces == [text] and not patterns.unspaced.match(text):
            folded += text
            continue
        if not text:
            continue
        if folded:
            yield _word(run, open_at, cluster.start(), at, folded)
        for piece in pieces:
            yield Word(at + cluster.start(), at + cluster.end(), piece)
        open_at, folded = cluster.end(), ""
    if folded:
        yield _word(run, open_at, len(run), at, folded)


def _word(run: str, start: int, end: int, at: int, folded: str) -> Word:
    return Word(at + start, at + end, folded[:MAX_TOKEN], _parts(run[start:end], at + start))


def _add_folded(run: str, found: dict[str, None]) -> None:
    """Add the tokens and parts of a run with characters beyond ASCII."""
    if run.lower() == run:
        folded = fold(run)
        pieces = _patterns().token.findall(folded)
        # Without upper case there are no parts. Unless a character became several words (a fraction does), folding the
        # run as a whole gives the same tokens.
        if sum(map(len, pieces)) == len(folded):
            found.update((token[:MAX_TOKEN], None) for token in pieces)
            return
    for word in _words_of(run, 0):
        found[word.token] = None
        found.update((part.token, None) for part in word.parts)
