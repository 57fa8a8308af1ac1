"""Files in groups: large ones while there is much to do, small ones towards the end."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from acode_tui.ingest.group_reader import (
    GROUP_BYTES,
    GROUP_FILES,
    GROUP_SHARE,
    LEAST_GROUP_BYTES,
    FileDue,
    in_groups,
)

MIB = 1024 * 1024


def due(*sizes: int) -> list[FileDue]:
    return [FileDue(Path(str(number)), size, None) for number, size in enumerate(sizes)]


@given(st.lists(st.integers(0, 3 * GROUP_BYTES), max_size=200))
def test_groups_keep_the_order_and_their_bounds(sizes: list[int]) -> None:
    files = due(*sizes)
    groups = list(in_groups(files))
    assert [file for group in groups for file in group] == files
    left = sum(sizes)
    for group in groups:
        size = sum(file.size for file in group)
        most = max(min(left // GROUP_SHARE, GROUP_BYTES), LEAST_GROUP_BYTES)
        assert len(group) == 1 or (len(group) <= GROUP_FILES and size <= most)
        left -= size


def test_a_long_import_ends_in_small_groups_and_a_small_one_is_a_single_group() -> None:
    sizes = [[file.size // MIB for file in group] for group in in_groups(due(*[2 * MIB] * 36))]
    assert sizes[0] == [2] * 4
    assert sizes[-3:] == [[2], [2], [2]]
    assert len(list(in_groups(due(*[LEAST_GROUP_BYTES // 10] * 10)))) == 1
