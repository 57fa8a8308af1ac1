"""Pictures are kept as SVG in ``snapshots/``; nothing moves and no environment shows in them."""

import os
from pathlib import Path

os.environ["TEXTUAL_ANIMATIONS"] = "none"
os.environ.pop("NO_COLOR", None)

import pytest
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]
from syrupy.location import PyTestLocation
from textual import _wait

from acode_tui.tui.widgets.keyed_table import KeyedTable
from tests.tui.fake import FakeWorkspace, online

SNAPSHOTS = Path(__file__).parent.parent.parent / "snapshots"


def _dirname(cls: type[SVGImageExtension], *, test_location: PyTestLocation) -> str:
    # One folder a test module: syrupy relates a picture to its test by it.
    return str(SNAPSHOTS / test_location.basename)


# A key counts as done once the dashboard has rested for 5 ms; the 20 of Textual make the suite half as long again.
_wait.SLEEP_GRANULARITY = 1 / 200
_wait.SLEEP_IDLE = 1 / 1000
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
