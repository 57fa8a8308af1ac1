"""An open store in the test's own folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clocks import TurnedClock
from tests.storage.sqlite.parts import Parts, open_parts


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "workspace.db"


@pytest.fixture
async def parts(database: Path, clock: TurnedClock) -> AsyncIterator[Parts]:
    async with open_parts(database, wall=clock) as opened:
        yield opened
