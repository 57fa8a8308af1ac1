"""Pictures are kept as SVG in ``snapshots/``; nothing moves and no environment shows in them."""

import os

os.environ.pop("NO_COLOR", None)

import pytest
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]
from syrupy.location import PyTestLocation

from acode_tui.tui.widgets.keyed_table import KeyedTable
from tests.tui.cheaper import make_textual_cheaper
from tests.tui.fake import FakeWorkspace, online
from tests.tui.pictures import SNAPSHOTS


def _dirname(cls: type[SVGImageExtension], *, test_location: PyTestLocation) -> str:
    # One folder a test module: syrupy relates a picture to its test by it.
    return str(SNAPSHOTS / test_location.basename)


make_textual_cheaper()
KeyedTable.STILL_SECONDS = 0.05
SVGImageExtension.file_extension = "svg"
SVGImageExtension.dirname = classmethod(_dirname)


@pytest.fixture
def fake() -> FakeWorkspace:
    """A hundred and twenty sessions, no PostgreSQL."""
    return FakeWorkspace()


@pytest.fixture
def fake_online() -> FakeWorkspace:
    """The same with PostgreSQL, a backlog, refused records and conflicts."""
    return online(FakeWorkspace())
