"""``settle`` never loses the later edit without a conflict."""

from datetime import timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from acode_tui.domain.codec import same_content
from acode_tui.domain.entities import Session
from acode_tui.domain.states import SessionState
from acode_tui.storage.delivery_protocol import ApplyRow
from acode_tui.storage.postgres.settle import RemoteRow, settle
from acode_tui.sync.conflict import ConflictResolver
from tests.storage.runs import T0


def version(tick: int, text: str) -> Session:
    return Session(
        id="0190d6a1-7b2c-7def-8a3e-b4c5d6e7f890",
        task_description=text,
        state=SessionState.CREATED,
        created_at=T0,
        updated_at=T0 + timedelta(microseconds=tick),
        workspace_id="0190d6a1-0000-7000-8000-000000000001",
    )


versions = st.builds(version, st.integers(0, 3), st.sampled_from("abc"))
bases = st.integers(0, 3)


def row(local: Session, base: int, *ancestors: Session) -> ApplyRow:
    return ApplyRow(record_id=1, idempotency_key="k", session_id=local.id, entity=local, base=base, ancestors=ancestors)


@given(versions, versions, bases, bases, st.lists(versions, max_size=2))
def test_a_stamp_never_decreases_and_a_lost_edit_is_always_a_conflict(
    local: Session, remote: Session, base: int, at: int, ancestors: list[Session]
) -> None:
    there = RemoteRow(remote, at, remote.workspace_id)
    made = settle(row(local, base, *ancestors), there, delivered=False, rules=ConflictResolver())
    if made.write:
        assert local.updated_at >= remote.updated_at
    same = same_content(local, remote)
    if not made.write and not same:
        assert made.outcome == "conflict_remote"
    if (
        made.write
        and not same
        and at != base
        and not any(past.updated_at == remote.updated_at and same_content(past, remote) for past in ancestors)
    ):
        assert made.outcome == "conflict_local"
    if same:
        assert made.outcome in ("converged", "applied")
        assert not made.is_conflict


@given(versions, versions, bases)
def test_a_copy_that_is_sent_again_is_no_conflict_and_the_later_version_stays(
    local: Session, remote: Session, at: int
) -> None:
    sent = msgspec.structs.replace(row(local, 0), is_copy=True)
    made = settle(sent, RemoteRow(remote, at, remote.workspace_id), delivered=False, rules=ConflictResolver())
    assert not made.is_conflict
    if not same_content(local, remote):
        assert made.write == (local.updated_at > remote.updated_at) or local.updated_at == remote.updated_at


@given(versions, versions, bases)
def test_a_replay_writes_nothing(local: Session, remote: Session, at: int) -> None:
    made = settle(row(local, 0), RemoteRow(remote, at, "w"), delivered=True, rules=ConflictResolver())
    assert made == ("duplicate", False)


@given(versions, st.booleans())
def test_a_missing_row_is_written_again(local: Session, delivered: bool) -> None:
    assert settle(row(local, 3), None, delivered=delivered, rules=ConflictResolver()) == ("applied", True)
