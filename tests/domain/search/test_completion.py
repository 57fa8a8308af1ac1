"""Completing a query while it is typed, and a query with one condition less."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.domain.clock import system_clock
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.search.completion import proposals, typed_at_end
from acode_tui.domain.search.query import parse_query
from acode_tui.domain.search.relaxed import relaxed
from tests.domain.search.texts import texts

MODELS = ("claude-opus-4-5", "my model", "opus [/red]", "\x1b[2Jopus", "x" * 500)


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("", []),
        ("fi", ["file:"]),
        ("bash -mo", ["model:"]),
        ("is:li", ["is:live", "live"][1:]),
        ("state:ed", ["Completed", "Failed", "Paused", "Created", "Cancelled"]),
        ("model:opus", ["opus [/red]", "claude-opus-4-5"]),
        ("model:", ["claude-opus-4-5", "my model", "opus [/red]"]),
        ("model:claude-opus-4-5", []),
        ('model:"my', ["my model"]),
        ('model:"my model"', []),
        ("bash ", []),
        ("nonsense:x", []),
    ],
)
def test_the_end_of_a_query_is_completed(query: str, labels: list[str]) -> None:
    assert sorted(each.label for each in proposals(query, MODELS)) == sorted(labels)


def test_what_begins_like_the_text_comes_first_and_a_value_of_two_words_is_quoted() -> None:
    assert [each.query for each in proposals("x -model:m", ("claude-m", "my model"))] == [
        *('x -model:"my model" ', "x -model:claude-m ")
    ]


@settings(max_examples=30)
@given(texts, st.lists(texts, max_size=3))
def test_every_proposal_is_a_query_that_begins_as_it_was_typed(text: str, stored: list[str]) -> None:
    for each in proposals(f"agent:{text}", stored):
        if typed_at_end(f"agent:{text}") == (6, text, "agent"):
            assert parse_query(each.query, now=system_clock()).agents == (each.label,)


def test_each_condition_is_left_out_once_and_stands_alone_once() -> None:
    assert relaxed('tool:bash -is:live "open quote') == [
        ("tool:bash", '-is:live "open quote"', "tool:bash"),
        ("-is:live", 'tool:bash "open quote"', "-is:live"),
        ('"open quote', "tool:bash -is:live", '"open quote"'),
    ]
    assert relaxed("a b c d e f g h i") == []
    with pytest.raises(ValidationError):
        relaxed("stat:Failed")
