"""Makes the dashboards of all tests cheap and repeatable: no animation, no dependence on the environment."""

import os
from collections.abc import Iterator

os.environ.pop("NO_COLOR", None)

import pytest

from acode_tui.tui import run_alerts
from acode_tui.tui.run.tree_page import TreePage
from acode_tui.tui.widgets.keyed_table import KeyedTable
from tests.tui.fake import FakeWorkspace, online
from tests.tui.fast_textual import make_textual_faster, painting_nothing

make_textual_faster()
KeyedTable.HOLD_SECONDS = 0.05
TreePage.REST_SECONDS = 0.0
run_alerts.LOOK_SECONDS = 3_600.0  # a test of alerts looks by itself, others count the reads of screens


@pytest.fixture(autouse=True)
def _nothing_is_painted() -> Iterator[None]:
    """No terminal shows these dashboards: a test reads what is laid out."""
    with painting_nothing():
        yield


@pytest.fixture
def fake() -> FakeWorkspace:
    """A workspace of 120 sessions without PostgreSQL."""
    return FakeWorkspace()


@pytest.fixture
def fake_online() -> FakeWorkspace:
    """A workspace with PostgreSQL, a backlog, refused records and conflicts."""
    return online(FakeWorkspace())
