"""Makes dashboards cheap and repeatable for every test: no animation, no dependence on the environment."""

import os

os.environ.pop("NO_COLOR", None)

import pytest

from acode_tui.tui.widgets.keyed_table import KeyedTable
from tests.tui.cheaper import make_textual_cheaper
from tests.tui.fake import FakeWorkspace, online

make_textual_cheaper()
KeyedTable.HOLD_SECONDS = 0.05


@pytest.fixture
def fake() -> FakeWorkspace:
    """A hundred and twenty sessions, no PostgreSQL."""
    return FakeWorkspace()


@pytest.fixture
def fake_online() -> FakeWorkspace:
    """The same with PostgreSQL, a backlog, refused records and conflicts."""
    return online(FakeWorkspace())
