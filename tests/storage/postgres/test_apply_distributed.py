"""How the rows of a batch are cut into statements for distributed tables."""

from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.storage.postgres.apply_distributed import _MOST_COPIES, _MOST_ROWS, _groups


@settings(max_examples=60)
@given(rows=st.integers(0, 1_000), may_repeat=st.booleans())
def test_groups_hold_each_row_once_and_few_copies(rows: int, may_repeat: bool) -> None:
    groups = list(_groups(rows, may_repeat=may_repeat))
    starts = [start for start, _ in groups]
    assert starts == [sum(size for _, size in groups[:place]) for place in range(len(groups))]
    copies = sum(size for _, size in groups) - rows
    assert 0 <= copies <= (_MOST_COPIES if may_repeat else 0)
    assert all(size <= _MOST_ROWS for _, size in groups)
    # The texts of the statements stay few.
    assert {size for _, size in groups} <= {1 << bits for bits in range(9)} | {3, 6, 12}
