"""Finding terms in texts, and the snippet around them."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.search.match import contains, find, find_all, find_shown, snippet, snippet_parts
from acode_tui.domain.search.query import Term, parse_query, quote
from acode_tui.domain.search.tokens import Word, tokens, words
from tests.domain.search.texts import slices, texts

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def term(text: str) -> Term:
    """The one term of a query."""
    (found,) = parse_query(text, now=NOW).terms
    return found


def found(query: str, text: str) -> list[str]:
    return [text[start:end] for start, end in find(term(query), text)]


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("cookie", "set withCookie here", ["Cookie"]),
        ("withcookie", "set withCookie here", ["withCookie"]),
        ("withCookie", "set withCookie here", ["withCookie"]),
        ('"with cookie"', "set withCookie here", ["withCookie"]),
        ('"set with"', "set withCookie here", ["set with"]),
        ('"cookie here"', "set withCookie here", ["Cookie here"]),
        ("server", "HTTPServerError", ["Server"]),
        ("servererror", "HTTPServerError", []),
        ("refresh", "test_refresh_token", ["refresh"]),
        ("refresh_token", "test_refresh_token", ["refresh_token"]),
        ("auth", "src/auth/login.ts", ["auth"]),
        ("auth/login.ts", "src/auth/login.ts", ["auth/login.ts"]),
        ("log*", "login logs blog LOGIC withLogger", ["login", "logs", "LOGIC", "Logger"]),
        ("log", "login logs blog", []),
        ("cafe", "Café café cafe\u0301s cafe\u0301", ["Café", "café", "cafe\u0301"]),
        ("CAFÉ", "cafe", ["cafe"]),
        ("認証", "利用者の認証に失敗", ["認証"]),
        ("証認", "利用者の認証に失敗", []),
        ("error", "\x1b[31merror\x1b[0m", ["error"]),
        ("foo", "foo™ — “foo” …foo", ["foo", "foo", "foo"]),
        ("foo", "fooé éfoo aéfooBar é", []),
        ("bar", "aéfooBar", ["Bar"]),
        ("a", "banana a A", ["a", "A"]),
        ("x y", "", None),
    ],
)
def test_where_a_term_occurs(query: str, text: str, expected: list[str] | None) -> None:
    if expected is not None:
        assert found(query, text) == expected


@given(slices())
def test_a_term_of_any_tokens_in_a_row_is_found(given_: tuple[str, list[str]]) -> None:
    text, chosen = given_
    phrase = term(quote(" ".join(chosen)))
    assert phrase.tokens == tuple(chosen)
    assert contains(phrase, text)
    for start, end in find(phrase, text):
        assert 0 <= start < end <= len(text)
        # A fraction is one character and two words, so a match may begin within the first character.
        inner = list(words(text[start:end]))
        assert any(tuple(chosen) in _paths(inner[skipped:], len(chosen)) for skipped in range(len(inner)))


@given(slices(), st.integers(1, 3))
def test_a_prefix_of_the_last_token_is_found(given_: tuple[str, list[str]], length: int) -> None:
    text, chosen = given_
    beginning = Term("prefix", "", (*chosen[:-1], chosen[-1][:length]))
    assert contains(beginning, text)


@given(texts, slices(), st.booleans())
def test_what_is_found_is_what_a_plain_comparison_of_all_words_finds(
    text: str, other: tuple[str, list[str]], prefix: bool
) -> None:
    # The tokens are of another text, which is a part of this one or not.
    source, chosen = other
    wanted = Term("prefix" if prefix else "phrase", "", tuple(chosen))
    for body in (text, source, f"{text} {source}", text + source):
        expected = _compared(wanted, list(words(body)))
        assert contains(wanted, body) == bool(expected)
        spans = find(wanted, body)
        assert set(spans) <= expected
        assert spans == sorted(spans)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))
        assert not expected or spans[0][0] == min(expected)[0]


def _paths(every: list[Word], length: int) -> set[tuple[str, ...]]:
    """Each way to read so many tokens from the beginning of the words."""
    if length == 0:
        return {()}
    if not every:
        return set()
    word, rest = every[0], every[1:]
    ways = {(word.token, *way) for way in _paths(rest, length - 1)}
    parts = [part.token for part in word.parts[:length]]
    if parts:
        ways |= {(*parts, *way) for way in _paths(rest, length - len(parts))}
    return ways


def _compared(wanted: Term, every: list[Word]) -> set[tuple[int, int]]:
    """Every match, by trying each reading of the words from each place."""
    spans: set[tuple[int, int]] = set()

    def go(place: int, part: int, index: int, start: int, end: int) -> None:
        if index == len(wanted.tokens):
            spans.add((start, end))
            return
        if place == len(every):
            return
        word, token = every[place], wanted.tokens[index]
        is_prefix = wanted.kind == "prefix" and index == len(wanted.tokens) - 1
        if part == 0 and (word.token.startswith(token) if is_prefix else word.token == token):
            go(place + 1, 0, index + 1, start if index else word.start, word.end)
        if word.parts:
            piece = word.parts[part]
            if piece.token.startswith(token) if is_prefix else piece.token == token:
                following = (place, part + 1) if part + 1 < len(word.parts) else (place + 1, 0)
                go(*following, index + 1, start if index else piece.start, piece.end)

    for place, word in enumerate(every):
        for part in range(max(1, len(word.parts))):
            go(place, part, 0, 0, 0)
    # Of the matches from one place the longest counts.
    return {(start, max(end for begin, end in spans if begin == start)) for start, _ in spans}


def test_a_snippet_is_one_line_around_the_first_match_with_each_match_marked() -> None:
    text = "before\n\n  the   match\tand another match " + "tail " * 100
    line = snippet(text, find(term("match"), text))
    assert line.startswith("before the **match** and another **match** tail tail")
    assert line.endswith("tail…")
    assert len(line) <= 160 + len("********…")


def test_a_snippet_far_within_a_text_begins_and_ends_at_words() -> None:
    text = "word " * 1000 + "needle" + " word" * 1000
    line = snippet(text, find(term("needle"), text))
    assert line.startswith("…word ")
    assert "word **needle** word" in line
    assert line.endswith("word…")
    assert 120 <= len(line) <= 170


def test_a_snippet_without_a_match_is_the_beginning() -> None:
    assert snippet("Fix the login\nform", []) == "Fix the login form"


def test_a_snippet_has_no_escape_sequences_and_no_control_characters() -> None:
    text = "\x1b[1;31mE\x07rror\x1b[0m in \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\u202e now error"
    line = snippet(text, find(term("now"), text))
    assert line == "Error in link<U+202E> **now** error"


def test_asterisks_and_backslashes_of_the_text_are_not_taken_for_marks() -> None:
    text = "rm **/x C:\\temp\\ \\\\server * ** \\*a"
    line = snippet(text, find_all([term("temp"), term("server")], text))
    assert snippet_parts(line) == [
        ("rm **/x C:\\", False),
        ("temp", True),
        ("\\ \\\\", False),
        ("server", True),
        (" * ** \\*a", False),
    ]


@given(texts, st.lists(slices(), max_size=3), st.integers(10, 200))
def test_a_snippet_reads_back_and_shows_its_matches(text: str, others: list[tuple[str, list[str]]], width: int) -> None:
    body = " ".join([text, *(source for source, _ in others)])
    spans = find_all([Term("phrase", "", tuple(chosen)) for _, chosen in others], body)
    line = snippet(body, spans, width)
    assert line == snippet(body, find_shown([Term("phrase", "", tuple(chosen)) for _, chosen in others], body), width)
    parts = snippet_parts(line)
    assert line.isprintable()
    assert bool(spans) == any(marked for _, marked in parts)
    assert sum(len(piece) for piece, _ in parts) <= 2 * width + 2


@given(texts)
def test_a_word_found_alone_is_found_among_others(text: str) -> None:
    for token in dict.fromkeys(tokens(text)):
        assert contains(Term("word", token, (token,)), text)
