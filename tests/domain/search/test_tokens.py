"""Tokens: what they are, and that the index of a text holds every one of them."""

import sqlite3
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from acode_tui.domain.search.tokens import (
    MAX_TOKEN,
    fold,
    index_body,
    index_text,
    index_tokens,
    index_tokens_of_all,
    tokens,
    words,
)
from tests.domain.search.texts import slices, texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("withCookie", "withcookie with cookie"),
        ("HTTPServerError", "httpservererror http server error"),
        ("v2Beta", "v2beta v2 beta"),
        ("sha256SUM utf8", "sha256sum utf8"),
        ("iPhone", "iphone i phone"),
        ("test_refresh_token", "test refresh token"),
        ("src/auth/Login.tsx:12", "src auth login tsx 12"),
        ("Café cafe\u0301 ÄRGER straße", "cafe arger strasse"),
        ("größeÄndern", "grosseandern grosse andern"),
        ("認証トークン", "認 証 ト ー ク ン"),
        ("Python入門", "python 入 門"),
        ("がく", "が く"),
        ("ｶﾞ", "ガ"),
        ("ที่", "ท \u0e35 \u0e48"),
        ("한국어 \u1112\u1161\u11ab국", "한국어 한국"),
        ("हिन्दी", "हिन्दी"),
        ("x² ½ ＡＢＣ ﬁle", "x2 1 2 abc file"),
        ("Foo™ 20℃ 🎉 ❤️ → …", "foo 20"),
        ("\x1b[31merror\x1b[0m \x1b]0;title\x07done", "error done"),
        ("a\ue0000000b", "a b"),
        ("toolu_01A09q90qw90lq917835lq9", "toolu 01a09q90qw90lq917835lq9"),
        ("x1Yz2Ab3Cd", "x1yz2ab3cd"),
        ("aXbYcZdWeV", "axbyczdwev"),
        ("whenUserIsNotFound", "whenuserisnotfound when user is not found"),
        ("", ""),
        ("-- :: *", ""),
    ],
)
def test_the_tokens_and_parts_of_a_text(text: str, expected: str) -> None:
    assert list(index_tokens(text)) == expected.split()


@given(texts)
@example("\u0301Ab")
def test_the_index_of_a_text_has_each_token_and_each_part_of_its_words(text: str) -> None:
    of_words = {token for word in words(text) for token in (word.token, *(part.token for part in word.parts))}
    assert set(index_tokens(text)) == of_words
    assert all(index_tokens(text))


@given(texts)
def test_fts5_takes_the_text_of_the_index_apart_into_the_same_tokens(text: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE VIRTUAL TABLE held USING fts5 (body, content='', columnsize=0, detail=none, tokenize='ascii')"
    )
    connection.execute("CREATE VIRTUAL TABLE terms USING fts5vocab (held, row)")
    connection.execute("INSERT INTO held (rowid, body) VALUES (1, ?)", (index_text(text),))
    assert {term for (term,) in connection.execute("SELECT term FROM terms")} == set(index_tokens(text))
    connection.close()


@given(texts)
def test_the_places_of_words_are_in_order_and_each_folds_to_its_token(text: str) -> None:
    end = 0
    for word in words(text):
        assert end <= word.start < word.end <= len(text)
        end = word.start if tokens(text[word.start : word.end]) != (word.token,) else word.end
        assert word.token in tokens(text[word.start : word.end])
        for part in word.parts:
            assert word.start <= part.start < part.end <= word.end
            assert tokens(text[part.start : part.end]) == (part.token,)


@given(slices())
def test_tokens_that_are_searched_for_stay_what_they_are(given_: tuple[str, list[str]]) -> None:
    _, chosen = given_
    assert tokens(" ".join(chosen)) == tuple(chosen)


@given(st.text())
@example("\u0345ͅ")
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_each_character_alone_folds_to_what_it_folds_to_again() -> None:
    for code in range(sys.maxunicode + 1):
        once = fold(chr(code))
        assert fold(once) == once, hex(code)


@given(texts)
def test_composed_and_decomposed_texts_have_the_same_tokens(text: str) -> None:
    forms = {tokens(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")}
    assert len(forms) == 1


def test_a_long_run_is_cut_and_has_no_parts() -> None:
    assert list(index_tokens("aB" * 300)) == [("ab" * 300)[:MAX_TOKEN]]
    assert list(index_tokens("é" * 300)) == ["e" * MAX_TOKEN]
    assert [word.token for word in words("É" * 300)] == ["e" * MAX_TOKEN]


@given(st.lists(texts, max_size=4))
def test_the_words_of_several_texts_are_the_tokens_of_each(given_texts: list[str]) -> None:
    """FTS5 folds the letters of ASCII, and them alone."""
    folded = {word.lower() if word.isascii() else word for word in index_body(given_texts).split(" ") if word}
    expected = {token for text in given_texts for token in index_tokens(text)}
    assert folded == expected
    assert set(index_tokens_of_all(given_texts)) == expected
