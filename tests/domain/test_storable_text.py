"""Text that a database cannot store is refused with the field's name, or escaped reversibly."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.errors import ValidationError
from acode_tui.domain.validation import MARK, escape, escape_json, is_storable, require_storable, unescape

pieces = st.sampled_from(["\x00", "\ud800", "\udfff", MARK, MARK + "0041", MARK + "d800", "0", "00", "a", "é"])
anything = st.one_of(st.lists(pieces, max_size=8).map("".join), st.text(st.characters()))
"""Any text, often text that looks like an escape."""


@given(anything)
def test_unescape_is_the_inverse_of_escape(text: str) -> None:
    assert unescape(escape(text)) == text


@given(anything)
def test_escaped_text_can_be_stored(text: str) -> None:
    assert is_storable(escape(text))
    escape(text).encode("utf-8")


@given(anything, anything)
def test_two_texts_never_share_an_escape(first: str, second: str) -> None:
    assert (escape(first) == escape(second)) == (first == second)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00" + MARK)))
def test_ordinary_text_is_returned_unchanged(text: str) -> None:
    assert escape(text) is text


@given(anything)
def test_storable_text_is_utf8_without_nul(text: str) -> None:
    try:
        holds = b"\x00" not in text.encode("utf-8")
    except UnicodeEncodeError:
        holds = False
    assert is_storable(text) == holds


@pytest.mark.parametrize(("text", "named"), [("a\x00b", "NUL"), ("a\udc80", "U\\+DC80")])
def test_the_error_names_the_field_and_the_character_but_not_the_text(text: str, named: str) -> None:
    with pytest.raises(ValidationError, match=f"reason: contains .*{named}") as refused:
        require_storable("secret" + text, "reason")
    assert "secret" not in str(refused.value)


@given(st.recursive(anything, lambda inner: st.lists(inner) | st.dictionaries(anything, inner), max_leaves=8))
def test_json_is_escaped_in_keys_and_values(value: Any) -> None:
    def back(each: Any) -> Any:
        if isinstance(each, str):
            assert is_storable(each)
            return unescape(each)
        if isinstance(each, dict):
            return {back(key): back(item) for key, item in each.items()}
        return [back(item) for item in each]

    assert back(escape_json(value)) == value
