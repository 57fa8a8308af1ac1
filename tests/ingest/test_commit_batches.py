"""Files are read in groups, in their order, and stored in commits that are neither too small nor too large."""

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from acode_tui.ingest.groups import GROUP_BYTES, GROUP_FILES, DueFile, PreparedFile, in_groups
from acode_tui.ingest.importer import COMMIT_BYTES, CommitBatch

MIB = 1024 * 1024


def due(*sizes: int) -> list[DueFile]:
    return [DueFile(Path(str(number)), size, None) for number, size in enumerate(sizes)]


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


def commits(sizes: list[int]) -> list[list[DueFile]]:
    """The commits in which an import of files of these sizes, one file a group, is stored."""
    batch = CommitBatch(sum(sizes))
    found = []
    for file in due(*sizes):
        batch.add([file], [PreparedFile(problem=str(file.path))])
        if batch.is_large_enough:
            taken, files = batch.take()
            assert [str(each.path) for each in taken] == [each.problem for each in files]
            found.append(taken)
    return found


@given(st.lists(st.integers(0, 2 * COMMIT_BYTES), max_size=100))
def test_files_are_stored_in_reading_order_and_soon(sizes: list[int]) -> None:
    found = commits(sizes)
    assert [file for commit in found for file in commit] == due(*sizes)
    for commit in found:
        # A batch waits for more files only while it is too small.
        assert sum(file.size for file in commit[:-1]) < COMMIT_BYTES or len(commit) == 1


def test_a_long_import_begins_and_ends_with_small_commits() -> None:
    found = [len(commit) for commit in commits([MIB] * 100)]
    assert found[:4] == [1, 1, 1, 1]
    assert max(found) == COMMIT_BYTES // MIB
    assert found[-2:] == [1, 1]
