"""The workspace file reads like every other tier."""

from collections.abc import Sequence

import pytest

from acode_tui.domain.entities import SessionGraph
from acode_tui.storage.sqlite.runs.store import SqliteRunStateStore
from tests.storage.conformance import ReaderConformance, Seed
from tests.storage.sqlite.parts import Parts


@pytest.fixture
def reader(parts: Parts) -> SqliteRunStateStore:
    return parts.store


@pytest.fixture
def seed(parts: Parts) -> Seed:
    async def store(runs: Sequence[SessionGraph]) -> None:
        for run in runs:
            await parts.store.save(run)

    return store


class TestSqliteReader(ReaderConformance):
    """The shared suite."""
