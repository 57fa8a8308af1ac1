"""Every value from an agent becomes one that both databases can store, within the size limit, without an error."""

import math
from collections import namedtuple
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.states import ArtifactType
from acode_tui.domain.validation import Limits, is_storable, require_json, require_metadata, require_text, unescape
from acode_tui.recorder.values import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_VALUE_CHARS,
    content_bytes,
    metadata_within,
    reason_of,
    recordable,
    recordable_metadata,
    title,
    truncate,
)

hostile_text = st.text(st.one_of(st.sampled_from(["\x00", "\ud800", "\ue000", "\x1b"]), st.characters()))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), hostile_text, st.binary(), st.complex_numbers(), st.just(...)
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner), st.tuples(inner, inner), st.dictionaries(st.one_of(st.integers(), hostile_text), inner)
    ),
)


@given(anything)
def test_any_value_can_be_stored(value: Any) -> None:
    require_json(recordable(value), "value")
    msgspec.json.encode(recordable(value))


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**62), 2**62) | hostile_text, st.lists))
def test_plain_json_is_kept_as_it_is_but_for_escapes(value: Any) -> None:
    def back(item: Any) -> Any:
        return (
            unescape(item) if isinstance(item, str) else [back(each) for each in item] if type(item) is list else item
        )

    assert back(recordable(value)) == value


@given(st.dictionaries(hostile_text, anything))
def test_any_metadata_is_accepted_by_the_store(value: dict[str, Any]) -> None:
    limits = Limits()
    require_metadata(metadata_within(recordable_metadata(value), limits.max_metadata_bytes), "metadata", limits)


@given(anything)
def test_any_title_is_accepted_by_the_store(value: Any) -> None:
    require_text(title(value), "title", max_chars=1_000)
    require_text(title("x" * 999 + str(value)), "title", max_chars=1_000)


@dataclass
class Point:
    x: int
    secret: str = field(default="hidden", repr=False)


class Pair(msgspec.Struct):
    left: int
    right: Any


Named = namedtuple("Named", "a b")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (2**70, "(an integer of 71 bits)"),
        ([10**5000], ["(an integer of 16,610 bits)"]),
        (b"\x00" * 10, "(bytes of 10 bytes)"),
        (Path("/a/b"), "/a/b"),
        (datetime(2026, 1, 5, 12, tzinfo=UTC), "2026-01-05T12:00:00+00:00"),
        (ArtifactType.FILE_DIFF, "FileDiff"),
        (Point(1), {"x": 1}),
        (Pair(1, [Point(2)]), {"left": 1, "right": [{"x": 2}]}),
        (Named(1, 2), [1, 2]),
        ({3}, [3]),
        ({1: "a", "1": "b"}, {"1": "a", "1'": "b"}),
        ({(1, 2): None}, {"(1, 2)": None}),
        (int, "<class 'int'>"),
    ],
)
def test_other_types_are_kept_by_their_parts(value: Any, kept: Any) -> None:
    assert recordable(value) == kept


def test_a_value_that_contains_itself_is_cut_at_the_maximum_depth() -> None:
    loop: dict[str, Any] = {}
    loop["a"] = loop["b"] = [loop, loop]
    require_json(recordable(loop), "value")
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    text = msgspec.json.encode(recordable(deep)).decode()
    assert text.count("[") == MAX_DEPTH


def test_a_huge_value_is_cut_and_marked() -> None:
    assert len(recordable(list(range(10 * MAX_ITEMS)))) == MAX_ITEMS + 1
    text = recordable("x" * 10_000_000)
    assert text.endswith("x… (10,000,000 characters)")
    many = msgspec.json.encode(recordable({f"k{n}": "y" * 60_000 for n in range(1_000)}))
    assert len(many) < 2 * MAX_VALUE_CHARS


def test_metadata_beyond_the_limit_is_replaced_by_its_size() -> None:
    assert metadata_within({"a": "x" * 100}, 50) == {"cutOff": "108 bytes"}
    assert metadata_within({"a": 1}, 50) == {"a": 1}


def test_objects_whose_methods_raise_are_recorded_by_their_type() -> None:
    class Raising(Mapping[str, int]):
        def __getitem__(self, key: str) -> int:
            raise KeyError(key)

        def __iter__(self) -> Iterator[str]:
            raise RuntimeError("changed size during iteration")

        def __len__(self) -> int:
            raise RuntimeError("no")

        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert recordable({"a": Raising(), "b": 1}) == {"a": "(Raising that cannot be printed)", "b": 1}


def test_a_reason_is_one_clean_line_without_passwords() -> None:
    assert reason_of(ValueError("a\nb\x1b[31m")) == "ValueError: a b␛[31m"
    assert reason_of(ValueError()) == "ValueError"
    assert "hunter2" not in reason_of(OSError("postgresql://me:hunter2@db/x refused"))
    assert len(reason_of(ValueError("x" * 1_000_000))) <= 2_000
    assert is_storable(reason_of(ValueError("\x00\ud800")))

    group = ExceptionGroup("two went wrong", [ValueError("a"), KeyError("b")])
    assert reason_of(group) == "ExceptionGroup: two went wrong (2 sub-exceptions): ValueError: a"

    class Unprintable(Exception):
        def __str__(self) -> str:
            raise ValueError("no")

    assert reason_of(Unprintable()) == "Unprintable: (its message cannot be printed)"


def test_a_cut_never_halves_an_escape() -> None:
    escaped = "ab\ue0000000cd"
    for limit in range(1, len(escaped)):
        assert "\ue000" not in truncate(escaped, limit).replace("\ue0000000", "")


def test_content_may_be_bytes_text_or_anything() -> None:
    assert content_bytes(bytearray(b"a")) == b"a"
    assert content_bytes("ä\ud800") == b"\xc3\xa4\xed\xa0\x80"
    assert content_bytes(10**9) == b"1000000000"
