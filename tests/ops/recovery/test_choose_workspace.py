"""Which of the server's workspaces is recovered."""

from datetime import UTC, datetime

import pytest

from acode_tui.domain.errors import AmbiguousIdError, NotFoundError, RecoveryError
from acode_tui.ops.recovery.recover import choose_workspace
from acode_tui.storage.ports import TeamWorkspace

LAPTOP, DESKTOP = "0190d6a1-0000-7000-8000-000000000001", "0190d6a2-0000-7000-8000-000000000002"


def known(*ids: str) -> list[TeamWorkspace]:
    seen = datetime(2026, 1, 5, 18, 23, tzinfo=UTC)
    return [TeamWorkspace(id=each, user="ada", host="laptop", last_seen_at=seen, sessions=7) for each in ids]


def choose(*ids: str, named: str | None = None, in_file: str | None = None, remembered: tuple[str, ...] = ()) -> str:
    return choose_workspace(known(*ids), named=named, in_file=in_file, remembered=remembered).id


def test_the_named_workspace_wins_over_the_files_and_that_over_the_remembered_one() -> None:
    both = (LAPTOP, DESKTOP)
    assert choose(*both, named="0190D6A2", in_file=LAPTOP, remembered=(LAPTOP,)) == DESKTOP
    assert choose(*both, in_file=DESKTOP, remembered=(LAPTOP,)) == DESKTOP
    assert choose(*both, remembered=("never sent", LAPTOP, DESKTOP)) == LAPTOP
    assert choose(LAPTOP) == LAPTOP


def test_a_file_that_names_its_workspace_is_not_replaced_by_another_one() -> None:
    with pytest.raises(NotFoundError, match=r"does not know this file's workspace.*was here before"):
        choose(LAPTOP, in_file=DESKTOP, remembered=(DESKTOP, LAPTOP))


def test_an_ambiguous_choice_is_an_error_that_lists_the_workspaces() -> None:
    with pytest.raises(RecoveryError, match="ada on laptop, 7 sessions, seen 2026-01-05 18:23 UTC") as raised:
        choose(LAPTOP, DESKTOP)
    assert LAPTOP in str(raised.value)
    assert DESKTOP in str(raised.value)
    with pytest.raises(RecoveryError, match="nothing was ever sent"):
        choose()


def test_a_beginning_must_be_unique() -> None:
    with pytest.raises(AmbiguousIdError):
        choose(LAPTOP, DESKTOP, named="0190d6a")
    with pytest.raises(NotFoundError):
        choose(LAPTOP, named="ffff")
    with pytest.raises(NotFoundError):
        choose(LAPTOP, named=" ")
