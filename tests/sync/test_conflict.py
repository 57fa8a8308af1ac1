"""The later edit stays on every machine, in any order of syncs."""

from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.codec import content_digest, normal_form, same_content
from acode_tui.domain.entities import Entity, Session, SessionTask
from acode_tui.domain.states import SessionState, WorkState
from acode_tui.sync.conflict import ConflictResolver

T0 = datetime(2026, 1, 5, tzinfo=UTC)

resolve = ConflictResolver().resolve

numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)


def session(**changes: Any) -> Session:
    values: dict[str, Any] = {
        "id": "0190d6a1-7b2c-7def-8a3e-b4c5d6e7f890",
        "created_at": T0,
        "updated_at": T0,
        "task_description": "Add input validation",
        "state": SessionState.CREATED,
        "workspace_id": "0190d6a1-7b2c-7def-8a3e-000000000001",
    }
    return Session(**(values | changes))


versions = st.builds(
    session,
    updated_at=st.integers(0, 2).map(lambda tick: T0 + timedelta(microseconds=tick)),
    task_description=st.sampled_from(["a", "b", "c"]),
    metadata=st.one_of(st.none(), st.dictionaries(st.text(max_size=2), json_values, max_size=2)),
    sync_version=st.integers(0, 3),
)


def winner(local: Session, remote: Session) -> Session:
    return local if resolve(local, remote) == "local" else remote


def facts(entity: Entity) -> tuple[datetime, bytes]:
    return entity.updated_at, content_digest(entity)


@pytest.mark.ac("AC-049")
@given(versions, versions)
def test_the_same_version_stays_whichever_side_syncs_first(one: Session, other: Session) -> None:
    assert facts(winner(one, other)) == facts(winner(other, one))


@pytest.mark.ac("AC-049")
@given(versions, versions)
def test_the_later_stamp_always_wins(one: Session, other: Session) -> None:
    assert winner(one, other).updated_at == max(one.updated_at, other.updated_at)


@given(versions, versions, versions)
def test_three_machines_agree_in_any_order_of_syncs(a: Session, b: Session, c: Session) -> None:
    assert len({facts(reduce(winner, order)) for order in permutations((a, b, c))}) == 1


@given(versions, versions)
def test_only_one_side_wins_unless_both_have_the_same_content(one: Session, other: Session) -> None:
    if resolve(one, other) == resolve(other, one):
        assert facts(one) == facts(other)


def test_versions_that_differ_only_in_delivery_are_the_same_content() -> None:
    one = session()
    other = session(updated_at=T0 + timedelta(hours=1), sync_version=7, workspace_id="another")
    assert same_content(one, other)
    assert not same_content(one, session(user_id="ada"))
    assert not same_content(one, session(metadata={}))


def test_kinds_with_some_equal_columns_have_different_digests() -> None:
    task = SessionTask(
        id=session().id,
        session_id=session().id,
        title="t",
        state=WorkState.PENDING,
        order=0,
        created_at=T0,
        updated_at=T0,
    )
    assert content_digest(task) != content_digest(session())


@pytest.mark.parametrize(
    ("local", "from_jsonb"),
    [
        (b"1.0", b"1"),
        (b"1e2", b"100"),
        (b"1E23", b"100000000000000000000000"),
        (b"-0.0", b"0"),
        (b"1e-7", b"0.0000001"),
        (b"1.10", b"1.1"),
        (b"18446744073709551616", b"18446744073709551616"),
        (b'{"b":1,"a":2}', b'{"a":2,"b":1}'),
    ],
)
def test_values_that_jsonb_rewrites_are_no_change(local: bytes, from_jsonb: bytes) -> None:
    one = session(metadata={"value": msgspec.json.decode(local)})
    other = session(metadata={"value": msgspec.json.decode(from_jsonb)})
    assert same_content(one, other)


@pytest.mark.parametrize(("one", "other"), [(1, 2), (1, True), (1, "1"), (None, 0), (2**53, 2**53 + 1), (0.1, 0.2)])
def test_different_values_stay_different(one: Any, other: Any) -> None:
    assert not same_content(session(metadata={"value": one}), session(metadata={"value": other}))


@given(json_values)
def test_the_normal_form_is_its_own_normal_form(value: Any) -> None:
    assert msgspec.json.encode(normal_form(normal_form(value))) == msgspec.json.encode(normal_form(value))
