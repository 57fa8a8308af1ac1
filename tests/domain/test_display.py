"""Recorded text is safe to show once it is cleaned."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.display import cell_width, clean, fit
from acode_tui.domain.validation import escape

ANY_TEXT = st.text(st.characters())


@pytest.mark.ac("AC-059")
@given(ANY_TEXT, st.booleans())
def test_no_character_that_controls_a_terminal_is_left(text: str, keep_newlines: bool) -> None:
    shown = clean(text, keep_newlines=keep_newlines)
    for char in shown:
        if not (char == "\n" and keep_newlines):
            assert unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp", "Cn")
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("a\u202eb\u2066c", "a<U+202E>b<U+2066>c"),
        ("zero\u200bwidth\ufeff", "zero<U+200B>width<U+FEFF>"),
        ("csi \x9b31m", "csi <U+009B>31m"),
        ("one\ntwo\tthree\r\n", "one two three  "),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
        ("\ud800", "<U+D800>"),
        (escape("nul\x00"), "nul␀"),
        ("\U000e0041tag", "<U+E0041>tag"),
        ("日本", "日本"),
        ("blank\u3164\u2800\u034f", "blank<U+3164><U+2800><U+034F>"),
        ("\u26a0\ufe0f \U0001f469\u200d\U0001f4bb", "\u26a0 \U0001f469\U0001f4bb"),
    ],
)
def test_special_characters_are_shown_by_name(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_newlines_are_kept_on_request() -> None:
    assert clean("a\r\nb\rc\n\td", keep_newlines=True) == "a\nb\nc\n        d"


@given(ANY_TEXT, st.integers(0, 40))
def test_text_has_at_most_max_chars_characters(text: str, most: int) -> None:
    assert len(clean(text, max_chars=most)) <= most


@given(ANY_TEXT.map(clean), st.integers(1, 40))
def test_fitted_text_is_no_wider_than_its_column(text: str, columns: int) -> None:
    shown = fit(text, columns)
    assert cell_width(shown) <= columns
    assert shown == text or shown.endswith("…")
