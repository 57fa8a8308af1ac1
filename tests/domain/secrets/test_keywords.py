"""The index of keywords finds what a search for each keyword in turn finds."""

from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.secrets import rules
from acode_tui.domain.secrets.rules import Keywords, SearchedText
from acode_tui.domain.secrets.runs import LEAST, runs

WORDS = (b"pass", b"password", b"ass", b"key", b"yk", b"@")


def each_in_turn(data: bytes) -> dict[bytes, list[int]]:
    return {word: found for word in WORDS if (found := [at for at in range(len(data)) if data.startswith(word, at)])}


@given(st.text("paswordkeyPK@é\U0001f600 ", max_size=60))
def test_every_position_of_every_keyword_is_found_in_either_case(text: str) -> None:
    source = SearchedText(text, Keywords(WORDS))
    lower = "".join(char.lower() if char.isascii() else "?" for char in text).encode()
    assert {word: list(found) for word, found in source.keywords.items()} == each_in_turn(lower)


@given(st.text("paswordkey@", max_size=400), st.integers(1, 20))
def test_a_text_that_is_searched_in_parts_loses_no_keyword(text: str, part: int) -> None:
    whole = Keywords(WORDS).positions(text.encode())
    before = rules._PART
    rules._PART = part
    try:
        assert Keywords(WORDS).positions(text.encode()) == whole
    finally:
        rules._PART = before


@given(st.text("aB3-_+/ .", max_size=200))
def test_runs_are_the_longest_stretches_of_their_characters(text: str) -> None:
    found, start = [], None
    for at, char in enumerate(text + " "):
        if char in "aB3-_+/":
            start = at if start is None else start
        elif start is not None:
            if at - start >= LEAST:
                found.append((start, at))
            start = None
    assert list(runs(text.encode())) == found
