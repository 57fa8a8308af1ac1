"""The fast test of texts lets through every text that has the terms, and leaves out what has no token of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.codec import encode_plain
from acode_tui.domain.search.match import contains
from acode_tui.domain.search.places import json_texts
from acode_tui.domain.search.query import Term
from acode_tui.domain.search.text_filter import TextFilter
from acode_tui.domain.search.tokens import tokens
from tests.domain.search.texts import slices, texts


def phrase(text: str) -> Term:
    return Term("phrase", text, tokens(text))


@given(texts, st.lists(slices(), min_size=1, max_size=3), st.booleans())
def test_every_text_with_the_terms_passes(text: str, others: list[tuple[str, list[str]]], prefix: bool) -> None:
    terms = [Term("prefix" if prefix else "phrase", "", tuple(chosen)) for _, chosen in others]
    body = " ".join([text, *(source for source, _ in others)])
    for wanted in (*([term] for term in terms), terms):
        if all(contains(term, body) for term in wanted):
            tested = TextFilter(wanted)
            assert tested.passes(body)
            if tested.tests_bytes and body.isascii() and "\x1b" not in body:
                assert tested.passes_bytes(body.lower().encode())
                assert tested.passing([b"other", body.encode(), b"", body.encode()]) == [1, 3]


_scalars = st.one_of(st.none(), st.booleans(), st.integers(-9, 99), st.sampled_from([1.5e300, -2e-9]))
_strings = st.one_of(texts, st.sampled_from(["one", "two", "twoThree", "", 'a"b', "\\n", "x\ny", "\x1b[31mone\x1b[0m"]))
_values = st.recursive(
    st.one_of(_strings, _strings, _scalars),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_strings, inner, max_size=3)),
    max_leaves=8,
)


@given(st.sampled_from(["Bash", "mcp__git__log", 'a"b', "c\\d"]), _values, st.data())
def test_every_json_value_with_a_term_passes_as_it_is_stored(name: str, value: Any, data: st.DataObject) -> None:
    body = "\n".join([name, *json_texts(value)])
    every = tokens(body)
    first = data.draw(st.integers(0, len(every) - 1))
    wanted = Term("phrase", "", every[first : first + data.draw(st.integers(1, 4))])
    assert contains(wanted, body)
    tested, stored = TextFilter([wanted]), encode_plain(value).decode()
    assert tested.passes_json(name, stored)
    assert not tested.tests_bytes or tested.may_be_in_json(f"{name}\n{stored}".lower())


def test_a_term_that_begins_in_one_of_many_texts_and_ends_in_the_next_passes_in_none() -> None:
    texts = [b"it returns", b"Early on", b"it Returns, early", b"early returns", b"returns\nearly", b"returns"]
    assert TextFilter([phrase("returns early")]).passing(texts) == [2, 4]
    assert TextFilter([phrase("returns early"), phrase("it")]).passing(texts) == [2]
    assert TextFilter([phrase("returns")]).passing(texts) == [0, 2, 3, 4, 5]
    assert TextFilter([phrase("nowhere")]).passing(texts) == []


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("cookie", "a cake"),
        ("set cookie", "cookie set"),
        ("set cookie", "set the cookie"),
        ("returns early", "It returns. Not early."),
        ("認証", "認める証人"),
        ("認証", "plain — text"),
        ("cookie", "größer"),
    ],
)
def test_what_it_leaves_out(wanted: str, text: str) -> None:
    # Of other scripts only the tokens are looked for.
    assert TextFilter([phrase(wanted)]).passes(text) is (wanted == "認証" and "認" in text)
    assert not contains(phrase(wanted), text)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        *(("os", "import os"), ("os", "OS"), ("os", "osName"), ("os", "macOS"), ("os", "isOsOk"), ("os", "getOsName")),
        *(("os", "\x1b[31mos\x1b[0m"), ("os", "x\nos"), ("os", "\tos"), ("os*", "ostrich"), ("os*", "theOstrich")),
        *(("2", "a 2"), ("a", "withA"), ("a", "aB"), ("id", "userID"), ("id", "IDCard"), ("do now", "x\ndo\nnow")),
    ],
)
def test_short_words_are_looked_for_as_words(wanted: str, text: str) -> None:
    term = Term("prefix", "", tokens(wanted)) if wanted.endswith("*") else phrase(wanted)
    assert contains(term, text)
    assert TextFilter([term]).passes(text)
    assert TextFilter([term]).passes_json("Bash", encode_plain({"command": text}).decode())


def test_a_short_word_within_others_does_not_pass() -> None:
    for text in ("boston", "across the most", "Boss"):
        assert not TextFilter([phrase("os")]).passes(text)
        assert not TextFilter([phrase("os")]).passes_json("Bash", encode_plain({"text": text}).decode())


def test_strings_of_a_json_value_follow_one_another_with_nothing_but_punctuation_and_numbers_between() -> None:
    stored = encode_plain({"one": 1, "two": [True, None, 1.5e300, "", "three"], "four": "x"}).decode()
    assert TextFilter([phrase("Bash one two three four x")]).passes_json("Bash", stored)
    assert not TextFilter([phrase("one three")]).passes_json("Bash", stored)
    assert not TextFilter([phrase("one true")]).passes_json("Bash", stored)
