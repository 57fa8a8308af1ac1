"""The dashboard's state, outside any widget. Pure."""

from datetime import timedelta

from acode_tui.tui.state import BacklogHistory
from tests.tui.fake import NOW


def test_the_backlog_keeps_one_sample_a_second() -> None:
    backlog = BacklogHistory()
    for tenth in range(25):
        backlog.add(tenth, NOW + timedelta(seconds=tenth / 10))
    assert list(backlog.samples) == [9, 19, 24]
