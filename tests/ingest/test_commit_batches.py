"""Files in groups: in their order, a few at a time; and how many of them are stored together."""

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from acode_tui.ingest.importer import COMMIT_BYTES, Ready
from acode_tui.ingest.parallel import GROUP_BYTES, GROUP_FILES, FileDue, FileRead, in_groups

MIB = 1024 * 1024


def due(*sizes: int) -> list[FileDue]:
    return [FileDue(Path(str(number)), size, None) for number, size in enumerate(sizes)]


@given(st.lists(st.integers(0, 2 * GROUP_BYTES), max_size=200))
def test_groups_keep_the_order_and_their_bounds(sizes: list[int]) -> None:
    files = due(*sizes)
    groups = list(in_groups(files))
    assert [file for group in groups for file in group] == files
    for group in groups:
        assert len(group) == 1 or (len(group) <= GROUP_FILES and sum(file.size for file in group) <= GROUP_BYTES)
    for group, following in pairwise(groups):
        # No group could have been larger.
        size = sum(file.size for file in group)
        assert len(group) == GROUP_FILES or size + following[0].size > GROUP_BYTES


def commits(sizes: list[int]) -> list[list[FileDue]]:
    """The commits that an import of such files, each a group, is stored in."""
    ready = Ready(sum(sizes))
    found = []
    for file in due(*sizes):
        ready.add([file], [FileRead(problem=str(file.path))])
        if ready.is_enough:
            taken, files = ready.take()
            assert [str(each.path) for each in taken] == [each.problem for each in files]
            found.append(taken)
    return found


@given(st.lists(st.integers(0, 2 * COMMIT_BYTES), max_size=100))
def test_whatever_was_read_is_stored_in_its_order_and_soon(sizes: list[int]) -> None:
    found = commits(sizes)
    assert [file for commit in found for file in commit] == due(*sizes)
    for commit in found:
        # It waited for more only while it was not enough.
        assert sum(file.size for file in commit[:-1]) < COMMIT_BYTES or len(commit) == 1


def test_a_long_import_begins_and_ends_with_small_commits() -> None:
    found = [len(commit) for commit in commits([MIB] * 100)]
    assert found[:4] == [1, 1, 1, 1]
    assert max(found) == COMMIT_BYTES // MIB
    assert found[-2:] == [1, 1]
