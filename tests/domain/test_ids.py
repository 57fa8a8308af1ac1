"""Ids: new ones are ordered by time, imported ones are the same on every machine."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.clock import parse_time
from acode_tui.domain.ids import IMPORT_NAMESPACE, ImportedIds, idempotency_key, imported_id, new_id
from acode_tui.domain.states import EntityType

parts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=3)


def test_new_ids_are_version_7_distinct_and_in_order() -> None:
    made = [new_id() for _ in range(5_000)]
    assert len(set(made)) == len(made)
    assert made == sorted(made)
    assert {uuid.UUID(each).version for each in made} == {7}


@given(st.text(st.characters(exclude_categories=["Cs"])), parts)
def test_imported_ids_are_version_5_and_stable(source: str, native: list[str]) -> None:
    first = imported_id(source, *native)
    assert first == imported_id(source, *native)
    assert uuid.UUID(first).version == 5


@given(parts, parts)
def test_other_native_ids_give_other_ids(first: list[str], second: list[str]) -> None:
    # The separator is a control character that no native id contains.
    if first != second and not any("\x1f" in each for each in first + second):
        assert imported_id("claude-code", *first) != imported_id("claude-code", *second)


@given(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_ids_below_one_parent_are_those_of_the_whole_path(source: str, parent: str, native: str) -> None:
    assert ImportedIds(source, parent).id("task", native) == imported_id(source, parent, "task", native)


@given(st.text(st.characters(exclude_categories=["Cs"])), parts)
def test_imported_ids_are_those_of_the_standard_library(source: str, native: list[str]) -> None:
    assert imported_id(source, *native) == str(uuid.uuid5(IMPORT_NAMESPACE, "\x1f".join((source, *native))))


def test_imported_ids_of_lone_surrogates_are_version_5_and_differ() -> None:
    made = {imported_id("codex", native) for native in ("\ud800", "\udfff", "\ud800\udfff")}
    assert len(made) == 3
    assert {uuid.UUID(each).version for each in made} == {5}


def test_imported_ids_never_change_between_releases() -> None:
    assert imported_id("claude-code", "abc") == str(
        uuid.uuid5(uuid.UUID("6f2b1c52-93d5-5c0e-9d0a-3f0f4c1f7a11"), "claude-code\x1fabc")
    )


@pytest.mark.ac("AC-044")
def test_an_idempotency_key_is_kind_id_and_stamp() -> None:
    stamp = parse_time("2026-01-05T18:23:45.123456Z")
    key = idempotency_key(EntityType.STEP, "0190d6a1-7b2c-7def-8a3e-b4c5d6e7f890", stamp)
    assert key == "step:0190d6a1-7b2c-7def-8a3e-b4c5d6e7f890:2026-01-05T18:23:45.123456Z"
